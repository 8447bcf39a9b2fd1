//! Jobs of clients and fetchers that know the wire format and nothing of lanes, and jobs whose upload takes too long.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::claim::Offer;
use roundtrip_core::job::{Job, Lane, LaneKind, Status};
use roundtrip_core::names::JobKey;

use tracing::warn;

use super::lanes::{Look, verified};
use crate::cloud::fault::Fault;
use crate::cloud::item::Item;
use crate::cloud::jobs::{Jobs, Record};
use crate::cloud::objects::Objects;
use crate::run::driver::now;

/// Records of a lane one request reads, at most.
const LANE_PAGE: u32 = 100;

/// A bounded scan that goes on where the last one stopped.
#[derive(Clone, Debug)]
pub struct Foreign {
    jobs: Jobs,
    objects: Objects,
    shards: u32,
    pages_max: u32,
    upload_max: Duration,
    /// What one look leaves for the next.
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Where the next look begins.
    cursor: Option<Item>,
    /// Old jobs that still wait and whose objects were all there: the bucket is not asked about them again. They are
    /// at most those that one look reads.
    whole: BTreeSet<JobKey>,
}

impl Foreign {
    /// Reads up to `pages_max` pages of the table a look. The bucket is asked about waiting jobs that were created
    /// more than `upload_max` ago.
    pub fn new(jobs: Jobs, objects: Objects, shards: u32, pages_max: u32, upload_max: Duration) -> Self {
        Self {
            jobs,
            objects,
            shards,
            pages_max,
            upload_max,
            memory: Arc::default(),
        }
    }

    /// Jobs without a lane, jobs that are not where their status says, and old ones that wait.
    pub async fn look(&self) -> Result<Look, Fault> {
        let Memory { cursor, whole } = std::mem::take(&mut *self.remembered());
        let mut seen = Seen {
            foreign: self,
            old: Timestamp(now().0.saturating_sub_unsigned(millis(self.upload_max))),
            before: whole,
            whole: BTreeSet::new(),
            is_told: false,
        };
        let looked = self.read(&mut seen, cursor.clone()).await;
        let Seen {
            before, mut whole, ..
        } = seen;
        match looked {
            Ok((look, cursor)) => {
                *self.remembered() = Memory { cursor, whole };
                Ok(look)
            }
            Err(fault) => {
                // Nobody hears of what this look found: the next one begins where this one did.
                whole.extend(before);
                *self.remembered() = Memory { cursor, whole };
                Err(fault)
            }
        }
    }

    async fn read(
        &self,
        seen: &mut Seen<'_>,
        mut cursor: Option<Item>,
    ) -> Result<(Look, Option<Item>), Fault> {
        let mut look = Look::default();
        for _ in 0..self.pages_max {
            let page = self.jobs.without_lane(cursor).await?;
            seen.take(&mut look, page.records).await;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        look.more = cursor.is_some();
        // Who does not know lanes takes a job and leaves it in the ready one, or ends it in the leased one.
        let lanes = (0..self.shards).flat_map(|shard| {
            [
                (LaneKind::Ready, Status::Queued, Some(seen.old)),
                (LaneKind::Leased, Status::Processing, None),
            ]
            .map(|(kind, belongs, old)| (Lane { kind, shard }, belongs, old))
        });
        for (lane, belongs, old) in lanes.collect::<Vec<_>>() {
            let mut from = None;
            for _ in 0..self.pages_max {
                let page = self
                    .jobs
                    .astray_or_old(lane, belongs, old, LANE_PAGE, from)
                    .await?;
                seen.take(&mut look, page.records).await;
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok((look, cursor))
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What one look learns about uploads.
struct Seen<'a> {
    foreign: &'a Foreign,
    /// Jobs that were created at this moment or before are asked about.
    old: Timestamp,
    /// Those that were whole at the last look.
    before: BTreeSet<JobKey>,
    /// Those that are whole.
    whole: BTreeSet<JobKey>,
    /// Whether a refusal of the bucket was told.
    is_told: bool,
}

impl Seen<'_> {
    async fn take(&mut self, look: &mut Look, records: Vec<Record>) {
        for record in records {
            match record {
                Ok(job) => {
                    let uploaded = self.is_uploaded(&job).await;
                    // One that waits in its lane and has everything is in good hands.
                    if uploaded && job.status == Status::Queued && job.lane.is_some() {
                        continue;
                    }
                    let signature = verified(&job);
                    look.offers.push(Offer {
                        job,
                        signature,
                        uploaded,
                    });
                }
                Err(malformed) => look.malformed.push(malformed),
            }
        }
    }

    /// Whether everything of a job is there; only asked about those that wait and are old. Where the bucket does not
    /// say, the job counts as whole until the next look: it is closed for what is missing, not for what is unknown.
    async fn is_uploaded(&mut self, job: &Job) -> bool {
        let is_old = job.created_at.is_some_and(|created| created <= self.old);
        if job.status != Status::Queued || !is_old || job.bucket != self.foreign.objects.bucket() {
            return true;
        }
        let is_whole = if self.before.contains(&job.key) {
            Ok(true)
        } else {
            self.foreign.objects.has_all_of(job).await
        };
        match is_whole {
            Ok(true) => {
                self.whole.insert(job.key.clone());
                true
            }
            Ok(false) => false,
            Err(fault) => {
                if !self.is_told {
                    self.is_told = true;
                    let file = &job.key.file;
                    warn!(%file, %fault, "cannot see whether a waiting job is uploaded; the next look asks again");
                }
                true
            }
        }
    }
}
