//! What becomes of objects that no open job knows: the bucket is gone through a page at a time, and what is old is held
//! against the records of the jobs it belongs to.
//!
//! Records are read after the listing: a job that finished meanwhile is only left for the next sweep, and a job that
//! is open by then keeps what it has. What the table cannot tell is that a job is still to be created for objects that
//! lie there (`announce = "last"`, or a client that goes on where it stopped): therefore no object that is younger than
//! `age-min` is touched. A client that goes on sends every chunk again, so that its objects are young again.
//!
//! Nor can the table tell whether the bucket is its own: to another table every object there is one that no job knows.
//! Therefore the bucket holds the name of its table ([`OWNER`](crate::names::OWNER)), and each look asks for it first.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::machine::{Decision, Machine, Reason, Round};
use crate::names::JobKey;
use crate::pace::Pace;
use crate::retry::Retry;

mod exchange;
mod round;
mod stray;

pub use exchange::{Action, Event, Object, Standing, Tally};
use stray::Cause;

/// What is swept, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPolicy {
    /// The table whose jobs are asked for: a bucket of another one is left alone.
    pub table: String,
    /// Objects up to this age are left alone.
    pub age_min: Duration,
    /// Pages one look lists, at most; at least 1. The next look goes on behind them.
    pub pages_max: u32,
    /// How often a page that could not be read is tried again before the sweep is broken off.
    pub retry: Retry,
}

/// What is done about the page.
#[derive(Debug)]
enum Step {
    /// Nothing: the next page waits for its time.
    Resting,
    /// Its owner is asked for.
    AskingOwner,
    /// It is listed.
    Listing,
    /// The records behind its old objects are read.
    Asking(BTreeMap<JobKey, Vec<Object>>),
    /// So many deletions are under way.
    Deleting(usize),
    /// It could not be read, and is listed again then.
    Waiting(Timestamp),
}

/// The decisions of a pipeline that sweeps the bucket.
#[derive(Debug)]
pub struct Sweep {
    policy: SweepPolicy,
    pace: Pace,
    step: Step,
    /// Whether the bucket names this table; none until a look has asked.
    is_ours: Option<bool>,
    /// Behind which key the next page begins; none where the next page is the first.
    after: Option<String>,
    /// Where the page that is dealt with ends.
    next: Option<String>,
    /// Pages of this look.
    pages: u32,
    /// Failures in a row.
    failures: u32,
    tally: Tally,
    /// Objects of the page, and those of them that are no job's.
    seen: (u64, u64),
    round: Round,
    draining: bool,
    actions: VecDeque<Decision<Action>>,
}

