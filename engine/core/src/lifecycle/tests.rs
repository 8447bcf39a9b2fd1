use std::fmt::Write as _;

use super::*;
use crate::fixture::{PROCESSOR, Record, START, claimed, completed, job, key, lane, seconds};
use crate::job::{Attempt, HISTORY_MAX};
use crate::job::{PRIORITY_MAX, TEXT_BYTES_MAX};

const LEASE: Duration = Duration::from_secs(300);

/// Moments of the snapshot, by their distance from the start.
const NOW: Timestamp = Timestamp(START.0 + 7_000);
const DUE: Timestamp = Timestamp(START.0 + 9_000);

fn value(value: &Value) -> String {
    let seconds = |at: &Timestamp| format!("start + {} s", at.since(START).as_secs());
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Time(at) => seconds(at),
        Value::Turn { priority, due } => format!("{} with priority {priority}", seconds(due)),
        Value::Expiry(at) => format!("TTL {}", seconds(at)),
        Value::History(attempts) => {
            let attempts = attempts.iter().map(
                |Attempt {
                     since,
                     at,
                     by,
                     what,
                     why,
                     failed,
                 }| {
                    let since = since.as_ref().map(seconds).unwrap_or_default();
                    let failed = if *failed { " failed" } else { "" };
                    format!("[{since} to {} {by} {what} {why:?}{failed}]", seconds(at))
                },
            );
            attempts.collect::<Vec<_>>().join(" ")
        }
    }
}

fn term(term: &Term) -> String {
    match term {
        Term::Exists => "there is a record".to_owned(),
        Term::Missing(name) => format!("no {name}"),
        Term::Is(name, wanted) => format!("{name} = {}", value(wanted)),
        Term::Generation(generation) => format!("generation = {generation}"),
        Term::Finished => "finished".to_owned(),
        Term::NotAfter(name, moment) => format!("{name} <= {}", value(&Value::Time(*moment))),
    }
}

pub(super) fn render(change: &Change) -> String {
    let mut text = format!("{}\n", change.write.as_str());
    let terms: Vec<_> = change.only_if.iter().map(term).collect();
    writeln!(text, "  only if {}", terms.join(" and ")).unwrap();
    for (name, wanted) in &change.set {
        writeln!(text, "  {name} = {}", value(wanted)).unwrap();
    }
    if !change.remove.is_empty() {
        writeln!(text, "  without {}", change.remove.join(", ")).unwrap();
    }
    text
}

fn held() -> Job {
    Job {
        retries: 2,
        failures: 1,
        ..claimed(1, PROCESSOR, LEASE)
    }
}

#[test]
fn every_write_and_its_condition() {
    let (queued, held, done) = (job(1), held(), completed(1));
    let foreign = Job {
        lane: None,
        due: None,
        ..job(1)
    };
    let moved = Job {
        lane: queued.lane,
        due: queued.due,
        ..claimed(1, "theirs", LEASE)
    };
    let lane = queued.lane.unwrap();
    let changes = [
        create(&queued),
        claim(&queued, PROCESSOR, NOW, LEASE),
        heartbeat(&held, PROCESSOR, NOW, LEASE),
        downloaded(&held, PROCESSOR, NOW),
        complete(&held, PROCESSOR, NOW, "04:iv:tag:text", Some("text/plain")),
        complete(&held, PROCESSOR, NOW, "04:iv:tag:text", None),
        fail(&held, PROCESSOR, NOW, 2, "not an image"),
        release(&held, PROCESSOR, NOW, DUE, 2, "out of memory"),
        requeue(&held, NOW, DUE, "no heartbeat"),
        give_up(&held, NOW, "too many were lost"),
        close(&queued, lane, NOW, PROCESSOR, "never complete"),
        close(
            &foreign,
            Lane {
                kind: LaneKind::Done,
                shard: 5,
            },
            NOW,
            PROCESSOR,
            "never complete",
        ),
        cleaning(&done, NOW),
        cleaned(&done, NOW, seconds(100)),
        keep(&done, DUE),
        admit(&foreign, NOW, 5),
        adopt(&moved, lane.of(LaneKind::Leased), DUE),
        refuse(&queued, NOW, PROCESSOR, "forged"),
        refuse_malformed(RecordKey::from(&key(1)), Vec::new(), NOW, "no bucket"),
    ];
    let table: Vec<_> = changes.iter().map(render).collect();
    insta::assert_snapshot!(table.join("\n"));
}

