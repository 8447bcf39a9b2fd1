//! Which jobs are looked for, and which of those that are found are claimed or refused.

use std::cmp::Reverse;

use super::held::Held;
use super::{Action, Worker, WorkerPolicy};
use crate::at::{At, Timestamp};
use crate::claim::{Offer, Start};
use crate::fleet::Member;
use crate::job::{Job, PRIORITY_MAX};
use crate::lifecycle;
use crate::machine::Reason;
use crate::search::Findings;

/// The part of looks in which jobs of lower priority come before those of the highest, while there are such: nobody
/// waits for ever behind another's urgent jobs.
const FAIR_PART: f64 = 0.25;

/// Whether a look is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looking {
    No,
    Yes,
    /// It began before the last round was asked for: that it finds nothing says nothing.
    Stale,
}

impl Worker {
    pub(super) fn look(&mut self, at: At) {
        if self.drain.is_told()
            || self.looking != Looking::No
            || self.free() == 0
            || !self.pace.is_due(at.now)
        {
            return;
        }
        self.looking = Looking::Yes;
        self.priority_max = self.first_priority(at);
        let (limit, priority_max) = (self.free(), self.priority_max);
        let reason = if priority_max < PRIORITY_MAX {
            Reason::rule("there is room for a job, and lower priorities have their turn")
        } else {
            Reason::key("there is room for a job", "claim.in-flight-max")
        };
        self.decide(Action::Look { limit, priority_max }, reason);
    }

    /// Which priorities come first in the next look: all in their order, or in part of the looks only those up to a
    /// random one below the highest there was.
    fn first_priority(&self, at: At) -> u8 {
        let fair = (at.jitter - (1.0 - FAIR_PART)) / FAIR_PART;
        if self.priority_seen == 0 || fair < 0.0 {
            return PRIORITY_MAX;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of one digit, clamped to it"
        )]
        let first = (fair.clamp(0.0, 1.0) * f64::from(self.priority_seen)) as u8;
        first.min(self.priority_seen - 1)
    }

    pub(super) fn found(&mut self, at: At, findings: Findings) {
        let Findings {
            offers,
            mut malformed,
            priority_seen,
        } = findings;
        self.refusals.looked(&mut malformed);
        let looked = std::mem::replace(&mut self.looking, Looking::No);
        if offers.is_empty() && malformed.is_empty() {
            self.pace.looked(at, false);
        } else {
            self.pace.again(at);
        }
        if looked == Looking::Stale {
            self.pace.hurry();
        } else {
            // A job that is not for us, or not uploaded yet, is not ready.
            self.found_nothing =
                malformed.is_empty() && !offers.iter().any(|offer| self.concerns_us(at, offer));
        }
        // Urgent jobs that are not for us may be as many as a look reads, and would hide the others.
        self.priority_seen = priority_seen.min(PRIORITY_MAX);
        if self.drain.is_told() {
            return;
        }
        for malformed in malformed {
            let why = malformed.why.clone();
            let change = malformed.refusal(at.now);
            if self.refusals.begins(&change) {
                self.decide(Action::Write(change), Reason::rule(why));
            }
        }
        let mut takeable = Vec::new();
        for offer in offers {
            if !self.concerns_us(at, &offer) {
                continue;
            }
            match offer.check(at.now) {
                Ok(()) => takeable.push(offer.job),
                Err(why) => self.refuse(at, &offer.job, &why),
            }
        }
        if !self.pace.rests(at.now) {
            self.claim_some(at, takeable);
        }
    }

    /// Whether an offer is to be claimed, or to be refused because it is not to be believed.
    fn concerns_us(&self, at: At, offer: &Offer) -> bool {
        let policy = &self.policy;
        let waits = policy.claim.start == Start::Uploaded && !offer.uploaded && offer.check(at.now).is_ok();
        policy.claim.accepts(&offer.job, &policy.bucket, at.now)
            && !self.held.contains_key(&offer.job.key)
            && !waits
            && !self.leaves_to_others(&offer.job, at.now)
    }

    fn leaves_to_others(&self, job: &Job, now: Timestamp) -> bool {
        let WorkerPolicy { processor, retry, .. } = &self.policy;
        let health = self.member.as_ref().map(Member::health);
        health.is_some_and(|health| health.leaves_to_others(job, processor, retry, now))
    }

    fn refuse(&mut self, at: At, job: &Job, why: &str) {
        let change = lifecycle::refuse(job, at.now, &self.policy.processor, why);
        if self.refusals.begins(&change) {
            self.decide(Action::Write(change), Reason::rule(why));
        }
    }

    /// Takes as many as there is room for: those of the priorities whose turn it is, the highest first, and among
    /// equals from a random one of the oldest on.
    fn claim_some(&mut self, at: At, mut jobs: Vec<Job>) {
        let first = at.any_of(jobs.len());
        jobs.rotate_left(first);
        let later = |job: &Job| job.priority > self.priority_max;
        jobs.sort_by_key(|job| (later(job), Reverse(job.priority)));
        for job in jobs {
            if self.free() == 0 {
                return;
            }
            if self.held.contains_key(&job.key) {
                continue;
            }
            let WorkerPolicy { processor, claim, .. } = &self.policy;
            let change = lifecycle::claim(&job, processor, at.now, claim.lease);
            let lease_ends = at.now + claim.lease;
            self.held
                .insert(job.key.clone(), Held::claiming(job, at.now, lease_ends));
            self.decide(
                Action::Write(change),
                Reason::key("the job is due and of a version we take", "claim.versions"),
            );
        }
    }
}
