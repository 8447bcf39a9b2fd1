//! How the files under way take their turns: which begin, what each does next, and what is left to a later scan.

use std::path::{Path, PathBuf};

use super::shipment::Turn;
use super::{Action, Cause, Fault, REMEMBERED_MAX, Step, Upload};
use crate::at::At;
use crate::machine::Reason;

impl Upload {
    pub(super) fn start_ready(&mut self, at: At) {
        while !self.draining && self.shipping.len() < self.policy.files_max {
            let Some((path, shipment)) = self.ready.pop_first() else {
                return;
            };
            self.shipping.insert(path.clone(), shipment);
            self.take_turn(at, path);
        }
    }

    /// A file changed while it was read.
    fn changed(&mut self, path: &Path) {
        if self.changes.len() >= REMEMBERED_MAX {
            self.changes.clear();
        }
        let changes = self.changes.entry(path.to_owned()).or_default();
        *changes = changes.saturating_add(1);
    }

    /// Whether a file changed so often while it was read that it is left to a later scan.
    fn is_restless(&self, path: &Path) -> bool {
        self.changes
            .get(path)
            .is_some_and(|changes| !self.policy.retry.allows_after(*changes))
    }

    /// Does what the shipment under `path` asks for next.
    pub(super) fn take_turn(&mut self, at: At, path: PathBuf) {
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
                let outdated = shipment.is_outdated();
                self.shipping.remove(&path);
                self.changes.remove(&path);
                self.reported.remove(&path);
                let reason = Reason::rule("everything is sent and remembered");
                self.decide(Action::Release(path.clone()), reason);
                if outdated && !self.draining {
                    let reason = Reason::rule("the file was seen in another state since it was taken");
                    self.decide(Action::Look(path), reason);
                }
            }
            Turn::LookAgain if self.is_restless(&path) => {
                self.give_way(path, "the file keeps changing while it is read".to_owned());
            }
            Turn::LookAgain => {
                self.shipping.remove(&path);
                let reason = Reason::rule("the file is taken anew");
                self.decide(Action::Release(path.clone()), reason);
                let reason = Reason::key("the file is not what was announced", "source.directory.settle");
                self.decide(Action::Look(path), reason);
            }
            Turn::Leave(why) => self.give_way(path, why),
        }
    }

    /// Leaves a file to a later scan.
    fn give_way(&mut self, path: PathBuf, why: String) {
        self.shipping.remove(&path);
        self.changes.remove(&path);
        self.decide(
            Action::Release(path.clone()),
            Reason::key("a later scan takes it again", "source.directory.rescan"),
        );
        self.report(path, Cause::Step, why);
    }

    pub(super) fn step_done(&mut self, at: At, path: PathBuf, step: Step) {
        let Some(shipment) = self.shipping.get_mut(&path) else {
            return;
        };
        shipment.done(step);
        if self.draining && !shipment.is_finished() {
            self.shipping.remove(&path);
        } else {
            self.take_turn(at, path);
        }
    }

    pub(super) fn step_failed(&mut self, at: At, path: PathBuf, step: Step, fault: Fault) {
        if self.draining {
            self.shipping.remove(&path);
            return;
        }
        if fault == Fault::Changed {
            self.changed(&path);
        }
        if let Some(shipment) = self.shipping.get_mut(&path) {
            shipment.failed(at, step, fault, &self.policy.retry);
            self.take_turn(at, path);
        }
    }
}
