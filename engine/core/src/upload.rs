//! How a client ships files: wait for rest, then create the job, send, commit, and remember, each step repeated
//! where that can help.

mod shipment;
mod sighting;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::file::{Known, Sight, Stamp};
use crate::intake::{Intake, IntakePolicy};
use crate::job::Status;
use crate::machine::{Decision, Machine, Reason};
use crate::retry::Retry;

use shipment::Shipment;
pub use shipment::{Announce, Step};

/// Files remembered because they were reported or kept changing, at most: beyond that it begins anew.
const REMEMBERED_MAX: usize = 10_000;

/// How a pipeline ships files.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadPolicy {
    /// `[source.directory]`
    pub intake: IntakePolicy,
    /// Files under way at once.
    pub files_max: usize,
    /// Whether the job is created before or after the upload.
    pub announce: Announce,
    /// `[retry]`
    pub retry: Retry,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file changed while it was read.
    Changed,
    /// The file went away.
    Gone,
    /// The file cannot be read.
    Unreadable(String),
    /// There is a job under this key already, and where it stands.
    Exists(Status),
    /// It may work later.
    Transient(String),
    /// It will fail again until someone changes something.
    Permanent(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something was found under a path.
    Sighted {
        /// Relative to the folder.
        path: PathBuf,
        /// What it is.
        sight: Sight,
        /// What is remembered of it.
        known: Option<Known>,
    },
    /// A scan of the whole folder ended.
    Scanned,
    /// A step was done.
    Done(PathBuf, Step),
    /// A step failed.
    Failed(PathBuf, Step, Fault),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at a path again and report what is there.
    Look(PathBuf),
    /// Scan the whole folder now.
    Scan,
    /// Do a step for a file.
    Do {
        /// Relative to the folder.
        path: PathBuf,
        /// Which step.
        step: Step,
        /// The state the file must be in.
        stamp: Stamp,
        /// The job to go on with; a new one where none.
        resume: Option<Known>,
    },
    /// Stop the step under way for a file; it fails, and the next start goes on with it.
    Stop(PathBuf),
    /// Tell the user about a file that is not shipped now.
    Report(PathBuf, String),
    /// The file is shipped, or left: nothing more is done about it now.
    Release(PathBuf),
}

/// Where the one full round stands that [`Machine::finish`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// None was asked for.
    Endless,
    /// A scan has to be begun.
    ToScan,
    /// The scan runs.
    Scanning,
    /// Every file of the folder was seen.
    Scanned,
}

/// What a report is about, and with it how long it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It cannot be read: until it can.
    Sight,
    /// A step failed: until it is shipped.
    Step,
}

/// The decisions of a pipeline that ships files.
#[derive(Debug)]
pub struct Upload {
    policy: UploadPolicy,
    intake: Intake,
    /// Files at rest that wait for a free place.
    ready: BTreeMap<PathBuf, Shipment>,
    shipping: BTreeMap<PathBuf, Shipment>,
    /// What was last reported of a file, so that not every scan reports it again.
    reported: BTreeMap<PathBuf, (Cause, String)>,
    /// How often in a row a file changed while it was read.
    changes: BTreeMap<PathBuf, u32>,
    round: Round,
    /// Files were left for a later scan.
    left_over: bool,
    draining: bool,
    actions: VecDeque<Decision<Action>>,
}

impl Upload {
    /// Nothing was seen yet.
    pub fn new(policy: UploadPolicy) -> Self {
        Self {
            intake: Intake::new(policy.intake.clone()),
            policy,
            ready: BTreeMap::new(),
            shipping: BTreeMap::new(),
            reported: BTreeMap::new(),
            changes: BTreeMap::new(),
            round: Round::Endless,
            left_over: false,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn report(&mut self, path: PathBuf, cause: Cause, what: String) {
        let news = (cause, what.clone());
        if self.reported.get(&path) == Some(&news) {
            return;
        }
        if self.reported.len() >= REMEMBERED_MAX {
            self.reported.clear();
        }
        self.reported.insert(path.clone(), news);
        self.decide(Action::Report(path, what.clone()), Reason::rule(what));
    }

    /// A path can be read: it is reported again should that change.
    fn readable(&mut self, path: &Path) {
        if self
            .reported
            .get(path)
            .is_some_and(|(cause, _)| *cause == Cause::Sight)
        {
            self.reported.remove(path);
        }
    }

    fn has_nothing_under_way(&self) -> bool {
        self.intake.is_empty() && self.ready.is_empty() && self.shipping.is_empty()
    }
}

impl Machine for Upload {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Sighted { path, sight, known } => self.sighted(at, path, sight, known),
            Event::Scanned => {
                // The folder itself is there again.
                self.readable(Path::new(""));
                let left_over = std::mem::take(&mut self.left_over);
                if self.round == Round::Scanning {
                    self.round = if left_over { Round::ToScan } else { Round::Scanned };
                }
            }
            Event::Done(path, step) => self.step_done(at, path, step),
            Event::Failed(path, step, fault) => self.step_failed(at, path, step, fault),
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        if !self.draining {
            for path in self.intake.due(at.now) {
                self.decide(
                    Action::Look(path),
                    Reason::key("it may be at rest", "source.directory.settle"),
                );
            }
        }
        let due: Vec<PathBuf> = self
            .shipping
            .iter()
            .filter(|(_, shipment)| shipment.is_due(at.now))
            .map(|(path, _)| path.clone())
            .collect();
        for path in due {
            self.take_turn(at, path);
        }
        self.start_ready(at);
        // A scan that left files over is repeated once there is room.
        if self.round == Round::ToScan && self.has_nothing_under_way() && !self.draining {
            self.round = Round::Scanning;
            self.decide(
                Action::Scan,
                Reason::key("every file is to be seen", "source.directory.waiting-max"),
            );
        }
    }

    fn finish(&mut self, at: At) {
        self.round = Round::ToScan;
        self.tick(at);
    }

    fn drain(&mut self, _at: At) {
        self.draining = true;
        self.ready.clear();
        // What waits to try again has nothing under way: the next start goes on with it.
        self.shipping.retain(|_, shipment| shipment.is_doing());
        let under_way: Vec<PathBuf> = self.shipping.keys().cloned().collect();
        for path in under_way {
            self.decide(
                Action::Stop(path),
                Reason::rule("told to stop; the next start goes on"),
            );
        }
    }

    fn set_back(&mut self, _at: At, by: Duration) {
        self.intake.set_back(by);
        for shipment in self.shipping.values_mut() {
            shipment.set_back(by);
        }
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let intake = if self.draining {
            None
        } else {
            self.intake.wake_at()
        };
        self.shipping
            .values()
            .filter_map(Shipment::wake_at)
            .chain(intake)
            .min()
    }

    fn is_idle(&self) -> bool {
        if self.draining {
            return self.shipping.is_empty() && self.actions.is_empty();
        }
        self.round == Round::Scanned && self.has_nothing_under_way() && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
