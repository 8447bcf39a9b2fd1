//! Whether a fetcher is fit to claim: one whose jobs keep failing while others are there leaves them the jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::at::Timestamp;
use crate::job::Job;
use crate::names::JobKey;
use crate::retry::Retry;

/// No rest is longer, unless the first one is.
pub const REST_MAX: Duration = Duration::from_hours(1);

/// When a fetcher rests: `failing-max` and `failing-rest` of `[claim]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// So many jobs in a row that failed here start a rest; at least 1.
    pub failing_max: usize,
    /// How long the first rest is; each further one is twice as long, up to [`REST_MAX`].
    pub failing_rest: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// Claims nothing.
    Resting {
        until: Timestamp,
    },
    /// Claims one job at a time, to see whether it still fails.
    Probing,
}

/// How a fetcher fares.
#[derive(Clone, Debug)]
pub struct Health {
    policy: HealthPolicy,
    state: State,
    /// Jobs that failed here since the last success, up to the number that starts a rest.
    failed: BTreeSet<JobKey>,
    /// Rests since the last success.
    rests: u32,
    /// Whether another fetcher is there to take the jobs.
    others: bool,
}

impl Health {
    /// A fetcher that is well, and knows of no other.
    pub fn new(policy: HealthPolicy) -> Self {
        Self {
            policy,
            state: State::Well,
            failed: BTreeSet::new(),
            rests: 0,
            others: false,
        }
    }

    /// It was heard whether there is another fetcher that claims. The last one never rests: jobs that fail
    /// everywhere have to come to their end.
    pub fn heard(&mut self, others: bool) {
        self.others = others;
        if let (false, State::Resting { .. }) = (others, self.state) {
            self.state = State::Probing;
        }
    }

    /// A job was analysed. Whether the fetcher was not well until now.
    pub fn succeeded(&mut self) -> bool {
        let was_ill = self.state != State::Well;
        self.state = State::Well;
        self.failed.clear();
        self.rests = 0;
        was_ill
    }

    /// An attempt failed. Until when the fetcher rests, if that makes it rest.
    pub fn failed(&mut self, now: Timestamp, key: &JobKey) -> Option<Timestamp> {
        if self.failed.len() < self.policy.failing_max {
            self.failed.insert(key.clone());
        }
        let is_enough = match self.state {
            State::Well => self.failed.len() >= self.policy.failing_max,
            State::Probing => true,
            // A job that was held when the rest began.
            State::Resting { .. } => false,
        };
        if !is_enough || !self.others {
            return None;
        }
        let longest = REST_MAX.max(self.policy.failing_rest);
        let doubled = 2_u32.checked_pow(self.rests).unwrap_or(u32::MAX);
        let rest = self.policy.failing_rest.saturating_mul(doubled).min(longest);
        self.rests = self.rests.saturating_add(1);
        let until = now + rest;
        self.state = State::Resting { until };
        Some(until)
    }

    /// Lets time pass: after a rest one job is tried.
    pub fn tick(&mut self, now: Timestamp) {
        if self.resting_until().is_some_and(|until| until <= now) {
            self.state = State::Probing;
        }
    }

    /// The clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        if let State::Resting { until } = &mut self.state {
            *until = until.set_back(by);
        }
    }

    /// When the rest ends; none while the fetcher claims.
    pub fn resting_until(&self) -> Option<Timestamp> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Well | State::Probing => None,
        }
    }

    /// Jobs that may be held at once, of `in_flight_max`.
    pub fn room(&self, in_flight_max: usize) -> usize {
        match self.state {
            State::Well => in_flight_max,
            State::Probing => in_flight_max.min(1),
            State::Resting { .. } => 0,
        }
    }

    /// Whether a job that fails here now is given to another fetcher although its attempts are used up: nobody
    /// else has failed on it, and there is another. At most once again as many attempts are made in this way.
    pub fn leaves_last_word(&self, job: &Job, failures: u32, by: &str, retry: &Retry) -> bool {
        self.others && only_here(job, by) && failures < retry.attempts_max.saturating_mul(2)
    }

    /// Whether a job on offer is left to another fetcher for now, since it is here that it used up its attempts.
    /// After another `retry.interval-max` it is taken all the same: the others may be busy.
    pub fn leaves_to_others(&self, job: &Job, by: &str, retry: &Retry, now: Timestamp) -> bool {
        let waited = job.due.is_none_or(|due| due + retry.interval_max <= now);
        self.others && !waited && !retry.allows_after(job.failures) && only_here(job, by)
    }
}

/// Whether every failure the job's history tells of was made by this processor.
fn only_here(job: &Job, by: &str) -> bool {
    job.history
        .iter()
        .filter(|attempt| attempt.failed)
        .all(|attempt| attempt.by == by)
}

#[cfg(test)]
mod tests;
