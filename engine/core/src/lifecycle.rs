//! Every write to a job record, and the condition it holds under.
//!
//! The functions here are the only place where a write is made. A [`Change`] says what to set and what must
//! still be true; the engine translates it into one conditional DynamoDB request, and the simulator judges it
//! directly. A change whose condition does not hold is an answer: someone else was first.

use std::time::Duration;

use crate::at::Timestamp;
use crate::job::{Job, Lane, LaneKind, Status, clip};
use crate::record::RESULTS_TYPE_BYTES_MAX;

pub mod attribute;
mod change;
mod condition;
pub mod operator;

use attribute as a;
pub use change::{Change, RecordKey, Term, Value, Write};
use condition::{as_seen, seen, status_is, still_mine};

/// How long a record that is no job is kept, with the reason, for whoever looks into it.
const MALFORMED_KEPT: Duration = Duration::from_hours(30 * 24);

/// The client makes the job: only if there is none under this key.
pub fn create(job: &Job) -> Change {
    let change = Change::new(Write::Create, job, vec![Term::Missing(a::CLIENT)])
        .status(job.status)
        .text(a::VERSION, &*job.version)
        .text(a::CREATED, &*job.created)
        .text(a::BUCKET, &*job.bucket)
        .set(a::CHUNKS, Value::Number(job.chunks))
        .text(a::SIGNATURE, &*job.signature);
    let change = [
        (a::OUTLINE, &job.outline),
        (a::OUTLINE_SIGNATURE, &job.outline_signature),
    ]
    .into_iter()
    .fold(change, |change, (name, text)| match text {
        Some(text) => change.text(name, &**text),
        None => change,
    });
    let change = if job.priority > 0 {
        change.set(a::PRIORITY, Value::Number(job.priority.into()))
    } else {
        change
    };
    match (job.lane, job.due) {
        (Some(lane), Some(due)) => change.lane(job, lane, due),
        (None, _) | (_, None) => change,
    }
}

/// A fetcher takes the job: only if nobody has it and it waits exactly where and since when it was seen. A claim that the
/// network delivers late, behind the end of the same claim, would else bring that claim back to life, and with it every
/// late write under it.
pub fn claim(job: &Job, processor: &str, now: Timestamp, lease: Duration) -> Change {
    let waiting = Job {
        status: Status::Queued,
        processor: None,
        ..job.clone()
    };
    Change::new(Write::Claim, job, as_seen(&waiting))
        .status(Status::Processing)
        .text(a::PROCESSOR, processor)
        .set(a::ASSIGNED, Value::Time(now))
        .lane(job, lane_of(job, LaneKind::Leased), now + lease)
}

/// The fetcher is still at it: moves the end of the lease on, never back. One that the network delivers late, behind a
/// later one, would else end a lease that is kept.
pub fn heartbeat(job: &Job, processor: &str, now: Timestamp, lease: Duration) -> Change {
    let mut only_if = still_mine(job, processor);
    only_if.push(Term::NotAfter(a::DUE, now + lease));
    Change::new(Write::Heartbeat, job, only_if).set(a::DUE, Value::Time(now + lease))
}

/// The same after the fetcher's clock was set back: the lease ends by the new time, which may be earlier.
pub fn heartbeat_anew(job: &Job, processor: &str, now: Timestamp, lease: Duration) -> Change {
    Change::new(Write::Heartbeat, job, still_mine(job, processor)).set(a::DUE, Value::Time(now + lease))
}

/// The fetcher has the whole file, proven.
pub fn downloaded(job: &Job, processor: &str, now: Timestamp) -> Change {
    Change::new(Write::Downloaded, job, still_mine(job, processor)).set(a::DOWNLOADED, Value::Time(now))
}

