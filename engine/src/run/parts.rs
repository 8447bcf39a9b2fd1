//! What the pipelines of one process share.

use std::sync::Arc;

use crate::cloud::Clients;
use crate::cloud::fleet::Fleet;
use crate::cloud::jobs::Jobs;
use crate::cloud::objects::Objects;
use crate::ledger::Ledger;
use crate::run::progress::Progress;
use crate::run::protection::Agent;
use crate::spool::SpoolDir;
use crate::wire::keys::ClientKey;

/// What the pipelines of one process share. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// The jobs table.
    pub jobs: Jobs,
    /// The fleet's rows.
    pub fleet: Fleet,
    /// The role's name.
    pub role: Arc<str>,
    /// The bucket.
    pub objects: Objects,
    /// The services themselves, for pipelines that publish and tell.
    pub clients: Clients,
    /// Shards of each lane.
    pub shards: u32,
    /// `processor-<uuid>`: who claims. Two pipelines that claim must not share it: one would take the other's claims for
    /// its own.
    pub processor: Arc<str>,
    /// Who signs and opens, for pipelines that ship or collect.
    pub key: Option<Arc<ClientKey>>,
    /// What was shipped, for pipelines that ship or collect.
    pub ledger: Option<Ledger>,
    /// Where files wait for the processor, for pipelines that analyse.
    pub spool: Option<Arc<SpoolDir>>,
    /// The agent of the ECS task this process runs in, for pipelines that analyse.
    pub(super) agent: Option<Agent>,
    /// Who watches.
    pub progress: Progress,
}

/// A new `processor-<uuid>`.
pub(super) fn new_processor() -> Arc<str> {
    format!("processor-{}", uuid::Uuid::new_v4()).into()
}
