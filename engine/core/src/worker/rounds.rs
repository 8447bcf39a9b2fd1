//! What goes round for long although nobody says that the job is at fault: it is given back after ever longer waits, and
//! comes to an end all the same.

use std::time::Duration;

use super::WorkerPolicy;
use super::held::{Ending, Held};
use super::words::{NEVER_COMPLETE, NOBODY, STALLED, TURNED_AWAY, TURNED_AWAY_FOR_LONG, UNFIT};
use crate::at::Timestamp;
use crate::job::{Attempt, HISTORY_MAX, Job};
use crate::lifecycle::{self, Change, Write};
use crate::machine::Reason;

/// A job whose upload stopped is offered again at least this often, unless `claim.stall` is longer.
const STALLED_WAIT_MAX: Duration = Duration::from_hours(1);

/// A job that a fetcher could not carry, or that its processor turned away, is offered again at least this often, unless
/// `retry.interval` is longer.
const ROUND_WAIT_MAX: Duration = Duration::from_hours(1);

/// A job is turned away at least so often before it ends, which takes hours: somebody has to mend the path or the token
/// meanwhile, also where the queue was older than `claim.upload-max` already. The history tells of as many.
const TURNED_AWAY_MIN: usize = 15;

impl Held {
    pub(super) fn stalled(&self, policy: &WorkerPolicy, now: Timestamp, why: String) -> (Change, Reason) {
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
    pub(super) fn unfit(&self, policy: &WorkerPolicy, now: Timestamp, why: String) -> (Change, Reason) {
        let (job, processor, why) = (&self.job, policy.processor.as_str(), begun_with(UNFIT, why));
        let before = job.history.iter().filter(given_back(UNFIT)).count();
        let enough =
            usize::try_from(policy.retry.attempts_max).map_or(HISTORY_MAX, |max| max.min(HISTORY_MAX));
        if before >= enough && self.is_older_than(policy.claim.upload_max, now) {
            let error = format!("{NOBODY}{why}");
            (
                lifecycle::fail(job, processor, now, job.failures, &error),
                Reason::key("nobody could carry the file for too long", "claim.upload-max"),
            )
        } else {
            let due = now + doubled(policy.retry.interval, before, ROUND_WAIT_MAX);
            (
                lifecycle::release(job, processor, now, due, job.failures, &why),
                Reason::key("another fetcher may be able to", "retry.interval"),
            )
        }
    }

    /// Where the processor turns this job away although it has answered for another that was claimed since it turned this
    /// one away before, the request is right and the job counts as failed. Else it may be the request: a wrong path or a
    /// missing token must not end the queue as errors.
    pub(super) fn turned_away_alone(&self, answered: Option<Timestamp>, ending: Ending) -> Ending {
        let mut turns = self.job.history.iter().rev();
        let before = turns.find(given_back(TURNED_AWAY)).map(|attempt| attempt.at);
        let is_alone = before.is_some_and(|before| answered.is_some_and(|answered| answered > before));
        let Ending::TurnedAway { why, after } = ending else {
            return ending;
        };
        if is_alone {
            let why = begun_with(TURNED_AWAY, why);
            Ending::Failed { why, after }
        } else {
            Ending::TurnedAway { why, after }
        }
    }

    /// Nobody knows whether it is the job or the request: the job waits for whoever looks into it, but not for ever.
    pub(super) fn turned_away(
        &self,
        policy: &WorkerPolicy,
        now: Timestamp,
        why: String,
        after: Option<Duration>,
    ) -> (Change, Reason) {
        let (job, processor) = (&self.job, policy.processor.as_str());
        let before = job.history.iter().filter(given_back(TURNED_AWAY)).count();
        if before >= TURNED_AWAY_MIN && self.is_older_than(policy.claim.upload_max, now) {
            let error = format!("{TURNED_AWAY_FOR_LONG}{why}");
            (
                lifecycle::fail(job, processor, now, job.failures, &error),
                Reason::key(
                    "the processor turned the job away for too long",
                    "claim.upload-max",
                ),
            )
        } else {
            let wait = doubled(policy.retry.interval, before, ROUND_WAIT_MAX).max(after.unwrap_or_default());
            let (times, seconds) = (before + 1, wait.as_secs());
            let rule = format!(
                "the processor turned the job away ({times} so far), as it may do with all: it waits for {seconds} s, \
                 and is no error before `claim.upload-max`"
            );
            (
                lifecycle::release(
                    job,
                    processor,
                    now,
                    now + wait,
                    job.failures,
                    &begun_with(TURNED_AWAY, why),
                ),
                Reason::key(rule, "retry.interval"),
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

/// Whether an attempt ended so that the job was given back, for a reason that begins so.
fn given_back(prefix: &str) -> impl Fn(&&Attempt) -> bool {
    move |attempt| attempt.what == Write::Release.as_str() && attempt.why.starts_with(prefix)
}

/// How long a job rests whose upload stopped: twice as long each time in a row, so that dead uploads do not take turns
/// in the places of those that live.
fn wait_for_upload(job: &Job, stall: Duration) -> Duration {
    let in_a_row = job.history.iter().rev().take_while(given_back(STALLED)).count();
    doubled(stall, in_a_row, STALLED_WAIT_MAX)
}

/// A wait that was doubled so many times, up to `longest` unless it is longer itself.
fn doubled(wait: Duration, times: usize, longest: Duration) -> Duration {
    let doublings = u32::try_from(times).unwrap_or(u32::MAX);
    let grown = wait.saturating_mul(2_u32.saturating_pow(doublings));
    grown.min(longest.max(wait))
}