/// A record after these writes, each of which must pass.
fn after(changes: &[Change]) -> Record {
    let mut record = Record::default();
    for change in changes {
        assert!(record.apply(change), "{}", render(change));
    }
    record
}

fn won() -> [Change; 2] {
    [create(&job(1)), claim(&job(1), PROCESSOR, START, LEASE)]
}

fn writes_of_a_holder(held: &Job) -> [Change; 5] {
    [
        heartbeat(held, PROCESSOR, NOW, LEASE),
        downloaded(held, PROCESSOR, NOW),
        complete(held, PROCESSOR, NOW, "04:iv:tag:text", None),
        fail(held, PROCESSOR, NOW, 1, "why"),
        release(held, PROCESSOR, NOW, DUE, 1, "why"),
    ]
}

#[test]
fn a_job_is_created_and_claimed_once() {
    let mut record = after(&won());
    assert!(!record.apply(&create(&job(1))));
    assert!(!record.apply(&claim(&job(1), "processor-2", NOW, LEASE)));
    assert_eq!(record.text(attribute::PROCESSOR), Some(PROCESSOR));
}

#[test]
fn a_holder_may_write_while_its_claim_holds() {
    let held = claimed(1, PROCESSOR, LEASE);
    for change in writes_of_a_holder(&held) {
        assert!(after(&won()).apply(&change), "{}", render(&change));
    }
}

/// Whatever ended the claim, a write of its holder that comes late changes nothing: two results are never committed,
/// an error is never followed by a result, and a finished job is never given back.
#[test]
fn a_late_write_of_a_holder_is_lost() {
    let held = claimed(1, PROCESSOR, LEASE);
    let endings = [
        complete(&held, PROCESSOR, NOW, "04:first", None),
        fail(&held, PROCESSOR, NOW, 1, "why"),
        release(&held, PROCESSOR, NOW, DUE, 0, "why"),
        requeue(&held, NOW, DUE, "why"),
        give_up(&held, NOW, "why"),
    ];
    for ending in &endings {
        let ended = after(&[won().as_slice(), std::slice::from_ref(ending)].concat());
        for late in writes_of_a_holder(&held) {
            assert!(
                !ended.clone().apply(&late),
                "{} after {}",
                late.write.as_str(),
                ending.write.as_str()
            );
        }
    }
}

/// A claim that the network delivers once more, behind its own end, must not bring itself back to life.
#[test]
fn a_claim_that_comes_late_takes_nothing() {
    let held = claimed(1, PROCESSOR, LEASE);
    for ending in [
        release(&held, PROCESSOR, NOW, DUE, 1, "why"),
        requeue(&held, NOW, DUE, "why"),
    ] {
        let mut record = after(&[won().as_slice(), &[ending]].concat());
        assert!(!record.apply(&won()[1]));
    }
}

/// A heartbeat that the network delivers behind a later one must not end the lease that is kept.
#[test]
fn a_heartbeat_that_comes_late_takes_nothing_back() {
    let held = claimed(1, PROCESSOR, LEASE);
    let beat = |after: u64| heartbeat(&held, PROCESSOR, START + seconds(after), LEASE);
    let mut record = after(&[won().as_slice(), &[beat(1), beat(8)]].concat());
    assert!(!record.apply(&beat(7)));
    assert!(record.apply(&beat(8)), "a repeated request");
    assert!(record.apply(&beat(9)));
    // By a clock that was set back the lease ends earlier than the record says.
    assert!(record.apply(&heartbeat_anew(&held, PROCESSOR, START, LEASE)));
}

/// The next claim by the same processor is another generation once the watcher took the job from it.
#[test]
fn a_generation_fences_the_earlier_claim() {
    let held = claimed(1, PROCESSOR, LEASE);
    let requeued = requeue(&held, NOW, NOW, "why");
    let again = Job {
        retries: 1,
        due: Some(NOW),
        ..job(1)
    };
    let taken = claim(&again, PROCESSOR, NOW, LEASE);
    let record = after(&[won().as_slice(), &[requeued, taken]].concat());
    for late in writes_of_a_holder(&held) {
        assert!(!record.clone().apply(&late), "{}", late.write.as_str());
    }
    let holding = Job {
        retries: 1,
        assigned: Some(NOW),
        ..held
    };
    for own in writes_of_a_holder(&holding) {
        assert!(record.clone().apply(&own), "{}", own.write.as_str());
    }
}

