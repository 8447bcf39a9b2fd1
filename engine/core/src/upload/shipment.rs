//! One file on its way: which step comes next, and what a failed one means.

use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::file::{Known, Stamp};
use crate::intake::Rest;
use crate::job::Status;
use crate::machine::Reason;
use crate::retry::Retry;

use super::Fault;

/// When the job is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// Before the upload: a fetcher may begin while the rest is still on its way.
    First,
    /// When everything is there.
    Last,
}

/// A step of shipping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open the file, and remember the job's id before anything of it exists elsewhere.
    Begin,
    /// Create the job.
    Create,
    /// Cut, encode and send the chunks.
    Send,
    /// Put the signed manifest: the commit point.
    Commit,
    /// Remember that everything is sent.
    Remember,
    /// Give the job up for this reason: whoever holds it is told, and what was sent is deleted.
    Abandon(String),
    /// Forget a job that ended before it was complete.
    Forget,
}

impl Step {
    /// Whether the file itself plays a part in it.
    fn reads(&self) -> bool {
        match self {
            Self::Begin | Self::Create | Self::Send | Self::Commit => true,
            Self::Remember | Self::Abandon(_) | Self::Forget => false,
        }
    }

    /// Whether it may find that the job exists.
    fn creates(&self) -> bool {
        match self {
            Self::Begin | Self::Create => true,
            Self::Send | Self::Commit | Self::Remember | Self::Abandon(_) | Self::Forget => false,
        }
    }
}

/// What a shipment asks for.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing now.
    Wait,
    /// This step.
    Do(Step, Reason),
    /// It is over: shipped.
    Finish,
    /// It is over: the file is to be looked at anew.
    LookAgain,
    /// It is over for now, for this reason.
    Leave(String),
}

#[derive(Clone, Debug)]
enum State {
    Todo(Step),
    Doing,
    Waiting(Step, Timestamp),
    Finished,
    LookAgain,
    Left(String),
}

/// One file on its way.
#[derive(Debug)]
pub(super) struct Shipment {
    announce: Announce,
    pub(super) stamp: Stamp,
    pub(super) resume: Option<Known>,
    rest: Rest,
    state: State,
    /// What follows an `Abandon`: leaving the file for this reason instead of taking it anew.
    leave: Option<String>,
    failures: u32,
    /// The file was seen in another state since it was taken.
    outdated: bool,
}

impl Shipment {
    pub(super) fn new(announce: Announce, stamp: Stamp, resume: Option<Known>, rest: Rest) -> Self {
        Self {
            announce,
            stamp,
            resume,
            rest,
            state: State::Todo(Step::Begin),
            leave: None,
            failures: 0,
            outdated: false,
        }
    }

    /// A shipment that gives up what was begun earlier.
    pub(super) fn abandoning(announce: Announce, known: Known, why: &str) -> Self {
        Self {
            state: State::Todo(Step::Abandon(why.to_owned())),
            ..Self::new(announce, known.stamp.clone(), Some(known), Rest::Settled)
        }
    }

    /// The file was seen again.
    pub(super) fn seen(&mut self, stamp: &Stamp) {
        self.outdated |= !self.stamp.same_content(stamp);
    }

    /// Whether another state of the file is still to be shipped after this one.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// Whether it waits to give up what was begun earlier.
    pub(super) fn is_to_abandon(&self) -> bool {
        matches!(self.state, State::Todo(Step::Abandon(_)))
    }

    /// Whether a step is under way.
    pub(super) fn is_doing(&self) -> bool {
        matches!(self.state, State::Doing)
    }

