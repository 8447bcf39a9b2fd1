//! What the stream tells about jobs: which of them a pipeline wants to hear of.

use std::collections::BTreeSet;

use roundtrip_core::claim::Offer;
use roundtrip_core::job::{Job, LaneKind};
use roundtrip_core::names::{JobKey, RESERVED_PREFIX};
use roundtrip_core::stream::BadRecord;

use super::lanes::verified;
use crate::cloud::Fault;
use crate::cloud::item::{self, record_key};
use crate::cloud::jobs::{BATCH_GET_MAX, Jobs};
use crate::cloud::streams::{Change, Kind};

/// How often keys that the table left unanswered are asked for again.
const ASKED_MAX: usize = 3;

/// A change of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The job as it was; none where it was made, or was no job.
    pub before: Option<Job>,
    /// The job as it is since.
    pub after: Job,
}

/// Which jobs a pipeline wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Finished jobs whose objects still lie in the bucket.
    Finished,
    /// Jobs that are not in the lane they belong to, since whoever wrote them knows no lanes.
    Foreign,
}

impl Interest {
    /// Whether this change is news. A job that stood like this before is none: what a pipeline writes to a job it
    /// leaves where it is would else come back to it at once, again and again.
    pub fn hears(self, news: &News) -> bool {
        self.is_in(&news.after) && !news.before.as_ref().is_some_and(|before| self.is_in(before))
    }

    /// Whether a job stands like those it wants to hear of.
    pub fn is_in(self, job: &Job) -> bool {
        let lane = job.lane.map(|lane| lane.kind);
        match self {
            Self::Finished => job.status.is_finished() && lane == Some(LaneKind::Done),
            Self::Foreign => {
                let waits = job.status == roundtrip_core::job::Status::Queued;
                job.cleaned.is_none() && (lane.is_none() || (lane == Some(LaneKind::Ready) && !waits))
            }
        }
    }
}

/// A change of a job, or why the record is none. Deletions, and rows that are no jobs, are no news.
pub fn news(change: &Change) -> Option<Result<News, BadRecord>> {
    match change.kind {
        Kind::Written => {}
        Kind::Deleted | Kind::Expired => return None,
    }
    if record_key(&change.keys).client.starts_with(RESERVED_PREFIX) {
        return None;
    }
    let bad = |why: String| BadRecord {
        sequence: change.sequence.clone(),
        why,
    };
    let Some(image) = &change.after else {
        return Some(Err(bad("it does not tell how the record is now".to_owned())));
    };
    match item::read(image) {
        Ok(after) => Some(Ok(News {
            before: change.before.as_ref().and_then(|before| item::read(before).ok()),
            after,
        })),
        // What was refused before is no news.
        Err(_) if image.contains_key(roundtrip_core::lifecycle::attribute::CLEANED) => None,
        Err(malformed) => Some(Err(bad(format!("it is no job: {}", malformed.why)))),
    }
}

/// The records as they are now, for a pipeline that is told of these keys: what the stream says may be a day old.
pub async fn offers(jobs: &Jobs, keys: &BTreeSet<JobKey>, interest: Interest) -> Result<Vec<Offer>, Fault> {
    let mut offers = Vec::new();
    let keys: Vec<JobKey> = keys.iter().cloned().collect();
    for part in keys.chunks(BATCH_GET_MAX) {
        let mut wanted = part.to_vec();
        for _ in 0..ASKED_MAX {
            let (records, left) = jobs.get_many(&wanted).await?;
            let current = records.into_iter().filter_map(Result::ok);
            offers.extend(
                current
                    .filter(|job| interest.is_in(job))
                    .map(|job| offer(job, interest)),
            );
            wanted.retain(|key| left.contains(&key.into()));
            if wanted.is_empty() {
                break;
            }
        }
        if !wanted.is_empty() {
            return Err(Fault::Transient("the table left keys unanswered".to_owned()));
        }
    }
    Ok(offers)
}

fn offer(job: Job, interest: Interest) -> Offer {
    let signature = match interest {
        Interest::Finished => Ok(()),
        Interest::Foreign => verified(&job),
    };
    Offer {
        job,
        signature,
        uploaded: true,
    }
}
