//! Jobs of clients and fetchers that know the wire format and nothing of lanes.

use std::sync::{Arc, Mutex, PoisonError};

use roundtrip_core::claim::Offer;
use roundtrip_core::job::Job;

use super::lanes::{Look, verified};
use crate::cloud::fault::Fault;
use crate::cloud::item::Item;
use crate::cloud::jobs::{Jobs, Record};

/// Records of a lane one request reads, at most.
const LANE_PAGE: u32 = 100;

/// A bounded scan that goes on where the last one stopped.
#[derive(Clone, Debug)]
pub struct Foreign {
    jobs: Jobs,
    bucket: String,
    shards: u32,
    pages_max: u32,
    /// Where the next look begins.
    cursor: Arc<Mutex<Option<Item>>>,
}

impl Foreign {
    /// Reads up to `pages_max` pages of the table a look. Only jobs of `bucket` are let in.
    pub fn new(jobs: Jobs, bucket: impl Into<String>, shards: u32, pages_max: u32) -> Self {
        Self {
            jobs,
            bucket: bucket.into(),
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
            self.take(&mut look, page.records);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        look.more = from.is_some();
        *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = from;
        for shard in 0..self.shards {
            let mut from = None;
            for _ in 0..self.pages_max {
                let page = self.jobs.misplaced(shard, &self.bucket, LANE_PAGE, from).await?;
                self.take(&mut look, page.records);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(look)
    }

    fn take(&self, look: &mut Look, records: Vec<Record>) {
        for record in records {
            match record {
                Ok(job) => {
                    let signature = self.judge(&job);
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

    /// Nobody would ever fetch from another bucket, nor clean it: such a job is refused, not left to wait for ever.
    fn judge(&self, job: &Job) -> Result<(), String> {
        verified(job)?;
        if job.bucket == self.bucket {
            return Ok(());
        }
        Err(format!(
            "its chunks lie in the bucket `{}`, and this table's bucket is `{}`",
            job.bucket, self.bucket
        ))
    }
}
