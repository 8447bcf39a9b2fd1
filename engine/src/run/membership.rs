//! How a fetcher takes part in the fleet: its row, while it runs.

use roundtrip_core::fleet::Report;

use super::driver::now;
use super::parts::Parts;
use crate::cloud::fault::Fault;
use crate::cloud::fleet::{Fleet, Identity};

/// A fetcher's row in the jobs table. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    fleet: Fleet,
    identity: Identity,
}

impl Membership {
    pub(super) fn new(parts: &Parts, pipeline: &str, report: std::time::Duration) -> Self {
        let identity = Identity {
            processor: parts.processor.to_string(),
            pipeline: pipeline.to_owned(),
            role: parts.role.to_string(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started: now(),
            report,
        };
        Self {
            fleet: parts.fleet.clone(),
            identity,
        }
    }

    /// Writes the row; whether another fetcher claims.
    pub(super) async fn report(&self, report: &Report) -> Result<bool, Fault> {
        self.fleet.report(&self.identity, report, now()).await?;
        self.fleet.has_others(&self.identity, now()).await
    }

    /// Takes the row away. One that stays says itself, by its age, that nobody is there.
    pub(super) async fn leave(&self) {
        if let Err(fault) = self.fleet.leave(&self.identity).await {
            tracing::debug!(%fault, "the fleet's row of this fetcher stays until it expires");
        }
    }
}
