//! Urgent jobs come first, and never so that the others come last for ever.

use proptest::prelude::*;

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
        worker.tick(jittered(60_000, jitter));
        assert_eq!(short(&mut worker), [wanted], "{jitter}");
        worker.handle(at(60_002), found([urgent(1, 2), urgent(2, 1), urgent(3, 0)]));
        let claims = match wanted {
            "look for 1" => "claim 1",
            "look for 1, up to priority 0 first" => "claim 3",
            _ => "claim 2",
        };
        assert_eq!(short(&mut worker), [claims], "{jitter}");
    }
}

/// Of another version, in another bucket, not uploaded, in their backoff: what a look reads of them is all they need
/// to hide the others.
#[test]
fn urgent_jobs_that_are_not_for_us_hide_nobody() {
    for (jitter, wanted) in [
        (0.749, "look for 2"),
        (0.75, "look for 2, up to priority 0 first"),
        (0.999, "look for 2, up to priority 8 first"),
    ] {
        let mut worker = worker();
        worker.tick(at(0));
        let hidden = Event::Found(Findings {
            priority_seen: 9,
            ..Findings::default()
        });
        worker.handle(at(0), hidden);
        short(&mut worker);
        let next = worker.wake_at().unwrap().since(START);
        worker.tick(jittered(i64::try_from(next.as_millis()).unwrap(), jitter));
        assert_eq!(short(&mut worker), [wanted], "{jitter}");
    }
}

#[test]
fn without_urgent_jobs_every_look_is_the_same() {
    for jitter in [0.0, 0.75, 0.99] {
        let mut worker = having_seen(0);
        worker.handle(jittered(1, jitter), written(9, Write::Claim, lost()));
        worker.tick(jittered(60_000, jitter));
        assert_eq!(short(&mut worker), ["look for 1"]);
    }
}

/// What is claimed in so many looks into one shard where every one of these priorities waits without end.
fn claims(priorities: &[u8], looks: u32, mut chance: impl FnMut() -> f64) -> BTreeMap<u8, u32> {
    let mut single = policy();
    single.claim.in_flight_max = 1;
    let mut worker = with(single);
    let mut counts = BTreeMap::new();
    worker.tick(at(0));
    for (file, ms) in (1..=looks).zip((60_000..).step_by(60_000)) {
        let look = actions(&mut worker).into_iter().find_map(|action| match action {
            Action::Look { priority_max, .. } => Some(priority_max),
            Action::Write(_)
            | Action::Fetch(_)
            | Action::Engage(_)
            | Action::Stop(_)
            | Action::Report(_)
            | Action::Protect(_) => None,
        });
        // The lane as the look reads it: those whose turn it is, or all where there are none.
        let turn = priorities
            .iter()
            .filter(|priority| **priority <= look.unwrap())
            .max();
        let first = *turn.or_else(|| priorities.iter().max()).unwrap();
        *counts.entry(first).or_default() += 1;
        worker.handle(jittered(ms, chance()), found([urgent(file, first)]));
        worker.handle(jittered(ms, chance()), written(file, Write::Claim, lost()));
        worker.tick(jittered(ms + 59_000, chance()));
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    /// Whatever floods the lane, each other priority is claimed, and the highest most often.
    #[test]
    fn no_flood_starves_anybody(seed in any::<u64>(), mut priorities in proptest::sample::subsequence((0..=9_u8).collect::<Vec<_>>(), 2..=10)) {
        let mut state = seed | 1;
        // A plain generator: the core has no randomness of its own.
        let chance = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            #[expect(clippy::cast_precision_loss, reason = "32 bits are exact")]
            let fraction = (state >> 32) as f64 / f64::from(u32::MAX);
            fraction
        };
        priorities.sort_unstable();
        let counts = claims(&priorities, 4_000, chance);
        for priority in &priorities {
            prop_assert!(counts.get(priority).is_some_and(|count| *count >= 20), "{counts:?}");
        }
        let highest = priorities.last().unwrap();
        prop_assert!(counts[highest] > 2_000, "{counts:?}");
    }
}
