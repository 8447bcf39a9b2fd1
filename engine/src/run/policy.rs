//! From a spec to the policies of the core: what production, replay and simulation decide by.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_core::caretaker::Duty;
use roundtrip_core::claim::{ClaimPolicy, Feed, Start};
use roundtrip_core::fleet::FleetPolicy;
use roundtrip_core::health::HealthPolicy;
use roundtrip_core::intake::IntakePolicy;
use roundtrip_core::news::Interest;
use roundtrip_core::pace::PacePolicy;
use roundtrip_core::plan::Bounds;
use roundtrip_core::protection::ProtectionPolicy;
use roundtrip_core::queue::QueuePolicy;
use roundtrip_core::retry::{Jitter, Retry};
use roundtrip_core::stream::StreamPolicy;
use roundtrip_core::sweep::SweepPolicy;
use roundtrip_core::upload::{Announce, UploadPolicy};
use roundtrip_core::worker::WorkerPolicy;

use crate::dsl::spec::{
    self, AdmitSink, ChunkerSpec, ClaimSpec, CodecSpec, DeleteSink, DirectorySource, ForeignSource, JobsSink,
    JobsSource, ObjectsSource, PipelineSpec, ResultsSource, Schedule, StreamSpec, TransportSpec,
};
use crate::error::{Error, Result};

/// The shortest and the longest wait before a delivery that failed is tried again.
const DELIVERY_WAIT_MIN: Duration = Duration::from_secs(1);
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(30);

/// The stages of a chain that lie between its source and its sink.
pub(crate) struct Middle<'a> {
    /// The whole pipeline.
    pub(crate) spec: &'a PipelineSpec,
}

impl Middle<'_> {
    /// A stage that the chain check has found to be there.
    pub(crate) fn need<'b, T>(&self, stage: Option<&'b T>, name: &str) -> Result<&'b T> {
        stage.ok_or_else(|| Error::config(format!("pipeline `{}` has no [{name}]", self.spec.name)))
    }

    /// Bytes of a chunk before encoding.
    pub(crate) fn chunk_size(&self) -> Result<u64> {
        let ChunkerSpec::Fixed { size } = self.need(self.spec.chunker.as_ref(), "chunker.fixed")?;
        Ok(*size)
    }

    /// How chunks are encoded.
    pub(crate) fn codec(&self) -> Result<&CodecSpec> {
        self.need(self.spec.codec.as_ref(), "codec.zstd")
    }

    /// Chunks on their way at once, and bytes of a foreign client's file.
    pub(crate) fn transport(&self) -> Result<(usize, u64)> {
        let TransportSpec::S3 {
            concurrency_max,
            file_size_max,
        } = self.need(self.spec.transport.as_ref(), "transport.s3")?;
        Ok((*concurrency_max, *file_size_max))
    }

    /// How often something is tried again.
    pub(crate) fn retry(&self) -> Result<Retry> {
        self.need(self.spec.retry.as_ref(), "retry").cloned()
    }

    /// Whether a job is taken.
    pub(crate) fn claim(&self) -> Result<&ClaimSpec> {
        self.need(self.spec.claim.as_ref(), "claim")
    }
}

/// How large a file and its chunks may be for a fetcher.
pub(crate) fn bounds(middle: &Middle<'_>) -> Result<Bounds> {
    let (_, file_size_max) = middle.transport()?;
    Ok(Bounds {
        file_size_max,
        chunk_size_max: middle.chunk_size()?,
    })
}

/// How files are shipped.
pub(crate) fn upload(source: &DirectorySource, sink: &JobsSink, middle: &Middle<'_>) -> Result<UploadPolicy> {
    Ok(UploadPolicy {
        intake: IntakePolicy {
            settle: source.settle,
            settle_max: source.settle_max,
            waiting_max: source.waiting_max,
        },
        files_max: source.files_max,
        announce: match sink.announce {
            spec::Announce::First => Announce::First,
            spec::Announce::Last => Announce::Last,
        },
        retry: middle.retry()?,
    })
}

/// How often the delivery of a result is tried.
///
/// One that fails (a full disk) is repeated for as long as the pipeline runs. Its waits are not those of looking for
/// results, which may be short where requests cost nothing: each failure is a line in the log.
pub(crate) fn delivery(source: &ResultsSource) -> Retry {
    Retry {
        attempts_max: u32::MAX,
        interval: source.interval.max(DELIVERY_WAIT_MIN),
        backoff_rate: 2.0,
        interval_max: source.interval_max.max(DELIVERY_WAIT_MAX),
        jitter: Jitter::None,
    }
}

/// How jobs are claimed and ended, by this processor, of this bucket.
pub(crate) fn worker(middle: &Middle<'_>, processor: &str, bucket: &str) -> Result<WorkerPolicy> {
    Ok(WorkerPolicy {
        processor: processor.to_owned(),
        bucket: bucket.to_owned(),
        claim: claim(middle.claim()?),
        retry: middle.retry()?,
    })
}

