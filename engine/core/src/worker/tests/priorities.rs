//! Urgent jobs come first, and never so that the others come last for ever.

use super::*;

fn urgent(file: u32, priority: u8) -> Job {
    Job {
        priority,
        ..job(file)
    }
}

fn jittered(ms: i64, jitter: f64) -> At {
    At { jitter, ..at(ms) }
}

/// A worker with one place that has seen jobs of this priority, and lost the claim.
fn having_seen(priority: u8) -> Worker {
    let mut single = policy();
    single.claim.in_flight_max = 1;
    let mut worker = with(single);
    worker.tick(at(0));
    worker.handle(at(0), found([urgent(9, priority)]));
    short(&mut worker);
    worker
}

#[test]
fn the_most_urgent_is_claimed_first() {
    let mut worker = worker();
    worker.tick(at(0));
    let jobs = [
        urgent(1, 0),
        urgent(2, 3),
        urgent(3, 9),
        urgent(4, 0),
        urgent(5, 3),
    ];
    worker.handle(at(0), found(jobs));
    // Of the two with priority 3 the one that the jitter begins with.
    assert_eq!(short(&mut worker), ["look for 2", "claim 3", "claim 5"]);
}

#[test]
fn in_a_quarter_of_the_looks_the_others_have_their_turn() {
    for (jitter, wanted) in [
        (0.749, "look for 1"),
        (0.75, "look for 1, up to priority 0 first"),
        (0.874, "look for 1, up to priority 0 first"),
        (0.876, "look for 1, up to priority 1 first"),
        (0.999_999, "look for 1, up to priority 1 first"),
        (1.0, "look for 1, up to priority 1 first"),
    ] {
        let mut worker = having_seen(2);
        worker.handle(jittered(1, jitter), written(9, Write::Claim, lost()));
        assert_eq!(short(&mut worker), [wanted], "{jitter}");
        worker.handle(at(2), found([urgent(1, 2), urgent(2, 1), urgent(3, 0)]));
        let claims = match wanted {
            "look for 1" => "claim 1",
            "look for 1, up to priority 0 first" => "claim 3",
            _ => "claim 2",
        };
        assert_eq!(short(&mut worker), [claims], "{jitter}");
    }
}

#[test]
fn without_urgent_jobs_every_look_is_the_same() {
    for jitter in [0.0, 0.75, 0.99] {
        let mut worker = having_seen(0);
        worker.handle(jittered(1, jitter), written(9, Write::Claim, lost()));
        assert_eq!(short(&mut worker), ["look for 1"]);
    }
}
