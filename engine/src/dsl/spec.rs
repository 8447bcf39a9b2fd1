//! Specs: pipelines and roles that are valid by construction.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use roundtrip_core::plan::Codec;
use roundtrip_core::queue::Threshold;
use roundtrip_core::retry::Retry;

use crate::schedule::Cron;

/// A role: the pipelines one process runs, with what they share.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleSpec {
    /// The role's name: `client`, `fetcher`, `watcher` or the user's own.
    pub name: String,
    /// Where jobs and bytes lie.
    pub store: StoreSpec,
    /// Who signs; only pipelines that create or open jobs need it.
    pub identity: IdentitySpec,
    /// How the table's stream is read; only pipelines with `stream = true` need it.
    pub stream: StreamSpec,
    /// The pipelines by the name they have in this role.
    pub pipelines: BTreeMap<String, PipelineSpec>,
}

/// Bucket and table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// S3 bucket.
    pub bucket: String,
    /// DynamoDB table.
    pub table: String,
    /// Shards of each lane, 1 to 1,000; the same for every role on a table.
    pub shards: u32,
}

/// The client's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySpec {
    /// PKCS#8 PEM file; relative to the state folder.
    pub key: PathBuf,
}

/// How the table's stream is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// How long a shard is a reader's without renewal.
    pub lease: Duration,
    /// Time between two reads of a shard while news come.
    pub interval: Duration,
    /// Time between two reads of a shard while none come.
    pub interval_max: Duration,
    /// Shards one process reads at once.
    pub shards_max: usize,
    /// Where a stream that nobody has read yet is begun.
    pub start: roundtrip_core::stream::Start,
}

/// One chain from a source to a sink, with its policies.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineSpec {
    /// The name it has in its role.
    pub name: String,
    /// What comes in.
    pub source: SourceSpec,
    /// Whether a job is taken.
    pub claim: Option<ClaimSpec>,
    /// How a file is cut; reading, pieces are put together again.
    pub chunker: Option<ChunkerSpec>,
    /// How chunks are encoded.
    pub codec: Option<CodecSpec>,
    /// How bytes travel.
    pub transport: Option<TransportSpec>,
    /// What comes out.
    pub sink: SinkSpec,
    /// How often something is tried again.
    pub retry: Option<Retry>,
    /// Who is told when a number crosses a threshold, by the threshold's name.
    pub notify: BTreeMap<String, NotifySpec>,
}

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

/// `[chunker.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkerSpec {
    /// `[chunker.fixed]`: pieces of one size.
    Fixed {
        /// Piece size in bytes, 64 KiB to 1 GiB; where chunks are read it bounds those of foreign clients.
        size: u64,
    },
}

/// `[codec.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// Which.
    pub codec: Codec,
    /// zstd's level, 1 to 22.
    pub level: i32,
}

/// `[transport.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportSpec {
    /// `[transport.s3]`
    S3 {
        /// Chunks of one file on their way at once.
        concurrency_max: usize,
        /// Bytes of a file without an outline, at most.
        file_size_max: u64,
    },
}

/// `[sink.*]`
#[derive(Clone, Debug, PartialEq)]
pub enum SinkSpec {
    /// `[sink.jobs]`: a job for each stored file.
    Jobs(JobsSink),
    /// `[sink.processor]`: the user's own container or command.
    Processor(ProcessorSink),
    /// `[sink.directory]`: results as files.
    Directory(DirectorySink),
    /// `[sink.delete]`: deletes a finished job's objects.
    Delete(DeleteSink),
    /// `[sink.requeue]`: gives lost jobs to others.
    Requeue,
    /// `[sink.admit]`: gives foreign jobs a lane.
    Admit(AdmitSink),
    /// `[sink.metrics]`: publishes how long the queue is.
    Metrics(MetricsSink),
    /// `[sink.sweep]`: deletes objects that no open job knows.
    Sweep,
}

/// A job for each stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsSink {
    /// When the job is created.
    pub announce: Announce,
    /// The version the job says.
    pub version: String,
    /// Whether the file's name travels with the job, for everyone who reads the table.
    pub send_name: bool,
    /// How urgent the jobs are, 0 to 9; 0: as usual.
    pub priority: u8,
}

/// `announce`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// Before the upload.
    First,
    /// When everything is there.
    Last,
}

/// The user's own container or command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorSink {
    /// Which.
    pub kind: ProcessorKind,
    /// How long one analysis may take.
    pub timeout: Duration,
    /// The content type to send; told from the first bytes where none is given.
    pub content_type: Option<String>,
    /// Whether the file's name is sent, where the job has one.
    pub send_name: bool,
    /// Bytes of a result, at most.
    pub result_max: u64,
    /// How long to wait for the processor at the start.
    pub ready: Duration,
}

/// Which processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessorKind {
    /// `url = "http://..."`: the file is posted there.
    Http {
        /// Where.
        url: String,
    },
    /// `command = [...]` (or one text, cut at white space outside of quotes): run for each file.
    Command {
        /// Program and arguments; `{file}` in an argument becomes the path of the file, without one the file
        /// comes on standard input.
        command: Vec<String>,
    },
    /// `builtin = "fingerprint"`: size, SHA-256 and kind as JSON.
    Fingerprint,
}

/// Results as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySink {
    /// The folder.
    pub path: PathBuf,
}

/// Deletes a finished job's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSink {
    /// How long a result that lies in the bucket is kept for its client.
    pub results_keep: Duration,
    /// How long a finished job's record is kept.
    pub retention: Duration,
    /// Until this long after its creation, objects of a job that failed during its upload are looked for.
    pub upload_max: Duration,
}

/// Gives foreign jobs a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmitSink {
    /// The lease of a foreign fetcher, which sends no heartbeats.
    pub lease: Duration,
    /// A waiting job whose upload is not complete this long after its creation is closed as an error.
    pub upload_max: Duration,
}

/// Publishes how long the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsSink {
    /// Where to.
    pub to: MetricsTo,
}

/// `to`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsTo {
    /// CloudWatch.
    CloudWatch,
    /// The log, at level debug.
    Log,
}

/// `[notify.*]`: who is told when a number crosses a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifySpec {
    /// When.
    pub threshold: Threshold,
    /// Who.
    pub target: NotifyTarget,
    /// How long telling may take.
    pub timeout: Duration,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyTarget {
    /// `webhook = "https://..."`: a POST of JSON there.
    Webhook {
        /// Where.
        url: String,
    },
    /// `webhook-env = "ALERT_URL"`: the same, to the address that an environment variable holds.
    WebhookFromEnvironment {
        /// The variable.
        variable: String,
    },
    /// `command = [...]`: run with JSON on its standard input.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// `sns = "arn:..."`: a message to this topic.
    Sns {
        /// The topic.
        topic: String,
        /// The region it is in.
        region: String,
    },
    /// `log = "warn"`: a line in the log.
    Log {
        /// At level warn; else info.
        warn: bool,
    },
}