/// A job that was given back is of the same generation still: what the network delivers late of the first claim must
/// not pass for a write of the second one by the same processor.
#[test]
fn a_claim_fences_an_earlier_one_of_the_same_generation() {
    let held = claimed(1, PROCESSOR, LEASE);
    let given_back = release(&held, PROCESSOR, NOW, NOW, 1, "why");
    let waiting = Job {
        due: Some(NOW),
        ..job(1)
    };
    let taken = claim(&waiting, PROCESSOR, NOW, LEASE);
    let record = after(&[won().as_slice(), &[given_back, taken]].concat());
    for late in writes_of_a_holder(&held) {
        assert!(!record.clone().apply(&late), "{}", late.write.as_str());
    }
}

/// The watcher's view may be old: a job whose holder was heard of since, or that ended in the very millisecond its
/// lease ran out, is left alone.
#[test]
fn the_watcher_takes_only_what_is_as_it_saw_it() {
    let seen = claimed(1, PROCESSOR, LEASE);
    let lease_end = START + LEASE;
    let meanwhile = [
        heartbeat(&seen, PROCESSOR, NOW, LEASE),
        complete(&seen, PROCESSOR, lease_end, "04:iv:tag:text", None),
        fail(&seen, PROCESSOR, lease_end, 1, "why"),
        release(&seen, PROCESSOR, NOW, lease_end, 0, "why"),
    ];
    for written in &meanwhile {
        let record = after(&[won().as_slice(), std::slice::from_ref(written)].concat());
        for late in [requeue(&seen, NOW, NOW, "why"), give_up(&seen, NOW, "why")] {
            assert!(!record.clone().apply(&late), "after {}", written.write.as_str());
        }
    }
    assert!(after(&won()).apply(&requeue(&seen, NOW, NOW, "why")));
}

#[test]
fn only_a_finished_job_is_cleaned() {
    let held = claimed(1, PROCESSOR, LEASE);
    let mut record = after(&won());
    assert!(!record.apply(&cleaned(&held, NOW, seconds(1))));
    assert!(!record.apply(&keep(&held, DUE)));
    assert!(record.apply(&complete(&held, PROCESSOR, NOW, "04:iv:tag:text", None)));
    assert!(record.apply(&cleaned(&held, NOW, seconds(1))));
    assert_eq!(record.text(attribute::LANE), None);
}

#[test]
fn a_record_that_is_no_job_is_refused_once_and_never_made() {
    let refusal = refuse_malformed(RecordKey::from(&key(1)), Vec::new(), NOW, "no bucket");
    assert!(!Record::default().apply(&refusal));
    let mut record = after(&[create(&job(1))]);
    assert!(record.apply(&refusal));
    assert!(!record.apply(&refusal));
}

/// Also one that says it was cleaned already.
#[test]
fn a_record_that_is_no_job_is_refused_as_it_was_seen() {
    let is = |status: Status| Term::Is(attribute::STATUS, Value::Text(status.as_str().to_owned()));
    let refusal = |seen| refuse_malformed(RecordKey::from(&key(1)), vec![seen], NOW, "no bucket");
    let mut record = after(&[create(&job(1))]);
    record.0.insert(attribute::CLEANED, Value::Time(NOW));
    assert!(record.apply(&refusal(is(Status::Queued))));
    assert!(!record.apply(&refusal(is(Status::Queued))), "once");

    let held = claimed(1, PROCESSOR, LEASE);
    let mut record = after(&won());
    assert!(record.apply(&complete(&held, PROCESSOR, NOW, "04:iv:tag:text", None)));
    assert!(
        !record.apply(&refusal(is(Status::Processing))),
        "it has its result"
    );
}

#[test]
fn a_release_gives_the_job_to_anyone() {
    let held = claimed(1, PROCESSOR, LEASE);
    let released = release(&held, PROCESSOR, NOW, DUE, 0, "why");
    let waiting = Job {
        due: Some(DUE),
        ..job(1)
    };
    let taken = claim(&waiting, "processor-2", DUE, LEASE);
    let record = after(&[won().as_slice(), &[released, taken]].concat());
    assert_eq!(record.text(attribute::PROCESSOR), Some("processor-2"));
}

