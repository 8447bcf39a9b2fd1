//! What an ending means for the job: the last write, and why.

use super::WorkerPolicy;
use super::drain::Drain;
use super::held::{Ending, Held};
use super::words::{ATTEMPT, STOPPED};
use crate::at::{At, Timestamp};
use crate::fleet::Member;
use crate::lifecycle::{self, Change, Write};
use crate::machine::Reason;
use crate::plan::Bounds;

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
            Ending::TurnedAway { why, after } => self.turned_away(policy, now, why, after),
            Ending::Stalled(why) => self.stalled(policy, now, why),
            Ending::Fault(why) => {
                let due = now + policy.retry.delay_after(1, at.jitter);
                (
                    release(due, job.failures, &why),
                    Reason::key("a service was away", "retry.interval"),
                )
            }
            Ending::Unfit(why) | Ending::Barred(why) => self.unfit(policy, now, why),
            Ending::Stopped => (release(now, job.failures, STOPPED), drain.reason()),
        }
    }
}
