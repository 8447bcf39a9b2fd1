//! What a fetcher does with jobs: look, claim, engage, keep the lease, commit.

mod claims;
mod drain;
mod held;
mod slots;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::at::{At, Timestamp};
use crate::claim::{ClaimPolicy, Malformed, Offer, Start};
use crate::fleet::{FleetPolicy, Member, Report};
use crate::job::{Job, PRIORITY_MAX};
use crate::lifecycle::{self, Change, RecordKey, Write};
use crate::machine::{Decision, Machine, Reason};
use crate::names::JobKey;
use crate::pace::Pace;
use crate::protection::{Protect, Protection, ProtectionPolicy};
use crate::retry::Retry;

use drain::Drain;
pub use held::Ending;
use held::Held;

/// Records refused and still being written, at most: the rest is refused at a later look.
const REFUSING_MAX: usize = 100;

/// The part of looks in which jobs of lower priority come before those of the highest, while there are such: nobody
/// waits for ever behind another's urgent jobs.
const FAIR_PART: f64 = 0.25;

/// How a worker decides.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerPolicy {
    /// `processor-<uuid>`: who claims.
    pub processor: String,
    /// Only jobs of this bucket are taken.
    pub bucket: String,
    /// `[claim]`
    pub claim: ClaimPolicy,
    /// `[retry]`
    pub retry: Retry,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look into the ready lanes ended: jobs that may be claimed, oldest first.
    Found {
        /// Jobs that are due.
        offers: Vec<Offer>,
        /// Records that are no jobs.
        malformed: Vec<Malformed>,
        /// The highest priority of all jobs that were read, whether they are offered or not.
        priority_seen: u8,
    },
    /// A look failed.
    LookFailed(String),
    /// More of the file is here.
    Progressed {
        /// Which job.
        key: JobKey,
        /// Bytes here.
        here: u64,
        /// Bytes in all, where known.
        size: Option<u64>,
    },
    /// The whole file is here and proven.
    Arrived(JobKey),
    /// Work on the job ended.
    Ended(JobKey, Ending),
    /// A write was answered.
    Written {
        /// Which record.
        key: RecordKey,
        /// Which write.
        write: Write,
        /// What came of it.
        outcome: Outcome,
    },
    /// A report was made: whether another fetcher claims; none where that is not known.
    Reported(Option<bool>),
    /// [`Action::Protect`] was answered: whether it was granted.
    Protected(bool),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made; the record as it is now, where the write asks for it.
    Done(Option<Box<Job>>),
    /// Its condition did not hold; the record as it is, where it is readable.
    Lost(Option<Box<Job>>),
    /// It is not known whether it was made.
    Failed(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for up to so many jobs in the ready lanes.
    Look {
        /// Jobs wanted.
        limit: usize,
        /// Jobs of this priority and below come first.
        priority_max: u8,
    },
    /// Write, and report the answer.
    Write(Change),
    /// Fetch the chunks of this job.
    Fetch(Box<Job>),
    /// Hand the file to the processor.
    Engage(JobKey),
    /// Stop work on the job and discard what there is of it.
    Stop(JobKey),
    /// Tell the fleet how this fetcher fares, and find out whether another claims.
    Report(Report),
    /// Have the task that this fetcher runs in protected from being scaled in, or no longer.
    Protect(Protect),
}

/// Whether a look is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    No,
    Yes,
    /// It began before the last round was asked for: that it finds nothing says nothing.
    Stale,
}

/// The decisions of a pipeline that claims jobs.
#[derive(Debug)]
pub struct Worker {
    policy: WorkerPolicy,
    held: BTreeMap<JobKey, Held>,
    refusing: BTreeSet<RecordKey>,
    pace: Pace,
    /// Its part in the fleet; none where it works by itself.
    member: Option<Member>,
    /// Where the fetcher runs in a task that can be protected.
    protection: Option<Protection>,
    looking: Looking,
    /// Which priorities come first in the look under way.
    priority_max: u8,
    /// The highest priority that the last look read.
    priority_seen: u8,
    found_nothing: bool,
    /// How often in a row the processor was away.
    rests: u32,
    drain: Drain,
    actions: VecDeque<Decision<Action>>,
}

impl Worker {
    /// A worker that holds nothing.
    pub fn new(policy: WorkerPolicy, pace: Pace) -> Self {
        Self {
            policy,
            held: BTreeMap::new(),
            refusing: BTreeSet::new(),
            pace,
            member: None,
            protection: None,
            looking: Looking::No,
            priority_max: PRIORITY_MAX,
            priority_seen: 0,
            found_nothing: false,
            rests: 0,
            drain: Drain::No,
            actions: VecDeque::new(),
        }
    }

    /// The same worker as a part of a fleet: it reports itself, rests when its jobs keep failing, and leaves the
    /// last word on a failing job to another.
    #[must_use]
    pub fn in_fleet(self, policy: FleetPolicy) -> Self {
        Self {
            member: Some(Member::new(policy)),
            ..self
        }
    }

