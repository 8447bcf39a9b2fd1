//! A role as replay sees it: its pipelines, and what it does itself.

use std::time::Duration;

use roundtrip_core::caretaker::Duty;

use crate::pipelines::Pipeline;

/// A role: its upload and its collection are played once for each client of the recording, its analysis once for each
/// fetcher.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Shards of each lane.
    pub shards: u32,
    /// How long news of the stream are on their way: `stream.interval`.
    pub news_after: Duration,
    /// Its pipelines, by their names in it.
    pub pipelines: Vec<(String, Pipeline)>,
}

/// What a role does itself, so that the recorded writes of its like are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of duties, each there or not")]
pub(super) struct Plays {
    pub(super) clean: bool,
    pub(super) requeue: bool,
    pub(super) admit: bool,
    pub(super) claim: bool,
}

impl Role {
    /// Whether its replay needs a [`Survey`](super::Survey) of the recording.
    pub fn needs_survey(&self) -> bool {
        self.plays().claim
    }

    /// How many files its processor has at a time, at most; 1 where it has none.
    pub fn analyses_max(&self) -> usize {
        let of = |(_, pipeline): &(String, Pipeline)| match pipeline {
            Pipeline::Analyse(analyse) => Some(analyse.worker.claim.analyses_max),
            Pipeline::Upload(_)
            | Pipeline::Collect(_)
            | Pipeline::Care(_)
            | Pipeline::Sweep(_)
            | Pipeline::Queue(_) => None,
        };
        self.pipelines.iter().filter_map(of).max().unwrap_or(1)
    }

    pub(super) fn plays(&self) -> Plays {
        let mut plays = Plays::default();
        for (_, pipeline) in &self.pipelines {
            match pipeline {
                Pipeline::Care(care) => match care.duty {
                    Duty::Clean { .. } => plays.clean = true,
                    Duty::Requeue(_) => plays.requeue = true,
                    Duty::Admit { .. } => plays.admit = true,
                },
                Pipeline::Analyse(_) => plays.claim = true,
                Pipeline::Upload(_) | Pipeline::Collect(_) | Pipeline::Sweep(_) | Pipeline::Queue(_) => {}
            }
        }
        plays
    }
}
