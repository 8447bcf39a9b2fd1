//! The objects of the bucket, page by page, and the records of the jobs they belong to.

use std::collections::BTreeMap;
use std::time::Duration;

use roundtrip_core::lifecycle::RecordKey;
use roundtrip_core::names::JobKey;
use roundtrip_core::sweep::{Object, Standing};

use crate::cloud::fault::Fault;
use crate::cloud::jobs::{BATCH_GET_MAX, Jobs};
use crate::cloud::objects::Objects;

/// How often keys are asked for of which the table leaves some unanswered: about six seconds in all.
const ASKED_MAX: u32 = 8;

/// Before keys that were left unanswered are asked for once more; each further wait is twice as long.
const ASKED_AGAIN_WAIT: Duration = Duration::from_millis(50);

/// The bucket beside the table.
#[derive(Clone, Debug)]
pub struct Holdings {
    /// The table.
    pub jobs: Jobs,
    /// The bucket.
    pub objects: Objects,
}

impl Holdings {
    /// A page of the bucket behind a key, and behind which key the next begins.
    pub async fn page(&self, after: Option<String>) -> Result<(Vec<Object>, Option<String>), Fault> {
        self.objects.page(after).await
    }

    /// What the table says of these jobs now, read consistently.
    pub async fn standings(&self, keys: &[JobKey]) -> Result<BTreeMap<JobKey, Standing>, Fault> {
        let mut standings = BTreeMap::new();
        for part in keys.chunks(BATCH_GET_MAX) {
            let mut wanted = part.to_vec();
            for asked in 0..ASKED_MAX {
                if asked > 0 {
                    // The table leaves keys out where it is read faster than it allows.
                    tokio::time::sleep(ASKED_AGAIN_WAIT * 2_u32.pow(asked - 1)).await;
                }
                let (records, left) = self.jobs.get_many(&wanted).await?;
                let unanswered = |key: &JobKey| left.contains(&RecordKey::from(key));
                let mut answers: BTreeMap<RecordKey, Standing> = records
                    .into_iter()
                    .map(|record| match record {
                        Ok(job) => (RecordKey::from(&job.key), Standing::Known(Box::new(job))),
                        Err(malformed) => (malformed.key, Standing::Unreadable),
                    })
                    .collect();
                for key in wanted.iter().filter(|key| !unanswered(key)) {
                    let standing = answers.remove(&RecordKey::from(key));
                    standings.insert(key.clone(), standing.unwrap_or(Standing::Missing));
                }
                wanted.retain(unanswered);
                if wanted.is_empty() {
                    break;
                }
            }
            if !wanted.is_empty() {
                return Err(Fault::Transient("the table left keys unanswered".to_owned()));
            }
        }
        Ok(standings)
    }
}
