//! The last write: repeated while that helps, made shorter where the table refuses it, let go in the end.

use super::*;
use crate::job::Attempt;
use crate::lifecycle::attribute;

const NOTHING: [&str; 0] = [];

/// The next write of a job whose history is not empty.
fn next_write(worker: &mut Worker) -> Change {
    let writes = actions(worker).into_iter().find_map(|action| match action {
        Action::Write(change) if change.write != Write::Heartbeat => Some(change),
        Action::Write(_)
        | Action::Look { .. }
        | Action::Fetch(_)
        | Action::Engage(_)
        | Action::Stop(_)
        | Action::Report(_)
        | Action::Protect(_) => None,
    });
    writes.expect("a write")
}

fn ending(ending: Ending) -> Worker {
    let mut single = policy();
    single.claim.in_flight_max = 1;
    let mut worker = holding(single, &[1]);
    worker.handle(at(0), Event::Ended(key(1), ending));
    worker
}

fn is_set(change: &Change, wanted: &str) -> bool {
    change.set.iter().any(|(name, _)| *name == wanted)
}

/// A record that its client padded meanwhile has no room: first the history goes, then the result, then the claim.
#[test]
fn a_refused_result_becomes_a_shorter_write_then_an_error_then_nothing() {
    let mut worker = ending(result());
    let whole = next_write(&mut worker);
    assert!(is_set(&whole, attribute::HISTORY));

    worker.handle(at(10), written(1, Write::Complete, refused()));
    let shorter = next_write(&mut worker);
    assert_eq!(shorter.write, Write::Complete);
    assert!(!is_set(&shorter, attribute::HISTORY) && shorter.remove.contains(&attribute::HISTORY));
    assert_eq!(shorter.only_if, whole.only_if, "still only if it is ours");

    worker.handle(at(20), written(1, Write::Complete, refused()));
    let error = next_write(&mut worker);
    assert_eq!(error.write, Write::Fail);
    assert!(!is_set(&error, attribute::HISTORY) && !is_set(&error, attribute::RESULTS));

    worker.handle(at(30), written(1, Write::Fail, refused()));
    assert_eq!(short(&mut worker), ["stop 1", "look for 1"], "its place is free");
    worker.tick(at(290_000));
    assert_eq!(short(&mut worker), NOTHING, "no heartbeat keeps the lease");
}

#[test]
fn a_refused_error_or_release_is_let_go_after_its_shorter_write() {
    for (end, write) in [
        (Ending::JobFault("why".to_owned()), Write::Fail),
        (Ending::Fault("why".to_owned()), Write::Release),
    ] {
        let mut worker = ending(end);
        assert_eq!(next_write(&mut worker).write, write);
        worker.handle(at(10), written(1, write, refused()));
        let shorter = next_write(&mut worker);
        assert!(!is_set(&shorter, attribute::HISTORY));
        worker.handle(at(20), written(1, write, refused()));
        assert_eq!(short(&mut worker), ["stop 1", "look for 1"]);
    }
}

#[test]
fn a_shorter_write_that_gets_through_ends_the_job() {
    let mut worker = ending(result());
    worker.handle(at(10), written(1, Write::Complete, refused()));
    worker.handle(at(20), written(1, Write::Complete, done()));
    assert_eq!(short(&mut worker), ["complete 1", "complete 1", "look for 1"]);
}

/// Heartbeats get through, so the lease does not end by itself.
#[test]
fn a_last_write_that_keeps_failing_is_let_go_after_the_length_of_a_lease() {
    let mut worker = ending(result());
    short(&mut worker);
    let (mut now, mut beats) = (0, 0);
    loop {
        worker.handle(at(now), written(1, Write::Complete, failed()));
        let wanted = short(&mut worker);
        if wanted.iter().any(|action| action == "stop 1") {
            break;
        }
        loop {
            let wake = worker.wake_at().expect("it waits for something");
            now = wake.0 - START.0;
            assert!(now < 400_000, "it holds on for ever");
            worker.tick(at(now));
            let wanted = short(&mut worker);
            if wanted.iter().any(|action| action == "heartbeat 1") {
                beats += 1;
                worker.handle(at(now), written(1, Write::Heartbeat, done()));
            }
            if wanted.iter().any(|action| action == "complete 1") {
                break;
            }
        }
    }
    assert!(
        now > 300_000 && beats > 3,
        "let go at {now} ms after {beats} heartbeats"
    );
}

