//! What an ending means for the job: the last write, and why.

use std::time::Duration;

use super::WorkerPolicy;
use super::drain::Drain;
use super::held::{Ending, Held};
use super::words::{ATTEMPT, NEVER_COMPLETE, NOBODY, STALLED, STOPPED, UNFIT};
use crate::at::{At, Timestamp};
use crate::fleet::Member;
use crate::job::{Attempt, HISTORY_MAX, Job};
use crate::lifecycle::{self, Change, Write};
use crate::machine::Reason;
use crate::plan::Bounds;

/// A job whose upload stopped is offered again at least this often, unless `claim.stall` is longer.
const STALLED_WAIT_MAX: Duration = Duration::from_hours(1);

/// A job that a fetcher could not carry is offered again at least this often, unless `retry.interval` is longer.
const CARRY_WAIT_MAX: Duration = Duration::from_hours(1);

impl Held {
    /// What is written where the table does not take the last write: the same without the history, and then an error
    /// in place of a result. None where nothing shorter is left.
    pub(super) fn shorter(
        &self,
        refused: &Change,
        processor: &str,
        now: Timestamp,
    ) -> Option<(Change, Reason)> {
        if let Some(shorter) = refused.without_history() {
            let reason = Reason::rule("the table refused the write: once more without the history");
            return Some((shorter, reason));
        }
        if refused.write != Write::Complete {
            return None;
        }
        let error = "the table does not take the result into the job's record";
        let failed = lifecycle::fail(&self.job, processor, now, self.job.failures, error);
        let reason = Reason::rule("the table refused the result: an error in its place");
        Some((failed.without_history()?, reason))
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
                match Bounds::named_by(&why) {
                    Some(key) => Reason::key("the file is out of this fetcher's bounds", key),
                    None => Reason::rule("what came is not what the client signed"),
                },
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
                    let error = format!("{why}{ATTEMPT}{failures} of {})", policy.retry.attempts_max);
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
            Ending::Stalled(why) => self.stalled(policy, now, why),
            Ending::Fault(why) => {
                let due = now + policy.retry.delay_after(1, at.jitter);
                (
                    release(due, job.failures, &why),
                    Reason::key("a service was away", "retry.interval"),
                )
            }
            Ending::Unfit(why) => self.unfit(policy, now, why),
            Ending::Stopped => (release(now, job.failures, STOPPED), drain.reason()),
        }
    }
    fn stalled(&self, policy: &WorkerPolicy, now: Timestamp, why: String) -> (Change, Reason) {
        let (job, processor) = (&self.job, policy.processor.as_str());
        if self.is_older_than(policy.claim.upload_max, now) {
            let error = format!("{NEVER_COMPLETE}{why}");
            (
                lifecycle::fail(job, processor, now, job.failures, &error),
                Reason::key("the upload took too long", "claim.upload-max"),
            )
        } else {
            let due = now + wait_for_upload(job, policy.claim.stall);
            (
                lifecycle::release(job, processor, now, due, job.failures, &begun_with(STALLED, why)),
                Reason::key("chunks stopped coming", "claim.stall"),
            )
        }
    }

    /// Nobody is at fault, and another fetcher may be able to; but a file that no fetcher can carry must not go round all
    /// of them for ever.
    fn unfit(&self, policy: &WorkerPolicy, now: Timestamp, why: String) -> (Change, Reason) {
        let (job, processor, why) = (&self.job, policy.processor.as_str(), begun_with(UNFIT, why));
        let unfit =
            |attempt: &&Attempt| attempt.what == Write::Release.as_str() && attempt.why.starts_with(UNFIT);
        let before = job.history.iter().filter(unfit).count();
        let enough =
            usize::try_from(policy.retry.attempts_max).map_or(HISTORY_MAX, |max| max.min(HISTORY_MAX));
        if before >= enough && self.is_older_than(policy.claim.upload_max, now) {
            let error = format!("{NOBODY}{why}");
            (
                lifecycle::fail(job, processor, now, job.failures, &error),
                Reason::key("nobody could carry the file for too long", "claim.upload-max"),
            )
        } else {
            let due = now + doubled(policy.retry.interval, before, CARRY_WAIT_MAX);
            (
                lifecycle::release(job, processor, now, due, job.failures, &why),
                Reason::key("another fetcher may be able to", "retry.interval"),
            )
        }
    }

    fn is_older_than(&self, age_max: Duration, now: Timestamp) -> bool {
        let created = self.job.created_at;
        created.is_some_and(|created| now.since(created) > age_max)
    }
}

fn begun_with(prefix: &str, why: String) -> String {
    if why.starts_with(prefix) {
        why
    } else {
        format!("{prefix}{why}")
    }
}

/// How long a job rests whose upload stopped: twice as long each time in a row, so that dead uploads do not take turns
/// in the places of those that live.
fn wait_for_upload(job: &Job, stall: Duration) -> Duration {
    let stalled =
        |attempt: &&Attempt| attempt.what == Write::Release.as_str() && attempt.why.starts_with(STALLED);
    let in_a_row = job.history.iter().rev().take_while(stalled).count();
    doubled(stall, in_a_row, STALLED_WAIT_MAX)
}

/// A wait that was doubled so many times, up to `longest` unless it is longer itself.
fn doubled(wait: Duration, times: usize, longest: Duration) -> Duration {
    let doublings = u32::try_from(times).unwrap_or(u32::MAX);
    let grown = wait.saturating_mul(2_u32.saturating_pow(doublings));
    grown.min(longest.max(wait))
}
