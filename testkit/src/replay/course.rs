//! The recorded course: which write of the lifecycle a change was, and what becomes of it in another history.

use roundtrip_core::at::Timestamp;
use roundtrip_core::claim::Malformed;
use roundtrip_core::job::{Attempt, Job, Lane, Status};
use roundtrip_core::lifecycle::{RecordKey, Write};

use super::role::Plays;

/// What a recorded change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A write of the lifecycle.
    Write(Write),
    /// An operator had the job taken again.
    OperatorRequeue,
    /// The record was deleted, by the table or by somebody.
    Deleted,
    /// Something that no program of ours writes.
    Other,
}

impl Act {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Write(write) => write.as_str(),
            Self::OperatorRequeue => "requeue",
            Self::Deleted => "delete",
            Self::Other => "write",
        }
    }
}

/// A recorded change.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// When it happened.
    pub(super) at: Timestamp,
    pub(super) key: RecordKey,
    pub(super) act: Act,
    pub(super) before: Option<Job>,
    /// The record since; none where it was deleted.
    pub(super) after: Option<Result<Job, Malformed>>,
    /// Whether the record lay in a lane before.
    pub(super) had_lane: bool,
    /// Where a record that is no job lies.
    pub(super) place: Option<(Lane, Timestamp)>,
    pub(super) verdict: Option<Result<(), String>>,
    pub(super) sequence: u128,
}

impl Recorded {
    /// Whether it is about a job that is held.
    pub(super) fn is_of_a_claim(&self) -> bool {
        let was_held = self
            .before
            .as_ref()
            .is_some_and(|job| job.status == Status::Processing);
        was_held && !matches!(self.act, Act::Write(Write::Claim))
    }

    /// Whether the job is taken from a fetcher that was lost.
    pub(super) fn is_a_loss(&self) -> bool {
        matches!(self.act, Act::Write(Write::Requeue | Write::GiveUp))
    }

    /// Whether the role makes such writes itself.
    pub(super) fn is_played_by(&self, plays: Plays) -> bool {
        match self.act {
            Act::Write(write) => match write {
                Write::Claim
                | Write::Heartbeat
                | Write::Downloaded
                | Write::Complete
                | Write::Fail
                | Write::Release => plays.claim,
                // That an upload never became complete only the bucket tells: it stays as it was.
                Write::GiveUp
                    if self
                        .before
                        .as_ref()
                        .is_some_and(|job| job.status == Status::Queued) =>
                {
                    false
                }
                // A replayed fetcher is lost when the recorded one was, and its jobs then: not when they were.
                Write::Requeue | Write::GiveUp => plays.requeue || plays.claim,
                Write::Cleaning | Write::Cleaned | Write::Keep => plays.clean,
                Write::Adopt => plays.admit || plays.requeue,
                Write::Refuse if self.had_lane => plays.claim,
                Write::Admit | Write::Refuse => plays.admit,
                Write::Create | Write::Cancel => false,
            },
            Act::OperatorRequeue | Act::Deleted | Act::Other => false,
        }
    }
}

/// Which write turned one job into the other.
pub(super) fn act(before: Option<&Job>, after: &Job) -> Act {
    let Some(before) = before else {
        return Act::Write(Write::Create);
    };
    let news = (after.history.len() != before.history.len() || after.history.last() != before.history.last())
        .then(|| after.history.last())
        .flatten();
    let what = news.map(|attempt| attempt.what.as_str());
    let operator = news.is_some_and(Attempt::is_operators);
    let write = match (before.status, after.status) {
        (Status::Queued, Status::Processing) => Write::Claim,
        (Status::Processing, Status::Processing) => {
            if before.processor != after.processor {
                return Act::Other;
            }
            if after.downloaded != before.downloaded {
                Write::Downloaded
            } else if after.lane.map(|lane| lane.kind) != before.lane.map(|lane| lane.kind) {
                Write::Adopt
            } else if after.due != before.due {
                Write::Heartbeat
            } else {
                return Act::Other;
            }
        }
        // Nobody who knows our conditions writes over another's claim.
        (Status::Processing, Status::Completed | Status::Error)
            if after.processor.is_some() && before.processor != after.processor =>
        {
            return Act::Other;
        }
        (Status::Processing | Status::Queued, Status::Completed) => Write::Complete,
        (Status::Processing | Status::Queued, Status::Error) => match what {
            Some("give-up") => Write::GiveUp,
            Some("cancel") => Write::Cancel,
            Some("refuse") => Write::Refuse,
            Some(_) | None if before.status == Status::Queued => Write::Refuse,
            Some(_) | None => Write::Fail,
        },
        (Status::Processing, Status::Queued) => match what {
            Some("requeue") if operator => return Act::OperatorRequeue,
            Some("requeue") => Write::Requeue,
            None if after.retries > before.retries => Write::Requeue,
            Some(_) | None => Write::Release,
        },
        (Status::Error, Status::Queued) => return Act::OperatorRequeue,
        (Status::Queued, Status::Queued) => match (before.lane, after.lane) {
            (None, Some(_)) => Write::Admit,
            (Some(before), Some(after)) if before.kind != after.kind => Write::Adopt,
            _ if what == Some("requeue") => return Act::OperatorRequeue,
            _ => return Act::Other,
        },
        (Status::Completed | Status::Error, Status::Completed | Status::Error) => {
            if after.cleaned.is_some() && before.cleaned.is_none() {
                Write::Cleaned
            } else if after.cleaning != before.cleaning {
                Write::Cleaning
            } else if after.lane.map(|lane| lane.kind) != before.lane.map(|lane| lane.kind) {
                Write::Adopt
            } else if after.due != before.due {
                Write::Keep
            } else {
                return Act::Other;
            }
        }
        (Status::Completed, Status::Queued) | (Status::Completed | Status::Error, Status::Processing) => {
            return Act::Other;
        }
    };
    Act::Write(write)
}

