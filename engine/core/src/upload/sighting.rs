//! What a sighting of a path means: a new file, a changed one, or one that is shipped already.

use std::path::{Path, PathBuf};

use super::{Cause, Shipment, Upload};
use crate::at::At;
use crate::file::{Known, Shipping, Sight, Stamp};

impl Upload {
    pub(super) fn sighted(&mut self, at: At, path: PathBuf, sight: Sight, known: Option<Known>) {
        if self.draining {
            return;
        }
        if let Some(shipment) = self.shipping.get_mut(&path) {
            if let Sight::File { stamp, .. } = &sight {
                shipment.seen(stamp);
            }
            return;
        }
        match sight {
            Sight::Unreadable(why) => {
                self.leave(&path);
                self.report(path, Cause::Sight, why);
            }
            Sight::Gone => {
                self.leave(&path);
                self.reported.remove(&path);
                if let Some(known) = known.filter(|known| known.shipping == Shipping::Announced) {
                    self.abandon(path, known, "the file went away before everything was sent");
                }
            }
            Sight::File { stamp, busy } => {
                self.readable(&path);
                self.sighted_file(at, path, stamp, busy, known);
            }
        }
    }

    fn sighted_file(&mut self, at: At, path: PathBuf, stamp: Stamp, busy: bool, known: Option<Known>) {
        let as_known = known
            .as_ref()
            .map(|known| (known.shipping, known.stamp.same_content(&stamp)));
        match as_known {
            Some((Shipping::Sent | Shipping::Finished, true)) => {
                self.leave(&path);
                return;
            }
            // What was announced is another state of the file: that job can never be completed.
            Some((Shipping::Announced, false)) => {
                self.leave(&path);
                if let Some(known) = known {
                    self.abandon(path, known, "the file changed before everything was sent");
                }
                return;
            }
            Some((Shipping::Announced, true) | (Shipping::Sent | Shipping::Finished, false)) | None => {}
        }
        if let Some(ready) = self.ready.get(&path) {
            if ready.stamp.same_content(&stamp) {
                return;
            }
            self.ready.remove(&path);
        }
        let waiting = self.intake.len() + self.ready.len();
        if waiting >= self.policy.intake.waiting_max && !self.intake.contains(&path) {
            self.left_over = true;
            return;
        }
        if let Some(rest) = self.intake.seen(at.now, &path, stamp.clone(), busy) {
            let resume = known.filter(|known| known.shipping == Shipping::Announced);
            let shipment = Shipment::new(self.policy.announce, stamp, resume, rest);
            self.ready.insert(path, shipment);
        }
    }

    /// A file, or what was in a folder, waits no more. What is to be given up still is.
    fn leave(&mut self, path: &Path) {
        self.intake.gone(path);
        self.ready
            .retain(|ready, shipment| !ready.starts_with(path) || shipment.is_to_abandon());
        self.changes.remove(path);
    }

    fn abandon(&mut self, path: PathBuf, known: Known, why: &str) {
        let shipment = Shipment::abandoning(self.policy.announce, known, why);
        self.ready.insert(path, shipment);
    }
}