#[test]
fn told_to_stop_at_once_a_write_that_failed_is_let_go() {
    let mut worker = ending(result());
    worker.handle(at(10), written(1, Write::Complete, failed()));
    short(&mut worker);
    worker.stop(at(20));
    assert_eq!(short(&mut worker), ["stop 1"]);
    assert!(worker.is_idle());
}

#[test]
fn a_write_under_way_is_answered_before_a_stop_lets_go_of_it() {
    let mut worker = ending(result());
    short(&mut worker);
    worker.stop(at(10));
    assert_eq!(short(&mut worker), NOTHING);
    assert!(!worker.is_idle());
    worker.handle(at(20), written(1, Write::Complete, failed()));
    assert_eq!(short(&mut worker), ["stop 1"]);
    assert!(worker.is_idle());
}

/// With 25 seconds to drain, both sides of their end.
#[test]
fn a_drain_lets_go_of_a_failing_write_when_its_time_is_over() {
    let mut worker = ending(result());
    short(&mut worker);
    worker.drain(at(0));
    for (failed_at, again_at) in [(0, 5_000), (5_000, 15_000)] {
        worker.handle(at(failed_at), written(1, Write::Complete, failed()));
        worker.tick(at(again_at));
        assert_eq!(short(&mut worker), ["complete 1"]);
    }
    worker.handle(at(15_000), written(1, Write::Complete, failed()));
    assert_eq!(
        worker.wake_at(),
        Some(at(25_000).now),
        "before the write is due again"
    );
    worker.tick(at(24_999));
    assert_eq!(short(&mut worker), NOTHING);
    worker.tick(at(25_000));
    assert_eq!(short(&mut worker), ["stop 1"]);
    assert!(worker.is_idle());
}

#[test]
fn a_claim_the_table_refuses_makes_looks_rarer() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    worker.handle(at(0), written(1, Write::Claim, refused()));
    assert_eq!(short(&mut worker), ["look for 2", "claim 1"]);
    worker.tick(at(1_749));
    assert_eq!(short(&mut worker), NOTHING);
    worker.tick(at(1_750));
    assert_eq!(short(&mut worker), ["look for 2"]);
}

#[test]
fn every_later_write_keeps_within_an_item() {
    use crate::job::{HISTORY_MAX, TEXT_BYTES_MAX};
    use crate::record::{
        Attribute, HISTORY_BYTES_MAX, INLINE_RESULT_BYTES_MAX, ITEM_BYTES_MAX, RECORD_BYTES_MAX,
        RESULTS_TYPE_BYTES_MAX,
    };
    let text = "x".repeat(2 * TEXT_BYTES_MAX);
    let attempt = Attempt {
        since: Some(START),
        at: START,
        by: format!("processor-{}", "0".repeat(36)),
        what: Write::Heartbeat.as_str().to_owned(),
        why: "x".repeat(TEXT_BYTES_MAX),
        failed: true,
    };
    let held = Job {
        downloaded: Some(START),
        history: vec![attempt.clone(); HISTORY_MAX],
        ..claimed(1, PROCESSOR, LEASE)
    };
    let longest = Attribute::from(&Value::History(held.history.clone()));
    assert!(
        longest.size_bytes() <= HISTORY_BYTES_MAX,
        "{}",
        longest.size_bytes()
    );

    // Ephemeral key, iv, tag and text in hex, with colons between them.
    let sealed = "0".repeat(130 + 24 + 32 + 3 + 2 * INLINE_RESULT_BYTES_MAX);
    let kind = "x".repeat(RESULTS_TYPE_BYTES_MAX);
    let now = START;
    for change in [
        lifecycle::complete(&held, PROCESSOR, now, &sealed, Some(&kind)),
        lifecycle::fail(&held, PROCESSOR, now, u32::MAX, &text),
        lifecycle::release(&held, PROCESSOR, now, now, u32::MAX, &text),
        lifecycle::requeue(&held, now, now, &text),
        lifecycle::give_up(&held, now, &text),
        lifecycle::cleaned(&held, now, LEASE),
    ] {
        let set = change.set.iter();
        let set: usize = set
            .map(|(name, value)| name.len() + Attribute::from(value).size_bytes())
            .sum();
        let beside = RECORD_BYTES_MAX + 2_048;
        assert!(
            set + beside <= ITEM_BYTES_MAX,
            "{}: {set} bytes",
            change.write.as_str()
        );
    }
}
