//! What a fetcher does with jobs: look, claim, engage, keep the lease, commit.

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
use held::{Held, Stage};

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

/// The decisions of a pipeline that claims jobs.
#[derive(Debug)]
pub struct Worker {
    policy: WorkerPolicy,
    held: BTreeMap<JobKey, Held>,
    refusing: BTreeSet<RecordKey>,
    pace: Pace,
    /// Its part in the fleet; none where it works by itself.
    member: Option<Member>,
    looking: bool,
    found_nothing: bool,
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
            looking: false,
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
        if self.draining || self.looking || self.free() == 0 || !self.pace.is_due(at.now) {
            return;
        }
        self.looking = true;
        let limit = self.free();
        self.decide(
            Action::Look { limit },
            Reason::key("there is room for a job", "claim.in-flight-max"),
        );
    }

    fn found(&mut self, at: At, offers: Vec<Offer>, malformed: Vec<Malformed>) {
        self.looking = false;
        self.found_nothing = offers.is_empty() && malformed.is_empty();
        self.pace.looked(at, !self.found_nothing);
        for Malformed { key, why } in malformed {
            if self.refusing.len() < REFUSING_MAX && self.refusing.insert(key.clone()) {
                let change = lifecycle::refuse_malformed(key, at.now, &why);
                self.decide(Action::Write(change), Reason::rule(why));
            }
        }
        let mut takeable = Vec::new();
        for Offer {
            job,
            signature,
            uploaded,
        } in offers
        {
            if !self.policy.claim.accepts(&job, &self.policy.bucket, at.now)
                || self.held.contains_key(&job.key)
                || self.leaves_to_others(&job, at.now)
            {
                continue;
            }
            match signature {
                Ok(()) if uploaded || self.policy.claim.start == Start::Announced => takeable.push(job),
                Ok(()) => {}
                Err(why) => self.refuse(at, &job, &why),
            }
        }
        if self.draining {
            return;
        }
        self.claim_some(at, takeable);
    }

    fn leaves_to_others(&self, job: &Job, now: Timestamp) -> bool {
        let WorkerPolicy { processor, retry, .. } = &self.policy;
        self.member
            .as_ref()
            .is_some_and(|member| member.health().leaves_to_others(job, processor, retry, now))
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
        for job in jobs.into_iter().take(self.free()) {
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

    fn claimed(&mut self, at: At, job: Job) {
        let heartbeat = self.policy.claim.heartbeat;
        if self.draining {
            let change = lifecycle::release(
                &job,
                &self.policy.processor,
                at.now,
                at.now,
                job.failures,
                "stopping",
            );
            if let Some(held) = self.held.get_mut(&job.key) {
                held.job = job;
                held.stage = Stage::Committing {
                    change: change.clone(),
                    attempts: 1,
                    next: None,
                };
            }
            self.decide(Action::Write(change), Reason::rule("told to stop"));
            return;
        }
        if let Some(held) = self.held.get_mut(&job.key) {
            held.stage = Stage::Fetching { since: at.now };
            held.working = true;
            held.next_beat = at.now + heartbeat;
            held.job = job.clone();
            self.decide(Action::Fetch(Box::new(job)), Reason::rule("the claim was won"));
        }
    }

    fn claim_answered(&mut self, at: At, key: &RecordKey, outcome: Outcome) {
        let Some(held_key) = self.held_key(key) else {
            return;
        };
        match outcome {
            Outcome::Done(Some(job)) => self.claimed(at, *job),
            // A claim that was repeated after a lost answer finds itself.
            Outcome::Lost(Some(job)) if job.processor.as_deref() == Some(&self.policy.processor) => {
                self.claimed(at, *job);
            }
            Outcome::Done(None) | Outcome::Lost(_) => {
                self.held.remove(&held_key);
                self.pace.hurry();
                self.look(at);
            }
            // If it was made after all, nobody works on it: the watcher gives it back when the lease ends.
            Outcome::Failed(_) => {
                self.held.remove(&held_key);
            }
        }
    }

    fn progressed(&mut self, at: At, key: JobKey, here: u64, size: Option<u64>) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let Stage::Fetching { since } = held.stage else {
            return;
        };
        if self.policy.claim.engages(here, size, at.now.since(since)) {
            held.stage = Stage::Engaged;
            self.decide(
                Action::Engage(key),
                Reason::key("the rest is expected in time", "claim.feed"),
            );
        }
    }

    fn arrived(&mut self, at: At, key: JobKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let change = lifecycle::downloaded(&held.job, &self.policy.processor, at.now);
        let engage = matches!(held.stage, Stage::Fetching { .. });
        if engage {
            held.stage = Stage::Engaged;
        }
        self.decide(
            Action::Write(change),
            Reason::rule("every chunk and the whole file are proven"),
        );
        if engage {
            self.decide(
                Action::Engage(key),
                Reason::key("the whole file is here", "claim.feed"),
            );
        }
    }

    fn ended(&mut self, at: At, key: &JobKey, ending: Ending) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if matches!(held.stage, Stage::Committing { .. } | Stage::Dropped) {
            held.working = false;
            self.settle(at, key);
            return;
        }
        held.working = false;
        match &ending {
            Ending::Away { after, .. } => {
                self.rests = self.rests.saturating_add(1);
                let rest = self
                    .policy
                    .retry
                    .delay_after(self.rests, at.jitter)
                    .max(after.unwrap_or_default());
                self.pace.rest(at.now + rest);
            }
            Ending::Result { .. } | Ending::JobFault(_) | Ending::Failed { .. } => self.rests = 0,
            Ending::Refused(_) | Ending::Stalled(_) | Ending::Fault(_) | Ending::Stopped => {}
        }
        if let Some(member) = &mut self.member {
            match &ending {
                Ending::Result { .. } => member.succeeded(),
                Ending::JobFault(_) | Ending::Failed { .. } => member.failed(at.now, key),
                Ending::Away { .. }
                | Ending::Refused(_)
                | Ending::Stalled(_)
                | Ending::Fault(_)
                | Ending::Stopped => {}
            }
        }
        let (change, reason) = held.verdict(&self.policy, self.member.as_ref(), at, ending);
        held.stage = Stage::Committing {
            change: change.clone(),
            attempts: 1,
            next: None,
        };
        self.decide(Action::Write(change), reason);
    }

    fn commit_answered(&mut self, at: At, key: &RecordKey, outcome: &Outcome) {
        let Some(held_key) = self.held_key(key) else {
            return;
        };
        let Some(held) = self.held.get_mut(&held_key) else {
            return;
        };
        let Stage::Committing { attempts, next, .. } = &mut held.stage else {
            return;
        };
        match outcome {
            Outcome::Failed(_) => {
                *next = Some(at.now + self.policy.retry.delay_after(*attempts, at.jitter));
                *attempts = attempts.saturating_add(1);
            }
            Outcome::Done(_) | Outcome::Lost(_) => {
                held.stage = Stage::Dropped;
                self.settle(at, &held_key);
            }
        }
    }

    fn beat_answered(&mut self, at: At, key: &RecordKey, outcome: &Outcome) {
        let Some(held_key) = self.held_key(key) else {
            return;
        };
        let Some(held) = self.held.get_mut(&held_key) else {
            return;
        };
        let ClaimPolicy { lease, heartbeat, .. } = self.policy.claim;
        let Some(sent) = held.beating.take() else { return };
        match outcome {
            Outcome::Done(_) => {
                held.lease_ends = sent + lease;
                held.next_beat = sent + heartbeat;
            }
            Outcome::Failed(_) => held.next_beat = at.now + heartbeat / 4,
            Outcome::Lost(_) => {
                self.drop_claim(
                    &held_key,
                    Reason::rule("the claim is another's: what was done is discarded"),
                );
            }
        }
    }

    fn drop_claim(&mut self, key: &JobKey, reason: Reason) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        held.stage = Stage::Dropped;
        if held.working {
            self.decide(Action::Stop(key.clone()), reason);
        } else {
            self.held.remove(key);
        }
    }

    /// A claim is over when its work has stopped and its last write was answered.
    fn settle(&mut self, at: At, key: &JobKey) {
        if self
            .held
            .get(key)
            .is_some_and(|held| !held.working && matches!(held.stage, Stage::Dropped))
        {
            self.held.remove(key);
            // The lane may hold more: look at once, unless the processor is away.
            if self.rests == 0 {
                self.pace.hurry();
            }
            self.look(at);
        }
    }

    fn held_key(&self, key: &RecordKey) -> Option<JobKey> {
        self.held
            .keys()
            .find(|held| RecordKey::from(*held) == *key)
            .cloned()
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

    fn keep_leases(&mut self, at: At) {
        let keys: Vec<JobKey> = self.held.keys().cloned().collect();
        for key in keys {
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            if matches!(held.stage, Stage::Claiming | Stage::Dropped) {
                continue;
            }
            if at.now > held.lease_ends {
                self.drop_claim(
                    &key,
                    Reason::key("no heartbeat got through before the lease ended", "claim.lease"),
                );
                continue;
            }
            if let Stage::Committing { change, next, .. } = &mut held.stage
                && next.is_some_and(|due| due <= at.now)
            {
                *next = None;
                let change = change.clone();
                self.actions.push_back(Decision {
                    action: Action::Write(change),
                    reason: Reason::key("the write was not answered", "retry.interval"),
                });
            }
            if held.beating.is_none() && held.next_beat <= at.now {
                held.beating = Some(at.now);
                let change =
                    lifecycle::heartbeat(&held.job, &self.policy.processor, at.now, self.policy.claim.lease);
                self.decide(
                    Action::Write(change),
                    Reason::key("the lease is kept", "claim.heartbeat"),
                );
            }
        }
    }
}

