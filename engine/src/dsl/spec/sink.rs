//! What a pipeline gives: `[sink.*]`.

use std::path::PathBuf;
use std::time::Duration;

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
