mod commits;
mod drain;
mod endings;
mod fleet;
mod leases;
mod looks;
mod priorities;
mod refusals;
mod sequences;
mod slots;
mod turned_away;

use std::time::Duration;

use super::refusals::REFUSING_MAX;
use super::*;
use crate::claim::{Feed, Malformed, Offer, Start};
use crate::fixture::{PROCESSOR, START, actions, at, claimed, job, key, retry, seconds};
use crate::job::Job;
use crate::lifecycle::{self, Change, Value};
use crate::protection::Protect;
use crate::search::Findings;

const LEASE: Duration = Duration::from_secs(300);
const HEARTBEAT: Duration = Duration::from_secs(60);

fn policy() -> WorkerPolicy {
    WorkerPolicy {
        processor: PROCESSOR.to_owned(),
        bucket: "lab".to_owned(),
        claim: ClaimPolicy {
            versions: Some(">=2.5, <3".parse().unwrap()),
            start: Start::Announced,
            feed: Feed::Streaming { wait: seconds(10) },
            in_flight_max: 2,
            downloads_max: 2,
            analyses_max: 2,
            lease: LEASE,
            heartbeat: HEARTBEAT,
            stall: seconds(120),
            upload_max: seconds(86_400),
            drain: seconds(25),
        },
        retry: retry(3),
    }
}

fn with(policy: WorkerPolicy) -> Worker {
    Worker::new(policy, Pace::new(seconds(1), seconds(8)))
}

fn worker() -> Worker {
    with(policy())
}

fn offer(job: Job) -> Offer {
    Offer {
        job,
        signature: Ok(()),
        uploaded: true,
    }
}

fn found(jobs: impl IntoIterator<Item = Job>) -> Event {
    offers(jobs.into_iter().map(offer))
}

fn written(file: u32, write: Write, outcome: Outcome) -> Event {
    Event::Written {
        key: RecordKey::from(&key(file)),
        write,
        outcome,
    }
}

fn done() -> Outcome {
    Outcome::Done(None)
}

fn lost() -> Outcome {
    Outcome::Lost(None)
}

fn failed() -> Outcome {
    Outcome::Failed("away".to_owned())
}

fn refused() -> Outcome {
    Outcome::Refused("the item is too large".to_owned())
}

fn won(file: u32) -> Outcome {
    Outcome::Done(Some(Box::new(claimed(file, PROCESSOR, LEASE))))
}

fn result() -> Ending {
    Ending::Result {
        results: "04:sealed".to_owned(),
        results_type: None,
    }
}

/// Looks at the start and claims these files, which it wins.
fn holding(policy: WorkerPolicy, files: &[u32]) -> Worker {
    let mut worker = with(policy);
    worker.tick(at(0));
    worker.handle(at(0), found(files.iter().map(|file| job(*file))));
    for file in files {
        worker.handle(at(0), written(*file, Write::Claim, won(*file)));
    }
    actions(&mut worker);
    worker
}

/// Actions in short: what is done to which file.
fn short(worker: &mut Worker) -> Vec<String> {
    let number = |file: &str| {
        file.trim_start_matches("file-")
            .trim_start_matches(['0', '-'])
            .to_owned()
    };
    let short = |action: Action| match action {
        Action::Look { limit, priority_max } if priority_max < PRIORITY_MAX => {
            format!("look for {limit}, up to priority {priority_max} first")
        }
        Action::Look { limit, .. } => format!("look for {limit}"),
        Action::Protect(Protect::For { minutes }) => format!("protect for {minutes} min"),
        Action::Protect(Protect::Off) => "protect no more".to_owned(),
        Action::Write(change) => format!("{} {}", change.write.as_str(), number(&change.key.file)),
        Action::Fetch(job) => format!("fetch {}", number(job.key.file.as_str())),
        Action::Engage(key) => format!("engage {}", number(key.file.as_str())),
        Action::Stop(key) => format!("stop {}", number(key.file.as_str())),
        Action::Report(report) => format!(
            "report {} held, {} done, {} failed{}",
            report.held_count,
            report.done,
            report.failed,
            report.resting_until.map_or("", |_| ", resting")
        ),
    };
    actions(worker).into_iter().map(short).collect()
}

/// The value that the first write of this kind sets.
fn sets(worker: &mut Worker, write: Write, name: &str) -> Option<Value> {
    let change = actions(worker).into_iter().find_map(|action| match action {
        Action::Write(change) if change.write == write => Some(change),
        Action::Write(_)
        | Action::Look { .. }
        | Action::Fetch(_)
        | Action::Engage(_)
        | Action::Stop(_)
        | Action::Report(_)
        | Action::Protect(_) => None,
    })?;
    change
        .set
        .into_iter()
        .find(|(set, _)| *set == name)
        .map(|(_, value)| value)
}

fn offers(offers: impl IntoIterator<Item = Offer>) -> Event {
    let offers: Vec<_> = offers.into_iter().collect();
    Event::Found(Findings {
        priority_seen: offers.iter().map(|offer| offer.job.priority).max().unwrap_or(0),
        offers,
        ..Findings::default()
    })
}

fn forged(file: u32) -> Offer {
    Offer {
        signature: Err("forged".to_owned()),
        ..offer(job(file))
    }
}

fn malformed(file: u32) -> Malformed {
    Malformed {
        key: RecordKey::from(&key(file)),
        why: "no bucket".to_owned(),
        ..Malformed::default()
    }
}
