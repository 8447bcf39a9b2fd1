//! How a client ships files: wait for rest, then create the job, send, commit, and remember, each step repeated
//! where that can help.

mod shipment;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::at::{At, Timestamp};
use crate::file::{Known, Shipping, Sight, Stamp};
use crate::intake::{Intake, IntakePolicy, Rest};
use crate::job::Status;
use crate::machine::{Decision, Machine, Reason};
use crate::retry::Retry;

pub use shipment::{Announce, Step};
use shipment::{Shipment, Turn};

/// Files reported as unreadable and not reported again until they change, at most.
const REPORTED_MAX: usize = 10_000;

/// How a pipeline ships files.
#[derive(Clone, Debug)]
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

/// The decisions of a pipeline that ships files.
#[derive(Debug)]
pub struct Upload {
    policy: UploadPolicy,
    intake: Intake,
    /// Files at rest that wait for a free place.
    ready: BTreeMap<PathBuf, (Stamp, Option<Known>, Rest)>,
    shipping: BTreeMap<PathBuf, Shipment>,
    reported: BTreeSet<(PathBuf, String)>,
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
            reported: BTreeSet::new(),
            round: Round::Endless,
            left_over: false,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn report(&mut self, path: PathBuf, what: String) {
        if self.reported.len() >= REPORTED_MAX {
            self.reported.clear();
        }
        if self.reported.insert((path.clone(), what.clone())) {
            self.decide(Action::Report(path, what.clone()), Reason::rule(what));
        }
    }

    fn sighted(&mut self, at: At, path: PathBuf, sight: Sight, known: Option<Known>) {
        if self.shipping.contains_key(&path) {
            return;
        }
        match sight {
            Sight::Unreadable(why) => {
                self.leave(&path);
                self.report(path, why);
            }
            Sight::Gone => {
                self.leave(&path);
                if let Some(known) = known.filter(|known| known.shipping == Shipping::Announced) {
                    self.abandon(at, path, known, "the file went away before everything was sent");
                }
            }
            Sight::File { stamp, busy } => self.sighted_file(at, path, stamp, busy, known),
        }
    }

    fn sighted_file(&mut self, at: At, path: PathBuf, stamp: Stamp, busy: bool, known: Option<Known>) {
        if let Some(known) = known.clone() {
            let same = known.stamp.same_content(&stamp);
            match (known.shipping, same) {
                (Shipping::Sent | Shipping::Finished, true) => {
                    self.leave(&path);
                    return;
                }
                // What was announced is another state of the file: that job can never be completed.
                (Shipping::Announced, false) => {
                    self.leave(&path);
                    self.abandon(at, path, known, "the file changed before everything was sent");
                    return;
                }
                (Shipping::Announced, true) | (Shipping::Sent | Shipping::Finished, false) => {}
            }
        }
        if let Some((waiting, _, _)) = self.ready.get(&path) {
            if waiting.same_content(&stamp) {
                return;
            }
            self.ready.remove(&path);
        }
        if let Some(rest) = self.intake.seen(at.now, &path, stamp.clone(), busy) {
            let resume = known.filter(|known| known.shipping == Shipping::Announced);
            self.ready.insert(path, (stamp, resume, rest));
        }
        self.left_over |= self.intake.take_overflow();
    }

    fn has_nothing_under_way(&self) -> bool {
        self.intake.is_empty() && self.ready.is_empty() && self.shipping.is_empty()
    }

    fn leave(&mut self, path: &Path) {
        self.intake.gone(path);
        self.ready.retain(|ready, _| !ready.starts_with(path));
    }

    fn abandon(&mut self, at: At, path: PathBuf, known: Known, why: &str) {
        let stamp = known.stamp.clone();
        let shipment = Shipment::abandoning(stamp, known, why);
        self.shipping.insert(path.clone(), shipment);
        self.take_turn(at, path);
    }

    fn start_ready(&mut self, at: At) {
        while !self.draining && self.shipping.len() < self.policy.files_max {
            let Some((path, (stamp, resume, rest))) = self.ready.pop_first() else {
                return;
            };
            self.shipping.insert(
                path.clone(),
                Shipment::new(self.policy.announce, stamp, resume, rest),
            );
            self.take_turn(at, path);
        }
    }

    /// Does what the shipment under `path` asks for next.
    fn take_turn(&mut self, at: At, path: PathBuf) {
        let Some(shipment) = self.shipping.get_mut(&path) else {
            return;
        };
        match shipment.turn(at) {
            Turn::Wait => {}
            Turn::Do(step, reason) => {
                let (stamp, resume) = (shipment.stamp.clone(), shipment.resume.clone());
                self.decide(
                    Action::Do {
                        path,
                        step,
                        stamp,
                        resume,
                    },
                    reason,
                );
            }
            Turn::Finish => {
                self.shipping.remove(&path);
                self.decide(
                    Action::Release(path),
                    Reason::rule("everything is sent and remembered"),
                );
            }
            Turn::LookAgain => {
                self.shipping.remove(&path);
                self.decide(
                    Action::Release(path.clone()),
                    Reason::rule("the file is taken anew"),
                );
                self.decide(
                    Action::Look(path),
                    Reason::key("the file is not what was announced", "source.directory.settle"),
                );
            }
            Turn::Leave(why) => {
                self.shipping.remove(&path);
                self.decide(
                    Action::Release(path.clone()),
                    Reason::key("a later scan takes it again", "source.directory.rescan"),
                );
                self.report(path, why);
            }
        }
    }
}

impl Machine for Upload {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Sighted { path, sight, known } => self.sighted(at, path, sight, known),
            Event::Scanned => {
                let left_over = std::mem::take(&mut self.left_over);
                if self.round == Round::Scanning {
                    self.round = if left_over { Round::ToScan } else { Round::Scanned };
                }
            }
            Event::Done(path, step) => {
                if let Some(shipment) = self.shipping.get_mut(&path) {
                    shipment.done(step);
                    self.take_turn(at, path);
                }
            }
            Event::Failed(path, step, fault) => {
                if self.draining {
                    self.shipping.remove(&path);
                } else if let Some(shipment) = self.shipping.get_mut(&path) {
                    shipment.failed(at, step, fault, &self.policy.retry);
                    self.take_turn(at, path);
                }
            }
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
        let under_way: Vec<PathBuf> = self.shipping.keys().cloned().collect();
        for path in under_way {
            self.decide(
                Action::Stop(path),
                Reason::rule("told to stop; the next start goes on"),
            );
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