/// The fetcher commits the result: the sealed text, or the object it lies in.
pub fn complete(
    job: &Job,
    processor: &str,
    now: Timestamp,
    results: &str,
    results_type: Option<&str>,
) -> Change {
    let change = Change::new(Write::Complete, job, still_mine(job, processor))
        .status(Status::Completed)
        .text(a::RESULTS, results)
        .set(a::PROCESSED, Value::Time(now))
        .lane(job, lane_of(job, LaneKind::Done), now)
        .remove(&[a::ERROR])
        .with_download(job)
        .attempt(job, now, processor, "");
    match results_type.filter(|name| name.len() <= RESULTS_TYPE_BYTES_MAX) {
        Some(results_type) => change.text(a::RESULTS_TYPE, results_type),
        None => change.remove(&[a::RESULTS_TYPE]),
    }
}

/// The fetcher commits the error.
pub fn fail(job: &Job, processor: &str, now: Timestamp, failures: u32, error: &str) -> Change {
    ended(
        Change::new(Write::Fail, job, still_mine(job, processor)),
        job,
        now,
        error,
    )
    .set(a::FAILURES, Value::Number(failures.into()))
    .with_download(job)
    .attempt(job, now, processor, error)
}

/// The fetcher gives the job back, to be taken from `due` on.
pub fn release(
    job: &Job,
    processor: &str,
    now: Timestamp,
    due: Timestamp,
    failures: u32,
    why: &str,
) -> Change {
    queued_again(
        Change::new(Write::Release, job, still_mine(job, processor)),
        job,
        due,
    )
    .set(a::FAILURES, Value::Number(failures.into()))
    .attempt(job, now, processor, why)
}

/// The watcher takes the job from a lost fetcher: only if it is exactly as seen.
pub fn requeue(job: &Job, now: Timestamp, due: Timestamp, why: &str) -> Change {
    queued_again(Change::new(Write::Requeue, job, as_seen(job)), job, due)
        .set(a::RETRIES, Value::Number(u64::from(job.retries) + 1))
        .attempt(job, now, job.processor.as_deref().unwrap_or_default(), why)
}

/// The watcher ends a job too many fetchers were lost on: only if it is exactly as seen.
pub fn give_up(job: &Job, now: Timestamp, error: &str) -> Change {
    ended(Change::new(Write::GiveUp, job, as_seen(job)), job, now, error).attempt(
        job,
        now,
        job.processor.as_deref().unwrap_or_default(),
        error,
    )
}

/// The watcher ends a waiting job whose upload never became complete: only if nobody holds it, and it waits exactly
/// where and since when it was seen. `lane` is the one it goes to.
pub fn close(job: &Job, lane: Lane, now: Timestamp, by: &str, error: &str) -> Change {
    let waiting = Job {
        status: Status::Queued,
        processor: None,
        ..job.clone()
    };
    let mut only_if = as_seen(&waiting);
    only_if.push(seen(a::LANE, job.lane.map(|lane| Value::Text(lane.to_string()))));
    let placed = Job {
        lane: Some(lane),
        ..waiting
    };
    ended(Change::new(Write::GiveUp, job, only_if), &placed, now, error).attempt(job, now, by, error)
}

/// The watcher is about to delete the objects of a job that ended as an error: from here on no operator has it taken
/// again. Only while it is an error, whichever: one that was requeued meanwhile needs its objects. A job that is
/// completed stays so, and needs no such write.
pub fn cleaning(job: &Job, now: Timestamp) -> Change {
    let only_if = vec![status_is(Status::Error), Term::Missing(a::CLEANED)];
    Change::new(Write::Cleaning, job, only_if).set(a::CLEANING, Value::Time(now))
}

/// The watcher deleted the job's objects; the record goes after the retention.
pub fn cleaned(job: &Job, now: Timestamp, retention: Duration) -> Change {
    Change::new(Write::Cleaned, job, vec![Term::Finished])
        .set(a::CLEANED, Value::Time(now))
        .set(a::EXPIRES, Value::Expiry(now + retention))
        .remove(&[a::LANE, a::DUE])
}

