//! Jobs of a lane that are due, over all its shards.

use roundtrip_core::claim::{ClaimPolicy, Malformed, Offer, Start};
use roundtrip_core::job::{Job, Lane, LaneKind, PRIORITY_MAX};

use crate::cloud::fault::Fault;
use crate::cloud::jobs::{Jobs, Page, Record};
use crate::cloud::objects::Objects;
use crate::run::driver::now;
use crate::wire::signed;

/// Pages of one shard a look reads, at most: jobs that are not for us must not hide those behind them for ever,
/// nor a look take for ever.
const PAGES_MAX: usize = 10;

/// What a look brought.
#[derive(Debug, Default)]
pub struct Look {
    /// Jobs.
    pub offers: Vec<Offer>,
    /// Records that are no jobs.
    pub malformed: Vec<Malformed>,
    /// Whether there is more than was brought.
    pub more: bool,
    /// The highest priority of all jobs that were read, whether they are offered or not.
    pub priority_seen: u8,
}

impl Look {
    /// Whether it brought this job already: what is read for those whose turn it is comes again with the rest.
    fn offers(&self, job: &Job) -> bool {
        self.offers.iter().any(|offer| offer.job.key == job.key)
    }

    /// Takes a record in, without judging its signature.
    fn take(&mut self, record: Record) {
        match record {
            Ok(job) => self.offers.push(Offer {
                job,
                signature: Ok(()),
                uploaded: true,
            }),
            Err(malformed) => self.malformed.push(malformed),
        }
    }
}

/// All shards of a lane.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// The table.
    pub jobs: Jobs,
    /// Which lane.
    pub kind: LaneKind,
    /// How many shards it has.
    pub shards: u32,
    /// Records one request brings, at most.
    pub batch_max: u32,
}

impl Lanes {
    /// Up to `wanted` jobs a fetcher may claim, with their signatures judged, from shards in random order; of each
    /// shard those up to `priority_max` first, and the rest only where they do not suffice.
    pub async fn claimable(
        &self,
        wanted: usize,
        priority_max: u8,
        policy: &ClaimPolicy,
        objects: &Objects,
    ) -> Result<Look, Fault> {
        let mut look = Look::default();
        let mut shards: Vec<u32> = (0..self.shards).collect();
        fastrand::shuffle(&mut shards);
        for shard in shards {
            for below in [
                Some(priority_max),
                (priority_max < PRIORITY_MAX).then_some(PRIORITY_MAX),
            ] {
                if let Some(below) = below
                    && look.offers.len() < wanted
                {
                    self.claimable_of(shard, below, wanted, policy, objects, &mut look)
                        .await?;
                }
            }
            if look.offers.len() >= wanted {
                break;
            }
        }
        Ok(look)
    }

    async fn claimable_of(
        &self,
        shard: u32,
        mut below: u8,
        wanted: usize,
        policy: &ClaimPolicy,
        objects: &Objects,
        look: &mut Look,
    ) -> Result<(), Fault> {
        let lane = Lane {
            kind: self.kind,
            shard,
        };
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let Page { records, next } = self
                .jobs
                .due_below(lane, below, now(), self.batch_max, from)
                .await?;
            // Of those with its priority, all behind one that is not due yet are not due either.
            let mut passed = None;
            let mut accepted = Vec::new();
            for record in records {
                let job = match record {
                    Ok(job) => job,
                    Err(malformed) => {
                        if !look.malformed.contains(&malformed) {
                            look.malformed.push(malformed);
                        }
                        continue;
                    }
                };
                look.priority_seen = look.priority_seen.max(job.priority);
                if passed == Some(job.priority) {
                    continue;
                }
                let waits = job.priority > 0 && job.due.is_some_and(|due| due > now());
                passed = waits.then_some(job.priority);
                if policy.accepts(&job, objects.bucket(), now()) && !look.offers(&job) {
                    accepted.push(job);
                }
            }
            from_anywhere(&mut accepted);
            // Judging costs: no more than are wanted.
            for job in accepted {
                if look.offers.len() >= wanted {
                    break;
                }
                let offer = judged(job, policy, objects).await?;
                // One that waits for its upload must not hide those behind it.
                if offer.uploaded || offer.signature.is_err() {
                    look.offers.push(offer);
                }
            }
            if look.offers.len() >= wanted || next.is_none() {
                break;
            }
            from = next;
            if let Some(priority) = passed {
                (below, from) = (priority.saturating_sub(1), None);
            }
        }
        Ok(())
    }

    /// Jobs that are due, of every shard.
    pub async fn due(&self) -> Result<Look, Fault> {
        let mut look = Look::default();
        for shard in 0..self.shards {
            let lane = Lane {
                kind: self.kind,
                shard,
            };
            let page = self.jobs.due(lane, now(), self.batch_max, None).await?;
            look.more |= page.next.is_some();
            page.records.into_iter().for_each(|record| look.take(record));
        }
        Ok(look)
    }
}

/// Turns the most urgent jobs, the oldest first, so that they begin with any of them: many fetchers do not chase one.
fn from_anywhere(jobs: &mut [Job]) {
    let Some(first) = jobs.first() else { return };
    let priority = first.priority;
    let urgent = jobs.partition_point(|job| job.priority == priority);
    jobs[..urgent].rotate_left(fastrand::usize(..urgent));
}

/// A job with the facts its claim depends on.
async fn judged(job: Job, policy: &ClaimPolicy, objects: &Objects) -> Result<Offer, Fault> {
    let signature = verified(&job);
    let uploaded = match policy.start {
        Start::Announced => true,
        Start::Uploaded => signature.is_ok() && is_uploaded(&job, objects).await?,
    };
    Ok(Offer {
        job,
        signature,
        uploaded,
    })
}

/// Whether a record is what its client signed, its outline included.
pub(crate) fn verified(job: &Job) -> Result<(), String> {
    signed::verify_job(job).map_err(|error| format!("the record is not what its client signed: {error}"))?;
    signed::verify_outline(job)
        .map_err(|error| format!("the outline is not what its client signed: {error}"))?;
    Ok(())
}

/// Our clients put the manifest last; of a foreign one the last chunk has to do.
async fn is_uploaded(job: &Job, objects: &Objects) -> Result<bool, Fault> {
    let last = match &job.outline {
        Some(_) => job.key.manifest(),
        None => job.key.chunk(job.chunks.saturating_sub(1)),
    };
    objects.exists(&last).await
}
