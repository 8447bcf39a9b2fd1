//! Jobs of clients and fetchers that know the wire format and nothing of lanes.

use std::sync::{Arc, Mutex, PoisonError};

use roundtrip_core::claim::Offer;
use roundtrip_core::job::{Lane, LaneKind, Status};

use super::lanes::{Look, verified};
use crate::cloud::fault::Fault;
use crate::cloud::item::Item;
use crate::cloud::jobs::Jobs;

/// Records of a lane one request reads, at most.
const LANE_PAGE: u32 = 100;

/// A bounded scan that goes on where the last one stopped.
#[derive(Clone, Debug)]
pub struct Foreign {
    jobs: Jobs,
    shards: u32,
    pages_max: u32,
    /// Where the next look begins.
    cursor: Arc<Mutex<Option<Item>>>,
}

impl Foreign {
    /// Reads up to `pages_max` pages of the table a look.
    pub fn new(jobs: Jobs, shards: u32, pages_max: u32) -> Self {
        Self {
            jobs,
            shards,
            pages_max,
            cursor: Arc::default(),
        }
    }

    /// Jobs without a lane, and jobs that are not where their status says.
    pub async fn look(&self) -> Result<Look, Fault> {
        let mut look = Look::default();
        let mut from = self.cursor.lock().unwrap_or_else(PoisonError::into_inner).take();
        for _ in 0..self.pages_max {
            let page = self.jobs.without_lane(from).await?;
            take(&mut look, page.records);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        look.more = from.is_some();
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = from;
        // Who does not know lanes takes a job and leaves it in the ready one, or ends it in the leased one.
        let lanes = (0..self.shards).flat_map(|shard| {
            [
                (LaneKind::Ready, Status::Queued),
                (LaneKind::Leased, Status::Processing),
            ]
            .map(|(kind, belongs)| (Lane { kind, shard }, belongs))
        });
        for (lane, belongs) in lanes {
            let mut from = None;
            for _ in 0..self.pages_max {
                let page = self
                    .jobs
                    .moved_by_foreigners(lane, belongs, LANE_PAGE, from)
                    .await?;
                take(&mut look, page.records);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(look)
    }
}

fn take(look: &mut Look, records: Vec<crate::cloud::jobs::Record>) {
    for record in records {
        match record {
            Ok(job) => {
                let signature = verified(&job);
                look.offers.push(Offer {
                    job,
                    signature,
                    uploaded: true,
                });
            }
            Err(malformed) => look.malformed.push(malformed),
        }
    }
}