/// Whether a recorded change can happen to a job that the role has led elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chance {
    /// It happens.
    Now,
    /// Whoever made it would have found the job later: at this moment, or when the role has written to it.
    Later(Option<Timestamp>),
    /// Its condition does not hold.
    Never(String),
}

/// Holds a recorded change against the job as it is now: the conditions of the lifecycle, under which whoever made it
/// would have tried.
pub(super) fn chance(job: &Job, recorded: &Recorded, now: Timestamp, plays: Plays) -> Chance {
    let status = job.status.as_str();
    let never = |why: &str| Chance::Never(format!("{why} (the job is {status})"));
    let if_so = |holds: bool, why: &str| if holds { Chance::Now } else { never(why) };
    let before = recorded.before.as_ref();
    let holder = before.and_then(|before| before.processor.as_deref());
    let as_seen =
        before.is_some_and(|before| before.status == job.status && before.processor == job.processor);
    match recorded.act {
        Act::Write(write) => match write {
            Write::Create => never("there is such a job already"),
            Write::Claim => match job.status {
                Status::Queued if job.processor.is_none() => match job.due.filter(|due| *due > now) {
                    Some(due) => Chance::Later(Some(due)),
                    None => Chance::Now,
                },
                Status::Queued | Status::Processing => Chance::Later(None),
                Status::Completed | Status::Error => never("the job has ended"),
            },
            Write::Heartbeat | Write::Downloaded | Write::Complete | Write::Fail | Write::Release => {
                let mine = job.status == Status::Processing && job.processor.as_deref() == holder;
                if_so(mine, "the claim is not held any more")
            }
            Write::Cancel if plays.claim => if_so(!job.status.is_finished(), "the job has ended"),
            Write::Requeue | Write::GiveUp | Write::Adopt | Write::Cancel => {
                if_so(as_seen, "the job is not as it was seen")
            }
            Write::Cleaning | Write::Cleaned | Write::Keep if job.status.is_finished() => Chance::Now,
            // Whoever cleans finds it when it is finished.
            Write::Cleaning | Write::Cleaned | Write::Keep => Chance::Later(None),
            Write::Admit => {
                let waits = job.lane.is_none() && job.status == Status::Queued && job.processor.is_none();
                if_so(waits, "the job is in a lane")
            }
            Write::Refuse => {
                let waits = job.status == Status::Queued && job.processor.is_none();
                if_so(waits, "the job is not to be taken any more")
            }
        },
        Act::OperatorRequeue if plays.claim => if_so(job.status != Status::Completed, "the job is completed"),
        Act::OperatorRequeue => if_so(as_seen, "the job is not as the operator saw it"),
        Act::Deleted | Act::Other => Chance::Now,
    }
}

/// Does to a job what a recorded change did, `shift_ms` later than it did: what it left alone stays, counts go on from
/// where they are.
pub(super) fn enact(job: &mut Job, before: &Job, after: &Job, shift_ms: i64) {
    let later = |moment: Timestamp| Timestamp(moment.0.saturating_add(shift_ms));
    macro_rules! follow {
        ($($field:ident),*) => {
            $(if before.$field != after.$field {
                job.$field.clone_from(&after.$field);
            })*
        };
    }
    follow!(status, processor, results, results_type, error, lane);
    macro_rules! follow_time {
        ($($field:ident),*) => {
            $(if before.$field != after.$field {
                job.$field = after.$field.map(later);
            })*
        };
    }
    follow_time!(assigned, downloaded, processed, due, cleaning, cleaned);
    job.retries = job
        .retries
        .saturating_add(after.retries.saturating_sub(before.retries));
    job.failures = if after.failures < before.failures {
        after.failures
    } else {
        job.failures.saturating_add(after.failures - before.failures)
    };
    if before.history.last() != after.history.last() {
        job.history.extend(after.history.last().cloned());
        let surplus = job.history.len().saturating_sub(roundtrip_core::job::HISTORY_MAX);
        job.history.drain(..surplus);
    }
}
