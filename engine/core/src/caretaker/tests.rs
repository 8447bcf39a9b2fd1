mod cleaning;
mod duties;
mod news;
mod rounds;

use std::time::Duration;

use super::*;
use crate::fixture::{PROCESSOR, START, actions, at, claimed, completed, job, key, retry, seconds};
use crate::names::JobKey;

const RESULTS_KEEP: Duration = Duration::from_secs(700);
const RETENTION: Duration = Duration::from_secs(3_000);
const UPLOAD_MAX: Duration = Duration::from_secs(500);
const WHOLE: Swept = Swept {
    objects: 3,
    manifest: true,
};
const LEASE: Duration = Duration::from_secs(300);

fn with(duty: Duty) -> Caretaker {
    Caretaker::new(duty, "watcher-1", Pace::new(seconds(10), seconds(10)))
}

fn cleaner() -> Caretaker {
    with(Duty::Clean {
        results_keep: RESULTS_KEEP,
        retention: RETENTION,
        upload_max: UPLOAD_MAX,
    })
}

fn requeuer() -> Caretaker {
    with(Duty::Requeue(retry(3)))
}

fn admitter() -> Caretaker {
    with(Duty::Admit {
        shards: 8,
        lease: LEASE,
        upload_max: UPLOAD_MAX,
    })
}

fn page(jobs: impl IntoIterator<Item = Job>, more: bool) -> Event {
    let offer = |job| Offer {
        job,
        signature: Ok(()),
        uploaded: true,
    };
    Event::Found {
        offers: jobs.into_iter().map(offer).collect(),
        malformed: Vec::new(),
        more,
    }
}

fn record(file: u32) -> RecordKey {
    RecordKey::from(&key(file))
}

/// Actions in short: what is done to which file.
fn short(caretaker: &mut Caretaker) -> Vec<String> {
    let number = |file: &str| {
        file.trim_start_matches("file-")
            .trim_start_matches(['0', '-'])
            .to_owned()
    };
    let short = |action: Action| match action {
        Action::Look { on: false } => "look".to_owned(),
        Action::Look { on: true } => "look on".to_owned(),
        Action::Delete(job, Extent::All) => format!("delete all of {}", number(job.key.file.as_str())),
        Action::Delete(job, Extent::AllButResults) => {
            format!("delete all but the result of {}", number(job.key.file.as_str()))
        }
        Action::Write(change) => format!("{} {}", change.write.as_str(), number(&change.key.file)),
    };
    actions(caretaker).into_iter().map(short).collect()
}

/// What is done at once about a job that a look brought.
fn about(mut caretaker: Caretaker, now: At, job: Job) -> Vec<String> {
    caretaker.tick(now);
    short(&mut caretaker);
    caretaker.handle(now, page([job], false));
    short(&mut caretaker)
}

/// A job whose result lies in the bucket.
fn large(file: u32) -> Job {
    let key: JobKey = key(file);
    Job {
        results: Some(key.results()),
        ..completed(file)
    }
}
