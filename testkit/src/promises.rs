//! What Roundtrip promises, judged from outside the core: by what the services saw and what the disks hold.

mod judge;

use std::fmt;

use roundtrip_core::at::Timestamp;
use serde::Serialize;

pub(crate) use judge::{Judge, Rules, Writer};

/// A promise of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Every job that was created gets a result or an error.
    Outcome,
    /// Never two results or errors are committed for one job.
    OneOutcome,
    /// Only the holder of a job writes to it, under the claim it works under.
    Fenced,
    /// A lease that was kept is not taken away before its end.
    LeaseKept,
    /// No object is deleted while a job may still need it.
    ChunksKept,
    /// Nothing of a finished job is left in the bucket or on a fetcher's disk.
    NothingLeft,
    /// A forged record is never processed, and no other is refused.
    Genuine,
    /// A job ends as the work on it did, and as an error only once its attempts are used up.
    Justified,
    /// A result is that of the file its client sent.
    RightResult,
    /// A client gets each outcome once.
    DeliveredOnce,
    /// Lost workers and failed attempts are counted apart.
    CountedApart,
    /// A job lies in the lane its status asks for: nobody can forget it.
    LaneKept,
}

impl Promise {
    /// The promise in a sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Outcome => "every job that was created gets a result or an error",
            Self::OneOutcome => "never two outcomes are committed for one job",
            Self::Fenced => "only the holder of a job, under its claim, writes to it",
            Self::LeaseKept => "a lease that was kept is not taken away before its end",
            Self::ChunksKept => "no object is deleted while a job may still need it",
            Self::NothingLeft => "nothing of a finished job is left in the bucket or on a disk",
            Self::Genuine => "a forged record is never processed, and no other is refused",
            Self::Justified => "a job ends as the work on it did, as an error once its attempts are used up",
            Self::RightResult => "a result is that of the file its client sent",
            Self::DeliveredOnce => "a client gets each outcome once",
            Self::CountedApart => "lost workers and failed attempts are counted apart",
            Self::LaneKept => "a job lies in the lane its status asks for",
        }
    }
}

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Which one.
    pub promise: Promise,
    /// When, in milliseconds of virtual time since the beginning.
    pub at_ms: i64,
    /// What happened.
    pub what: String,
}

impl Breach {
    pub(crate) fn new(promise: Promise, since_start: Timestamp, what: impl Into<String>) -> Self {
        Self {
            promise,
            at_ms: since_start.0,
            what: what.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {} ms: not kept that {}: {}",
            self.at_ms,
            self.promise.text(),
            self.what
        )
    }
}