/// The watcher looks again at `due`: the result still waits in the bucket for its client. Not where another watcher
/// has cleaned it meanwhile: that record waits for nothing any more.
pub fn keep(job: &Job, due: Timestamp) -> Change {
    let only_if = vec![Term::Finished, Term::Missing(a::CLEANED)];
    Change::new(Write::Keep, job, only_if).set(a::DUE, Value::Time(due))
}

/// The watcher lets in a job that has no lane.
pub fn admit(job: &Job, now: Timestamp, shard: u32) -> Change {
    let only_if = vec![
        Term::Missing(a::LANE),
        Term::Missing(a::PROCESSOR),
        status_is(Status::Queued),
    ];
    Change::new(Write::Admit, job, only_if).lane(
        job,
        Lane {
            kind: LaneKind::Ready,
            shard,
        },
        now,
    )
}

/// The watcher gives a job that a foreign fetcher moved the lane it should be in.
pub fn adopt(job: &Job, lane: Lane, due: Timestamp) -> Change {
    Change::new(Write::Adopt, job, as_seen(job)).lane(job, lane, due)
}

/// A queued job that is not what its client signed is ended.
pub fn refuse(job: &Job, now: Timestamp, by: &str, why: &str) -> Change {
    let only_if = vec![Term::Missing(a::PROCESSOR), status_is(Status::Queued)];
    ended(Change::new(Write::Refuse, job, only_if), job, now, why).attempt(job, now, by, why)
}

/// A record whose names or types do not hold is ended where it stands: nothing under such a name is touched. Only as it
/// was `seen`: whoever holds it may have completed it meanwhile. Where nothing of that can be said, only once.
pub fn refuse_malformed(key: RecordKey, seen: Vec<Term>, now: Timestamp, why: &str) -> Change {
    let once = seen.is_empty().then_some(Term::Missing(a::CLEANED));
    let only_if = [Term::Exists].into_iter().chain(seen).chain(once);
    Change {
        write: Write::Refuse,
        key,
        only_if: only_if.collect(),
        set: vec![
            (a::STATUS, Value::Text(Status::Error.as_str().to_owned())),
            (a::ERROR, Value::Text(clip(why))),
            (a::PROCESSED, Value::Time(now)),
            (a::CLEANED, Value::Time(now)),
            (a::EXPIRES, Value::Expiry(now + MALFORMED_KEPT)),
        ],
        remove: vec![a::LANE, a::DUE],
    }
}

/// A record that is larger than every later write has room for is ended where it stands. It gives up what only an open
/// job needs, so that the error has room; its client still reads it.
pub fn refuse_too_large(key: RecordKey, seen: Vec<Term>, now: Timestamp, why: &str) -> Change {
    let refusal = refuse_malformed(key, seen, now, why).text(a::SIGNATURE, "-");
    refusal.remove(&[
        a::OUTLINE,
        a::OUTLINE_SIGNATURE,
        a::RESULTS,
        a::RESULTS_TYPE,
        a::HISTORY,
    ])
}

/// This lane of the job's shard, or of the first where it has none.
pub(crate) fn lane_of(job: &Job, kind: LaneKind) -> Lane {
    job.lane.map_or(Lane { kind, shard: 0 }, |lane| lane.of(kind))
}

fn ended(change: Change, job: &Job, now: Timestamp, error: &str) -> Change {
    change
        .status(Status::Error)
        .text(a::ERROR, clip(error))
        .set(a::PROCESSED, Value::Time(now))
        .lane(job, lane_of(job, LaneKind::Done), now)
}

fn queued_again(change: Change, job: &Job, due: Timestamp) -> Change {
    change
        .status(Status::Queued)
        .lane(job, lane_of(job, LaneKind::Ready), due)
        .remove(&[a::PROCESSOR, a::ASSIGNED, a::DOWNLOADED])
}

#[cfg(test)]
mod tests;
