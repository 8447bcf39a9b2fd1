//! What a watcher does with jobs that are due: clean the finished, give back the lost, let in the foreign.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::claim::{Malformed, Offer};
use crate::job::Job;
use crate::lifecycle::{Change, RecordKey};
use crate::machine::{Decision, Machine, Reason, Round};
use crate::pace::Pace;

mod duty;
mod task;

pub use duty::{Duty, Extent, Swept};
use task::Task;

/// Jobs offered without a look that are under way or wait for their time, at most; a look finds the rest.
const OFFERED_MAX: usize = 1_000;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look ended.
    Found {
        /// Jobs that are due, oldest first.
        offers: Vec<Offer>,
        /// Records that are no jobs.
        malformed: Vec<Malformed>,
        /// Whether there is more than the look brought.
        more: bool,
    },
    /// A look failed.
    LookFailed(String),
    /// Jobs came without a look: the stream told of them, and their records were read since.
    Offered(Vec<Offer>),
    /// Jobs may have come that nobody told of: only a look can find them.
    NewsMissed,
    /// The objects were deleted.
    Deleted(RecordKey, Swept),
    /// A write was made.
    Written(RecordKey),
    /// The condition of a write did not hold: someone else was first.
    Lost(RecordKey),
    /// Deleting or writing failed.
    Failed(RecordKey, String),
    /// The table refuses a write for good: the record would be larger than a record may be, as far as can be told.
    Refused(Box<Change>, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for jobs that are due.
    Look {
        /// Behind what the last look brought; else from the beginning of each lane. A scan goes on by itself.
        on: bool,
    },
    /// Delete objects of a job.
    Delete(Box<Job>, Extent),
    /// Write, and report the answer.
    Write(Change),
}

/// What a look brought.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Whether there is more behind it.
    more: bool,
    /// Whether anything came of it.
    progressed: bool,
}

/// The decisions of a pipeline that looks after jobs.
#[derive(Debug)]
pub struct Caretaker {
    duty: Duty,
    by: String,
    pace: Pace,
    looking: bool,
    /// Jobs under way, with what is to be written once their objects are gone.
    under_way: BTreeMap<RecordKey, Task>,
    /// Those of them that are not of the page: they came without a look.
    offered: BTreeSet<RecordKey>,
    /// Jobs offered shortly before they are due, by that moment.
    waiting: BTreeMap<(Timestamp, RecordKey), Offer>,
    page: Page,
    /// Whether the next look goes on behind this page: nothing came of it, and it would come again.
    on: bool,
    round: Round,
    draining: bool,
    actions: VecDeque<Decision<Action>>,
}

impl Caretaker {
    /// A caretaker with this duty; `by` names it in histories.
    pub fn new(duty: Duty, by: impl Into<String>, pace: Pace) -> Self {
        Self {
            duty,
            by: by.into(),
            pace,
            looking: false,
            under_way: BTreeMap::new(),
            offered: BTreeSet::new(),
            waiting: BTreeMap::new(),
            page: Page::default(),
            on: false,
            round: Round::Endless,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn write(&mut self, change: Change, reason: Reason) {
        self.under_way
            .insert(change.key.clone(), Task::Writing { progress: true });
        self.decide(Action::Write(change), reason);
    }

    fn found(&mut self, at: At, offers: Vec<Offer>, malformed: Vec<Malformed>, more: bool) {
        self.looking = false;
        if self.draining {
            return;
        }
        for malformed in malformed {
            let why = malformed.why.clone();
            self.write(malformed.refusal(at.now), Reason::rule(why));
        }
        for offer in offers {
            if !self.under_way.contains_key(&RecordKey::from(&offer.job.key)) {
                self.take_care(at, &offer);
            }
        }
        self.pace.looked(at, !self.is_dealt_with());
        self.page = Page {
            more,
            progressed: false,
        };
        if self.is_dealt_with() {
            self.turn_page();
        }
    }

    /// Takes care of jobs at once. One that is due before the next look waits here for its time; a later one, and
    /// all beyond the limit, are found by a look.
    fn offer(&mut self, at: At, offers: Vec<Offer>) {
        if self.draining || self.round != Round::Endless {
            return;
        }
        for offer in offers {
            if self.offered.len() + self.waiting.len() >= OFFERED_MAX {
                self.pace.hurry();
                return;
            }
            match offer.job.due {
                Some(due) if due > at.now => {
                    if due < self.pace.next() {
                        let key = RecordKey::from(&offer.job.key);
                        self.waiting.insert((due, key), offer);
                    }
                }
                Some(_) | None => self.take_offer(at, &offer),
            }
        }
    }

    /// Takes care of offered jobs whose time has come.
    fn take_waiting(&mut self, at: At) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > at.now {
                break;
            }
            let offer = entry.remove();
            self.take_offer(at, &offer);
        }
    }

