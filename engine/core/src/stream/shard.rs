//! A shard of the stream: how far it was read, under which lease, and what a read of it brings.

use crate::at::Timestamp;

/// A shard as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shard it continues.
    pub parent: Option<String>,
}

/// How far a shard has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This record, given by its sequence number, was the last.
    After(String),
    /// To its end: it was closed, and its children come next.
    End,
}

/// The row about a shard as it stood when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: String,
    /// Who holds it; none where it was given back.
    pub holder: Option<String>,
    /// When the lease ends; at that moment it still holds.
    pub until: Timestamp,
    /// How far the shard has been read; none before the first record.
    pub place: Option<Place>,
}

/// A record that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its sequence number, where it has one.
    pub sequence: String,
    /// What is wrong with it.
    pub why: String,
}

/// Where an iterator begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// After the record with this sequence number.
    After(String),
    /// At the oldest record there is.
    Oldest,
    /// After the newest record there is.
    Newest,
}

/// What one read brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records about jobs; they have been told to the pipelines.
    pub news: usize,
    /// The sequence number of the last record, also of one that is no news.
    pub last: Option<String>,
    /// Records that were stepped over.
    pub bad: Vec<BadRecord>,
    /// Where the next read begins; none at the end of a closed shard.
    pub next: Option<String>,
}
