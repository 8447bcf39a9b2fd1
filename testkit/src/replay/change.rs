//! Judges and makes the core's writes on the jobs of a replay, as the table would.

use roundtrip_core::job::{Job, Lane, LaneKind, Status};
use roundtrip_core::lifecycle::{Change, Term, Value, attribute as a};

use super::table::Row;

/// Whether a term of a condition holds.
pub(super) fn holds(row: Option<&Row>, term: &Term) -> bool {
    let Some(row) = row else {
        return match term {
            Term::Missing(_) => true,
            Term::Generation(generation) => *generation == 0,
            Term::Exists | Term::Is(..) | Term::Finished | Term::NotAfter(..) => false,
        };
    };
    let job = match &row.job {
        Ok(job) => Some(job),
        Err(malformed) if malformed.seen.contains(term) => return true,
        Err(_) => None,
    };
    match term {
        Term::Exists => true,
        Term::Missing(name) => match job {
            Some(job) => value(job, name).is_none(),
            // Of a record that is no job this is asked where nothing was seen: one that was refused is gone from here.
            None => *name == a::CLEANED,
        },
        Term::Is(name, wanted) => job.and_then(|job| value(job, name)).as_ref() == Some(wanted),
        Term::Generation(generation) => job.map_or(0, |job| job.retries) == *generation,
        Term::Finished => job.is_some_and(|job| job.status.is_finished()),
        Term::NotAfter(name, moment) => {
            let held = job.and_then(|job| value(job, name));
            matches!(held, Some(Value::Time(held)) if held <= *moment)
        }
    }
}

/// Makes a change whose condition holds.
pub(super) fn make(row: &mut Row, change: &Change) {
    let Ok(job) = &mut row.job else {
        if change.remove.contains(&a::LANE) {
            row.place = None;
        }
        return;
    };
    for (name, value) in &change.set {
        set(job, name, Some(value));
    }
    for name in &change.remove {
        set(job, name, None);
    }
}

/// An attribute of a job, as a write would set it.
fn value(job: &Job, name: &str) -> Option<Value> {
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    match name {
        a::CLIENT => Some(Value::Text(job.key.client.to_string())),
        a::FILE => Some(Value::Text(job.key.file.to_string())),
        a::STATUS => Some(Value::Text(job.status.as_str().to_owned())),
        a::PROCESSOR => text(&job.processor),
        a::ASSIGNED => job.assigned.map(Value::Time),
        a::DOWNLOADED => job.downloaded.map(Value::Time),
        a::PROCESSED => job.processed.map(Value::Time),
        a::CLEANING => job.cleaning.map(Value::Time),
        a::CLEANED => job.cleaned.map(Value::Time),
        a::RESULTS => text(&job.results),
        a::ERROR => text(&job.error),
        a::LANE => job.lane.map(|lane| Value::Text(lane.to_string())),
        a::DUE => job
            .due
            .map(|due| match (job.lane.map(|lane| lane.kind), job.priority) {
                (Some(LaneKind::Ready), 1..) => Value::Turn {
                    priority: job.priority,
                    due,
                },
                (Some(_) | None, _) => Value::Time(due),
            }),
        a::RETRIES => Some(Value::Number(job.retries.into())),
        a::FAILURES => Some(Value::Number(job.failures.into())),
        _ => None,
    }
}

fn set(job: &mut Job, name: &str, value: Option<&Value>) {
    let text = match value {
        Some(Value::Text(text)) => Some(text.clone()),
        None
        | Some(
            Value::Number(_) | Value::Time(_) | Value::Turn { .. } | Value::Expiry(_) | Value::History(_),
        ) => None,
    };
    let time = match value {
        Some(Value::Time(moment) | Value::Turn { due: moment, .. }) => Some(*moment),
        None | Some(Value::Text(_) | Value::Number(_) | Value::Expiry(_) | Value::History(_)) => None,
    };
    let number = match value {
        Some(Value::Number(number)) => u32::try_from(*number).unwrap_or(u32::MAX),
        None
        | Some(Value::Text(_) | Value::Time(_) | Value::Turn { .. } | Value::Expiry(_) | Value::History(_)) => {
            0
        }
    };
    match name {
        a::STATUS => job.status = text.as_deref().and_then(Status::parse).unwrap_or(job.status),
        a::PROCESSOR => job.processor = text,
        a::ASSIGNED => job.assigned = time,
        a::DOWNLOADED => job.downloaded = time,
        a::PROCESSED => job.processed = time,
        a::CLEANING => job.cleaning = time,
        a::CLEANED => job.cleaned = time,
        a::RESULTS => job.results = text,
        a::RESULTS_TYPE => job.results_type = text,
        a::ERROR => job.error = text,
        a::LANE => job.lane = text.as_deref().and_then(Lane::parse),
        a::DUE => job.due = time,
        a::RETRIES => job.retries = number,
        a::FAILURES => job.failures = number,
        a::HISTORY => {
            if let Some(Value::History(history)) = value {
                job.history.clone_from(history);
            }
        }
        _ => {}
    }
}