    fn take_offer(&mut self, at: At, offer: &Offer) {
        let key = RecordKey::from(&offer.job.key);
        if !self.under_way.contains_key(&key) {
            self.take_care(at, offer);
            if self.under_way.contains_key(&key) {
                self.offered.insert(key);
            }
        }
    }

    /// Whether nothing of the page is under way.
    fn is_dealt_with(&self) -> bool {
        self.under_way.len() == self.offered.len()
    }

    /// A job is dealt with for now.
    fn dealt_with(&mut self, key: &RecordKey, written: bool) {
        let Some(task) = self.under_way.remove(key) else {
            return;
        };
        if self.offered.remove(key) {
            return;
        }
        self.page.progressed |= written && matches!(task, Task::Writing { progress: true });
        if self.is_dealt_with() {
            self.turn_page();
        }
    }

    /// The page is dealt with: the next follows at once, if it will be another.
    fn turn_page(&mut self) {
        // What nothing came of stays at the beginning of its lane, and must not hide what is behind it for ever: the next
        // look goes on there, when its time has come.
        self.on = self.page.more && !self.page.progressed && !self.duty.scans();
        let is_another = self.page.progressed || self.round != Round::Endless;
        if self.page.more && is_another || self.round == Round::ToBegin {
            self.pace.hurry();
        } else if self.round == Round::Running {
            self.round = Round::Ended;
        }
    }

    fn may_look(&self) -> bool {
        // One page at a time: what a look brought is dealt with before the next.
        !self.draining && !self.looking && self.is_dealt_with() && self.round != Round::Ended
    }
}

impl Machine for Caretaker {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Found {
                offers,
                malformed,
                more,
            } => self.found(at, offers, malformed, more),
            Event::LookFailed(_) => {
                self.looking = false;
                // A scan begins anew as well.
                (self.page, self.on) = (Page::default(), false);
                self.pace.looked(at, false);
            }
            Event::Offered(offers) => self.offer(at, offers),
            Event::NewsMissed => self.pace.hurry(),
            Event::Deleted(key, swept) => self.deleted(&key, swept),
            Event::Written(key) => self.written(&key),
            Event::Refused(change, _) => self.refused(&change),
            // It stays in its lane: a later look finds it again.
            Event::Lost(key) | Event::Failed(key, _) => self.dealt_with(&key, false),
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.take_waiting(at);
        if !self.may_look() || !self.pace.is_due(at.now) {
            return;
        }
        self.looking = true;
        // A scan that is half-way is first brought to its end.
        let is_half_way = self.on || (self.duty.scans() && self.page.more);
        if self.round == Round::ToBegin && !is_half_way {
            self.round = Round::Running;
        }
        let on = self.on;
        self.decide(
            Action::Look { on },
            Reason::key("a look is due", "source.jobs.every"),
        );
    }

    fn finish(&mut self, at: At) {
        self.round = Round::ToBegin;
        self.waiting.clear();
        self.pace.hurry();
        self.tick(at);
    }

    fn drain(&mut self, _at: At) {
        self.draining = true;
        self.waiting.clear();
    }

    fn set_back(&mut self, at: At, by: Duration) {
        self.pace.set_back(at, by);
        // When a job is due, its record says; one that is not due before the next look is found by it.
        let next = self.pace.next();
        self.waiting.retain(|(due, _), _| *due < next);
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let look = self.may_look().then(|| self.pace.next());
        let waiting = self.waiting.keys().next().map(|(due, _)| *due);
        look.into_iter().chain(waiting).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || self.round == Round::Ended;
        nothing_more && !self.looking && self.under_way.is_empty() && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
