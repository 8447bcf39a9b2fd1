//! Pipelines as replay and simulation see them: the policies that production decides by.

use std::time::Duration;

use roundtrip_core::caretaker::Duty;
use roundtrip_core::fleet::FleetPolicy;
use roundtrip_core::job::LaneKind;
use roundtrip_core::news::Interest;
use roundtrip_core::pace::PacePolicy;
use roundtrip_core::plan::{Bounds, Codec};
use roundtrip_core::queue::QueuePolicy;
use roundtrip_core::retry::Retry;
use roundtrip_core::sweep::SweepPolicy;
use roundtrip_core::upload::UploadPolicy;
use roundtrip_core::worker::WorkerPolicy;

/// A pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Pipeline {
    /// Ships files.
    Upload(UploadPipeline),
    /// Collects results.
    Collect(CollectPipeline),
    /// Claims jobs and hands their files to the processor.
    Analyse(Box<AnalysePipeline>),
    /// Looks after jobs.
    Care(CarePipeline),
    /// Deletes what no open job knows.
    Sweep(SweepPipeline),
    /// Publishes how long the queue is.
    Queue(QueuePipeline),
}

/// A pipeline that ships files.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadPipeline {
    /// When a file is taken, and in which steps it is shipped.
    pub policy: UploadPolicy,
    /// Time between full scans of the folder.
    pub rescan: Duration,
    /// Bytes of a chunk before encoding.
    pub chunk_size: u64,
    /// How chunks are encoded.
    pub codec: Codec,
}

/// A pipeline that collects results.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectPipeline {
    /// When it looks.
    pub pace: PacePolicy,
    /// How often a delivery is tried.
    pub retry: Retry,
}

/// A pipeline that claims jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysePipeline {
    /// How it claims; each fetcher does so under a name of its own.
    pub worker: WorkerPolicy,
    /// What it reports, and when it rests.
    pub fleet: FleetPolicy,
    /// When it looks.
    pub pace: PacePolicy,
    /// Jobs one request brings, at most.
    pub batch_max: usize,
    /// How long one analysis may take.
    pub timeout: Duration,
    /// How large a file and its chunks may be.
    pub bounds: Bounds,
}

/// A pipeline that looks after jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct CarePipeline {
    /// What it does.
    pub duty: Duty,
    /// Its lane; none where it looks for jobs of others, which have no lane.
    pub lane: Option<LaneKind>,
    /// When it looks.
    pub pace: PacePolicy,
    /// What it hears of the stream.
    pub interest: Option<Interest>,
    /// What a look brings, at most: jobs of each shard of its lane, or pages of the table.
    pub batch_max: usize,
}

/// A pipeline that sweeps the bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPipeline {
    /// What is deleted.
    pub policy: SweepPolicy,
    /// When it looks.
    pub pace: PacePolicy,
}

/// A pipeline that publishes how long the queue is.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePipeline {
    /// Whom to tell of what.
    pub policy: QueuePolicy,
    /// When it counts.
    pub pace: PacePolicy,
}