#[test]
fn a_history_keeps_the_latest_attempts_and_the_start_of_each_reason() {
    let mut held = claimed(1, PROCESSOR, LEASE);
    let history = |change: &Change| {
        let found = change.set.iter().find_map(|(_, value)| match value {
            Value::History(attempts) => Some(attempts.clone()),
            Value::Text(_) | Value::Number(_) | Value::Time(_) | Value::Turn { .. } | Value::Expiry(_) => {
                None
            }
        });
        found.unwrap()
    };
    let long = "ü".repeat(TEXT_BYTES_MAX);
    for attempt in 0..50 {
        let change = release(&held, PROCESSOR, NOW, DUE, 0, &format!("{attempt} {long}"));
        held.history = history(&change);
    }
    assert_eq!(held.history.len(), HISTORY_MAX);
    assert!(held.history.first().unwrap().why.starts_with("30 ü"));
    assert!(held.history.last().unwrap().why.starts_with("49 ü"));
    // With the largest result inside, an item of 400 KB still has room for the eight signed attributes.
    let bytes: usize = held
        .history
        .iter()
        .map(|attempt| attempt.why.len() + attempt.by.len() + 100)
        .sum();
    assert!(bytes <= 35_000, "{bytes}");
    let failed = fail(&held, PROCESSOR, NOW, 1, &long);
    let error = failed.set.iter().find(|(name, _)| *name == attribute::ERROR);
    assert_eq!(error.unwrap().1, Value::Text("ü".repeat(TEXT_BYTES_MAX / 2)));
}

/// A priority decides only where a job waits to be taken, and comes back with it.
#[test]
fn a_priority_is_a_place_in_the_ready_lane_alone() {
    let urgent = |job: Job| Job { priority: 7, ..job };
    let due = |change: &Change| {
        let due = change.set.iter().find(|(name, _)| *name == attribute::DUE);
        due.unwrap().1.clone()
    };
    let turn = |due| Value::Turn { priority: 7, due };
    let created = create(&urgent(job(1)));
    assert!(created.set.contains(&(attribute::PRIORITY, Value::Number(7))));
    assert_eq!(due(&created), turn(START));
    assert_eq!(
        due(&claim(&urgent(job(1)), PROCESSOR, NOW, LEASE)),
        Value::Time(NOW + LEASE)
    );
    let held = urgent(claimed(1, PROCESSOR, LEASE));
    assert_eq!(due(&release(&held, PROCESSOR, NOW, DUE, 0, "why")), turn(DUE));
    assert_eq!(due(&requeue(&held, NOW, DUE, "why")), turn(DUE));
    assert_eq!(
        due(&complete(&held, PROCESSOR, NOW, "04", None)),
        Value::Time(NOW)
    );
    let foreign = Job {
        lane: None,
        due: None,
        ..urgent(job(1))
    };
    assert_eq!(due(&admit(&foreign, NOW, 3)), turn(NOW));
    // What the watcher saw is spelled as it stands in the record.
    let moved = urgent(Job {
        status: Status::Processing,
        ..job(1)
    });
    let adopted = adopt(
        &moved,
        Lane {
            kind: LaneKind::Leased,
            shard: 3,
        },
        DUE,
    );
    assert!(adopted.only_if.contains(&Term::Is(attribute::DUE, turn(START))));
    assert_eq!(
        create(&job(1))
            .set
            .iter()
            .find(|(name, _)| *name == attribute::PRIORITY),
        None
    );
}

/// An upload is closed wherever its job waits, and only as the watcher saw it wait.
#[test]
fn a_waiting_job_is_closed_whatever_its_priority() {
    let done = lane(LaneKind::Done);
    for priority in [0, 1, PRIORITY_MAX] {
        let seen = Job { priority, ..job(1) };
        let closing = close(&seen, done, NOW, PROCESSOR, "never complete");
        let mut record = after(&[create(&seen)]);
        assert!(record.apply(&closing), "priority {priority}");
        assert_eq!(record.text(attribute::LANE), Some(&*done.to_string()));

        let held = Job {
            priority,
            ..claimed(1, PROCESSOR, LEASE)
        };
        let taken = claim(&seen, PROCESSOR, START, LEASE);
        let mut record = after(&[create(&seen), taken.clone()]);
        assert!(!record.apply(&closing), "it is held, priority {priority}");
        let given_back = release(&held, PROCESSOR, NOW, DUE, 0, "why");
        let mut record = after(&[create(&seen), taken, given_back]);
        assert!(!record.apply(&closing), "it was held since, priority {priority}");
    }
}
