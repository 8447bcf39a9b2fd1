//! What travels between stages: the types of a chain.

use std::fmt;

/// What travels between stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A file of this machine.
    File,
    /// A file, cut.
    Pieces,
    /// Encoded pieces.
    Chunks,
    /// A file that lies in the bucket.
    StoredFile,
    /// A job that may be taken.
    Job,
    /// A job that is claimed.
    HeldJob,
    /// Chunks of a claimed job.
    HeldChunks,
    /// Decoded pieces of a claimed job's file.
    HeldPieces,
    /// The file of a claimed job.
    HeldFile,
    /// A job whose lease has ended.
    LostJob,
    /// A finished job.
    DoneJob,
    /// A finished job with its objects at hand.
    DoneObjects,
    /// A job of a client that does not know our lanes.
    ForeignJob,
    /// A result that may still lie in the bucket.
    StoredResult,
    /// A result.
    Result,
    /// How many jobs lie in each lane.
    Counts,
    /// A list of what lies in the bucket.
    Listing,
    /// Listed objects at hand.
    ListedObjects,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File | Self::HeldFile => "a file",
            Self::Pieces | Self::HeldPieces => "the pieces of a file",
            Self::Chunks | Self::HeldChunks => "chunks",
            Self::StoredFile => "a stored file",
            Self::Job => "a job",
            Self::HeldJob => "a held job",
            Self::LostJob => "a job whose lease has ended",
            Self::DoneJob => "a finished job",
            Self::DoneObjects => "a finished job's objects",
            Self::ForeignJob => "a foreign job",
            Self::StoredResult => "a finished job of this client",
            Self::Result => "a result",
            Self::Counts => "the lengths of the lanes",
            Self::Listing => "a list of the bucket",
            Self::ListedObjects => "objects of the bucket",
        })
    }
}

impl Thing {
    /// In words that tell a file of this machine from one of a job.
    pub fn at_length(self) -> String {
        match self {
            Self::File => "a file of this machine".into(),
            Self::HeldFile => "the file of a claimed job".into(),
            Self::Job => "a job that may be taken".into(),
            Self::Pieces
            | Self::Chunks
            | Self::StoredFile
            | Self::HeldJob
            | Self::HeldChunks
            | Self::HeldPieces
            | Self::LostJob
            | Self::DoneJob
            | Self::DoneObjects
            | Self::ForeignJob
            | Self::StoredResult
            | Self::Result
            | Self::Counts
            | Self::Listing
            | Self::ListedObjects => self.to_string(),
        }
    }
}
