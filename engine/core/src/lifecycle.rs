//! Every write to a job record, and the condition it holds under.
//!
//! The functions here are the only place where a write is made. A [`Change`] says what to set and what must
//! still be true; the engine translates it into one conditional DynamoDB request, and the simulator judges it
//! directly. A change whose condition does not hold is an answer: someone else was first.

use std::time::Duration;

use crate::at::Timestamp;
use crate::job::{Attempt, HISTORY_MAX, Job, Lane, LaneKind, Status, clip};
use crate::names::JobKey;

/// Attribute names, as they stand in a record.
pub mod attribute {
    #![expect(missing_docs, reason = "each constant is its own name in the record")]
    pub const STATUS: &str = "status";
    pub const VERSION: &str = "version";
    pub const CREATED: &str = "created";
    pub const BUCKET: &str = "bucket";
    pub const FILE: &str = "file";
    pub const CHUNKS: &str = "chunks";
    pub const CLIENT: &str = "client";
    pub const SIGNATURE: &str = "signature";
    pub const PROCESSOR: &str = "processor";
    pub const ASSIGNED: &str = "assigned";
    pub const DOWNLOADED: &str = "downloaded";
    pub const RESULTS: &str = "results";
    pub const RESULTS_TYPE: &str = "results_type";
    pub const ERROR: &str = "error";
    pub const PROCESSED: &str = "processed";
    pub const OUTLINE: &str = "outline";
    pub const OUTLINE_SIGNATURE: &str = "outline_signature";
    pub const LANE: &str = "lane";
    pub const DUE: &str = "due";
    pub const RETRIES: &str = "retries";
    pub const FAILURES: &str = "failures";
    pub const HISTORY: &str = "history";
    pub const CLEANED: &str = "cleaned";
    pub const EXPIRES: &str = "expires";
    pub const PRIORITY: &str = "priority";
}

use attribute as a;

pub mod operator;

/// A value in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number.
    Number(u64),
    /// A moment, written as ISO 8601 UTC with milliseconds.
    Time(Timestamp),
    /// A place in the ready lane: jobs of a higher priority come first, those of the same by their moment. Never of
    /// priority 0, whose place is its moment alone.
    Turn {
        /// 1 to [`PRIORITY_MAX`](crate::job::PRIORITY_MAX).
        priority: u8,
        /// When the job may be taken.
        due: Timestamp,
    },
    /// A moment as the table's TTL wants it: whole seconds since 1970.
    Expiry(Timestamp),
    /// Attempts.
    History(Vec<Attempt>),
}

/// One part of a condition; all of a change's terms must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// There is a record.
    Exists,
    /// The attribute is not there.
    Missing(&'static str),
    /// The attribute has this value.
    Is(&'static str, Value),
    /// The generation is this one; a record without `retries` is of generation 0.
    Generation(u32),
    /// COMPLETED or ERROR.
    Finished,
}

/// How long a record that is no job is kept, with the reason, for whoever looks into it.
const MALFORMED_KEPT: Duration = Duration::from_hours(30 * 24);

/// Which write of the lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Write {
    /// The client makes the job.
    Create,
    /// A fetcher takes it.
    Claim,
    /// The fetcher is still at it.
    Heartbeat,
    /// The fetcher has the whole file.
    Downloaded,
    /// The fetcher commits the result.
    Complete,
    /// The fetcher commits the error.
    Fail,
    /// The fetcher gives it back.
    Release,
    /// The watcher takes it from a lost fetcher.
    Requeue,
    /// The watcher ends it: too many fetchers were lost on it, or its upload never became complete.
    GiveUp,
    /// The watcher deleted its objects.
    Cleaned,
    /// The watcher looks again later: its result waits in the bucket.
    Keep,
    /// The watcher lets in a job that has no lane.
    Admit,
    /// The watcher gives a job that a foreign fetcher moved the lane it should be in.
    Adopt,
    /// A job that is not what its client signed is ended.
    Refuse,
    /// An operator ends it.
    Cancel,
}

impl Write {
    /// The write's name in decisions and histories.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Claim => "claim",
            Self::Heartbeat => "heartbeat",
            Self::Downloaded => "downloaded",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Release => "release",
            Self::Requeue => "requeue",
            Self::GiveUp => "give-up",
            Self::Cleaned => "cleaned",
            Self::Keep => "keep",
            Self::Admit => "admit",
            Self::Adopt => "adopt",
            Self::Refuse => "refuse",
            Self::Cancel => "cancel",
        }
    }
}

/// The key of a record whose names need not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Partition key.
    pub client: String,
    /// Sort key.
    pub file: String,
}

impl From<&JobKey> for RecordKey {
    fn from(key: &JobKey) -> Self {
        Self {
            client: key.client.to_string(),
            file: key.file.to_string(),
        }
    }
}

/// One conditional write to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which write.
    pub write: Write,
    /// Which record.
    pub key: RecordKey,
    /// What must hold, all of it.
    pub only_if: Vec<Term>,
    /// What is set.
    pub set: Vec<(&'static str, Value)>,
    /// What is taken away.
    pub remove: Vec<&'static str>,
}

