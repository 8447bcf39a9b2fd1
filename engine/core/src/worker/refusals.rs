//! Records that are ended since they are no jobs or not what their clients signed, and those that cannot be ended.

use std::collections::BTreeMap;

use super::Outcome;
use crate::claim::Malformed;
use crate::lifecycle::{Change, RecordKey, Term};

/// Records refused and still being written, at most: the rest is refused at a later look.
pub(super) const REFUSING_MAX: usize = 100;

/// What so many looks in a row did not bring is forgotten.
const LOOKS_MAX: u64 = 100;

#[derive(Debug, Default)]
pub(super) struct Refusals {
    under_way: BTreeMap<RecordKey, Change>,
    /// As many as may be refused at once.
    unending: BTreeMap<RecordKey, Unending>,
    looks: u64,
}

/// A record that cannot be ended as it stands: it must not be tried at every look.
#[derive(Debug)]
struct Unending {
    /// What the refusal asked for.
    only_if: Vec<Term>,
    /// The last look that brought it.
    brought: u64,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// A look brought these records: leaves out those that are known as unending, as long as nothing of them changes.
    pub(super) fn looked(&mut self, malformed: &mut Vec<Malformed>) {
        self.looks += 1;
        let looks = self.looks;
        malformed.retain(|malformed| match self.unending.get_mut(&malformed.key) {
            Some(known) if known.only_if.ends_with(&malformed.seen) => {
                known.brought = looks;
                false
            }
            Some(_) | None => true,
        });
        self.unending.retain(|_, known| looks - known.brought < LOOKS_MAX);
    }

    /// Whether this refusal is to be written now.
    pub(super) fn begins(&mut self, change: &Change) -> bool {
        let is_free = self.under_way.len() < REFUSING_MAX && !self.under_way.contains_key(&change.key);
        if is_free {
            self.under_way.insert(change.key.clone(), change.clone());
        }
        is_free
    }

    /// A refusal was answered; what is written instead, where the table does not take it.
    pub(super) fn answered(&mut self, key: &RecordKey, outcome: &Outcome) -> Option<Change> {
        let change = self.under_way.remove(key)?;
        let is_unending = match outcome {
            Outcome::Refused(_) => {
                if let Some(shorter) = change.shorter() {
                    self.under_way.insert(key.clone(), shorter.clone());
                    return Some(shorter);
                }
                true
            }
            // Of a job, somebody else was first.
            Outcome::Lost(None) => change.ends_no_job(),
            Outcome::Lost(Some(_)) | Outcome::Done(_) | Outcome::Failed(_) => false,
        };
        if is_unending && self.unending.len() < REFUSING_MAX {
            let (only_if, brought) = (change.only_if, self.looks);
            self.unending.insert(key.clone(), Unending { only_if, brought });
        }
        None
    }
}
