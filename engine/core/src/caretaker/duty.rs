//! What each duty asks for about one job that was found or told of.

use std::time::Duration;

use crate::at::{At, Timestamp, spelled};
use crate::claim::Offer;
use crate::job::{Job, Lane, LaneKind, Status};
use crate::lifecycle::{self, Change, lane_of};
use crate::machine::Reason;
use crate::retry::Retry;
use crate::shard;

/// The duty of one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// `[sink.delete]`: deletes the objects of finished jobs.
    Clean {
        /// How long a result that lies in the bucket is kept for its client.
        results_keep: Duration,
        /// How long the record is kept.
        retention: Duration,
        /// Until this long after its creation, objects of a job that failed in the middle of its upload may come.
        upload_max: Duration,
    },
    /// `[sink.requeue]`: gives back jobs whose lease ended.
    Requeue(Retry),
    /// `[sink.admit]`: lets in jobs of clients and fetchers that do not know our lanes.
    Admit {
        /// Shards of each lane.
        shards: u32,
        /// The lease of a foreign fetcher, which sends no heartbeats.
        lease: Duration,
        /// A waiting job whose upload is not complete this long after its creation is ended, whosever it is.
        upload_max: Duration,
    },
}

/// What of a job's objects is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// Everything but the sealed result.
    AllButResults,
}

/// What a deletion found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that were there.
    pub objects: u64,
    /// Whether the manifest was among them: the client puts it last.
    pub manifest: bool,
}

impl Swept {
    fn is_whole(self, chunks: u64) -> bool {
        self.manifest || self.objects >= chunks
    }
}

/// Objects that come after their job failed are looked for again after this part of the time since it began.
const LATE_PART: u32 = 8;

/// What a job needs.
#[derive(Debug)]
pub(super) enum Care {
    /// A write.
    Write(Change),
    /// Its objects deleted, and then a write.
    Delete(Box<Deletion>),
}

/// Objects that are to be deleted.
#[derive(Debug)]
pub(super) struct Deletion {
    /// What is written before, where the record does not say yet that they go.
    pub(super) mark: Option<Change>,
    pub(super) extent: Extent,
    pub(super) cleaning: Cleaning,
}

/// What is written once a job's objects are gone.
#[derive(Debug)]
pub(super) struct Cleaning {
    change: Change,
    reason: Reason,
    /// Instead, where fewer objects than so many chunks and no manifest were there: more may come.
    late: Option<(u64, Change)>,
}

impl Cleaning {
    /// The write after a deletion that found this, and whether the lane gets shorter by it.
    pub(super) fn after(self, swept: Swept) -> (Change, Reason, bool) {
        match self.late {
            Some((chunks, change)) if !swept.is_whole(chunks) => {
                let reason = Reason::key("its client may still send the rest", "sink.delete.upload-max");
                (change, reason, false)
            }
            Some(_) | None => (self.change, self.reason, true),
        }
    }
}

impl Duty {
    /// What this job needs now; none where it needs nothing. `by` is who does it, for the job's history.
    pub(super) fn care(&self, at: At, offer: &Offer, by: &str) -> Option<(Care, Reason)> {
        let write = |(change, reason)| (Care::Write(change), reason);
        match self {
            Self::Clean {
                results_keep,
                retention,
                upload_max,
            } => clean(at, &offer.job, *results_keep, *retention, *upload_max),
            Self::Requeue(retry) => give_back(at, &offer.job, retry).map(write),
            Self::Admit {
                shards,
                lease,
                upload_max,
            } => let_in(at, offer, by, *shards, (*lease, *upload_max)).map(write),
        }
    }

    /// Whether its looks go on where the last one stopped, instead of reading a lane from its beginning.
    pub(super) fn scans(&self) -> bool {
        match self {
            Self::Admit { .. } => true,
            Self::Clean { .. } | Self::Requeue(_) => false,
        }
    }
}

fn clean(
    at: At,
    job: &Job,
    results_keep: Duration,
    retention: Duration,
    upload_max: Duration,
) -> Option<(Care, Reason)> {
    if job.due.is_some_and(|due| due > at.now) {
        return None;
    }
    if !job.status.is_finished() {
        job.lane.filter(|lane| lane.kind == LaneKind::Done)?;
        let kind = match job.status {
            Status::Processing => LaneKind::Leased,
            Status::Queued | Status::Completed | Status::Error => LaneKind::Ready,
        };
        let change = lifecycle::adopt(job, lane_of(job, kind), at.now);
        return Some((Care::Write(change), Reason::rule("somebody opened it again")));
    }
    let keep_until = job
        .ended(at.now)
        .map(|ended| ended + results_keep)
        .filter(|until| job.results_object().is_some() && *until > at.now);
    let (extent, reason, change, after) = if let Some(keep_until) = keep_until {
        let reason = Reason::key(
            "the job is finished; its result waits for the client",
            "sink.delete.results-keep",
        );
        let after = Reason::key(
            "its objects but the result are deleted",
            "sink.delete.results-keep",
        );
        (
            Extent::AllButResults,
            reason,
            lifecycle::keep(job, keep_until),
            after,
        )
    } else {
        let reason = if job.results_object().is_some() {
            Reason::key(
                "the job is finished; its result has waited for as long as it may",
                "sink.delete.results-keep",
            )
        } else {
            Reason::rule("the job is finished")
        };
        let after = format!(
            "its objects are deleted; its record stays for {}",
            spelled(retention)
        );
        let after = Reason::key(after, "sink.delete.retention");
        (
            Extent::All,
            reason,
            lifecycle::cleaned(job, at.now, retention),
            after,
        )
    };
    // A completed job had everything; a failed one may have failed while its client still sends. The longer ago it began,
    // the less often it is looked for.
    let began = job.began(at.now).filter(|_| job.status == Status::Error);
    let late = began.filter(|began| at.now.since(*began) < upload_max);
    let late = late.map(|began| {
        let again = at.now + at.now.since(began) / LATE_PART;
        (job.chunks, lifecycle::keep(job, again.min(began + upload_max)))
    });
    let deletion = Deletion {
        // One that a watcher marked which then died is gone on with.
        mark: (job.status == Status::Error && job.cleaning.is_none())
            .then(|| lifecycle::cleaning(job, at.now)),
        extent,
        cleaning: Cleaning {
            change,
            reason: after,
            late,
        },
    };
    Some((Care::Delete(Box::new(deletion)), reason))
}

