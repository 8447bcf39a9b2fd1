//! How the stream is read, as a role says it.

use std::time::Duration;

use crate::at::At;

/// How the stream is read: `[stream]` in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPolicy {
    /// Who reads: one name a process.
    pub reader: String,
    /// How long a lease on a shard holds without renewal. It is renewed after a third of it, and nothing is read
    /// in its last third: a request under way ends before the next reader may begin.
    pub lease: Duration,
    /// Time between two reads of a shard while records come.
    pub interval: Duration,
    /// Time between two reads of a shard while none come.
    pub interval_max: Duration,
    /// Shards read at once by this process.
    pub shards_max: usize,
    /// Where a stream that nobody has read yet is begun.
    pub start: Start,
}

impl StreamPolicy {
    /// The longest a request about a shard may take: a third of the lease. One that takes longer is to be
    /// dropped and reported as failed, or two readers might meet.
    pub fn request_max(&self) -> Duration {
        self.lease / 3
    }

    /// How long to wait after this many failures in a row.
    pub(super) fn backoff(&self, at: At, failures: u32) -> Duration {
        let wait = self.interval.saturating_mul(1 << failures.min(16));
        wait.min(self.lease.max(self.interval))
            .mul_f64(1.0 + at.jitter / 4.0)
    }
}

/// Where a stream that nobody has read yet is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest records there are.
    Oldest,
    /// With what comes from now on.
    Newest,
}
