//! One claim: where it stands, and what its ending means.

use std::time::Duration;

use super::WorkerPolicy;
use super::drain::Drain;
use crate::at::{At, Timestamp};
use crate::fleet::Member;
use crate::job::{Attempt, Job};
use crate::lifecycle::{self, Change, Write};
use crate::machine::Reason;

/// What the reason of a release begins with in the history where chunks stopped coming.
const STALLED: &str = "its upload stopped: ";

/// A job whose upload stopped is offered again at least this often, unless `claim.stall` is longer.
const STALLED_WAIT_MAX: Duration = Duration::from_hours(1);

/// How work on a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is a result, sealed.
    Result {
        /// The sealed text, or the object it lies in.
        results: String,
        /// The processor's content type.
        results_type: Option<String>,
    },
    /// The processor says the job is at fault.
    JobFault(String),
    /// The processor failed; the job may be at fault.
    Failed {
        /// What happened.
        why: String,
        /// When the processor asked to be tried again.
        after: Option<Duration>,
    },
    /// The processor is away or asked to be left alone; the job is not at fault.
    Away {
        /// What happened.
        why: String,
        /// When the processor asked to be tried again.
        after: Option<Duration>,
    },
    /// What came is not what the client signed, or the client gave the job up: final.
    Refused(String),
    /// Chunks stopped coming.
    Stalled(String),
    /// A service failed while chunks were fetched.
    Fault(String),
    /// Work stopped because it was told to.
    Stopped,
}

/// Where a claim stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// The claim was sent.
    Claiming,
    /// Chunks are fetched, or the whole file waits for the processor.
    Fetching { since: Timestamp },
    /// The processor has the file, or what there is of it.
    Engaged,
    /// The last write was sent; `next`: when it is sent again.
    Committing {
        change: Change,
        attempts: u32,
        next: Option<Timestamp>,
    },
    /// The claim is lost or over; the work has still to stop.
    Dropped,
}

/// Whether the processor has the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    No,
    /// It could have it, but has others.
    Waits,
    Over,
}

/// One claim.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) job: Job,
    pub(super) stage: Stage,
    /// Whether the engine still works on it.
    pub(super) working: bool,
    pub(super) lease_ends: Timestamp,
    pub(super) next_beat: Timestamp,
    /// When the heartbeat under way was sent.
    pub(super) beating: Option<Timestamp>,
    /// Bytes here, and in all where known.
    pub(super) progress: Option<(u64, Option<u64>)>,
    /// When the whole file was here.
    pub(super) arrived: Option<Timestamp>,
    pub(super) handed: Handed,
    /// Whether the engine was told to stop work on it although the claim is ours.
    pub(super) stopped: bool,
}

impl Held {
    pub(super) fn claiming(job: Job, now: Timestamp, lease_ends: Timestamp) -> Self {
        Self {
            job,
            stage: Stage::Claiming,
            working: false,
            lease_ends,
            next_beat: now,
            beating: None,
            progress: None,
            arrived: None,
            handed: Handed::No,
            stopped: false,
        }
    }

    /// The claim was won: the record as it is now.
    pub(super) fn won(&mut self, job: Job, now: Timestamp, heartbeat: Duration) {
        self.stage = Stage::Fetching { since: now };
        // A claim that was sent before the clock was set back says a moment that is still to come.
        self.next_beat = job.assigned.map_or(now, |assigned| assigned.min(now)) + heartbeat;
        // Where the claim is an earlier one of ours, its lease is nearer to its end.
        self.lease_ends = job.due.unwrap_or(self.lease_ends);
        self.job = job;
    }

    /// The clock was set back. The lease ends earlier than its record says, until the next heartbeat writes it anew.
    pub(super) fn set_back(&mut self, by: Duration) {
        let moments = [&mut self.lease_ends, &mut self.next_beat];
        let moments = moments
            .into_iter()
            .chain(&mut self.beating)
            .chain(&mut self.arrived);
        let of_stage = match &mut self.stage {
            Stage::Fetching { since } => Some(since),
            Stage::Committing { next, .. } => next.as_mut(),
            Stage::Claiming | Stage::Engaged | Stage::Dropped => None,
        };
        for moment in moments.chain(of_stage) {
            *moment = moment.set_back(by);
        }
    }

    /// Whether the job is being fetched or analysed, and nothing of it is being committed.
    pub(super) fn is_at_work(&self) -> bool {
        match self.stage {
            Stage::Fetching { .. } | Stage::Engaged => true,
            Stage::Claiming | Stage::Committing { .. } | Stage::Dropped => false,
        }
    }

    /// Whether the claim was made and is still ours, as far as is known.
    pub(super) fn is_won(&self) -> bool {
        match self.stage {
            Stage::Fetching { .. } | Stage::Engaged | Stage::Committing { .. } => true,
            Stage::Claiming | Stage::Dropped => false,
        }
    }

