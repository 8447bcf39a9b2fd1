//! Many seeds, one after the other.

use super::{Outcome, Scenario, run};

/// What a run over many seeds found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Seeds that were run.
    pub seeds: u64,
    /// Jobs in all of them.
    pub jobs: u64,
    /// Jobs among them that ended with a result.
    pub completed: u64,
    /// Things that happened in all of them.
    pub events: u64,
    /// Faults that struck in all of them.
    pub faults: u64,
    /// The first history in which a promise did not hold, or that was given up.
    pub failed: Option<Box<Outcome>>,
}

/// Runs `count` seeds from `first` on, until a promise breaks or `goes_on` says no; it is asked after each seed.
pub fn seeds(scenario: &Scenario, first: u64, count: u64, mut goes_on: impl FnMut(u64) -> bool) -> Found {
    let mut found = Found {
        seeds: 0,
        jobs: 0,
        completed: 0,
        events: 0,
        faults: 0,
        failed: None,
    };
    for seed in first..first.saturating_add(count) {
        let outcome = run(scenario, seed, false);
        found.seeds += 1;
        found.jobs += outcome.statistics.jobs;
        found.completed += outcome.statistics.completed;
        found.events += outcome.statistics.events;
        found.faults += outcome
            .statistics
            .faults
            .values()
            .map(|count| u64::from(*count))
            .sum::<u64>();
        if !outcome.holds() {
            found.failed = Some(Box::new(outcome));
            return found;
        }
        if !goes_on(found.seeds) {
            return found;
        }
    }
    found
}