impl Sweep {
    /// Sweeps at this pace, from the beginning of the bucket.
    pub fn new(policy: SweepPolicy, pace: Pace) -> Self {
        Self {
            policy,
            pace,
            step: Step::Resting,
            is_ours: None,
            after: None,
            next: None,
            pages: 0,
            failures: 0,
            tally: Tally::default(),
            seen: (0, 0),
            round: Round::Endless,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn list(&mut self) {
        if self.round == Round::ToBegin {
            self.round = Round::Running;
            self.begin_anew();
        }
        if self.is_ours.is_none() {
            self.step = Step::AskingOwner;
            let reason = Reason::key("a bucket of another table is not swept", "store.table");
            return self.decide(Action::AskOwner, reason);
        }
        self.step = Step::Listing;
        let after = self.after.clone();
        let reason = if after.is_some() {
            Reason::key("the sweep goes on", "source.objects.pages-max")
        } else {
            Reason::key("a sweep is due", "source.objects.every")
        };
        self.decide(Action::List { after }, reason);
    }

    fn owner_told(&mut self, at: At, owner: Option<String>) {
        if !matches!(self.step, Step::AskingOwner) {
            return;
        }
        self.step = Step::Resting;
        if self.draining {
            return;
        }
        match owner {
            Some(owner) if owner != self.policy.table => {
                let reason = Reason::key("the bucket is another table's", "store.table");
                self.decide(Action::Refuse { owner }, reason);
                self.rest(at);
            }
            owner => {
                self.failures = 0;
                self.is_ours = Some(owner.is_some());
                self.list();
            }
        }
    }

    fn listed(&mut self, at: At, objects: Vec<Object>, next: Option<String>) {
        if !matches!(self.step, Step::Listing) {
            return;
        }
        self.next = next;
        let listed = objects.len() as u64;
        let (page, foreign) = stray::by_job(objects, at.now, self.policy.age_min);
        self.seen = (listed, foreign);
        if page.is_empty() || self.draining {
            self.turn_page(at);
        } else {
            let jobs = page.keys().cloned().collect();
            self.step = Step::Asking(page);
            let reason = Reason::key("these have old objects", "source.objects.age-min");
            self.decide(Action::Ask(jobs), reason);
        }
    }

    fn answered(&mut self, at: At, standings: &BTreeMap<JobKey, Standing>) {
        let step = std::mem::replace(&mut self.step, Step::Resting);
        let Step::Asking(page) = step else {
            self.step = step;
            return;
        };
        let mut strays = stray::among(page, standings);
        if strays.is_empty() || self.draining {
            return self.turn_page(at);
        }
        if self.is_ours != Some(true)
            && let Some(objects) = strays.remove(&Cause::NoRecord)
        {
            self.tally.spared += objects.len() as u64;
            let rule = "no job of this table knows it, but the bucket names no table as its own";
            self.decide(Action::Spare(objects), Reason::key(rule, "store.table"));
        }
        if strays.is_empty() {
            return self.turn_page(at);
        }
        self.step = Step::Deleting(strays.len());
        for (cause, objects) in strays {
            self.decide(Action::Delete(objects), cause.reason());
        }
    }

    fn deleted(&mut self, at: At, deleted: u64, failed: u64) {
        let Step::Deleting(left) = &mut self.step else {
            return;
        };
        *left -= 1;
        let is_last = *left == 0;
        self.tally.deleted += deleted;
        self.tally.failed += failed;
        if is_last {
            self.turn_page(at);
        }
    }

    fn may_list(&self) -> bool {
        !self.draining && self.round != Round::Ended
    }
}

impl Machine for Sweep {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::OwnerTold(owner) => self.owner_told(at, owner),
            Event::OwnerFailed(_) => {
                if matches!(self.step, Step::AskingOwner) {
                    self.failed(at);
                }
            }
            Event::Listed { objects, next } => self.listed(at, objects, next),
            Event::ListFailed(_) => {
                if matches!(self.step, Step::Listing) {
                    self.failed(at);
                }
            }
            Event::Answered(standings) => self.answered(at, &standings),
            Event::AskFailed(_) => {
                if matches!(self.step, Step::Asking(_)) {
                    self.failed(at);
                }
            }
            Event::Deleted(objects) => self.deleted(at, objects, 0),
            Event::DeleteFailed(objects, _) => self.deleted(at, 0, objects),
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        let is_due = match self.step {
            Step::Resting => self.pace.is_due(at.now),
            Step::Waiting(until) => until <= at.now,
            Step::AskingOwner | Step::Listing | Step::Asking(_) | Step::Deleting(_) => false,
        };
        if is_due && self.may_list() {
            self.list();
        }
    }

    fn finish(&mut self, at: At) {
        self.round = Round::ToBegin;
        if matches!(self.step, Step::Waiting(_)) {
            self.step = Step::Resting;
        }
        self.pace.hurry();
        self.tick(at);
    }

    fn drain(&mut self, _at: At) {
        self.draining = true;
        if matches!(self.step, Step::Waiting(_)) {
            self.step = Step::Resting;
        }
    }

    fn set_back(&mut self, at: At, by: Duration) {
        self.pace.set_back(at, by);
        if let Step::Waiting(until) = &mut self.step {
            *until = until.set_back(by);
        }
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        match self.step {
            Step::Resting => self.may_list().then(|| self.pace.next()),
            Step::Waiting(until) => Some(until),
            Step::AskingOwner | Step::Listing | Step::Asking(_) | Step::Deleting(_) => None,
        }
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || self.round == Round::Ended;
        nothing_more && matches!(self.step, Step::Resting) && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
