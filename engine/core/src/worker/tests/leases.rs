//! How a claim is kept, and what happens when it cannot be.

use super::*;
use crate::lifecycle::attribute;

/// A worker with its one job.
fn one() -> Worker {
    let mut single = policy();
    single.claim.in_flight_max = 1;
    holding(single, &[1])
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_heartbeat_is_sent_at_its_time_and_not_a_millisecond_before() {
    let mut worker = one();
    assert_eq!(worker.wake_at(), Some(at(60_000).now));
    worker.tick(at(59_999));
    assert_eq!(short(&mut worker), NOTHING);
    worker.tick(at(60_000));
    let due = sets(&mut worker, Write::Heartbeat, attribute::DUE);
    assert_eq!(due, Some(Value::Time(at(360_000).now)));
    worker.tick(at(60_001));
    assert_eq!(short(&mut worker), NOTHING, "one is under way");
    // Lease and rhythm count from when it was sent.
    worker.handle(at(70_000), written(1, Write::Heartbeat, done()));
    assert_eq!(worker.wake_at(), Some(at(120_000).now));
    worker.tick(at(120_000));
    assert_eq!(short(&mut worker), ["heartbeat 1"]);
    worker.tick(at(360_000));
    assert_eq!(short(&mut worker), NOTHING, "at its end the lease still holds");
    worker.tick(at(360_001));
    assert_eq!(short(&mut worker), ["stop 1"]);
}

#[test]
fn heartbeats_go_on_where_the_clock_is_set_back_and_the_record_has_the_new_time() {
    let mut worker = one();
    worker.tick(at(60_000));
    short(&mut worker);
    worker.set_back(at(-1_000_000), Duration::from_secs(1_060));
    worker.handle(at(-990_000), written(1, Write::Heartbeat, done()));
    assert_eq!(
        worker.wake_at(),
        Some(at(-940_000).now),
        "a minute after it was sent"
    );
    worker.tick(at(-940_000));
    let due = sets(&mut worker, Write::Heartbeat, attribute::DUE);
    assert_eq!(due, Some(Value::Time(at(-640_000).now)), "as the others read it");
    worker.tick(at(-700_000));
    assert_eq!(
        short(&mut worker),
        NOTHING,
        "the lease holds from the last heartbeat"
    );
    worker.tick(at(-699_999));
    assert_eq!(short(&mut worker), ["stop 1"]);
}

#[test]
fn a_claim_that_is_answered_after_the_clock_was_set_back_is_kept() {
    let mut worker = with(policy());
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    worker.set_back(at(-1_000_000), Duration::from_secs(1_000));
    worker.handle(at(-1_000_000), written(1, Write::Claim, won(1)));
    short(&mut worker);
    worker.tick(at(-940_000));
    assert_eq!(
        short(&mut worker).first().map(String::as_str),
        Some("heartbeat 1"),
        "its record says that it was assigned at 0"
    );
}

/// One that was under way when the clock was set back tells the old time: the next one has to tell the new one.
#[test]
fn only_a_heartbeat_by_the_new_time_moves_a_lease_back() {
    let mut worker = one();
    let moves_back = |worker: &mut Worker| {
        let mut moves_back = Vec::new();
        for action in actions(worker) {
            if let Action::Write(change) = action
                && change.write == Write::Heartbeat
            {
                let mut terms = change.only_if.iter();
                moves_back.push(!terms.any(|term| matches!(term, lifecycle::Term::NotAfter(..))));
            }
        }
        moves_back
    };
    worker.tick(at(60_000));
    assert_eq!(moves_back(&mut worker), [false]);
    worker.set_back(at(-1_000_000), Duration::from_secs(1_060));
    worker.handle(at(-990_000), written(1, Write::Heartbeat, done()));
    worker.tick(at(-940_000));
    assert_eq!(moves_back(&mut worker), [true]);
    worker.handle(at(-939_000), written(1, Write::Heartbeat, done()));
    worker.tick(at(-880_000));
    assert_eq!(moves_back(&mut worker), [false]);
}

/// A heartbeat that moves a lease back asks for its end as it is known; where that is another by now, the next one knows it.
#[test]
fn a_lease_is_moved_back_from_where_it_is_known_to_end() {
    let mut worker = one();
    let known = |worker: &mut Worker| {
        let beats = actions(worker).into_iter().filter_map(|action| match action {
            Action::Write(change) if change.write == Write::Heartbeat => Some(change.only_if),
            Action::Write(_)
            | Action::Look { .. }
            | Action::Fetch(_)
            | Action::Engage(_)
            | Action::Stop(_)
            | Action::Report(_)
            | Action::Protect(_) => None,
        });
        let due = beats.flatten().find_map(|term| {
            if let lifecycle::Term::Is(attribute::DUE, Value::Time(due)) = term {
                Some(due)
            } else {
                None
            }
        });
        due.expect("a heartbeat that asks for the end of the lease")
    };
    worker.tick(at(60_000));
    short(&mut worker);
    worker.set_back(at(-1_000_000), Duration::from_secs(1_060));
    worker.handle(at(-990_000), written(1, Write::Heartbeat, done()));
    worker.tick(at(-940_000));
    assert_eq!(
        known(&mut worker),
        at(360_000).now,
        "as the heartbeat before told it"
    );
    // That one had not been answered, and was made after all.
    let due = Some(at(-700_000).now);
    let found = Job {
        due,
        ..claimed(1, PROCESSOR, LEASE)
    };
    let behind = Outcome::Lost(Some(Box::new(found)));
    worker.handle(at(-939_000), written(1, Write::Heartbeat, behind));
    worker.tick(at(-924_000));
    assert_eq!(Some(known(&mut worker)), due);
}

/// The table refuses a heartbeat that comes behind a later one: the claim holds all the same.
#[test]
fn a_heartbeat_behind_a_later_one_loses_nothing() {
    let kept = |retries| Job {
        retries,
        due: Some(at(900_000).now),
        ..claimed(1, PROCESSOR, seconds(300))
    };
    for (retries, told) in [(0, vec![]), (1, vec!["stop 1"])] {
        let mut worker = holding(policy(), &[1]);
        worker.tick(at(60_000));
        let beats = short(&mut worker);
        assert!(beats.contains(&"heartbeat 1".to_owned()), "{beats:?}");
        let refused = Outcome::Lost(Some(Box::new(kept(retries))));
        worker.handle(at(60_001), written(1, Write::Heartbeat, refused));
        assert_eq!(short(&mut worker), told, "generation {retries}");
    }
}

#[test]
fn a_heartbeat_that_failed_is_sent_again_after_a_quarter() {
    let mut worker = one();
    worker.tick(at(60_000));
    short(&mut worker);
    worker.handle(at(61_000), written(1, Write::Heartbeat, failed()));
    assert_eq!(worker.wake_at(), Some(at(76_000).now));
    worker.tick(at(75_999));
    assert_eq!(short(&mut worker), NOTHING);
    worker.tick(at(76_000));
    assert_eq!(short(&mut worker), ["heartbeat 1"]);
}

#[test]
fn a_claim_holds_to_the_end_of_its_lease_and_not_a_millisecond_longer() {
    let mut worker = one();
    worker.tick(at(60_000));
    short(&mut worker);
    assert_eq!(
        worker.wake_at(),
        Some(at(300_001).now),
        "the heartbeat is not answered"
    );
    worker.handle(at(300_000), Event::Arrived(key(1)));
    assert_eq!(short(&mut worker), ["downloaded 1", "engage 1"]);
    worker.tick(at(300_001));
    assert_eq!(short(&mut worker), ["stop 1"]);
    // Whatever the work came to is not reported, and the place is free when it has stopped.
    worker.handle(at(300_002), Event::Arrived(key(1)));
    assert_eq!(short(&mut worker), NOTHING);
    worker.handle(at(300_003), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker), ["look for 1"]);
}

