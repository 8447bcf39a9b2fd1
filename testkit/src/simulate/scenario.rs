//! What is simulated: how many of whom, under which policies, with which faults.

use std::time::Duration;

use roundtrip_core::caretaker::Duty;
use roundtrip_core::claim::{ClaimPolicy, Feed, Start};
use roundtrip_core::fleet::FleetPolicy;
use roundtrip_core::health::HealthPolicy;
use roundtrip_core::intake::IntakePolicy;
use roundtrip_core::retry::{Jitter, Retry};
use roundtrip_core::stream::{Start as StreamStart, StreamPolicy};
use roundtrip_core::sweep::SweepPolicy;
use roundtrip_core::upload::{Announce, UploadPolicy};

use super::Faults;

/// The policies of the three roles: the core's own, as the engine reads them from TOML.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Shards of each lane: `store.shards`.
    pub shards: u32,
    /// `[source.directory]`, `[retry]` and `announce` of the upload pipeline.
    pub upload: UploadPolicy,
    /// `source.directory.rescan`
    pub rescan: Duration,
    /// `chunker.fixed.size`, in bytes.
    pub chunk_size: u64,
    /// `source.results.interval` and `interval-max`.
    pub collect: (Duration, Duration),
    /// `[claim]`
    pub claim: ClaimPolicy,
    /// `[retry]` of the pipeline that claims.
    pub work: Retry,
    /// `claim.report` and `claim.failing-*`.
    pub fleet: FleetPolicy,
    /// `source.jobs.interval` and `interval-max` of the pipeline that claims.
    pub look: (Duration, Duration),
    /// `source.jobs.batch-max`
    pub batch_max: usize,
    /// `sink.processor.timeout`
    pub timeout: Duration,
    /// `[sink.delete]`
    pub clean: Duty,
    /// `source.jobs.every` of the pipeline that cleans.
    pub clean_every: Duration,
    /// `[sink.requeue]` with its `[retry]`.
    pub requeue: Duty,
    /// `source.jobs.every` of the pipeline that gives back.
    pub requeue_every: Duration,
    /// `[sink.admit]`
    pub admit: Duty,
    /// `source.foreign.every`
    pub admit_every: Duration,
    /// `source.foreign.pages-max`
    pub pages_max: usize,
    /// `[sink.sweep]` and `[source.objects]`.
    pub sweep: SweepPolicy,
    /// `source.objects.every`
    pub sweep_every: Duration,
    /// `source.lanes.every`
    pub queue_every: Duration,
    /// `[stream]`; the reader's name is set for each process.
    pub stream: StreamPolicy,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Policies {
    /// The policies of the shipped pipelines.
    pub fn shipped() -> Self {
        let retry = |attempts_max, interval, interval_max| Retry {
            attempts_max,
            interval,
            backoff_rate: 2.0,
            interval_max,
            jitter: Jitter::Full,
        };
        let shards = 8;
        let upload_max = Duration::from_hours(24);
        Self {
            shards,
            upload: UploadPolicy {
                intake: IntakePolicy {
                    settle: seconds(2),
                    settle_max: seconds(600),
                    waiting_max: 10_000,
                },
                files_max: 4,
                announce: Announce::First,
                retry: retry(8, seconds(1), seconds(60)),
            },
            rescan: seconds(30),
            chunk_size: 8 << 20,
            collect: (seconds(1), seconds(30)),
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
                upload_max,
            },
            work: retry(3, seconds(5), seconds(300)),
            fleet: FleetPolicy {
                report: seconds(30),
                health: HealthPolicy {
                    failing_max: 5,
                    failing_rest: seconds(300),
                },
            },
            look: (Duration::from_millis(500), seconds(5)),
            batch_max: 25,
            timeout: seconds(1_800),
            clean: Duty::Clean {
                results_keep: Duration::from_hours(7 * 24),
                retention: Duration::from_hours(30 * 24),
                upload_max,
            },
            clean_every: seconds(30),
            requeue: Duty::Requeue(retry(5, seconds(5), seconds(300))),
            requeue_every: seconds(30),
            admit: Duty::Admit {
                shards,
                lease: seconds(3_600),
                upload_max,
            },
            admit_every: seconds(60),
            pages_max: 10,
            sweep: SweepPolicy {
                table: "jobs".to_owned(),
                age_min: Duration::from_hours(48),
                pages_max: 1_000,
                retry: retry(5, seconds(5), seconds(300)),
            },
            sweep_every: Duration::from_hours(6),
            queue_every: seconds(60),
            stream: StreamPolicy {
                reader: String::new(),
                lease: seconds(30),
                interval: Duration::from_millis(250),
                interval_max: seconds(1),
                shards_max: 64,
                start: StreamStart::Oldest,
            },
        }
    }

    /// The shipped ones with their long waits cut short, so that a history with lost workers is over in minutes: what
    /// matters for the order of events keeps its proportions.
    pub fn brisk() -> Self {
        let mut brisk = Self::shipped();
        let upload_max = seconds(600);
        brisk.shards = 2;
        brisk.admit = Duty::Admit {
            shards: 2,
            lease: seconds(120),
            upload_max,
        };
        brisk.upload.retry.interval_max = seconds(20);
        brisk.collect = (seconds(2), seconds(15));
        brisk.claim.lease = seconds(30);
        brisk.claim.heartbeat = seconds(8);
        brisk.claim.stall = seconds(20);
        brisk.claim.drain = seconds(10);
        brisk.claim.upload_max = upload_max;
        brisk.work.interval_max = seconds(20);
        brisk.fleet.report = seconds(15);
        brisk.fleet.health.failing_rest = seconds(40);
        brisk.look = (seconds(1), seconds(5));
        brisk.timeout = seconds(60);
        brisk.clean = Duty::Clean {
            results_keep: seconds(300),
            retention: Duration::from_hours(24),
            upload_max,
        };
        brisk.sweep.age_min = seconds(300);
        brisk.sweep.retry.interval_max = seconds(20);
        brisk.sweep_every = seconds(60);
        brisk.requeue_every = seconds(10);
        brisk.requeue = Duty::Requeue(Retry {
            attempts_max: 5,
            interval_max: seconds(30),
            ..brisk.work.clone()
        });
        brisk.stream.interval = seconds(1);
        brisk.stream.interval_max = seconds(5);
        brisk
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Client processes.
    pub clients: usize,
    /// Fetcher processes.
    pub fetchers: usize,
    /// Watcher processes.
    pub watchers: usize,
    /// Files of each client.
    pub files: usize,
    /// Chunks of a file, at most.
    pub chunks_max: u64,
    /// How long an analysis takes, at most.
    pub analysis_max: Duration,
    /// The policies of all of them.
    pub policies: Policies,
    /// What may go wrong.
    pub faults: Faults,
    /// Whether each seed leaves out some kinds of faults, and some processes.
    pub vary: bool,
    /// How long files come and things go wrong.
    pub load: Duration,
    /// How long after that everything may take to come to its end.
    pub settle_max: Duration,
}

impl Default for Scenario {
    /// Two clients, three fetchers, two watchers, brisk policies, all faults, varied from seed to seed.
    fn default() -> Self {
        Self {
            clients: 2,
            fetchers: 3,
            watchers: 2,
            files: 2,
            chunks_max: 3,
            analysis_max: seconds(10),
            policies: Policies::brisk(),
            faults: Faults::all(),
            vary: true,
            load: seconds(60),
            settle_max: Duration::from_hours(1),
        }
    }
}
