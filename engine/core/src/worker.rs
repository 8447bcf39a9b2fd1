//! What a fetcher does with jobs: look, claim, engage, keep the lease, commit.

mod claims;
mod held;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::at::{At, Timestamp};
use crate::claim::{ClaimPolicy, Malformed, Offer, Start};
use crate::fleet::{FleetPolicy, Member, Report};
use crate::job::Job;
use crate::lifecycle::{self, Change, RecordKey, Write};
use crate::machine::{Decision, Machine, Reason};
use crate::names::JobKey;
use crate::pace::Pace;
use crate::retry::Retry;

pub use held::Ending;
use held::Held;

/// Records refused and still being written, at most: the rest is refused at a later look.
const REFUSING_MAX: usize = 100;

/// How a worker decides.
#[derive(Clone, Debug)]
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
    looking: Looking,
    found_nothing: bool,
    /// How often in a row the processor was away.
    rests: u32,
    draining: bool,
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
            looking: Looking::No,
            found_nothing: false,
            rests: 0,
            draining: false,
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

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn free(&self) -> usize {
        let in_flight_max = self.policy.claim.in_flight_max;
        let room = self
            .member
            .as_ref()
            .map_or(in_flight_max, |member| member.health().room(in_flight_max));
        room.saturating_sub(self.held.len())
    }

    fn look(&mut self, at: At) {
        if self.draining || self.looking != Looking::No || self.free() == 0 || !self.pace.is_due(at.now) {
            return;
        }
        self.looking = Looking::Yes;
        let limit = self.free();
        self.decide(
            Action::Look { limit },
            Reason::key("there is room for a job", "claim.in-flight-max"),
        );
    }

    fn found(&mut self, at: At, offers: Vec<Offer>, malformed: Vec<Malformed>) {
        let looked = std::mem::replace(&mut self.looking, Looking::No);
        self.pace.looked(at, !(offers.is_empty() && malformed.is_empty()));
        if looked == Looking::Stale {
            self.pace.hurry();
        } else {
            // A job that is not for us, or not uploaded yet, is not ready.
            self.found_nothing =
                malformed.is_empty() && !offers.iter().any(|offer| self.concerns_us(at, offer));
        }
        if self.draining {
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

    /// Takes as many as there is room for, from a random one of the oldest on.
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
            Event::Found { offers, malformed } => self.found(at, offers, malformed),
            Event::LookFailed(_) => {
                self.looking = Looking::No;
                self.pace.looked(at, false);
            }
            Event::Progressed { key, here, size } => self.progressed(at, key, here, size),
            Event::Arrived(key) => self.arrived(at, key),
            Event::Ended(key, ending) => self.ended(at, &key, ending),
            Event::Written { key, write, outcome } => self.written(at, &key, write, outcome),
            Event::Reported(others) => {
                if let Some(member) = &mut self.member {
                    member.reported(at, others);
                }
            }
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.keep_leases(at);
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
        self.draining = true;
        let working: Vec<JobKey> = self
            .held
            .iter()
            .filter(|(_, held)| held.working && held.is_at_work())
            .map(|(key, _)| key.clone())
            .collect();
        for key in working {
            self.decide(Action::Stop(key), Reason::rule("told to stop"));
        }
        self.tick(at);
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let leases = self.held.values().filter_map(Held::wake_at).min();
        let look = if self.draining || self.looking != Looking::No || self.free() == 0 {
            None
        } else {
            Some(self.pace.next())
        };
        let report = self.member.as_ref().and_then(Member::wake_at);
        leases.into_iter().chain(look).chain(report).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || (self.found_nothing && self.looking == Looking::No);
        self.held.is_empty() && self.refusing.is_empty() && nothing_more && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
