//! What is still to happen in a replay, in the order of its moments.

use std::collections::BTreeMap;

use roundtrip_core::at::Timestamp;
use roundtrip_core::lifecycle::RecordKey;
use roundtrip_core::names::JobKey;

use super::analyse::Turn;
use super::course::Recorded;

/// What is planned for a moment.
#[derive(Debug)]
pub(super) enum Plan {
    /// A pipeline hears of a job.
    Tell { actor: usize, key: RecordKey },
    /// A recorded change happens later than it did.
    Play(Box<Recorded>),
    /// A recorded change that waits is tried again.
    Resume(RecordKey),
    /// Something happens to the work of a fetcher.
    Turn {
        actor: usize,
        key: JobKey,
        number: u64,
        turn: Turn,
    },
    /// A fetcher is told to stop.
    Leave(usize),
    /// A job is given back, or given up, if its lease has ended, as a watcher would.
    Rescue { key: RecordKey, gives_up: bool },
}

/// The plans; those of one moment in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    plans: BTreeMap<(Timestamp, u64), Plan>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Timestamp, plan: Plan) {
        self.planned += 1;
        self.plans.insert((at, self.planned), plan);
    }

    /// When the next plan is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.plans.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take(&mut self) -> Option<Plan> {
        self.plans.pop_first().map(|(_, plan)| plan)
    }
}
