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
    /// How long after that everything may take to come to its end, beside the analyses themselves.
    pub settle_max: Duration,
    /// Whether stretches in which nothing happens but looks are passed over after that: long waits cost little.
    pub leaps: bool,
}

/// How often a file may be analysed, as far as waiting for its end goes.
const ANALYSES_MAX: u32 = 5;

impl Scenario {
    /// How long after the load everything may take to come to its end: [`Scenario::settle_max`], and what one fetcher
    /// alone would need for all the files.
    pub fn patience(&self) -> Duration {
        let files = self.clients.saturating_mul(self.files);
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        let each = self.analysis_max.saturating_mul(ANALYSES_MAX);
        self.settle_max.saturating_add(each.saturating_mul(files))
    }

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
