//! A role as replay sees it: its pipelines with the policies that production decides by.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::caretaker::Duty;
use roundtrip_core::fleet::FleetPolicy;
use roundtrip_core::job::LaneKind;
use roundtrip_core::news::Interest;
use roundtrip_core::pace::Pace;
use roundtrip_core::plan::Codec;
use roundtrip_core::queue::QueuePolicy;
use roundtrip_core::retry::Retry;
use roundtrip_core::upload::UploadPolicy;
use roundtrip_core::worker::WorkerPolicy;

/// A pace that begins at a moment: a calendar has to know which moments have passed.
#[derive(Clone)]
pub struct PaceFrom(Arc<dyn Fn(Timestamp) -> Pace>);

impl PaceFrom {
    /// What makes the pace.
    pub fn new(make: impl Fn(Timestamp) -> Pace + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(super) fn at(&self, moment: Timestamp) -> Pace {
        (self.0)(moment)
    }
}

impl fmt::Debug for PaceFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaceFrom")
    }
}

/// A role.
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

/// A pipeline.
#[derive(Clone, Debug)]
pub enum Pipeline {
    /// Ships files: once for each client of the recording.
    Upload(UploadPipeline),
    /// Collects results: once for each client of the recording.
    Collect(CollectPipeline),
    /// Claims jobs and hands their files to the processor: once for each fetcher of the recording.
    Analyse(Box<AnalysePipeline>),
    /// Looks after jobs.
    Care(CarePipeline),
    /// Publishes how long the queue is.
    Queue(QueuePipeline),
}

/// A pipeline that ships files.
#[derive(Clone, Debug)]
pub struct UploadPipeline {
    /// When a file is taken, and in which steps it is shipped.
    pub policy: UploadPolicy,
    /// Bytes of a chunk before encoding.
    pub chunk_size: u64,
    /// How chunks are encoded.
    pub codec: Codec,
}

/// A pipeline that collects results.
#[derive(Clone, Debug)]
pub struct CollectPipeline {
    /// When it looks.
    pub pace: PaceFrom,
    /// How often a delivery is tried.
    pub retry: Retry,
}

/// A pipeline that claims jobs.
#[derive(Clone, Debug)]
pub struct AnalysePipeline {
    /// How it claims; each fetcher does so under the name it was recorded with.
    pub worker: WorkerPolicy,
    /// What it reports, and when it rests.
    pub fleet: FleetPolicy,
    /// When it looks.
    pub pace: PaceFrom,
    /// Jobs one request brings, at most.
    pub batch_max: usize,
}

/// A pipeline that looks after jobs.
#[derive(Clone, Debug)]
pub struct CarePipeline {
    /// What it does.
    pub duty: Duty,
    /// Its lane; none where it looks for jobs of others, which have no lane.
    pub lane: Option<LaneKind>,
    /// When it looks.
    pub pace: PaceFrom,
    /// What it hears of the stream.
    pub interest: Option<Interest>,
    /// Jobs of each shard a look brings, at most.
    pub batch_max: usize,
}

/// A pipeline that publishes how long the queue is.
#[derive(Clone, Debug)]
pub struct QueuePipeline {
    /// Whom to tell of what.
    pub policy: QueuePolicy,
    /// When it counts.
    pub pace: PaceFrom,
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
                Pipeline::Upload(_) | Pipeline::Collect(_) | Pipeline::Queue(_) => {}
            }
        }
        plays
    }
}
