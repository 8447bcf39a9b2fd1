//! What a reader is told, and what it asks for.

use super::{BadRecord, Batch, From, Lease, Place, Shard};
use crate::at::Timestamp;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A page of the list of shards.
    Described {
        /// The shards of the page.
        shards: Vec<Shard>,
        /// Where the next page begins; none at the end.
        next: Option<String>,
    },
    /// The rows about shards, read consistently.
    Listed(Vec<Lease>),
    /// Shards or rows could not be read.
    SurveyFailed(String),
    /// The lease is ours; how far the shard had been read.
    Taken(String, Option<Place>),
    /// The lease was renewed and the place written.
    Kept(String),
    /// The lease was given back.
    Released(String),
    /// A write was refused: somebody else has the lease.
    Lost(String),
    /// A write was not answered; it may have been made.
    WriteFailed(String, String),
    /// An iterator.
    Located(String, String),
    /// A read ended.
    Read(String, Batch),
    /// The iterator is too old.
    Expired(String),
    /// The records at this place are not kept any more.
    Trimmed(String),
    /// The shard is not kept any more.
    Gone(String),
    /// The service asks to be asked less.
    Throttled(String),
    /// A request about the shard failed.
    Failed(String, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for a page of the list of shards.
    Describe {
        /// After this shard.
        after: Option<String>,
    },
    /// Read the rows about shards, consistently.
    ListLeases,
    /// Take the lease of a shard, only if its row is as it was seen.
    Take {
        /// The shard.
        shard: String,
        /// Its row; none where there was none.
        seen: Option<Lease>,
        /// Until when.
        until: Timestamp,
    },
    /// Renew the lease and write the place, only if the lease is still ours.
    Renew {
        /// The shard.
        shard: String,
        /// Until when.
        until: Timestamp,
        /// How far it has been read; none leaves what is written.
        place: Option<Place>,
        /// The last record that was stepped over since the last write.
        bad: Option<BadRecord>,
    },
    /// Give the lease back and write the place, only if the lease is still ours.
    Release {
        /// The shard.
        shard: String,
        /// How far it has been read; none leaves what is written.
        place: Option<Place>,
        /// The last record that was stepped over since the last write.
        bad: Option<BadRecord>,
    },
    /// Ask for an iterator.
    Locate {
        /// The shard.
        shard: String,
        /// Where it begins.
        from: From,
    },
    /// Read records and tell the pipelines.
    Read {
        /// The shard.
        shard: String,
        /// Where.
        iterator: String,
    },
    /// Record that something in the stream could not be understood.
    Report {
        /// The shard.
        shard: String,
        /// Which record, and why.
        bad: BadRecord,
    },
    /// Let every pipeline that follows the stream look once: something may have been missed.
    Reconcile,
}
