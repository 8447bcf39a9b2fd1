//! What a client does about results: ask for those outstanding, deliver each once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::job::{Job, Status};
use crate::machine::{Decision, Machine, Reason};
use crate::names::{FileId, JobKey};
use crate::pace::Pace;
use crate::retry::Retry;

/// Results delivered at once, at most: each is held in memory while it is opened.
const DELIVERING_MAX: usize = 2;

/// A shipped file whose result is not here yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which job.
    pub key: JobKey,
    /// The record as it is; none if the table has none.
    pub job: Option<Job>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look ended: one page of what is outstanding.
    Found {
        /// The jobs of the page.
        standings: Vec<Standing>,
        /// Whether more of the page is outstanding, of which nothing could be learned now.
        unanswered: bool,
        /// Where the next page begins; none at the end.
        next: Option<FileId>,
    },
    /// A look failed.
    LookFailed(String),
    /// The result or the error is in the folder.
    Delivered(JobKey),
    /// It could not be delivered now.
    DeliveryFailed(JobKey, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read a page of what is outstanding, and its records.
    Look {
        /// After this file.
        after: Option<FileId>,
    },
    /// Open the result and write it; keep it sealed where it does not open.
    DeliverResult(Box<Job>),
    /// Write why there is no result.
    DeliverError(JobKey, String),
}

/// How long the machine goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until it is told to stop.
    Serving,
    /// Until nothing is outstanding.
    Finishing,
    /// Nothing was outstanding.
    Finished,
    /// Until what is being delivered is there.
    Draining,
}

impl Phase {
    const fn looks(self) -> bool {
        match self {
            Self::Serving | Self::Finishing => true,
            Self::Finished | Self::Draining => false,
        }
    }
}

/// The decisions of a pipeline that collects results.
#[derive(Debug)]
pub struct Collect {
    pace: Pace,
    retry: Retry,
    /// Jobs being delivered.
    delivering: BTreeMap<JobKey, u32>,
    /// Deliveries that failed: how often, and when to try again.
    failed: BTreeMap<JobKey, (u32, Timestamp)>,
    waiting: VecDeque<Decision<(JobKey, Action)>>,
    cursor: Option<FileId>,
    looking: bool,
    saw_outstanding: bool,
    phase: Phase,
    actions: VecDeque<Decision<Action>>,
}

impl Collect {
    /// A collector that knows of nothing.
    pub fn new(pace: Pace, retry: Retry) -> Self {
        Self {
            pace,
            retry,
            delivering: BTreeMap::new(),
            failed: BTreeMap::new(),
            waiting: VecDeque::new(),
            cursor: None,
            looking: false,
            saw_outstanding: false,
            phase: Phase::Serving,
            actions: VecDeque::new(),
        }
    }

    fn found(&mut self, at: At, standings: Vec<Standing>, unanswered: bool, next: Option<FileId>) {
        if !std::mem::take(&mut self.looking) {
            return;
        }
        self.saw_outstanding |= unanswered || !standings.is_empty();
        if self.phase == Phase::Draining {
            return;
        }
        let mut began = false;
        for Standing { key, job } in standings {
            if self.failed.get(&key).is_some_and(|(_, until)| *until > at.now) {
                continue;
            }
            let Some((action, reason)) = delivery(&key, job) else {
                continue;
            };
            began = true;
            self.waiting.push_back(Decision {
                action: (key, action),
                reason,
            });
        }
        self.cursor = next;
        if self.cursor.is_some() {
            self.pace.hurry();
            return;
        }
        if self.phase == Phase::Finishing && !self.saw_outstanding {
            self.phase = Phase::Finished;
        }
        self.saw_outstanding = false;
        self.pace.looked(at, began);
    }

    fn has_nothing_to_deliver(&self) -> bool {
        self.waiting.is_empty() && self.delivering.is_empty()
    }

    fn may_look(&self) -> bool {
        // What was found is delivered before more is looked for: a page bounds the memory, and nothing is delivered
        // again because a look began before its delivery ended.
        self.phase.looks() && !self.looking && self.has_nothing_to_deliver()
    }

    fn deliver_next(&mut self) {
        while self.delivering.len() < DELIVERING_MAX && self.phase != Phase::Draining {
            let Some(Decision {
                action: (key, action),
                reason,
            }) = self.waiting.pop_front()
            else {
                return;
            };
            let attempts = self.failed.get(&key).map_or(0, |(attempts, _)| *attempts);
            self.delivering.insert(key, attempts);
            self.actions.push_back(Decision { action, reason });
        }
    }
}

/// What a record asks for; nothing while the job is under way.
fn delivery(key: &JobKey, job: Option<Job>) -> Option<(Action, Reason)> {
    let Some(job) = job else {
        let why = "the job's record is gone: it was deleted before its result was collected".to_owned();
        return Some((Action::DeliverError(key.clone(), why.clone()), Reason::rule(why)));
    };
    match job.status {
        Status::Queued | Status::Processing => None,
        Status::Completed => Some((
            Action::DeliverResult(Box::new(job)),
            Reason::rule("the job is completed"),
        )),
        Status::Error => {
            let why = job
                .error
                .filter(|why| !why.is_empty())
                .unwrap_or_else(|| "no reason was given".to_owned());
            Some((
                Action::DeliverError(key.clone(), why),
                Reason::rule("the job failed"),
            ))
        }
    }
}

impl Machine for Collect {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Found {
                standings,
                unanswered,
                next,
            } => self.found(at, standings, unanswered, next),
            Event::LookFailed(_) => {
                self.looking = false;
                self.pace.looked(at, false);
            }
            Event::Delivered(key) => {
                self.delivering.remove(&key);
                self.failed.remove(&key);
                if self.phase == Phase::Finishing && self.has_nothing_to_deliver() {
                    self.pace.hurry();
                }
            }
            Event::DeliveryFailed(key, _) => {
                let attempts = self.delivering.remove(&key).unwrap_or_default().saturating_add(1);
                let until = at.now + self.retry.delay_after(attempts, at.jitter);
                self.failed.insert(key, (attempts, until));
            }
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.deliver_next();
        if self.may_look() && self.pace.is_due(at.now) {
            self.looking = true;
            let after = self.cursor.take();
            let reason = Reason::key("a look is due", "source.results.interval");
            self.actions.push_back(Decision {
                action: Action::Look { after },
                reason,
            });
        }
    }

    fn finish(&mut self, at: At) {
        if self.phase == Phase::Draining {
            return;
        }
        self.phase = Phase::Finishing;
        self.cursor = None;
        self.saw_outstanding = self.looking;
        self.pace.hurry();
        self.tick(at);
    }

    fn drain(&mut self, _at: At) {
        self.phase = Phase::Draining;
    }

    fn set_back(&mut self, at: At, by: Duration) {
        self.pace.set_back(at, by);
        for (_, until) in self.failed.values_mut() {
            *until = until.set_back(by);
        }
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.may_look().then(|| self.pace.next())
    }

    fn is_idle(&self) -> bool {
        !self.phase.looks() && !self.looking && self.delivering.is_empty() && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
