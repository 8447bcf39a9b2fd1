//! What a worker is told, and what it asks for.

use super::Ending;
use crate::fleet::Report;
use crate::job::Job;
use crate::lifecycle::{Change, RecordKey, Write};
use crate::names::JobKey;
use crate::protection::Protect;
use crate::search::Findings;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look into the ready lanes ended.
    Found(Findings),
    /// A look failed.
    LookFailed(String),
    /// More of the file is here.
    Progressed {
        /// Which job.
        key: JobKey,
        /// Bytes here.
        here: u64,
        /// Bytes in all, where known.
        size: Option<u64>,
    },
    /// The whole file is here and proven.
    Arrived(JobKey),
    /// Work on the job ended.
    Ended(JobKey, Ending),
    /// A write was answered.
    Written {
        /// Which record.
        key: RecordKey,
        /// Which write.
        write: Write,
        /// What came of it.
        outcome: Outcome,
    },
    /// A report was made: whether another fetcher claims; none where that is not known.
    Reported(Option<bool>),
    /// [`Action::Protect`] was answered: whether it was granted.
    Protected(bool),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made; the record as it is now, where the write asks for it.
    Done(Option<Box<Job>>),
    /// Its condition did not hold; the record as it is, where it is readable.
    Lost(Option<Box<Job>>),
    /// It is not known whether it was made; it may be made another time.
    Failed(String),
    /// The table does not take it: the same write is refused again.
    Refused(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for up to so many jobs in the ready lanes.
    Look {
        /// Jobs wanted.
        limit: usize,
        /// Jobs of this priority and below come first.
        priority_max: u8,
    },
    /// Write, and report the answer.
    Write(Change),
    /// Fetch the chunks of this job.
    Fetch(Box<Job>),
    /// Hand the file to the processor.
    Engage(JobKey),
    /// Stop work on the job and discard what there is of it.
    Stop(JobKey),
    /// Tell the fleet how this fetcher fares, and find out whether another claims.
    Report(Report),
    /// Have the task that this fetcher runs in protected from being scaled in, or no longer.
    Protect(Protect),
}
