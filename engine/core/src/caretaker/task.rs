//! What is under way about one job: its record is marked, its objects are deleted, its record is written.

use super::duty::{Care, Cleaning, Deletion};
use super::{Action, Caretaker, Extent, Swept};
use crate::at::At;
use crate::claim::Offer;
use crate::job::Job;
use crate::lifecycle::{Change, RecordKey};
use crate::machine::Reason;

/// What is done about a job of the page.
#[derive(Debug)]
pub(super) enum Task {
    /// Its record is written to say that its objects go; then they do, for this reason.
    Marking(Box<Marked>),
    /// Its objects are deleted.
    Deleting(Box<Cleaning>),
    /// Its record is written; whether the lane gets shorter by that.
    Writing { progress: bool },
}

/// A job whose objects are deleted once its record says so.
#[derive(Debug)]
pub(super) struct Marked {
    job: Job,
    extent: Extent,
    cleaning: Cleaning,
    reason: Reason,
}

impl Caretaker {
    pub(super) fn take_care(&mut self, at: At, offer: &Offer) {
        let Some((care, reason)) = self.duty.care(at, offer, &self.by) else {
            return;
        };
        match care {
            Care::Write(change) => self.write(change, reason),
            Care::Delete(deletion) => {
                let Deletion {
                    mark,
                    extent,
                    cleaning,
                } = *deletion;
                let marked = Marked {
                    job: offer.job.clone(),
                    extent,
                    cleaning,
                    reason,
                };
                let Some(change) = mark else {
                    return self.delete(marked);
                };
                let task = Task::Marking(Box::new(marked));
                self.under_way.insert(change.key.clone(), task);
                let rule = "its objects are deleted next: nobody may have it taken again";
                self.decide(Action::Write(change), Reason::rule(rule));
            }
        }
    }

    fn delete(&mut self, marked: Marked) {
        let Marked {
            job,
            extent,
            cleaning,
            reason,
        } = marked;
        let task = Task::Deleting(Box::new(cleaning));
        self.under_way.insert(RecordKey::from(&job.key), task);
        self.decide(Action::Delete(Box::new(job), extent), reason);
    }

    pub(super) fn written(&mut self, key: &RecordKey) {
        match self.under_way.remove(key) {
            Some(Task::Marking(marked)) => self.delete(*marked),
            Some(task) => {
                self.under_way.insert(key.clone(), task);
                self.dealt_with(key, true);
            }
            None => {}
        }
    }

    /// A record that its writers have filled up must not be in the way of its own end.
    pub(super) fn refused(&mut self, change: &Change) {
        let key = change.key.clone();
        if !self.under_way.contains_key(&key) {
            return;
        }
        match change.shorter() {
            Some(shorter) => {
                let rule = "the table refused the write for good: a shorter one is made";
                self.decide(Action::Write(shorter), Reason::rule(rule));
            }
            None => self.dealt_with(&key, false),
        }
    }

    pub(super) fn deleted(&mut self, key: &RecordKey, swept: Swept) {
        match self.under_way.remove(key) {
            Some(Task::Deleting(cleaning)) => {
                let (change, reason, progress) = cleaning.after(swept);
                self.under_way.insert(key.clone(), Task::Writing { progress });
                self.decide(Action::Write(change), reason);
            }
            Some(task) => drop(self.under_way.insert(key.clone(), task)),
            None => {}
        }
    }
}