#[test]
fn a_claim_that_another_has_is_stopped_and_nothing_is_committed() {
    for write in [Write::Heartbeat, Write::Downloaded] {
        for ending in [result(), Ending::JobFault("why".to_owned()), Ending::Stopped] {
            let mut worker = one();
            worker.handle(at(50_000), Event::Arrived(key(1)));
            worker.tick(at(60_000));
            short(&mut worker);
            worker.handle(at(61_000), written(1, write, lost()));
            assert_eq!(short(&mut worker), ["stop 1"], "{write:?}");
            worker.handle(at(62_000), Event::Ended(key(1), ending));
            assert_eq!(short(&mut worker), ["look for 1"], "{write:?}");
        }
    }
}

/// The fetcher gave the job back and took it again, and only then hears that its first claim was over.
#[test]
fn late_news_of_an_earlier_claim_say_nothing_of_this_one() {
    let mut worker = one();
    worker.handle(at(50_000), written(1, Write::Downloaded, lost()));
    assert_eq!(short(&mut worker), NOTHING);
}

/// The commit ends the claim, so that a heartbeat behind it is lost: that tells nothing.
#[test]
fn a_heartbeat_that_is_lost_behind_the_commit_says_nothing() {
    let mut worker = one();
    worker.tick(at(60_000));
    worker.handle(at(60_001), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker), ["heartbeat 1", "complete 1"]);
    worker.handle(at(60_100), written(1, Write::Heartbeat, lost()));
    assert_eq!(short(&mut worker), NOTHING);
    worker.handle(at(60_200), written(1, Write::Complete, failed()));
    worker.tick(at(70_000));
    assert_eq!(short(&mut worker), ["complete 1"]);
    worker.handle(at(70_100), written(1, Write::Complete, lost()));
    assert_eq!(short(&mut worker), ["look for 1"]);
}

