//! What a write is made of: which record, under which condition, what it sets and what it takes away.

use super::attribute as a;
use crate::at::Timestamp;
use crate::job::{Attempt, HISTORY_MAX, Job, Lane, LaneKind, Status, clip, clip_by};
use crate::names::JobKey;

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
    /// The attribute is a moment, and not after this one.
    NotAfter(&'static str, Timestamp),
}

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
    /// The watcher is about to delete the objects of a job that ended as an error.
    Cleaning,
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
            Self::Cleaning => "cleaning",
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
    pub(super) fn new(write: Write, job: &Job, only_if: Vec<Term>) -> Self {
        Self {
            write,
            key: RecordKey::from(&job.key),
            only_if,
            set: Vec::new(),
            remove: Vec::new(),
        }
    }

    /// The same write where the record is as large as a record can be: its history goes, where this one adds to it or
    /// leaves it alone. None where it goes already.
    #[must_use]
    pub fn without_history(&self) -> Option<Self> {
        if self.remove.contains(&a::HISTORY) {
            return None;
        }
        let mut shorter = self.clone();
        shorter.set.retain(|(name, _)| *name != a::HISTORY);
        Some(shorter.remove(&[a::HISTORY]))
    }

    /// The refusal of a record that is no job where that is as large as a record can be: it ends and leaves its lane, and
    /// nothing is said of why. None where the write is no such refusal, or says nothing already.
    fn bare(&self) -> Option<Self> {
        if !self.ends_no_job() || !self.sets(a::ERROR) {
            return None;
        }
        let mut bare = self.clone();
        bare.set
            .retain(|(name, _)| [a::STATUS, a::EXPIRES].contains(name));
        Some(bare)
    }

    /// Whether it is the refusal of a record that is no job.
    pub fn ends_no_job(&self) -> bool {
        self.write == Write::Refuse && self.sets(a::EXPIRES)
    }

    fn sets(&self, wanted: &str) -> bool {
        self.set.iter().any(|(name, _)| *name == wanted)
    }

    /// The same write where the table does not take it, since the record would be larger than a record may be. None where
    /// nothing shorter is left.
    #[must_use]
    pub fn shorter(&self) -> Option<Self> {
        self.without_history().or_else(|| self.bare())
    }

    /// When the job's turn comes after this write, where the write says so.
    pub fn due(&self) -> Option<Timestamp> {
        let due = self.set.iter().find(|(name, _)| *name == a::DUE);
        due.and_then(|(_, value)| match value {
            Value::Time(due) | Value::Turn { due, .. } => Some(*due),
            Value::Text(_) | Value::Number(_) | Value::Expiry(_) | Value::History(_) => None,
        })
    }

    pub(super) fn set(mut self, attribute: &'static str, value: Value) -> Self {
        self.set.push((attribute, value));
        self
    }

    pub(super) fn text(self, attribute: &'static str, text: impl Into<String>) -> Self {
        self.set(attribute, Value::Text(text.into()))
    }

    pub(super) fn status(self, status: Status) -> Self {
        self.text(a::STATUS, status.as_str())
    }

    pub(super) fn lane(self, job: &Job, lane: Lane, due: Timestamp) -> Self {
        self.text(a::LANE, lane.to_string())
            .set(a::DUE, place(job, lane.kind, due))
    }

    pub(super) fn remove(mut self, attributes: &[&'static str]) -> Self {
        self.remove.extend_from_slice(attributes);
        self
    }

    /// The write that told of the download may come after this one, and is then refused: this one tells it too.
    pub(super) fn with_download(self, job: &Job) -> Self {
        match job.downloaded {
            Some(at) => self.set(a::DOWNLOADED, Value::Time(at)),
            None => self,
        }
    }

    pub(super) fn attempt(self, job: &Job, at: Timestamp, by: &str, why: &str) -> Self {
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
            by: clip_by(by),
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

/// Where a job stands in its lane. Only who waits to be taken is taken by priority: leases end and objects are
/// deleted in the order of their moments.
pub(super) fn place(job: &Job, kind: LaneKind, due: Timestamp) -> Value {
    match (kind, job.priority) {
        (LaneKind::Leased | LaneKind::Done, _) | (LaneKind::Ready, 0) => Value::Time(due),
        (LaneKind::Ready, priority) => Value::Turn { priority, due },
    }
}
