//! The queue as a whole: how many jobs lie in each lane over all its shards, and how many fetchers there are.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Lane, LaneKind};
use roundtrip_core::queue::{Counts, LaneCount};

use crate::cloud::fault::Fault;
use crate::cloud::jobs::Jobs;

/// Shards that are asked at once.
const CONCURRENCY_MAX: usize = 8;

/// Counts the queue.
#[derive(Clone, Debug)]
pub struct Census {
    /// The table.
    pub jobs: Jobs,
    /// How many shards each lane has.
    pub shards: u32,
    /// Pages of each shard that are read, at most.
    pub pages_max: u32,
}

/// What a census brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many jobs where.
    pub counts: Counts,
    /// Whether the pages did not suffice: the counts are lower bounds.
    pub truncated: bool,
}

impl Census {
    /// Counts every lane and the fetchers. Eventually consistent, as every reading of an index.
    pub async fn take(&self, now: Timestamp) -> Result<Taken, Fault> {
        let (ready, leased, done, fetchers) = tokio::try_join!(
            self.lane(LaneKind::Ready, Some(now)),
            self.lane(LaneKind::Leased, Some(now)),
            self.lane(LaneKind::Done, None),
            self.jobs.fetchers(now, self.pages_max),
        )?;
        Ok(Taken {
            counts: Counts {
                ready: ready.0,
                leased: leased.0,
                done: done.0,
                fetchers: fetchers.number,
            },
            truncated: ready.1 || leased.1 || done.1 || fetchers.truncated,
        })
    }

    /// One lane over all its shards, with what is due longest at `oldest_at`, and whether there is more.
    async fn lane(&self, kind: LaneKind, oldest_at: Option<Timestamp>) -> Result<(LaneCount, bool), Fault> {
        let shards = stream::iter(0..self.shards).map(|shard| self.shard(Lane { kind, shard }, oldest_at));
        shards
            .buffer_unordered(CONCURRENCY_MAX)
            .try_fold(
                (LaneCount::default(), false),
                async |(sum, truncated), (one, more)| {
                    let oldest = sum.oldest.into_iter().chain(one.oldest).min();
                    let jobs = sum.jobs.saturating_add(one.jobs);
                    Ok((LaneCount { jobs, oldest }, truncated || more))
                },
            )
            .await
    }

    async fn shard(&self, lane: Lane, oldest_at: Option<Timestamp>) -> Result<(LaneCount, bool), Fault> {
        let count = self.jobs.count(lane, self.pages_max).await?;
        let oldest = match oldest_at {
            Some(now) if count.number > 0 => self.jobs.oldest(lane, now).await?,
            Some(_) | None => None,
        };
        let jobs = count.number;
        Ok((LaneCount { jobs, oldest }, count.truncated))
    }
}