    /// Whether everything is sent and remembered.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    pub(super) fn turn(&mut self, at: At) -> Turn {
        match self.state.clone() {
            State::Doing => Turn::Wait,
            State::Waiting(_, until) if until > at.now => Turn::Wait,
            State::Todo(step) | State::Waiting(step, _) => {
                self.state = State::Doing;
                let reason = self.reason(&step);
                Turn::Do(step, reason)
            }
            State::Finished => Turn::Finish,
            State::LookAgain => Turn::LookAgain,
            State::Left(why) => Turn::Leave(why),
        }
    }

    fn reason(&self, step: &Step) -> Reason {
        match step {
            Step::Begin => match self.rest {
                Rest::Settled => Reason::key("the file is at rest", "source.directory.settle"),
                Rest::NeverRests => Reason::key("the file never rests", "source.directory.settle-max"),
            },
            Step::Create => match self.announce {
                Announce::First => Reason::key("the job is created before the upload", "sink.jobs.announce"),
                Announce::Last => Reason::key("everything is uploaded", "sink.jobs.announce"),
            },
            Step::Send => Reason::rule("the job has an id"),
            Step::Commit => Reason::rule("every chunk is sent"),
            Step::Remember => Reason::rule("the job exists and everything is sent"),
            Step::Abandon(why) => Reason::rule(why.clone()),
            Step::Forget => Reason::rule("the job ended before everything was sent"),
        }
    }

    pub(super) fn done(&mut self, step: Step) {
        let next = match (step, self.announce) {
            (Step::Begin, Announce::First) | (Step::Commit, Announce::Last) => State::Todo(Step::Create),
            (Step::Begin, Announce::Last) | (Step::Create, Announce::First) => State::Todo(Step::Send),
            (Step::Send, _) => State::Todo(Step::Commit),
            (Step::Commit, Announce::First) | (Step::Create, Announce::Last) => State::Todo(Step::Remember),
            (Step::Remember, _) => State::Finished,
            (Step::Abandon(_) | Step::Forget, _) => match self.leave.take() {
                Some(why) => State::Left(why),
                None => State::LookAgain,
            },
        };
        self.failures = 0;
        self.state = next;
    }

    pub(super) fn failed(&mut self, at: At, step: Step, fault: Fault, retry: &Retry) {
        let cannot = || "a step failed in a way it cannot".to_owned();
        let nothing_begun = step == Step::Begin && self.resume.is_none();
        self.state = match fault {
            Fault::Transient(why) => {
                self.failures = self.failures.saturating_add(1);
                if retry.allows_after(self.failures) {
                    State::Waiting(step, at.now + retry.delay_after(self.failures, at.jitter))
                } else {
                    State::Left(why)
                }
            }
            Fault::Permanent(why) => State::Left(why),
            // A step that touches neither the file nor the creation of its job: who drives it broke the rules.
            Fault::Changed | Fault::Gone | Fault::Unreadable(_) if !step.reads() => State::Left(cannot()),
            Fault::Exists(_) if !step.creates() => State::Left(cannot()),
            Fault::Changed | Fault::Gone if nothing_begun => State::LookAgain,
            Fault::Changed => State::Todo(Step::Abandon("the file changed while it was read".to_owned())),
            Fault::Gone => State::Todo(Step::Abandon("the file went away while it was read".to_owned())),
            Fault::Unreadable(why) if nothing_begun => State::Left(why),
            Fault::Unreadable(why) => {
                self.leave = Some(why);
                State::Todo(Step::Abandon("the file became unreadable".to_owned()))
            }
            Fault::Exists(Status::Queued | Status::Processing) => {
                self.done(step);
                return;
            }
            Fault::Exists(Status::Completed) => State::Todo(Step::Remember),
            // A job that was created when everything was there failed by itself: its error is awaited.
            Fault::Exists(Status::Error) => match self.announce {
                Announce::First => State::Todo(Step::Forget),
                Announce::Last => State::Todo(Step::Remember),
            },
        };
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, by: Duration) {
        if let State::Waiting(_, until) = &mut self.state {
            *until = until.set_back(by);
        }
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.wake_at().is_some_and(|until| until <= now)
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Waiting(_, until) => Some(*until),
            State::Todo(_) | State::Doing | State::Finished | State::LookAgain | State::Left(_) => None,
        }
    }
}
