//! The core in a simulated world: calm, and with everything going wrong.

use roundtrip_testkit::simulate::{Faults, Scenario, run, seeds};

#[test]
fn without_faults_every_job_has_its_outcome_and_nothing_is_left() {
    let scenario = Scenario {
        faults: Faults::none(),
        ..Scenario::default()
    };
    let found = seeds(&scenario, 1, 50, |_| true);
    assert_eq!(found.failed, None);
    assert!(found.jobs >= 50, "{found:?}");
}

#[test]
fn with_all_faults_no_promise_breaks() {
    let found = seeds(&Scenario::default(), 1, 300, |_| true);
    assert_eq!(found.failed, None);
    assert!(found.faults >= 3_000, "{found:?}");
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