fn give_back(at: At, job: &Job, retry: &Retry) -> Option<(Change, Reason)> {
    // At the end of its lease a claim still holds; a millisecond later it does not.
    if job.due.is_none_or(|due| due >= at.now) {
        return None;
    }
    let adopt = |kind, why| {
        let change = lifecycle::adopt(job, lane_of(job, kind), at.now);
        (change, Reason::rule(why))
    };
    Some(match job.status {
        Status::Processing => requeue(at, job, retry),
        // Whoever does not know lanes leaves the job in this one.
        Status::Queued => adopt(LaneKind::Ready, "a foreign fetcher gave it back"),
        Status::Completed | Status::Error => adopt(LaneKind::Done, "a foreign fetcher finished it"),
    })
}

fn requeue(at: At, job: &Job, retry: &Retry) -> (Change, Reason) {
    let lost = job.retries.saturating_add(1);
    let who = job.processor.as_deref().unwrap_or("a fetcher");
    let (change, why) = if retry.allows_after(lost) {
        let why = format!("{who} sent no heartbeat before its lease ended");
        let due = at.now + retry.delay_after(lost, at.of(job.key.file.as_str()).jitter);
        (lifecycle::requeue(job, at.now, due, &why), why)
    } else {
        let lost = match lost {
            1 => "a fetcher was lost on this job".to_owned(),
            lost => format!("{lost} fetchers were lost on this job"),
        };
        let why = format!("{lost}, the last was {who}");
        (lifecycle::give_up(job, at.now, &why), why)
    };
    (change, Reason::key(why, "retry.attempts-max"))
}

fn let_in(
    at: At,
    offer: &Offer,
    by: &str,
    shards: u32,
    (lease, upload_max): (Duration, Duration),
) -> Option<(Change, Reason)> {
    let Offer { job, uploaded, .. } = offer;
    let genuine = &offer.check(at.now);
    if job.cleaned.is_some() {
        return None;
    }
    let shard = job
        .lane
        .map_or_else(|| shard::of(&job.key, shards, shard::MANY), |lane| lane.shard);
    let lane = |kind| Lane { kind, shard };
    let is_late = |created: Timestamp| at.now.since(created) > upload_max;
    let is_never_complete = !uploaded && job.created_at.is_some_and(is_late);
    match (job.status, job.lane.map(|lane| lane.kind)) {
        (Status::Queued, None | Some(LaneKind::Ready)) if is_never_complete && genuine.is_ok() => {
            let why = "the upload was never completed";
            let key = "sink.admit.upload-max";
            let error = format!(
                "{why}: not within {} of its creation ({key})",
                spelled(upload_max)
            );
            let change = lifecycle::close(job, lane(LaneKind::Done), at.now, by, &error);
            Some((change, Reason::key(why, key)))
        }
        (Status::Queued, None) => Some(match genuine {
            Ok(()) => {
                let reason = Reason::rule("a foreign client's job, and its signature holds");
                (lifecycle::admit(job, at.now, shard), reason)
            }
            Err(why) => {
                let placed = Job {
                    lane: Some(lane(LaneKind::Ready)),
                    ..job.clone()
                };
                let change = lifecycle::refuse(&placed, at.now, by, why);
                (change, Reason::rule(why.clone()))
            }
        }),
        (Status::Processing, None | Some(LaneKind::Ready)) => {
            let due = job.assigned.unwrap_or(at.now) + lease;
            let reason = Reason::key("a foreign fetcher holds it", "sink.admit.lease");
            Some((lifecycle::adopt(job, lane(LaneKind::Leased), due), reason))
        }
        (Status::Completed | Status::Error, None | Some(LaneKind::Ready | LaneKind::Leased)) => {
            let reason = Reason::rule("a foreign fetcher finished it");
            Some((lifecycle::adopt(job, lane(LaneKind::Done), at.now), reason))
        }
        // It is where it belongs, or another duty's.
        (Status::Queued, Some(_))
        | (Status::Processing, Some(LaneKind::Leased | LaneKind::Done))
        | (Status::Completed | Status::Error, Some(LaneKind::Done)) => None,
    }
}
