//! A worker that is told to stop: what it holds has its time, and is given back after it.

use super::*;
use crate::fixture::{decisions, wake};
use crate::lifecycle::attribute;

const NOTHING: [&str; 0] = [];

/// The first is with the processor, the second on its way; told to stop after a second.
fn draining() -> Worker {
    let mut worker = holding(policy(), &[1, 2]);
    worker.handle(at(10), Event::Arrived(key(1)));
    short(&mut worker);
    worker.drain(at(1_000));
    assert_eq!(short(&mut worker), NOTHING, "what is held goes on");
    worker
}

#[test]
fn what_ends_in_time_is_committed_and_nothing_more_is_claimed() {
    let mut worker = draining();
    worker.handle(at(2_000), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker), ["complete 1"]);
    worker.handle(at(2_001), written(1, Write::Complete, done()));
    worker.handle(at(2_002), Event::Arrived(key(2)));
    assert_eq!(short(&mut worker), ["downloaded 2", "engage 2"]);
    // At the very end still in time.
    worker.handle(at(26_000), Event::Ended(key(2), result()));
    assert_eq!(short(&mut worker), ["complete 2"]);
    assert!(!worker.is_idle());
    worker.handle(at(26_001), written(2, Write::Complete, done()));
    assert_eq!(short(&mut worker), NOTHING, "no look for more");
    assert!(worker.is_idle());
}

#[test]
fn what_is_not_finished_in_time_is_released_without_a_failure() {
    let mut worker = draining();
    assert_eq!(worker.wake_at(), Some(at(26_000).now));
    worker.tick(at(25_999));
    assert_eq!(short(&mut worker), NOTHING);
    let stops = wake(&mut worker, at(26_000));
    let actions: Vec<_> = stops.iter().map(|decision| decision.action.clone()).collect();
    assert_eq!(actions, [Action::Stop(key(1)), Action::Stop(key(2))]);
    assert!(stops.iter().all(|decision| decision.reason.key == "claim.drain"));
    worker.tick(at(26_001));
    assert_eq!(short(&mut worker), NOTHING, "once is enough");
    for file in [1, 2] {
        worker.handle(at(26_100), Event::Ended(key(file), Ending::Stopped));
        let [decision] = decisions(&mut worker).try_into().unwrap();
        let Action::Write(change) = decision.action else {
            panic!("{:?}", decision.action)
        };
        assert_eq!(
            (change.write, decision.reason.key),
            (Write::Release, "claim.drain")
        );
        assert!(change.set.contains(&(attribute::FAILURES, Value::Number(0))));
        let due = (attribute::DUE, Value::Time(at(26_100).now));
        assert!(change.set.contains(&due), "another may take it at once");
        worker.handle(at(26_200), written(file, Write::Release, done()));
    }
    assert!(worker.is_idle());
}

#[test]
fn leases_are_kept_to_the_end() {
    let mut slow = policy();
    slow.claim.drain = seconds(120);
    let mut worker = holding(slow, &[1]);
    worker.drain(at(1_000));
    assert_eq!(worker.wake_at(), Some(at(60_000).now));
    worker.tick(at(60_000));
    assert_eq!(short(&mut worker), ["heartbeat 1"]);
}

#[test]
fn told_again_it_gives_back_at_once() {
    let mut worker = draining();
    worker.drain(at(2_000));
    assert_eq!(short(&mut worker), NOTHING, "the same order changes nothing");
    assert_eq!(worker.wake_at(), Some(at(26_000).now));
    worker.stop(at(3_000));
    assert_eq!(short(&mut worker), ["stop 1", "stop 2"]);
    for file in [1, 2] {
        worker.handle(at(3_001), Event::Ended(key(file), Ending::Stopped));
        assert_eq!(short(&mut worker), [format!("release {file}")]);
        worker.handle(at(3_002), written(file, Write::Release, done()));
    }
    assert!(worker.is_idle());
}

#[test]
fn a_claim_that_is_won_after_the_order_is_given_back() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    short(&mut worker);
    worker.drain(at(1));
    assert!(!worker.is_idle());
    worker.handle(at(2), written(1, Write::Claim, won(1)));
    assert_eq!(short(&mut worker), ["release 1"]);
}

#[test]
fn an_idle_worker_has_nothing_to_wait_for() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([]));
    short(&mut worker);
    worker.drain(at(1));
    assert!(worker.is_idle());
    assert_eq!(worker.wake_at(), None);
}

#[test]
fn the_task_is_protected_while_a_job_is_held() {
    let policy_ = ProtectionPolicy {
        minutes: 10,
        retry: retry(3),
    };
    let mut worker = worker().protected(policy_);
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"]);
    worker.handle(at(1), written(1, Write::Claim, won(1)));
    assert_eq!(short(&mut worker)[..2], ["fetch 1", "protect for 10 min"]);
    worker.handle(at(2), Event::Protected(true));
    worker.drain(at(3));
    worker.handle(at(4), Event::Ended(key(1), result()));
    worker.handle(at(5), written(1, Write::Complete, done()));
    assert_eq!(short(&mut worker), ["complete 1", "protect no more"]);
}

/// Whoever refuses the protection does not keep a worker from its work, nor from its end.
#[test]
fn a_refused_protection_stops_nothing() {
    let policy_ = ProtectionPolicy {
        minutes: 10,
        retry: retry(3),
    };
    let mut worker = worker().protected(policy_);
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    worker.handle(at(1), written(1, Write::Claim, won(1)));
    worker.handle(at(2), Event::Protected(false));
    worker.handle(at(3), Event::Ended(key(1), result()));
    worker.handle(at(4), written(1, Write::Complete, done()));
    short(&mut worker);
    worker.drain(at(5));
    assert!(worker.is_idle());
}
