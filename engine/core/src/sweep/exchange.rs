//! What a sweep is told, and what it asks for.

use std::collections::BTreeMap;

use crate::at::Timestamp;
use crate::job::Job;
use crate::names::JobKey;

/// An object of the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last.
    pub modified: Timestamp,
}

/// What the table says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no record.
    Missing,
    /// There is this one.
    Known(Box<Job>),
    /// There is one that is no job: nothing under its name is touched.
    Unreadable,
}

/// What one sweep came to, in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that lie in the bucket.
    pub listed: u64,
    /// Those of them that are no job's by their keys: they are left alone.
    pub foreign: u64,
    /// Those that no job knows, but that may be another table's: they are left alone.
    pub spared: u64,
    /// Those that were deleted.
    pub deleted: u64,
    /// Those that could not be deleted: the next sweep finds them again.
    pub failed: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The bucket names this table as its own; none where it names no table.
    OwnerTold(Option<String>),
    /// Whose bucket it is could not be read.
    OwnerFailed(String),
    /// A page was listed.
    Listed {
        /// Its objects.
        objects: Vec<Object>,
        /// Behind which key the next page begins; none at the end.
        next: Option<String>,
    },
    /// Listing failed.
    ListFailed(String),
    /// The records were read, consistently and after the listing. A job that is not named here is left alone.
    Answered(BTreeMap<JobKey, Standing>),
    /// Reading the records failed.
    AskFailed(String),
    /// So many objects were deleted.
    Deleted(u64),
    /// So many objects could not be deleted.
    DeleteFailed(u64, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read whose bucket it is.
    AskOwner,
    /// Tell that the bucket is another table's: it is not swept.
    Refuse {
        /// The table that the bucket names.
        owner: String,
    },
    /// List a page of the bucket.
    List {
        /// Behind this key; from the beginning where there is none.
        after: Option<String>,
    },
    /// Read the records of these jobs.
    Ask(Vec<JobKey>),
    /// Delete these objects.
    Delete(Vec<Object>),
    /// Tell that these objects would go if the bucket named this table.
    Spare(Vec<Object>),
    /// Tell what the sweep came to.
    Report(Tally),
}
