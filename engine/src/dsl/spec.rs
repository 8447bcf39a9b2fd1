//! Specs: pipelines and roles that are valid by construction.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use roundtrip_core::plan::Codec;
use roundtrip_core::retry::Retry;

mod claim;
mod notify;
mod sink;
mod source;

pub use claim::{ClaimSpec, Feed, ManifestNeed, Start};
pub use notify::{NotifySpec, NotifyTarget};
pub use sink::{
    AdmitSink, Announce, DeleteSink, DirectorySink, JobsSink, MetricsSink, MetricsTo, ProcessorKind,
    ProcessorSink, SinkSpec,
};
pub use source::{
    DirectorySource, ForeignSource, JobsSource, LanesSource, ObjectsSource, ResultsSource, Schedule,
    SourceSpec, Watch,
};

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

/// `[chunker.*]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkerSpec {
    /// `[chunker.fixed]`: pieces of one size.
    Fixed {
        /// Piece size in bytes, 64 KiB to 1 GiB; where chunks are read, the largest that is taken.
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
