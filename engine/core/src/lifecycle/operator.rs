//! What an operator may do to a job: end it, or have it taken again.
//!
//! Both take the job out of the hands of whoever holds it: `processor` is removed, so the next write of its
//! fetcher, a heartbeat at the latest, fails its condition, and the fetcher stops, discards and reports nothing.
//! That needs no fresh reading of the generation, and holds for foreign fetchers' claims too.

use super::{Change, Term, Value, Write, attribute as a, ended, queued_again, status_is};
use crate::at::Timestamp;
use crate::job::{Job, LaneKind, OPERATOR, OPERATOR_ASKED, Status, clip};

/// Why an operator's wish is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has its result.
    #[error("the job is completed")]
    Completed,
    /// It has its error.
    #[error("the job has ended with an error already")]
    Ended,
    /// Its chunks were deleted.
    #[error("the job's chunks are deleted already: the client has to send the file again")]
    Cleaned,
    /// A watcher has begun to delete its chunks.
    #[error("the job's chunks are being deleted: the client has to send the file again")]
    Cleaning,
    /// A foreign client's, not let in yet.
    #[error("the job is in no lane yet: the watcher's `admit` checks its signature and lets it in")]
    Outside,
    /// It waits for a fetcher as it is.
    #[error("the job may be taken already: it waits for a fetcher")]
    Ready,
}

/// Ends a job that is not finished: only if it is still where it was seen.
pub fn cancel(job: &Job, now: Timestamp, why: &str) -> Result<Change, Refusal> {
    match job.status {
        Status::Completed => return Err(Refusal::Completed),
        Status::Error => return Err(Refusal::Ended),
        Status::Queued | Status::Processing => {}
    }
    let why = if why.is_empty() {
        "cancelled by an operator".to_owned()
    } else {
        format!("cancelled by an operator: {why}")
    };
    let change = ended(
        Change::new(Write::Cancel, job, where_seen(job)),
        job,
        now,
        &clip(&why),
    );
    Ok(change
        .remove(&[a::PROCESSOR])
        .attempt(job, now, holder(job), &why))
}

/// Has a job taken again, with its failures forgotten: only if it is still where it was seen.
///
/// One that waits for a backoff may be taken at once, one that is held is taken from its fetcher, and one that
/// ended as an error begins anew until a watcher begins to delete its chunks. Where somebody had it the generation moves on, so
/// that no write sent before can pass for one of the next claim.
pub fn requeue(job: &Job, now: Timestamp) -> Result<Change, Refusal> {
    let mut only_if = where_seen(job);
    match job.status {
        Status::Completed => return Err(Refusal::Completed),
        Status::Error if job.cleaned.is_some() => return Err(Refusal::Cleaned),
        Status::Error if job.cleaning.is_some() => return Err(Refusal::Cleaning),
        // The watcher says so before it deletes the first chunk.
        Status::Error => only_if.extend([Term::Missing(a::CLEANING), Term::Missing(a::CLEANED)]),
        Status::Queued => match job.lane.map(|lane| lane.kind) {
            None => return Err(Refusal::Outside),
            Some(LaneKind::Ready) if job.due.is_none_or(|due| due <= now) => return Err(Refusal::Ready),
            Some(LaneKind::Ready | LaneKind::Leased | LaneKind::Done) => {}
        },
        Status::Processing => {}
    }
    let generation = u64::from(job.retries) + u64::from(job.processor.is_some());
    let change = queued_again(Change::new(Write::Requeue, job, only_if), job, now);
    Ok(change
        .set(a::RETRIES, Value::Number(generation))
        .set(a::FAILURES, Value::Number(0))
        .remove(&[a::ERROR, a::RESULTS, a::RESULTS_TYPE, a::PROCESSED])
        .attempt(job, now, holder(job), OPERATOR_ASKED))
}

/// Status, processor, generation and lane as seen. A heartbeat moves none of them, so that it cannot get in the
/// way; every ending and every claim moves one.
fn where_seen(job: &Job) -> Vec<Term> {
    let seen = |attribute, value: Option<String>| match value {
        Some(value) => Term::Is(attribute, Value::Text(value)),
        None => Term::Missing(attribute),
    };
    vec![
        status_is(job.status),
        seen(a::PROCESSOR, job.processor.clone()),
        Term::Generation(job.retries),
        seen(a::LANE, job.lane.map(|lane| lane.to_string())),
    ]
}

/// Whose attempt ends here.
fn holder(job: &Job) -> &str {
    match job.status {
        Status::Processing => job.processor.as_deref().unwrap_or(OPERATOR),
        Status::Queued | Status::Completed | Status::Error => OPERATOR,
    }
}

#[cfg(test)]
mod tests;