#[test]
fn a_commit_is_repeated_with_growing_waits_until_the_lease_ends() {
    let mut worker = one();
    worker.handle(at(0), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker), ["complete 1"]);
    // Half of 10, 20, 40 s.
    for (failed_at, again_at) in [(0, 5_000), (5_000, 15_000), (15_000, 35_000)] {
        worker.handle(at(failed_at), written(1, Write::Complete, failed()));
        worker.tick(at(again_at - 1));
        assert_eq!(short(&mut worker), NOTHING);
        worker.tick(at(again_at));
        assert_eq!(short(&mut worker), ["complete 1"]);
    }
    worker.handle(at(35_000), written(1, Write::Complete, failed()));
    worker.tick(at(300_000));
    assert_eq!(short(&mut worker), ["complete 1", "heartbeat 1"]);
    worker.handle(at(300_000), written(1, Write::Complete, failed()));
    worker.tick(at(300_001));
    assert_eq!(short(&mut worker), ["look for 1"], "its place is free");
    worker.tick(at(400_000));
    assert_eq!(short(&mut worker), NOTHING);
}

#[test]
fn a_claim_that_was_answered_after_its_lease_is_stopped_at_once() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    worker.handle(at(0), found([]));
    short(&mut worker);
    worker.handle(at(300_001), written(1, Write::Claim, won(1)));
    assert_eq!(short(&mut worker), ["fetch 1", "stop 1", "look for 1"]);
}

#[test]
fn a_stop_releases_what_is_held_and_takes_nothing_new() {
    let mut worker = holding(policy(), &[1]);
    worker.tick(at(2_000));
    assert_eq!(short(&mut worker), ["look for 1"]);
    worker.stop(at(3_000));
    assert_eq!(short(&mut worker), ["stop 1"]);
    let event = Event::Found(Findings {
        offers: vec![forged(2), offer(job(4))],
        malformed: vec![malformed(3)],
        ..Findings::default()
    });
    worker.handle(at(3_000), event);
    assert_eq!(short(&mut worker), NOTHING);
    assert!(!worker.is_idle());
    worker.handle(at(3_100), Event::Ended(key(1), Ending::Stopped));
    let due = sets(&mut worker, Write::Release, attribute::DUE);
    assert_eq!(due, Some(Value::Time(at(3_100).now)));
    assert!(!worker.is_idle());
    worker.handle(at(3_200), written(1, Write::Release, done()));
    assert_eq!(short(&mut worker), NOTHING);
    assert!(worker.is_idle());
    assert_eq!(worker.wake_at(), None);
}

#[test]
fn a_drain_lets_a_commit_under_way_end() {
    let mut worker = holding(policy(), &[1]);
    worker.handle(at(10), Event::Ended(key(1), result()));
    worker.drain(at(20));
    assert_eq!(short(&mut worker), ["complete 1"]);
    worker.handle(at(30), written(1, Write::Complete, failed()));
    worker.tick(at(10_000));
    assert_eq!(short(&mut worker), ["complete 1"]);
    worker.handle(at(10_010), written(1, Write::Complete, done()));
    assert!(worker.is_idle());
}

/// Its signature was judged as it was found: what is another job by now was never judged.
#[test]
fn a_job_that_was_altered_before_it_was_claimed_is_ended_unworked() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    short(&mut worker);
    let altered = Job {
        chunks: 1_000,
        ..claimed(1, PROCESSOR, LEASE)
    };
    let outcome = Outcome::Done(Some(Box::new(altered)));
    worker.handle(at(1), written(1, Write::Claim, outcome));
    assert_eq!(short(&mut worker), ["fail 1"]);
}

#[test]
fn a_claim_won_while_draining_is_given_back_unworked() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    worker.drain(at(1));
    short(&mut worker);
    assert!(!worker.is_idle());
    worker.handle(at(2), written(1, Write::Claim, won(1)));
    assert_eq!(short(&mut worker), ["release 1"]);
    worker.handle(at(3), written(1, Write::Release, failed()));
    worker.tick(at(10_000));
    assert_eq!(short(&mut worker), ["release 1"]);
    worker.handle(at(10_001), written(1, Write::Release, done()));
    assert!(worker.is_idle());
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut worker = one();
    for event in [
        written(1, Write::Claim, won(1)),
        written(1, Write::Claim, lost()),
        written(1, Write::Complete, done()),
        written(1, Write::Heartbeat, lost()),
        written(9, Write::Claim, won(9)),
        Event::Ended(key(9), result()),
        Event::Arrived(key(9)),
    ] {
        worker.handle(at(1), event.clone());
        assert_eq!(short(&mut worker), NOTHING, "{event:?}");
    }
}
