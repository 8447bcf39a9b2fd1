//! What is simulated: how many of whom, under which policies, with which faults.

use std::time::Duration;

use super::{Faults, Policies};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Client processes.
    pub clients: usize,
    /// Fetcher processes.
    pub fetchers: usize,
    /// Watcher processes.
    pub watchers: usize,
    /// Files of each client.
    pub files: usize,
    /// Chunks of a file, at most.
    pub chunks_max: u64,
    /// How long an analysis takes, at most.
    pub analysis_max: Duration,
    /// The policies of all of them.
    pub policies: Policies,
    /// What may go wrong.
    pub faults: Faults,
    /// Whether each seed leaves out some kinds of faults, and some processes.
    pub vary: bool,
    /// How long files come and things go wrong.
    pub load: Duration,
    /// How long after that everything may take to come to its end.
    pub settle_max: Duration,
    /// Whether stretches in which nothing happens but looks are passed over after that: long waits cost little.
    pub leaps: bool,
}

impl Scenario {
    /// The same under other policies, whose waits are long.
    #[must_use]
    pub fn under(self, policies: Policies) -> Self {
        Self {
            settle_max: policies.patience(),
            leaps: true,
            policies,
            ..self
        }
    }
}

impl Default for Scenario {
    /// Two clients, three fetchers, two watchers, brisk policies, all faults, varied from seed to seed.
    fn default() -> Self {
        Self {
            clients: 2,
            fetchers: 3,
            watchers: 2,
            files: 2,
            chunks_max: 3,
            analysis_max: Duration::from_secs(10),
            policies: Policies::brisk(),
            faults: Faults::all(),
            vary: true,
            load: Duration::from_secs(60),
            settle_max: Duration::from_hours(1),
            leaps: false,
        }
    }
}
