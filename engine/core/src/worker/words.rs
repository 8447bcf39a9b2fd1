//! What reasons in the history of a job begin with where they tell how an attempt ended: who reads a history knows it by
//! them.

/// Chunks stopped coming.
pub const STALLED: &str = "its upload stopped: ";

/// A fetcher could not keep or read the file.
pub const UNFIT: &str = "this fetcher cannot carry the file: ";

/// The processor did not take the request, which may be wrong, or it may be the job.
pub const TURNED_AWAY: &str = "the processor turned it away: ";

/// The fetcher was told to stop.
pub const STOPPED: &str = "the fetcher was stopped";

/// The upload took too long: the job is ended.
pub const NEVER_COMPLETE: &str = "the upload was never completed: ";

/// No fetcher could keep or read the file for too long: the job is ended.
pub const NOBODY: &str = "no fetcher could carry the file: ";

/// The processor did not take the request for too long: the job is ended.
pub const TURNED_AWAY_FOR_LONG: &str = "the processor turned it away for too long: ";

/// All of them.
pub const BEGINNINGS: [&str; 7] = [
    STALLED,
    UNFIT,
    TURNED_AWAY,
    STOPPED,
    NEVER_COMPLETE,
    NOBODY,
    TURNED_AWAY_FOR_LONG,
];

/// What follows the error of the last attempt that was allowed, before the numbers.
pub const ATTEMPT: &str = " (attempt ";
