//! What can go wrong with a spooled file.

use std::io;
use std::sync::Arc;

/// Why a spooled file cannot be written, or will never be whole.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// This machine's disk: full, or failing. Never the fault of a job.
    #[error("the spool's disk: {0}")]
    Disk(#[source] Arc<io::Error>),
    /// The writer said so.
    #[error("{0}")]
    Failed(String),
    /// The writer went away without a word.
    #[error("its download ended before the file was complete")]
    Abandoned,
    /// An earlier append did not end, so that nobody knows what was written.
    #[error("an earlier write to the spooled file was interrupted")]
    Interrupted,
    /// More bytes than announced.
    #[error("it holds more than the {size} bytes announced")]
    TooLong {
        /// What was announced.
        size: u64,
    },
    /// Fewer bytes than announced.
    #[error("it holds {written} of the {size} bytes announced")]
    TooShort {
        /// What came.
        written: u64,
        /// What was announced.
        size: u64,
    },
    /// A name that is not a plain file name.
    #[error("`{0}` is no name for a spooled file")]
    Name(String),
}

impl SpoolError {
    /// A failure of this machine's disk.
    pub(super) fn disk(error: io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}
