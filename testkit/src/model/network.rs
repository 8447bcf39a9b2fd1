//! What travels between a process and the services: requests out, replies back.

use std::rc::Rc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet::Report;
use roundtrip_core::job::{Lane, Status};
use roundtrip_core::lifecycle::Change;
use roundtrip_core::names::JobKey;
use roundtrip_core::queue::Counts;
use roundtrip_core::stream::{From, Lease, Place, Shard};
use roundtrip_core::sweep;

use super::bucket::Object;
use super::record::Record;
use super::stream::{Missing, Read};
use super::table::{Cursor, Key};

/// One request to a service.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// A conditional write.
    Apply(Box<Change>),
    /// A page of a lane.
    Due {
        lane: Lane,
        /// Up to this priority.
        below: u8,
        until: Timestamp,
        limit: usize,
        from: Option<Cursor>,
    },
    /// A page of the whole table: records without a lane.
    Scan(Option<Key>),
    /// Records of a lane with another status than belongs there, or as old as this.
    Astray(Lane, Status, Option<Timestamp>),
    /// Records, read consistently.
    Get(Vec<JobKey>),
    /// A fetcher's row.
    Report(Box<Report>),
    /// Whether another fetcher claims.
    Others,
    /// How much lies where.
    Count,
    Put(String, Object),
    GetObject(String),
    List(String),
    /// A page of the whole bucket behind a key.
    Holdings(Option<String>),
    Delete(Vec<String>),
    Shards,
    Rows,
    Take {
        shard: String,
        seen: Option<Lease>,
        until: Timestamp,
    },
    /// Renews a lease on a shard, or gives it back where there is no `until`.
    Hold {
        shard: String,
        until: Option<Timestamp>,
        place: Option<Place>,
    },
    Locate(String, From),
    Read(String, String),
    /// The processor analyses a file in this state.
    Analyse(u64),
}

impl Request {
    /// Whether it changes anything, so that it matters whether it comes once, twice or late.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Apply(_)
            | Self::Report(_)
            | Self::Put(..)
            | Self::Delete(_)
            | Self::Take { .. }
            | Self::Hold { .. } => true,
            Self::Due { .. }
            | Self::Scan(_)
            | Self::Astray(..)
            | Self::Get(_)
            | Self::Others
            | Self::Count
            | Self::GetObject(_)
            | Self::List(_)
            | Self::Holdings(_)
            | Self::Shards
            | Self::Rows
            | Self::Locate(..)
            | Self::Read(..)
            | Self::Analyse { .. } => false,
        }
    }

    /// What a story calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Apply(change) => change.write.as_str(),
            Self::Due { .. } => "query",
            Self::Scan(_) => "scan",
            Self::Astray(..) => "query-astray",
            Self::Get(_) => "get",
            Self::Report(_) => "report",
            Self::Others => "query-fleet",
            Self::Count => "count",
            Self::Put(..) => "put-object",
            Self::GetObject(_) => "get-object",
            Self::List(_) | Self::Holdings(_) => "list-objects",
            Self::Delete(_) => "delete-objects",
            Self::Shards => "describe-stream",
            Self::Rows => "list-leases",
            Self::Take { .. } => "take-shard",
            Self::Hold { .. } => "hold-shard",
            Self::Locate(..) => "get-iterator",
            Self::Read(..) => "get-records",
            Self::Analyse { .. } => "analyse",
        }
    }
}

/// What comes back.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A wait of the task itself is over.
    Woken,
    /// It is not known whether it was done.
    Failed,
    /// The service asks to be asked less; nothing was done.
    Throttled,
    /// A write was made; the record as it is now.
    Made(Rc<Record>),
    /// The condition did not hold; the record as it is.
    Refused(Option<Rc<Record>>),
    Page(Vec<Rc<Record>>, Option<Cursor>),
    Scanned(Vec<Rc<Record>>, Option<Key>),
    Records(Vec<Rc<Record>>),
    Others(bool),
    Counted(Counts),
    Done,
    Object(Option<Object>),
    Keys(Vec<String>),
    Holdings(Vec<sweep::Object>, Option<String>),
    Shards(Vec<Shard>),
    Rows(Vec<Lease>),
    Taken(Option<Place>),
    Held,
    /// The lease is somebody else's.
    NotHeld,
    Located(String),
    Read(Box<Read>),
    Missing(Missing),
    Analysed(Verdict),
}

/// What a processor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// A result over a file in this state.
    Result { state: u64, large: bool },
    /// 422: the job is at fault.
    Unprocessable,
    /// 500: the job may be at fault.
    Broken,
    /// The processor is not there.
    Away,
    /// It never answers.
    Hangs,
}
