//! What must still hold for a write: that nobody else was first.

use super::attribute as a;
use super::change::{Term, Value, place};
use crate::job::{Job, Status};

pub(super) fn status_is(status: Status) -> Term {
    Term::Is(a::STATUS, Value::Text(status.as_str().to_owned()))
}

/// Still held by this processor, in this generation, by this claim. The status keeps a late write off a job that
/// ended: giving up leaves processor and generation as they were. The moment of the claim keeps a write that the
/// network delivers late off a later claim of the same processor: giving a job back leaves the generation as it was.
pub(super) fn still_mine(job: &Job, processor: &str) -> Vec<Term> {
    vec![
        status_is(Status::Processing),
        Term::Is(a::PROCESSOR, Value::Text(processor.to_owned())),
        Term::Generation(job.retries),
        seen(a::ASSIGNED, job.assigned.map(Value::Time)),
    ]
}

/// The attribute has this value, or is not there where it has none.
pub(super) fn seen(attribute: &'static str, value: Option<Value>) -> Term {
    match value {
        Some(value) => Term::Is(attribute, value),
        None => Term::Missing(attribute),
    }
}

/// Exactly as the watcher saw it: same status, processor, generation and due time. Without the status, a job that
/// was completed in the millisecond its lease ended would look the same.
pub(super) fn as_seen(job: &Job) -> Vec<Term> {
    vec![
        status_is(job.status),
        seen(a::PROCESSOR, job.processor.clone().map(Value::Text)),
        Term::Generation(job.retries),
        seen(
            a::DUE,
            job.due.map(|due| match job.lane {
                Some(lane) => place(job, lane.kind, due),
                None => Value::Time(due),
            }),
        ),
    ]
}
