//! The story in every state, as a person reads it.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use crate::fixture::{PROCESSOR, START, claimed, completed, job, lane, seconds};
use crate::lifecycle::{self, Change, Value, attribute, operator};

const NOW: Timestamp = Timestamp(START.0 + 100_000);
const LEASE: Duration = Duration::from_secs(300);

/// Moments are told in seconds since the start.
fn page(job: &Job) -> String {
    let mut page = String::new();
    for Line {
        tense,
        at,
        text,
        keys,
    } in tell(job, true, NOW)
    {
        let at = at.map_or_else(String::new, |at| format!("{} s", (at.0 - START.0) / 1_000));
        let keys = keys.join(", ");
        writeln!(page, "{:<5}{at:>7}  {text}  [{keys}]", tense.as_str()).unwrap();
    }
    page.replace("  []", "")
}

/// The job after a change, as far as the story depends on it.
fn after(job: &Job, change: &Change) -> Job {
    let mut job = job.clone();
    for name in &change.remove {
        match *name {
            attribute::PROCESSOR => job.processor = None,
            attribute::ASSIGNED => job.assigned = None,
            attribute::DOWNLOADED => job.downloaded = None,
            attribute::PROCESSED => job.processed = None,
            attribute::ERROR => job.error = None,
            attribute::LANE => job.lane = None,
            attribute::DUE => job.due = None,
            _ => {}
        }
    }
    for (name, value) in &change.set {
        match (*name, value.clone()) {
            (attribute::STATUS, Value::Text(text)) => job.status = Status::parse(&text).unwrap(),
            (attribute::PROCESSOR, Value::Text(text)) => job.processor = Some(text),
            (attribute::RESULTS, Value::Text(text)) => job.results = Some(text),
            (attribute::ERROR, Value::Text(text)) => job.error = Some(text),
            (attribute::LANE, Value::Text(text)) => job.lane = crate::job::Lane::parse(&text),
            (attribute::DUE, Value::Time(at)) => job.due = Some(at),
            (attribute::ASSIGNED, Value::Time(at)) => job.assigned = Some(at),
            (attribute::DOWNLOADED, Value::Time(at)) => job.downloaded = Some(at),
            (attribute::PROCESSED, Value::Time(at)) => job.processed = Some(at),
            (attribute::CLEANED, Value::Time(at)) => job.cleaned = Some(at),
            (attribute::RETRIES, Value::Number(count)) => job.retries = u32::try_from(count).unwrap(),
            (attribute::FAILURES, Value::Number(count)) => job.failures = u32::try_from(count).unwrap(),
            (attribute::HISTORY, Value::History(history)) => job.history = history,
            _ => {}
        }
    }
    job
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp(START.0 + seconds * 1_000)
}

fn in_lane(job: Job, kind: Option<LaneKind>, due: i64) -> Job {
    Job {
        lane: kind.map(lane),
        due: kind.map(|_| moment(due)),
        ..job
    }
}

#[test]
fn every_status_in_every_lane() {
    let lanes = [
        None,
        Some(LaneKind::Ready),
        Some(LaneKind::Leased),
        Some(LaneKind::Done),
    ];
    let failed = Job {
        status: Status::Error,
        results: None,
        error: Some("not an image".to_owned()),
        ..completed(1)
    };
    let jobs = [job(1), claimed(1, PROCESSOR, LEASE), completed(1), failed];
    let mut table = String::new();
    for base in jobs {
        for kind in lanes {
            for (when, due) in [("due before", 90), ("due later", 110)] {
                if kind.is_none() && due == 110 {
                    continue;
                }
                let job = in_lane(base.clone(), kind, due);
                let place = kind.map_or("no lane", LaneKind::as_str);
                let when = kind.map_or("", |_| when);
                write!(
                    table,
                    "== {} in {place} {when}\n{}\n",
                    job.status.as_str(),
                    page(&job)
                )
                .unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_lease_that_ends_now_still_holds() {
    let at = |due| {
        let job = Job {
            due: Some(due),
            ..claimed(1, PROCESSOR, LEASE)
        };
        page(&job).contains("whose lease has ended")
    };
    assert!(!at(NOW));
    assert!(at(Timestamp(NOW.0 - 1)));
}

#[test]
fn a_result_in_the_bucket_waits_for_its_client() {
    let large = |due| {
        let job = completed(1);
        Job {
            results: Some(job.key.results()),
            due: Some(moment(due)),
            ..job
        }
    };
    insta::assert_snapshot!([large(0), large(110)].map(|job| page(&job)).join("\n"));
}

#[test]
fn claimed_lost_requeued_failed_once_and_completed() {
    let (first, second, third) = ("processor-1", "processor-2", "processor-3");
    let take = |job: &Job, by: &str, at| after(job, &lifecycle::claim(job, by, moment(at), LEASE));
    let held = take(&job(1), first, 1);
    let lost = lifecycle::requeue(
        &held,
        moment(20),
        moment(21),
        "processor-1 sent no heartbeat before its lease ended",
    );
    let held = take(&after(&held, &lost), second, 22);
    let failed = lifecycle::release(
        &held,
        second,
        moment(30),
        moment(200),
        1,
        "HTTP 500: out of memory",
    );
    let waiting = after(&held, &failed);
    let held = take(&waiting, third, 40);
    let held = after(&held, &lifecycle::downloaded(&held, third, moment(45)));
    let done = after(
        &held,
        &lifecycle::complete(&held, third, moment(50), "04:aa:bb:cc", None),
    );
    let cleaned = after(&done, &lifecycle::cleaned(&done, moment(60), seconds(1_000)));
    let stories = [
        ("after the failure", &waiting),
        ("under the third", &held),
        ("completed", &done),
        ("cleaned", &cleaned),
    ];
    let stories = stories.map(|(when, job)| format!("== {when}\n{}", page(job)));
    insta::assert_snapshot!(stories.join("\n"));
}

#[test]
fn what_an_operator_did() {
    let held = claimed(1, PROCESSOR, LEASE);
    let requeued = after(&held, &operator::requeue(&held, moment(10)).unwrap());
    let cancelled = after(
        &requeued,
        &operator::cancel(&requeued, moment(20), "wrong file").unwrap(),
    );
    let again = after(&cancelled, &operator::requeue(&cancelled, moment(30)).unwrap());
    insta::assert_snapshot!([requeued, cancelled, again].map(|job| page(&job)).join("\n"));
}

#[test]
fn what_a_record_does_not_keep_is_said() {
    let attempt = Attempt {
        since: None,
        at: START,
        by: PROCESSOR.to_owned(),
        what: "release".to_owned(),
        why: "stopped".to_owned(),
        failed: false,
    };
    let job = Job {
        history: vec![attempt; HISTORY_MAX],
        ..job(1)
    };
    assert!(page(&job).contains("what came before the last 20 attempts is not kept"));
}

#[test]
fn a_forged_job_is_refused() {
    let foreign = Job { lane: None, ..job(1) };
    let next = [job(1), foreign].map(|job| tell(&job, false, NOW).pop().unwrap().text);
    insta::assert_snapshot!(next.join("\n"), @r"
    a fetcher refuses it: it is not what its client signed
    admit refuses it: it is not what its client signed
    ");
}
