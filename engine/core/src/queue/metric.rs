//! What is published of a queue: counts in, numbers out, zeros included.

use std::time::Duration;

use crate::at::Timestamp;

/// One lane over all its shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCount {
    /// Jobs in it, due or not.
    pub jobs: u64,
    /// When the job that is due longest became due; none where none is due.
    pub oldest: Option<Timestamp>,
}

/// What a round of counting brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs to be taken.
    pub ready: LaneCount,
    /// Claimed jobs.
    pub leased: LaneCount,
    /// Finished jobs whose objects still lie in the bucket.
    pub done: LaneCount,
    /// Fetchers seen lately.
    pub fetchers: u64,
}

/// A number that is published each round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Jobs in lane ready.
    JobsReady,
    /// Jobs in lane leased.
    JobsLeased,
    /// Jobs in lane done.
    JobsDone,
    /// How long the job that may be taken longest has been waiting.
    OldestReadySeconds,
    /// How long ago the lease ended that ended first and was not given to another; zero where all hold.
    OldestLeasedSeconds,
    /// Ready jobs for each live fetcher; all of them where there is none.
    BacklogPerFetcher,
}

impl Metric {
    /// Every metric, in the order they are published in.
    pub const ALL: [Self; 6] = [
        Self::JobsReady,
        Self::JobsLeased,
        Self::JobsDone,
        Self::OldestReadySeconds,
        Self::OldestLeasedSeconds,
        Self::BacklogPerFetcher,
    ];

    /// The metric's name in CloudWatch and in TOML.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JobsReady => "JobsReady",
            Self::JobsLeased => "JobsLeased",
            Self::JobsDone => "JobsDone",
            Self::OldestReadySeconds => "OldestReadySeconds",
            Self::OldestLeasedSeconds => "OldestLeasedSeconds",
            Self::BacklogPerFetcher => "BacklogPerFetcher",
        }
    }

    /// Whether the number is a time in seconds; else it counts jobs.
    pub const fn is_time(self) -> bool {
        match self {
            Self::OldestReadySeconds | Self::OldestLeasedSeconds => true,
            Self::JobsReady | Self::JobsLeased | Self::JobsDone | Self::BacklogPerFetcher => false,
        }
    }

    /// Its number: finite, and not below zero.
    pub fn of(self, counts: &Counts, now: Timestamp) -> f64 {
        match self {
            Self::JobsReady => number(counts.ready.jobs),
            Self::JobsLeased => number(counts.leased.jobs),
            Self::JobsDone => number(counts.done.jobs),
            Self::OldestReadySeconds => age(counts.ready.oldest, now),
            Self::OldestLeasedSeconds => age(counts.leased.oldest, now),
            Self::BacklogPerFetcher => number(counts.ready.jobs) / number(counts.fetchers.max(1)),
        }
    }
}

/// Beyond four thousand million it stays there.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A moment ahead (another machine's clock) has no age.
fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since
        .map_or(Duration::ZERO, |since| now.since(since))
        .as_secs_f64()
}
