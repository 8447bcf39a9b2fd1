//! The core in a simulated world: calm, and with everything going wrong.

use std::collections::BTreeSet;

use roundtrip_testkit::simulate::{
    Fault, Faults, Outcome, Policies, Prices, Scale, Scenario, run, scale, seeds, shrink,
};

#[test]
fn without_faults_every_job_has_its_outcome_and_nothing_is_left() {
    let scenario = Scenario {
        faults: Faults::none(),
        ..Scenario::default()
    };
    let found = seeds(&scenario, 1, 50, |_| true);
    assert_eq!(found.failed, None);
    assert!(found.jobs >= 50, "{found:?}");
    assert_eq!(
        found.completed, found.jobs,
        "an error is no outcome where nothing goes wrong"
    );
}

#[test]
fn with_all_faults_no_promise_breaks() {
    let found = seeds(&Scenario::default(), 1, 300, |_| true);
    assert_eq!(found.failed, None);
    assert!(found.faults >= 3_000, "{found:?}");
}

#[test]
fn every_kind_of_fault_strikes_somewhere_and_records_expire() {
    let scenario = Scenario::default();
    let histories = (1..=150).map(|seed| run(&scenario, seed, false).statistics);
    let (mut kinds, mut expired) = (BTreeSet::new(), 0);
    for history in histories {
        kinds.extend(history.faults.into_keys());
        expired += history.expired;
    }
    let missing: Vec<_> = Fault::ALL.iter().filter(|fault| !kinds.contains(fault)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(expired > 0);
}

/// Days of waiting are passed over: no history comes near its bound.
#[test]
fn with_the_shipped_waits_no_promise_breaks() {
    let scenario = Scenario::default().under(Policies::shipped());
    let found = seeds(&scenario, 1, 10, |_| true);
    assert_eq!(found.failed, None);
    let histories = (1..=10).map(|seed| run(&scenario, seed, false).statistics);
    let (spans, events): (Vec<_>, Vec<_>) = histories.map(|all| (all.span_ms, all.events)).unzip();
    assert!(spans.iter().any(|ms| *ms > 24 * 3_600_000), "{spans:?} ms");
    assert!(events.iter().all(|events| *events < 1_000_000), "{events:?}");
}

#[test]
fn a_watcher_that_hears_of_no_news_keeps_the_promises_by_its_looks() {
    let mut policies = Policies::brisk();
    policies.clean.interest = None;
    policies.admit.interest = None;
    let scenario = Scenario {
        policies,
        ..Scenario::default()
    };
    assert_eq!(seeds(&scenario, 1, 50, |_| true).failed, None);
}

#[test]
fn the_same_seed_is_the_same_history() {
    let scenario = Scenario::default();
    for seed in [1, 7, 95, 458, 979] {
        let once = run(&scenario, seed, true);
        assert!(!once.trace.is_empty());
        assert_eq!(once, run(&scenario, seed, true));
        assert_eq!(
            once.statistics,
            run(&scenario, seed, false).statistics,
            "seed {seed}"
        );
    }
}

#[test]
fn a_fleet_takes_every_job_within_its_partitions_limits() {
    let measured = scale(&Scale::new(20, 500), Prices::default(), 1, |_| ());
    assert_eq!((measured.jobs, measured.finished), (500, 500));
    assert!(measured.claims_tried_per_won >= 1.0 && measured.claim_p50_ms <= measured.claim_p99_ms);
    assert_eq!(measured.throttled, 0, "{measured:?}");
}

#[test]
fn a_history_is_a_recording_of_its_stream() {
    let outcome = run(&Scenario::default(), 7, true);
    let first: serde_json::Value = serde_json::from_str(&outcome.recording[0]).unwrap();
    assert_eq!(first["recording"]["origin"], "simulated");
    for line in &outcome.recording[1..] {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(entry["dynamodb"]["Keys"]["file"]["S"].is_string(), "{line}");
        assert!(entry["roundtrip"]["arrived"].is_string(), "{line}");
    }
    assert!(outcome.recording.len() > 5);
}

/// A patience of no time at all is a promise that cannot be kept: what is left of the history is short.
#[test]
fn a_broken_promise_is_told_briefly() {
    let scenario = Scenario {
        settle_max: std::time::Duration::ZERO,
        ..Scenario::default()
    };
    let found = seeds(&scenario, 1, 200, |_| true);
    let failed = found
        .failed
        .expect("some job is still open at the end of the load");
    let story = shrink(&scenario, failed.seed).expect("it breaks again");
    assert_eq!(story.outcome.breaches[0].promise, failed.breaches[0].promise);
    let faults = |outcome: &Outcome| outcome.statistics.faults.values().sum::<u32>();
    assert!(faults(&story.outcome) < faults(&failed), "{}", story.text());
    assert!(story.text().lines().count() <= 90, "{}", story.text());
}
