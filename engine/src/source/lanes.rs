//! Jobs of a lane that are due, over all its shards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roundtrip_core::at::At;
use roundtrip_core::claim::{ClaimPolicy, Malformed, Offer};
use roundtrip_core::job::{Job, Lane, LaneKind};
use roundtrip_core::search::{Findings, Places, Search, Step};

use crate::cloud::fault::Fault;
use crate::cloud::item::Item;
use crate::cloud::jobs::{Jobs, Page, Record};
use crate::cloud::objects::Objects;
use crate::run::driver::now;
use crate::wire::signed;

/// What a look brought.
#[derive(Debug, Default)]
pub struct Look {
    /// Jobs.
    pub offers: Vec<Offer>,
    /// Records that are no jobs.
    pub malformed: Vec<Malformed>,
    /// Whether there is more than was brought.
    pub more: bool,
}

impl Look {
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
    /// Where the next pages begin, by shard.
    pages: Arc<Mutex<BTreeMap<u32, Item>>>,
    /// Where searches for jobs to claim stopped before the end of the lane.
    places: Arc<Mutex<Places<Item>>>,
}

impl Lanes {
    /// This lane of a table, read so many records at a time.
    pub fn new(jobs: Jobs, kind: LaneKind, shards: u32, batch_max: u32) -> Self {
        Self {
            jobs,
            kind,
            shards,
            batch_max,
            pages: Arc::default(),
            places: Arc::default(),
        }
    }

    /// Up to `wanted` jobs a fetcher may claim, with their signatures judged, from shards in random order; of each
    /// shard those up to `priority_max` first, and the rest only where they do not suffice.
    pub async fn claimable(
        &self,
        wanted: usize,
        priority_max: u8,
        policy: &ClaimPolicy,
        objects: &Objects,
    ) -> Result<Findings, Fault> {
        let mut shards: Vec<u32> = (0..self.shards).collect();
        fastrand::shuffle(&mut shards);
        // After a search that failed the next one begins anew: a place may be what the table did not take.
        let places = std::mem::take(&mut *self.places());
        let mut search = Search::new(wanted, priority_max, shards).going_on(places);
        let mut page = Page::default();
        loop {
            match search.step() {
                Step::Read {
                    lane,
                    priority_max,
                    from,
                } => {
                    let due = self
                        .jobs
                        .due_below(lane, priority_max, now(), self.batch_max, from);
                    page = due.await?;
                    let at = At {
                        now: now(),
                        jitter: fastrand::f64(),
                    };
                    let records = page.records.iter().map(Result::as_ref);
                    search.page(at, policy, objects.bucket(), records, page.next.take());
                }
                Step::Judge(place) => {
                    if let Some(Ok(job)) = page.records.get(place) {
                        search.judged(judged(job.clone(), policy, objects).await?);
                    }
                }
                Step::Over(findings) => {
                    *self.places() = search.into_places();
                    return Ok(findings);
                }
            }
        }
    }

    /// Jobs that are due, a page of every shard: from its beginning, or behind the page of the last look.
    pub async fn due(&self, on: bool) -> Result<Look, Fault> {
        let mut before = std::mem::take(&mut *self.remembered());
        if !on {
            before.clear();
        }
        let mut look = Look::default();
        for shard in 0..self.shards {
            let lane = Lane {
                kind: self.kind,
                shard,
            };
            let page = self
                .jobs
                .due(lane, now(), self.batch_max, before.remove(&shard))
                .await?;
            if let Some(next) = page.next {
                look.more = true;
                self.remembered().insert(shard, next);
            }
            page.records.into_iter().for_each(|record| look.take(record));
        }
        Ok(look)
    }

    fn places(&self) -> MutexGuard<'_, Places<Item>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<u32, Item>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job with the facts its claim depends on.
async fn judged(job: Job, policy: &ClaimPolicy, objects: &Objects) -> Result<Offer, Fault> {
    let signature = verified(&job);
    let uploaded = !policy.waits_for_upload(&signature) || is_uploaded(&job, objects).await?;
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
