//! Which jobs are taken, and how they are held: `[claim]`.

use std::time::Duration;

/// `[claim]`
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimSpec {
    /// Versions of clients whose jobs are taken; all where none.
    pub versions: Option<semver::VersionReq>,
    /// When a job may be taken.
    pub start: Start,
    /// When the processor is engaged.
    pub feed: Feed,
    /// With streaming: how long an engaged processor may have to wait for the rest of the file.
    pub feed_wait: Duration,
    /// Whether a job without a manifest (a foreign client's) is taken.
    pub manifest: ManifestNeed,
    /// Jobs held at once.
    pub in_flight_max: usize,
    /// Jobs among them whose file is still on its way.
    pub downloads_max: usize,
    /// Jobs among them that the processor has.
    pub analyses_max: usize,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// A claim whose chunks stop coming for this long is released.
    pub stall: Duration,
    /// A job whose upload is not complete this long after its creation is closed as an error.
    pub upload_max: Duration,
    /// How long a fetcher that is told to stop goes on with what it holds.
    pub drain: Duration,
    /// In a task of ECS: how long its protection from scale-in holds without renewal, 1 minute to 48 hours.
    pub protection: Duration,
    /// Time between a fetcher's reports to the fleet.
    pub report: Duration,
    /// So many jobs in a row that failed here, while other fetchers are there, start a rest.
    pub failing_max: usize,
    /// The first rest; each further one is twice as long, up to an hour.
    pub failing_rest: Duration,
}

/// `start`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As soon as the job exists.
    Announced,
    /// When everything is uploaded.
    Uploaded,
}

/// `feed`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// While later chunks are still on their way.
    Streaming,
    /// When the whole file is here and proven.
    Complete,
}

/// `manifest`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestNeed {
    /// Jobs without one are taken: foreign clients send none.
    Optional,
    /// Jobs without one are refused.
    Required,
}