/// What a fetcher reports, and when it rests.
pub(crate) fn fleet(claim: &ClaimSpec) -> FleetPolicy {
    FleetPolicy {
        report: claim.report,
        health: HealthPolicy {
            failing_max: claim.failing_max,
            failing_rest: claim.failing_rest,
        },
    }
}

/// How long a task that holds jobs is protected from being scaled in.
pub(crate) fn protection(claim: &ClaimSpec, retry: Retry) -> ProtectionPolicy {
    ProtectionPolicy {
        minutes: claim.protection.as_secs().div_ceil(60),
        retry,
    }
}

fn claim(claim: &ClaimSpec) -> ClaimPolicy {
    ClaimPolicy {
        versions: claim.versions.clone(),
        start: match claim.start {
            spec::Start::Announced => Start::Announced,
            spec::Start::Uploaded => Start::Uploaded,
        },
        feed: match claim.feed {
            spec::Feed::Streaming => Feed::Streaming {
                wait: claim.feed_wait,
            },
            spec::Feed::Complete => Feed::Complete,
        },
        in_flight_max: claim.in_flight_max,
        downloads_max: claim.downloads_max,
        analyses_max: claim.analyses_max,
        lease: claim.lease,
        heartbeat: claim.heartbeat,
        stall: claim.stall,
        upload_max: claim.upload_max,
        drain: claim.drain,
    }
}

/// What is deleted, and when.
pub(crate) fn clean(sink: &DeleteSink) -> Duty {
    Duty::Clean {
        results_keep: sink.results_keep,
        retention: sink.retention,
        upload_max: sink.upload_max,
    }
}

/// How often a lost job goes to another fetcher.
pub(crate) fn requeue(middle: &Middle<'_>) -> Result<Duty> {
    Ok(Duty::Requeue(middle.retry()?))
}

/// What foreign jobs are given.
pub(crate) fn admit(sink: &AdmitSink, shards: u32) -> Duty {
    Duty::Admit {
        shards,
        lease: sink.lease,
        upload_max: sink.upload_max,
    }
}

/// Which objects are deleted, of the bucket that is this table's.
pub(crate) fn sweep(source: &ObjectsSource, middle: &Middle<'_>, table: &str) -> Result<SweepPolicy> {
    Ok(SweepPolicy {
        table: table.to_owned(),
        age_min: source.age_min,
        pages_max: source.pages_max,
        retry: middle.retry()?,
    })
}

/// How the table's stream is read, by this reader.
pub(crate) fn stream(spec: &StreamSpec, reader: &str) -> StreamPolicy {
    let StreamSpec {
        lease,
        interval,
        interval_max,
        shards_max,
        start,
    } = *spec;
    StreamPolicy {
        reader: reader.to_owned(),
        lease,
        interval,
        interval_max,
        shards_max,
        start,
    }
}

/// What is published, and who is told.
pub(crate) fn queue(middle: &Middle<'_>) -> Result<QueuePolicy> {
    let notify = &middle.spec.notify;
    let thresholds = notify.iter().map(|(name, spec)| (name.clone(), spec.threshold));
    Ok(QueuePolicy {
        thresholds: thresholds.collect(),
        retry: middle.retry()?,
        attempt_max: notify.values().map(|spec| spec.timeout).max().unwrap_or_default(),
    })
}

/// Looks at a steady pace, or by the calendar.
pub(crate) fn pace(schedule: &Schedule) -> PacePolicy {
    match schedule {
        Schedule::Every(every) => PacePolicy::every(*every),
        Schedule::Cron(cron) => PacePolicy::Calendar(Arc::new(cron.clone())),
    }
}

/// Looks into a lane as often as there is something, or by the calendar.
pub(crate) fn jobs_pace(source: &JobsSource) -> PacePolicy {
    match &source.cron {
        Some(cron) => PacePolicy::Calendar(Arc::new(cron.clone())),
        None => PacePolicy::Between(source.interval, source.interval_max),
    }
}

/// Looks for results as often as there are any.
pub(crate) fn results_pace(source: &ResultsSource) -> PacePolicy {
    PacePolicy::Between(source.interval, source.interval_max)
}

/// What of the table's stream a pipeline over a lane hears; nothing where it does not follow it.
pub(crate) fn jobs_interest(source: &JobsSource) -> Option<Interest> {
    source.stream.then_some(Interest::Finished)
}

/// What of the table's stream a pipeline over foreign jobs hears; nothing where it does not follow it.
pub(crate) fn foreign_interest(source: &ForeignSource) -> Option<Interest> {
    source.stream.then_some(Interest::Foreign)
}
