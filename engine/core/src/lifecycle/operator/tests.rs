//! What an operator may do, by status and lane; and that a holder loses the job by it.

use std::time::Duration;

use super::super::tests::render;
use super::super::{claim, cleaned, cleaning, complete, create, fail, heartbeat};
use super::*;
use crate::fixture::{PROCESSOR, Record, START, claimed, completed, job, seconds};

const NOW: Timestamp = Timestamp(START.0 + 7_000);
const LEASE: Duration = Duration::from_secs(300);

fn failed() -> Job {
    Job {
        status: Status::Error,
        error: Some("out of memory".to_owned()),
        failures: 3,
        ..completed(1)
    }
}

fn jobs() -> Vec<(&'static str, Job)> {
    let later = Some(NOW + seconds(1));
    let foreign = Job {
        lane: None,
        due: None,
        ..job(1)
    };
    vec![
        ("queued and due", job(1)),
        ("queued, due later", Job { due: later, ..job(1) }),
        ("queued, in no lane", foreign),
        (
            "held",
            Job {
                retries: 2,
                failures: 1,
                ..claimed(1, PROCESSOR, LEASE)
            },
        ),
        (
            "held by a foreign fetcher",
            Job {
                lane: None,
                due: None,
                ..claimed(1, "theirs", LEASE)
            },
        ),
        ("completed", completed(1)),
        ("failed, its chunks there", failed()),
        (
            "failed, its chunks being deleted",
            Job {
                cleaning: Some(START),
                ..failed()
            },
        ),
        (
            "failed and cleaned",
            Job {
                lane: None,
                due: None,
                cleaned: Some(START),
                ..failed()
            },
        ),
    ]
}

fn answer(answer: Result<Change, Refusal>) -> String {
    match answer {
        Ok(change) => render(&change),
        Err(refusal) => format!("refused: {refusal}\n"),
    }
}

#[test]
fn every_wish_in_every_state() {
    let table: Vec<String> = jobs()
        .iter()
        .map(|(state, job)| {
            let cancel = answer(cancel(job, NOW, "wrong file"));
            let requeue = answer(requeue(job, NOW));
            format!("== {state} ==\n{cancel}{requeue}")
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

/// The record and the job of a claim that was won at the start.
fn held() -> (Record, Job) {
    let mut record = Record::default();
    assert!(record.apply(&create(&job(1))));
    assert!(record.apply(&claim(&job(1), PROCESSOR, START, LEASE)));
    (record, claimed(1, PROCESSOR, LEASE))
}

#[test]
fn a_holder_loses_the_job_with_its_next_heartbeat() {
    for change in [cancel, |job: &Job, now, _: &str| requeue(job, now)] {
        let (mut record, held) = held();
        let change = change(&held, NOW, "").unwrap();
        assert!(record.apply(&heartbeat(&held, PROCESSOR, NOW, LEASE)));
        assert!(record.apply(&change), "a heartbeat does not get in the way");
        assert!(!record.apply(&heartbeat(&held, PROCESSOR, NOW, LEASE)));
        assert!(!record.apply(&complete(&held, PROCESSOR, NOW, "04:late", None)));
    }
}

#[test]
fn a_job_that_moved_is_left_alone() {
    let (mut record, held) = held();
    assert!(record.apply(&complete(&held, PROCESSOR, NOW, "04:iv:tag:text", None)));
    assert!(!record.apply(&cancel(&held, NOW, "").unwrap()));
    assert!(!record.apply(&requeue(&held, NOW).unwrap()));
}

#[test]
fn a_requeued_job_is_not_cleaned_and_a_cleaned_one_not_requeued() {
    let (mut record, held) = held();
    assert!(record.apply(&fail(&held, PROCESSOR, NOW, 1, "why")));
    let ended = Job {
        status: Status::Error,
        lane: held.lane.map(|lane| lane.of(LaneKind::Done)),
        ..held
    };
    let (again, clean) = (requeue(&ended, NOW).unwrap(), cleaned(&ended, NOW, LEASE));
    let mut other = record.clone();
    assert!(record.apply(&again));
    assert!(!record.apply(&clean));
    assert!(other.apply(&clean));
    assert!(!other.apply(&again));
}

/// The chunks are deleted between the two writes of the watcher: whoever is first keeps the other out, whatever either
/// has seen.
#[test]
fn a_requeued_job_keeps_its_chunks_and_one_that_is_being_cleaned_is_not_requeued() {
    let (mut record, held) = held();
    assert!(record.apply(&fail(&held, PROCESSOR, NOW, 1, "why")));
    let ended = Job {
        status: Status::Error,
        lane: held.lane.map(|lane| lane.of(LaneKind::Done)),
        ..held
    };
    let (again, mark) = (requeue(&ended, NOW).unwrap(), cleaning(&ended, NOW));
    let mut other = record.clone();
    assert!(record.apply(&again));
    assert!(!record.apply(&mark));
    assert!(other.apply(&mark));
    assert!(!other.apply(&again));
    assert!(other.apply(&mark), "a repeated request, or another watcher");
    assert!(other.apply(&cleaned(&ended, NOW, LEASE)));
    assert!(!other.apply(&mark) && !other.apply(&again));
}

#[test]
fn a_write_of_the_earlier_claim_does_not_pass_for_one_of_the_next() {
    let (mut record, held) = held();
    assert!(record.apply(&requeue(&held, NOW).unwrap()));
    let waiting = Job {
        retries: held.retries + 1,
        due: Some(NOW),
        ..job(1)
    };
    assert!(record.apply(&claim(&waiting, PROCESSOR, NOW, LEASE)));
    assert!(!record.apply(&complete(&held, PROCESSOR, NOW, "04:late", None)));
}