impl Change {
    fn new(write: Write, job: &Job, only_if: Vec<Term>) -> Self {
        Self {
            write,
            key: RecordKey::from(&job.key),
            only_if,
            set: Vec::new(),
            remove: Vec::new(),
        }
    }

    fn set(mut self, attribute: &'static str, value: Value) -> Self {
        self.set.push((attribute, value));
        self
    }

    fn text(self, attribute: &'static str, text: impl Into<String>) -> Self {
        self.set(attribute, Value::Text(text.into()))
    }

    fn status(self, status: Status) -> Self {
        self.text(a::STATUS, status.as_str())
    }

    fn lane(self, job: &Job, lane: Lane, due: Timestamp) -> Self {
        self.text(a::LANE, lane.to_string())
            .set(a::DUE, place(job, lane.kind, due))
    }

    fn remove(mut self, attributes: &[&'static str]) -> Self {
        self.remove.extend_from_slice(attributes);
        self
    }

    /// The write that told of the download may come after this one, and is then refused: this one tells it too.
    fn with_download(self, job: &Job) -> Self {
        match job.downloaded {
            Some(at) => self.set(a::DOWNLOADED, Value::Time(at)),
            None => self,
        }
    }

    fn attempt(self, job: &Job, at: Timestamp, by: &str, why: &str) -> Self {
        let failures = |(name, value): &(&str, Value)| match value {
            Value::Number(number) if *name == a::FAILURES => Some(*number),
            Value::Number(_)
            | Value::Text(_)
            | Value::Time(_)
            | Value::Turn { .. }
            | Value::Expiry(_)
            | Value::History(_) => None,
        };
        let attempt = Attempt {
            since: job.assigned.filter(|_| job.processor.as_deref() == Some(by)),
            at,
            by: by.to_owned(),
            what: self.write.as_str().to_owned(),
            why: clip(why),
            failed: self
                .set
                .iter()
                .find_map(failures)
                .is_some_and(|set| set > job.failures.into()),
        };
        let mut history = job.history.clone();
        history.push(attempt);
        let surplus = history.len().saturating_sub(HISTORY_MAX);
        history.drain(..surplus);
        self.set(a::HISTORY, Value::History(history))
    }
}

fn status_is(status: Status) -> Term {
    Term::Is(a::STATUS, Value::Text(status.as_str().to_owned()))
}

/// Still held by this processor, in this generation, by this claim. The status keeps a late write off a job that
/// ended: giving up leaves processor and generation as they were. The moment of the claim keeps a write that the
/// network delivers late off a later claim of the same processor: giving a job back leaves the generation as it was.
fn still_mine(job: &Job, processor: &str) -> Vec<Term> {
    vec![
        status_is(Status::Processing),
        Term::Is(a::PROCESSOR, Value::Text(processor.to_owned())),
        Term::Generation(job.retries),
        seen(a::ASSIGNED, job.assigned.map(Value::Time)),
    ]
}

/// The attribute has this value, or is not there where it has none.
fn seen(attribute: &'static str, value: Option<Value>) -> Term {
    match value {
        Some(value) => Term::Is(attribute, value),
        None => Term::Missing(attribute),
    }
}

/// Exactly as the watcher saw it: same status, processor, generation and due time. Without the status, a job that
/// was completed in the millisecond its lease ended would look the same.
fn as_seen(job: &Job) -> Vec<Term> {
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

/// Where a job stands in its lane. Only who waits to be taken is taken by priority: leases end and objects are
/// deleted in the order of their moments.
fn place(job: &Job, kind: LaneKind, due: Timestamp) -> Value {
    match (kind, job.priority) {
        (LaneKind::Leased | LaneKind::Done, _) | (LaneKind::Ready, 0) => Value::Time(due),
        (LaneKind::Ready, priority) => Value::Turn { priority, due },
    }
}

fn lane_of(job: &Job, kind: LaneKind) -> Lane {
    job.lane.map_or(Lane { kind, shard: 0 }, |lane| lane.of(kind))
}

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

/// A fetcher takes the job: only if nobody has it and it is still queued.
pub fn claim(job: &Job, processor: &str, now: Timestamp, lease: Duration) -> Change {
    Change::new(
        Write::Claim,
        job,
        vec![Term::Missing(a::PROCESSOR), status_is(Status::Queued)],
    )
    .status(Status::Processing)
    .text(a::PROCESSOR, processor)
    .set(a::ASSIGNED, Value::Time(now))
    .lane(job, lane_of(job, LaneKind::Leased), now + lease)
}

/// The fetcher is still at it: moves the end of the lease.
pub fn heartbeat(job: &Job, processor: &str, now: Timestamp, lease: Duration) -> Change {
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
    match results_type {
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

/// A record whose names or types do not hold is ended where it stands: nothing under such a name is touched.
pub fn refuse_malformed(key: RecordKey, now: Timestamp, why: &str) -> Change {
    Change {
        write: Write::Refuse,
        key,
        only_if: vec![Term::Exists, Term::Missing(a::CLEANED)],
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
