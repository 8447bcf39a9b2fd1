//! How a worker that is told to stop comes to its end: what it holds has a time to be finished, then it is released.

use super::{Action, Worker};
use crate::at::{At, Timestamp};
use crate::machine::Reason;
use crate::names::JobKey;

/// Whether the worker was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// It was not.
    No,
    /// It claims nothing more; what it holds may be finished before this moment.
    Until(Timestamp),
    /// Told again: what it holds is released.
    AtOnce,
}

impl Drain {
    pub(super) fn is_told(self) -> bool {
        match self {
            Self::No => false,
            Self::Until(_) | Self::AtOnce => true,
        }
    }

    /// Whether what is held is not waited for any longer.
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        match self {
            Self::No => false,
            Self::Until(end) => now >= end,
            Self::AtOnce => true,
        }
    }

    /// Why work stops.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::No => Reason::rule("told to stop"),
            Self::Until(_) => Reason::key("it was not finished within the time to drain", "claim.drain"),
            Self::AtOnce => Reason::rule("told to stop at once"),
        }
    }
}

impl Worker {
    /// Stops what is not finished when its time has passed. A last write that failed is not waited for any longer: the
    /// lease ends, and the watcher gives the job to another.
    pub(super) fn end_drain(&mut self, at: At) {
        if !self.drain.is_over(at.now) {
            return;
        }
        let waiting = self.held.iter().filter(|(_, held)| held.waits_to_commit());
        let waiting: Vec<JobKey> = waiting.map(|(key, _)| key.clone()).collect();
        for key in waiting {
            self.let_go(&key, self.drain.reason());
        }
        let working: Vec<JobKey> = self
            .held
            .iter_mut()
            .filter(|(_, held)| held.working && held.is_at_work() && !held.stopped)
            .map(|(key, held)| {
                held.stopped = true;
                key.clone()
            })
            .collect();
        for key in working {
            self.decide(Action::Stop(key), self.drain.reason());
        }
    }

    /// When the time to drain is over, while something is left to be stopped then.
    pub(super) fn drain_ends(&self) -> Option<Timestamp> {
        let left = || {
            let mut held = self.held.values();
            held.any(|held| (held.working && held.is_at_work() && !held.stopped) || held.waits_to_commit())
        };
        match self.drain {
            Drain::Until(end) if left() => Some(end),
            Drain::No | Drain::Until(_) | Drain::AtOnce => None,
        }
    }
}