impl Machine for Worker {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Found { offers, malformed } => self.found(at, offers, malformed),
            Event::LookFailed(_) => {
                self.looking = false;
                self.pace.looked(at, false);
            }
            Event::Progressed { key, here, size } => self.progressed(at, key, here, size),
            Event::Arrived(key) => self.arrived(at, key),
            Event::Ended(key, ending) => self.ended(at, &key, ending),
            Event::Written { key, write, outcome } => match write {
                Write::Claim => self.claim_answered(at, &key, outcome),
                Write::Heartbeat => self.beat_answered(at, &key, &outcome),
                Write::Complete | Write::Fail | Write::Release => self.commit_answered(at, &key, &outcome),
                Write::Downloaded => {
                    if let (Outcome::Lost(_), Some(held)) = (outcome, self.held_key(&key)) {
                        self.drop_claim(
                            &held,
                            Reason::rule("the claim is another's: what was done is discarded"),
                        );
                    }
                }
                Write::Refuse => {
                    self.refusing.remove(&key);
                }
                Write::Create
                | Write::Requeue
                | Write::GiveUp
                | Write::Cleaned
                | Write::Keep
                | Write::Admit
                | Write::Adopt
                | Write::Cancel => {}
            },
            Event::Reported(others) => {
                if let Some(member) = &mut self.member {
                    member.reported(at.now, others);
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
        self.pace.hurry();
        self.look(at);
    }

    fn drain(&mut self, at: At) {
        self.draining = true;
        let working: Vec<JobKey> = self
            .held
            .iter()
            .filter(|(_, held)| held.working && held.is_abandonable())
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
        let look = if self.draining || self.looking || self.free() == 0 {
            None
        } else {
            Some(self.pace.next())
        };
        let report = self.member.as_ref().and_then(Member::wake_at);
        leases.into_iter().chain(look).chain(report).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || (self.found_nothing && !self.looking);
        self.held.is_empty() && self.refusing.is_empty() && nothing_more && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