    /// The same worker in a task that is to be protected from being scaled in while a job is held.
    #[must_use]
    pub fn protected(self, policy: ProtectionPolicy) -> Self {
        Self {
            protection: Some(Protection::new(policy)),
            ..self
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn look(&mut self, at: At) {
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

    fn found(&mut self, at: At, offers: Vec<Offer>, malformed: Vec<Malformed>, priority_seen: u8) {
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
        for Malformed { key, why } in malformed {
            if self.refusing.len() < REFUSING_MAX && self.refusing.insert(key.clone()) {
                let change = lifecycle::refuse_malformed(key, at.now, &why);
                self.decide(Action::Write(change), Reason::rule(why));
            }
        }
        let mut takeable = Vec::new();
        for offer in offers {
            if !self.concerns_us(at, &offer) {
                continue;
            }
            match offer.signature {
                Ok(()) => takeable.push(offer.job),
                Err(why) => self.refuse(at, &offer.job, &why),
            }
        }
        if !self.pace.rests(at.now) {
            self.claim_some(at, takeable);
        }
    }

    /// Whether an offer is to be claimed, or to be refused because it is forged.
    fn concerns_us(&self, at: At, offer: &Offer) -> bool {
        let policy = &self.policy;
        let waits = offer.signature.is_ok() && !offer.uploaded && policy.claim.start == Start::Uploaded;
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

    fn report(&mut self, at: At) {
        let held = self
            .held
            .values()
            .filter(|held| held.is_won())
            .map(|held| &held.job);
        let due = self.member.as_mut().and_then(|member| member.tick(at.now, held));
        if let Some((report, reason)) = due {
            self.decide(Action::Report(report), reason);
        }
    }

    fn refuse(&mut self, at: At, job: &Job, why: &str) {
        if self.refusing.len() < REFUSING_MAX && self.refusing.insert(RecordKey::from(&job.key)) {
            let change = lifecycle::refuse(job, at.now, &self.policy.processor, why);
            self.decide(Action::Write(change), Reason::rule(why));
        }
    }

    fn keep_protection(&mut self, at: At) {
        let (holds, lingers) = (self.held.values().any(Held::is_won), !self.drain.is_told());
        let asks = self
            .protection
            .as_mut()
            .and_then(|protection| protection.tick(at.now, holds, lingers));
        if let Some((protect, reason)) = asks {
            self.decide(Action::Protect(protect), reason);
        }
    }

    /// Takes as many as there is room for: those of the priorities whose turn it is, the highest first, and among
    /// equals from a random one of the oldest on.
    fn claim_some(&mut self, at: At, mut jobs: Vec<Job>) {
        if !jobs.is_empty() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a fraction of a short list's length, clamped to it"
            )]
            let first = (at.jitter.clamp(0.0, 1.0) * jobs.len() as f64) as usize;
            let middle = first.min(jobs.len() - 1);
            jobs.rotate_left(middle);
            let later = |job: &Job| job.priority > self.priority_max;
            jobs.sort_by_key(|job| (later(job), Reverse(job.priority)));
        }
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

    fn written(&mut self, at: At, record: &RecordKey, write: Write, outcome: Outcome) {
        if write == Write::Refuse {
            self.refusing.remove(record);
        }
        let Some(key) = self.held_key(record) else {
            return;
        };
        match write {
            Write::Claim => self.claim_answered(at, &key, outcome),
            Write::Heartbeat => self.beat_answered(at, &key, &outcome),
            Write::Complete | Write::Fail | Write::Release => self.commit_answered(at, &key, &outcome),
            Write::Downloaded if matches!(outcome, Outcome::Lost(_)) => self.lost(&key),
            Write::Downloaded
            | Write::Refuse
            | Write::Create
            | Write::Requeue
            | Write::GiveUp
            | Write::Cleaned
            | Write::Keep
            | Write::Admit
            | Write::Adopt
            | Write::Cancel => {}
        }
    }

    fn held_key(&self, key: &RecordKey) -> Option<JobKey> {
        self.held
            .keys()
            .find(|held| RecordKey::from(*held) == *key)
            .cloned()
    }
}

impl Machine for Worker {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Found {
                offers,
                malformed,
                priority_seen,
            } => self.found(at, offers, malformed, priority_seen),
            Event::LookFailed(_) => {
                self.looking = Looking::No;
                self.pace.looked(at, false);
            }
            Event::Progressed { key, here, size } => self.progressed(&key, here, size),
            Event::Arrived(key) => self.arrived(at, &key),
            Event::Ended(key, ending) => self.ended(at, &key, ending),
            Event::Written { key, write, outcome } => self.written(at, &key, write, outcome),
            Event::Reported(others) => {
                if let Some(member) = &mut self.member {
                    member.reported(at, others);
                }
            }
            Event::Protected(granted) => {
                if let Some(protection) = &mut self.protection {
                    protection.answered(at, granted);
                }
            }
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.keep_leases(at);
        self.end_drain(at);
        self.engage_some(at);
        self.keep_protection(at);
        self.report(at);
        self.look(at);
    }

    fn finish(&mut self, at: At) {
        self.found_nothing = false;
        if self.looking == Looking::Yes {
            self.looking = Looking::Stale;
        }
        self.pace.hurry();
        self.look(at);
    }

    fn drain(&mut self, at: At) {
        if self.drain == Drain::No {
            self.drain = Drain::Until(at.now + self.policy.claim.drain);
        }
        self.tick(at);
    }

    fn stop(&mut self, at: At) {
        self.drain = Drain::AtOnce;
        self.tick(at);
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let leases = self.held.values().filter_map(Held::wake_at).min();
        let draining = self.drain.is_told();
        let look = if draining || self.looking != Looking::No || self.free() == 0 {
            None
        } else {
            Some(self.pace.next())
        };
        let report = self.member.as_ref().and_then(Member::wake_at);
        let protection = self.protection.as_ref();
        let protection = protection.and_then(|protection| protection.wake_at(!draining));
        let others = [look, report, protection, self.drain_ends()];
        leases.into_iter().chain(others.into_iter().flatten()).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.drain.is_told() || (self.found_nothing && self.looking == Looking::No);
        self.held.is_empty() && self.refusing.is_empty() && nothing_more && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