    /// Whether it takes up one of the downloads: it is being claimed, or its file is still on its way.
    pub(super) fn is_downloading(&self) -> bool {
        match self.stage {
            Stage::Claiming => true,
            Stage::Fetching { .. } | Stage::Engaged | Stage::Committing { .. } | Stage::Dropped => {
                self.working && self.arrived.is_none()
            }
        }
    }

    /// Whether it takes up one of the analyses, until the engine has stopped work on it.
    pub(super) fn is_analysed(&self) -> bool {
        self.handed == Handed::Over && self.working
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let beat = if self.beating.is_some() {
            None
        } else {
            Some(self.next_beat)
        };
        let past_lease = Some(self.lease_ends + Duration::from_millis(1));
        match &self.stage {
            Stage::Claiming | Stage::Dropped => None,
            Stage::Fetching { .. } | Stage::Engaged => beat.into_iter().chain(past_lease).min(),
            Stage::Committing { next, .. } => beat.into_iter().chain(past_lease).chain(*next).min(),
        }
    }

    /// The write an ending leads to, and why.
    pub(super) fn verdict(
        &self,
        policy: &WorkerPolicy,
        member: Option<&Member>,
        drain: Drain,
        at: At,
        ending: Ending,
    ) -> (Change, Reason) {
        let (job, processor, now) = (&self.job, policy.processor.as_str(), at.now);
        let release = |due: Timestamp, failures: u32, why: &str| {
            lifecycle::release(job, processor, now, due, failures, why)
        };
        let fail = |failures: u32, why: &str| lifecycle::fail(job, processor, now, failures, why);
        match ending {
            Ending::Result {
                results,
                results_type,
            } => {
                let change = lifecycle::complete(job, processor, now, &results, results_type.as_deref());
                (change, Reason::rule("the processor gave a result"))
            }
            Ending::JobFault(why) => (
                fail(job.failures.saturating_add(1), &why),
                Reason::rule("the job is at fault"),
            ),
            Ending::Refused(why) => (
                fail(job.failures, &why),
                Reason::rule("what came is not what the client signed"),
            ),
            Ending::Failed { why, after } => {
                let failures = job.failures.saturating_add(1);
                let allowed = policy.retry.allows_after(failures);
                let elsewhere = !allowed
                    && member.is_some_and(|member| {
                        member
                            .health()
                            .leaves_last_word(job, failures, processor, &policy.retry)
                    });
                if allowed || elsewhere {
                    let delay = policy
                        .retry
                        .delay_after(failures, at.jitter)
                        .max(after.unwrap_or_default());
                    let rule = if elsewhere {
                        "no attempt is left, but only this fetcher has failed on it and there are others"
                    } else {
                        "another attempt is allowed"
                    };
                    (
                        release(now + delay, failures, &why),
                        Reason::key(rule, "retry.attempts-max"),
                    )
                } else {
                    let error = format!("{why} (attempt {failures} of {})", policy.retry.attempts_max);
                    (
                        fail(failures, &error),
                        Reason::key("no attempt is left", "retry.attempts-max"),
                    )
                }
            }
            Ending::Away { why, after } => {
                let delay = policy
                    .retry
                    .delay_after(1, at.jitter)
                    .max(after.unwrap_or_default());
                (
                    release(now + delay, job.failures, &why),
                    Reason::key("the job is not at fault", "retry.interval"),
                )
            }
            Ending::Stalled(why) => {
                let since_created = job.created_at.map(|created| now.since(created));
                if since_created.is_some_and(|age| age > policy.claim.upload_max) {
                    let error = format!("the upload was never completed: {why}");
                    (
                        fail(job.failures, &error),
                        Reason::key("the upload took too long", "claim.upload-max"),
                    )
                } else {
                    let due = now + wait_for_upload(job, policy.claim.stall);
                    let why = if why.starts_with(STALLED) {
                        why
                    } else {
                        format!("{STALLED}{why}")
                    };
                    (
                        release(due, job.failures, &why),
                        Reason::key("chunks stopped coming", "claim.stall"),
                    )
                }
            }
            Ending::Fault(why) => {
                let due = now + policy.retry.delay_after(1, at.jitter);
                (
                    release(due, job.failures, &why),
                    Reason::key("a service was away", "retry.interval"),
                )
            }
            Ending::Stopped => (
                release(now, job.failures, "the fetcher was stopped"),
                drain.reason(),
            ),
        }
    }
}

/// How long a job rests whose upload stopped: twice as long each time in a row, so that dead uploads do not take turns
/// in the places of those that live.
fn wait_for_upload(job: &Job, stall: Duration) -> Duration {
    let stalled =
        |attempt: &&Attempt| attempt.what == Write::Release.as_str() && attempt.why.starts_with(STALLED);
    let in_a_row = job.history.iter().rev().take_while(stalled).count();
    let doublings = u32::try_from(in_a_row).unwrap_or(u32::MAX);
    let wait = stall.saturating_mul(2_u32.saturating_pow(doublings));
    wait.min(STALLED_WAIT_MAX.max(stall))
}
