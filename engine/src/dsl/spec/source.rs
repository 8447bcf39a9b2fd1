//! What a pipeline takes in: `[source.*]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::schedule::Cron;

/// `[source.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSpec {
    /// `[source.directory]`: files of a folder. Gives files.
    Directory(DirectorySource),
    /// `[source.jobs]`: jobs of a lane that are due. Gives jobs.
    Jobs(JobsSource),
    /// `[source.results]`: this client's finished jobs. Gives results.
    Results(ResultsSource),
    /// `[source.foreign]`: jobs of clients and fetchers that do not know our lanes. Gives jobs.
    Foreign(ForeignSource),
    /// `[source.lanes]`: how many jobs lie in each lane. Gives counts.
    Lanes(LanesSource),
    /// `[source.objects]`: everything that lies in the bucket. Gives the bucket's list.
    Objects(ObjectsSource),
}

/// When a look or a round is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// `every = "30s"`
    Every(Duration),
    /// `cron = "*/5 * * * *"`, with `timezone`.
    Cron(Cron),
}

/// Files of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySource {
    /// The folder.
    pub path: PathBuf,
    /// Globs of relative paths to take.
    pub include: Vec<String>,
    /// Globs of relative paths to leave.
    pub exclude: Vec<String>,
    /// Whether names that start with a dot, and names of unfinished copies, are taken.
    pub hidden: bool,
    /// A file is taken when size and time have not changed for this long.
    pub settle: Duration,
    /// A file that never rests is taken after this long.
    pub settle_max: Duration,
    /// Time between full scans.
    pub rescan: Duration,
    /// How changes are noticed between scans.
    pub watch: Watch,
    /// Files under way at once.
    pub files_max: usize,
    /// Files remembered while they wait; the rest is found by a later scan.
    pub waiting_max: usize,
}

/// How changes in a folder are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// By the system's notifications.
    Notify,
    /// By scanning alone: for network shares.
    Poll,
}

/// Jobs of a lane that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsSource {
    /// Which lane.
    pub lane: roundtrip_core::job::LaneKind,
    /// Time between looks while there is something to do.
    pub interval: Duration,
    /// Time between looks while there is nothing.
    pub interval_max: Duration,
    /// In place of both: the moments to look at.
    pub cron: Option<Cron>,
    /// Jobs a look brings, at most.
    pub batch_max: u32,
    /// Whether the table's stream tells of jobs between the looks.
    pub stream: bool,
}

/// This client's finished jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsSource {
    /// Time between looks while results come.
    pub interval: Duration,
    /// Time between looks while none come.
    pub interval_max: Duration,
    /// The upload pipelines whose results are collected; all of the role's where empty.
    pub of: Vec<String>,
}

/// Jobs of clients and fetchers that do not know our lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignSource {
    /// When to look.
    pub schedule: Schedule,
    /// Pages of the table a look reads, at most.
    pub pages_max: u32,
    /// Whether the table's stream tells of jobs between the looks.
    pub stream: bool,
}

/// How many jobs lie in each lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanesSource {
    /// When to count.
    pub schedule: Schedule,
    /// Pages of each shard of a lane a round reads, at most; beyond them the count is a lower bound.
    pub pages_max: u32,
}

/// Everything that lies in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsSource {
    /// When to look.
    pub schedule: Schedule,
    /// Objects up to this age are left alone.
    pub age_min: Duration,
    /// Pages of the bucket a look lists, at most; the next look goes on behind them.
    pub pages_max: u32,
}
