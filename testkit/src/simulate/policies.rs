//! The policies that are simulated: one pipeline of each kind.

use std::time::Duration;

use roundtrip_core::caretaker::Duty;
use roundtrip_core::claim::{ClaimPolicy, Feed, Start};
use roundtrip_core::fleet::FleetPolicy;
use roundtrip_core::health::HealthPolicy;
use roundtrip_core::intake::IntakePolicy;
use roundtrip_core::job::LaneKind;
use roundtrip_core::news::Interest;
use roundtrip_core::pace::PacePolicy;
use roundtrip_core::plan::{Bounds, Codec};
use roundtrip_core::queue::QueuePolicy;
use roundtrip_core::retry::{Jitter, Retry};
use roundtrip_core::stream::{Start as StreamStart, StreamPolicy};
use roundtrip_core::sweep::SweepPolicy;
use roundtrip_core::upload::{Announce, UploadPolicy};
use roundtrip_core::worker::WorkerPolicy;

use crate::model::chance::Chance;
use crate::pipelines::{
    AnalysePipeline, CarePipeline, CollectPipeline, QueuePipeline, SweepPipeline, UploadPipeline,
};

/// The pipelines of the three roles: the core's own policies, as the engine reads them from TOML.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// Whether a scenario that varies draws for each seed what a role may as well say in another way, instead of what is
    /// written here: `announce`, `start` and `feed`, and now and then a short retention.
    pub varies: bool,
    /// Shards of each lane: `store.shards`.
    pub shards: u32,
    /// `[stream]` of the watchers; the reader's name is set for each process.
    pub stream: StreamPolicy,
    /// From `[source.directory]` to `[sink.jobs]`.
    pub upload: UploadPipeline,
    /// From `[source.results]` to `[sink.directory]`.
    pub collect: CollectPipeline,
    /// From `[source.jobs]` to `[sink.processor]`; processor and bucket are those of the simulation.
    pub analyse: AnalysePipeline,
    /// From `[source.jobs]` to `[sink.delete]`.
    pub clean: CarePipeline,
    /// From `[source.jobs]` to `[sink.requeue]`.
    pub requeue: CarePipeline,
    /// From `[source.foreign]` to `[sink.admit]`.
    pub admit: CarePipeline,
    /// From `[source.objects]` to `[sink.sweep]`.
    pub sweep: SweepPipeline,
    /// From `[source.lanes]` to `[sink.metrics]`; nobody is told of thresholds.
    pub queue: QueuePipeline,
}

/// A retention that a history outlasts, and no write that comes late.
const RETENTION_SHORT: Duration = Duration::from_mins(5);

/// How often a seed draws another policy than the one that is written.
const DRAWN: f64 = 0.35;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

const fn retry(attempts_max: u32, interval: u64, interval_max: u64) -> Retry {
    Retry {
        attempts_max,
        interval: seconds(interval),
        backoff_rate: 2.0,
        interval_max: seconds(interval_max),
        jitter: Jitter::Full,
    }
}

/// Deliveries are repeated for as long as the process runs.
const fn deliveries(interval: u64, interval_max: u64) -> Retry {
    Retry {
        jitter: Jitter::None,
        ..retry(u32::MAX, interval, interval_max)
    }
}

const fn between(interval: u64, interval_max: u64) -> PacePolicy {
    PacePolicy::Between(seconds(interval), seconds(interval_max))
}

impl Policies {
    /// The policies of the shipped pipelines: a test of the engine holds them to the TOML.
    pub fn shipped() -> Self {
        let shards = 8;
        Self {
            varies: false,
            shards,
            stream: StreamPolicy {
                reader: String::new(),
                lease: seconds(30),
                interval: Duration::from_millis(250),
                interval_max: seconds(1),
                shards_max: 64,
                start: StreamStart::Oldest,
            },
            upload: UploadPipeline {
                policy: UploadPolicy {
                    intake: IntakePolicy {
                        settle: seconds(2),
                        settle_max: seconds(600),
                        waiting_max: 10_000,
                    },
                    files_max: 4,
                    announce: Announce::First,
                    retry: retry(8, 1, 60),
                },
                rescan: seconds(30),
                chunk_size: 8 << 20,
                codec: Codec::Zstd,
            },
            collect: CollectPipeline {
                pace: between(1, 30),
                retry: deliveries(1, 30),
            },
            analyse: analyse(),
            clean: CarePipeline {
                duty: Duty::Clean {
                    results_keep: days(7),
                    retention: days(30),
                    upload_max: days(1),
                },
                lane: Some(LaneKind::Done),
                pace: between(30, 30),
                interest: Some(Interest::Finished),
                batch_max: 25,
            },
            requeue: CarePipeline {
                duty: Duty::Requeue(retry(5, 5, 300)),
                lane: Some(LaneKind::Leased),
                pace: between(30, 30),
                interest: None,
                batch_max: 25,
            },
            admit: CarePipeline {
                duty: Duty::Admit {
                    shards,
                    lease: seconds(3_600),
                    upload_max: days(1),
                },
                lane: None,
                pace: between(60, 60),
                interest: Some(Interest::Foreign),
                batch_max: 10,
            },
            sweep: SweepPipeline {
                policy: SweepPolicy {
                    table: "roundtrip-jobs".to_owned(),
                    age_min: days(2),
                    pages_max: 1_000,
                    retry: retry(5, 5, 300),
                },
                pace: PacePolicy::every(Duration::from_hours(6)),
            },
            queue: QueuePipeline {
                policy: QueuePolicy {
                    thresholds: [].into(),
                    retry: retry(5, 2, 30),
                    attempt_max: Duration::ZERO,
                },
                pace: between(60, 60),
            },
        }
    }

