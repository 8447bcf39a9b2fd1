//! What a fetcher does with jobs: look, claim, engage, keep the lease, commit.

mod claims;
mod drain;
mod exchange;
mod held;
mod look;
mod refusals;
mod rounds;
mod slots;
mod verdict;
pub mod words;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::claim::ClaimPolicy;
use crate::fleet::{FleetPolicy, Member};
use crate::job::PRIORITY_MAX;
use crate::lifecycle::{RecordKey, Write};
use crate::machine::{Decision, Machine, Reason};
use crate::names::JobKey;
use crate::pace::Pace;
use crate::protection::{Protection, ProtectionPolicy};
use crate::retry::Retry;

use drain::Drain;
pub use exchange::{Action, Event, Outcome};
pub use held::Ending;
use held::Held;
use look::Looking;
use refusals::Refusals;

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

/// The decisions of a pipeline that claims jobs.
#[derive(Debug)]
pub struct Worker {
    policy: WorkerPolicy,
    held: BTreeMap<JobKey, Held>,
    refusals: Refusals,
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
    /// When the last job was claimed that the processor gave an answer for.
    answered: Option<Timestamp>,
    /// The job that the bucket refused something of last, while nothing went well since.
    barred: Option<JobKey>,
    drain: Drain,
    actions: VecDeque<Decision<Action>>,
}

impl Worker {
    /// A worker that holds nothing.
    pub fn new(policy: WorkerPolicy, pace: Pace) -> Self {
        Self {
            policy,
            held: BTreeMap::new(),
            refusals: Refusals::default(),
            pace,
            member: None,
            protection: None,
            looking: Looking::No,
            priority_max: PRIORITY_MAX,
            priority_seen: 0,
            found_nothing: false,
            rests: 0,
            answered: None,
            barred: None,
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

    fn written(&mut self, at: At, record: &RecordKey, write: Write, outcome: Outcome) {
        if write == Write::Refuse
            && let Some(shorter) = self.refusals.answered(record, &outcome)
        {
            let rule = "the table refused the write for good: a shorter one is made";
            self.decide(Action::Write(shorter), Reason::rule(rule));
        }
        let Some(key) = self.held_key(record) else {
            return;
        };
        match write {
            Write::Claim => self.claim_answered(at, &key, outcome),
            Write::Heartbeat => self.beat_answered(at, &key, &outcome),
            Write::Complete | Write::Fail | Write::Release => self.commit_answered(at, &key, &outcome),
            Write::Downloaded if matches!(outcome, Outcome::Lost(_)) => self.news_lost(&key),
            Write::Downloaded
            | Write::Refuse
            | Write::Create
            | Write::Requeue
            | Write::GiveUp
            | Write::Cleaning
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
            Event::Found(findings) => self.found(at, findings),
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

    fn set_back(&mut self, at: At, by: Duration) {
        self.pace.set_back(at, by);
        self.answered = self.answered.map(|answered| answered.set_back(by));
        for held in self.held.values_mut() {
            held.set_back(by);
        }
        if let Some(member) = &mut self.member {
            member.set_back(by);
        }
        if let Some(protection) = &mut self.protection {
            protection.set_back(by);
        }
        if let Drain::Until(end) = &mut self.drain {
            *end = end.set_back(by);
        }
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
        self.held.is_empty() && self.refusals.is_empty() && nothing_more && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
