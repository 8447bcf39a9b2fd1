//! How fast a recording is replayed: `cargo run --release -p roundtrip-testkit --example replay -- RECORDING [TIMES]`.
//!
//! The role is a watcher with the shipped policies. With TIMES the recording is replayed so often in one go, each time a
//! day later, so that the memory of a long one can be seen.

use std::fs::File;
use std::io::{BufReader, Error};
use std::time::{Duration, Instant};

use roundtrip_core::caretaker::Duty;
use roundtrip_core::job::LaneKind;
use roundtrip_core::news::Interest;
use roundtrip_core::pace::PacePolicy;
use roundtrip_core::queue::QueuePolicy;
use roundtrip_core::retry::{Jitter, Retry};
use roundtrip_testkit::pipelines::{CarePipeline, Pipeline, QueuePipeline};
use roundtrip_testkit::recording::Reader;
use roundtrip_testkit::replay::{Happening, Replay, Role, Settings};

fn retry(attempts_max: u32) -> Retry {
    Retry {
        attempts_max,
        interval: Duration::from_secs(5),
        backoff_rate: 2.0,
        interval_max: Duration::from_mins(5),
        jitter: Jitter::Full,
    }
}

fn every(seconds: u64) -> PacePolicy {
    PacePolicy::every(Duration::from_secs(seconds))
}

fn care(duty: Duty, lane: Option<LaneKind>, seconds: u64, interest: Option<Interest>) -> Pipeline {
    Pipeline::Care(CarePipeline {
        duty,
        lane,
        pace: every(seconds),
        interest,
        batch_max: 25,
    })
}

fn watcher() -> Role {
    let day = Duration::from_hours(24);
    let clean = Duty::Clean {
        results_keep: day * 7,
        retention: day * 30,
        upload_max: day,
    };
    let admit = Duty::Admit {
        shards: 8,
        lease: Duration::from_hours(1),
        upload_max: day,
    };
    let queue = QueuePolicy {
        thresholds: [].into(),
        retry: retry(5),
        attempt_max: Duration::ZERO,
    };
    let pipelines = [
        ("admit", care(admit, None, 60, Some(Interest::Foreign))),
        (
            "cleanup",
            care(clean, Some(LaneKind::Done), 30, Some(Interest::Finished)),
        ),
        (
            "queue-length",
            Pipeline::Queue(QueuePipeline {
                policy: queue,
                pace: every(60),
            }),
        ),
        (
            "restart-stalled",
            care(Duty::Requeue(retry(5)), Some(LaneKind::Leased), 30, None),
        ),
    ];
    Role {
        name: "watcher".to_owned(),
        shards: 8,
        news_after: Duration::from_millis(250),
        pipelines: pipelines
            .map(|(name, pipeline)| (name.to_owned(), pipeline))
            .into(),
    }
}

/// The most memory this process had, in MiB, where the system tells.
fn memory_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| Error::other("name a recording"))?;
    let times: u64 = arguments.next().map_or(Ok(1), |times| times.parse())?;
    let begun = Instant::now();
    let parsed = Reader::new(BufReader::with_capacity(1 << 16, File::open(&path)?));
    let parsed = parsed.map(|_| ()).count();
    let parse = begun.elapsed();
    let mut replay = Replay::new(watcher(), Settings::default(), |_| Ok(()));
    let (begun, mut lines) = (Instant::now(), 0);
    for time in 0..times {
        let text = BufReader::with_capacity(1 << 16, File::open(&path)?);
        let entries = Reader::new(text).map(|mut entry| {
            if let Some(created) = &mut entry.body.created {
                *created = *created + Duration::from_hours(24 * time);
            }
            Happening::read(&entry)
        });
        for happening in entries {
            replay.happen(happening?);
            lines += replay.lines().len();
        }
    }
    replay.finish();
    lines += replay.lines().len();
    let all = begun.elapsed();
    let summary = replay.summary();
    println!("{parsed} records parsed in {parse:.1?}");
    println!(
        "{} records, {} events, {lines} decisions in {all:.2?}",
        summary.records, summary.events
    );
    println!(
        "{:.0} records/s, {:.0} events/s; {} MiB at most, {} jobs in the table at most",
        per_second(summary.records, all),
        per_second(summary.events, all),
        memory_max(),
        summary.jobs_max
    );
    Ok(())
}

fn per_second(count: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