    /// The shipped ones with their long waits cut short.
    pub fn brisk() -> Self {
        Self::shipped().cut_short()
    }

    /// The same with long waits cut short, so that a history with lost workers is over in minutes: what matters for
    /// the order of events keeps the proportions of the shipped ones. Each seed may draw some of it.
    #[must_use]
    pub fn cut_short(self) -> Self {
        let mut brisk = self.with_shards(2);
        brisk.varies = true;
        let upload_max = seconds(600);
        brisk.upload.policy.retry.interval_max = seconds(20);
        brisk.collect.pace = between(2, 15);
        brisk.collect.retry = deliveries(2, 15);
        let worker = &mut brisk.analyse.worker;
        worker.claim.lease = seconds(30);
        worker.claim.heartbeat = seconds(8);
        worker.claim.stall = seconds(20);
        worker.claim.drain = seconds(10);
        worker.claim.upload_max = upload_max;
        worker.retry.interval_max = seconds(20);
        brisk.requeue.duty = Duty::Requeue(Retry {
            attempts_max: 5,
            interval_max: seconds(30),
            ..worker.retry.clone()
        });
        brisk.requeue.pace = between(10, 10);
        brisk.analyse.fleet.report = seconds(15);
        brisk.analyse.fleet.health.failing_rest = seconds(40);
        brisk.analyse.pace = between(1, 5);
        brisk.analyse.timeout = seconds(60);
        brisk.clean.duty = Duty::Clean {
            results_keep: seconds(300),
            retention: days(1),
            upload_max,
        };
        brisk.admit.duty = Duty::Admit {
            shards: brisk.shards,
            lease: seconds(120),
            upload_max,
        };
        brisk.sweep.policy.age_min = seconds(300);
        brisk.sweep.policy.retry.interval_max = seconds(20);
        brisk.sweep.pace = between(60, 60);
        brisk.stream.interval = seconds(1);
        brisk.stream.interval_max = seconds(5);
        brisk
    }

    /// The same as one seed draws it.
    pub(super) fn drawn(mut self, chance: &mut Chance) -> Self {
        if !self.varies {
            return self;
        }
        if chance.hits(DRAWN) {
            self.upload.policy.announce = Announce::Last;
        }
        if chance.hits(DRAWN) {
            self.analyse.worker.claim.start = Start::Uploaded;
        }
        if chance.hits(DRAWN) {
            self.analyse.worker.claim.feed = Feed::Complete;
        }
        if let (Duty::Clean { retention, .. }, true) = (&mut self.clean.duty, chance.hits(DRAWN / 2.0)) {
            *retention = RETENTION_SHORT;
        }
        self
    }

    /// The same with so many shards of each lane.
    #[must_use]
    pub fn with_shards(mut self, count: u32) -> Self {
        self.shards = count;
        if let Duty::Admit { shards, .. } = &mut self.admit.duty {
            *shards = count;
        }
        self
    }

    /// How long a history may take to come to its end once nothing goes wrong any more: an upload that never becomes
    /// whole is closed, a result is kept, and what was left over is swept, one after the other.
    pub fn patience(&self) -> Duration {
        let (mut keep, mut upload_max) = (self.sweep.policy.age_min, self.analyse.worker.claim.upload_max);
        for care in [&self.clean, &self.admit] {
            match &care.duty {
                Duty::Clean {
                    results_keep,
                    upload_max: max,
                    ..
                } => {
                    keep = keep.max(*results_keep);
                    upload_max = upload_max.max(*max);
                }
                Duty::Admit { upload_max: max, .. } => upload_max = upload_max.max(*max),
                Duty::Requeue(_) => {}
            }
        }
        let paces = [
            &self.sweep.pace,
            &self.clean.pace,
            &self.admit.pace,
            &self.requeue.pace,
        ];
        let look = paces.iter().map(|pace| longest(pace)).max().unwrap_or_default();
        keep.saturating_add(upload_max * 2)
            .saturating_add(look * 2)
            .saturating_add(days(1))
    }
}

/// The longest time between two looks.
pub(super) const fn longest(pace: &PacePolicy) -> Duration {
    match pace {
        PacePolicy::Between(_, longest) => *longest,
        // The next moment is not known here; a week is longer than most calendars wait.
        PacePolicy::Calendar(_) => days(7),
    }
}

fn analyse() -> AnalysePipeline {
    AnalysePipeline {
        worker: WorkerPolicy {
            processor: String::new(),
            bucket: "roundtrip".to_owned(),
            claim: ClaimPolicy {
                versions: None,
                start: Start::Announced,
                feed: Feed::Streaming { wait: seconds(10) },
                in_flight_max: 2,
                downloads_max: 2,
                analyses_max: 1,
                lease: seconds(300),
                heartbeat: seconds(60),
                stall: seconds(120),
                drain: seconds(25),
                upload_max: days(1),
            },
            retry: retry(3, 5, 300),
        },
        fleet: FleetPolicy {
            report: seconds(30),
            health: HealthPolicy {
                failing_max: 5,
                failing_rest: seconds(300),
            },
        },
        pace: PacePolicy::Between(Duration::from_millis(500), seconds(5)),
        batch_max: 25,
        timeout: seconds(1_800),
        bounds: Bounds {
            file_size_max: 64 << 30,
            chunk_size_max: 64 << 20,
        },
    }
}
