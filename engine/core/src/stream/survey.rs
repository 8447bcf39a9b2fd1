//! When the list of shards and the rows about them are read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Shard};
use crate::at::{At, Timestamp};
use crate::pace::Pace;

/// The shortest time between two surveys, and the first wait of those that follow a change.
const GAP: Duration = Duration::from_secs(1);

/// Shards one survey remembers; a stream has a few for each partition of its table and the last 24 hours.
const SHARDS_MAX: usize = 100_000;

/// Surveys, one at a time: the list of shards page by page, then the rows.
#[derive(Debug)]
pub(super) struct Survey {
    pace: Pace,
    /// A moment before the next regular one: somebody's lease ends.
    recheck: Option<Timestamp>,
    /// The shards listed so far, while one is under way.
    found: Option<BTreeMap<String, Shard>>,
}

impl Survey {
    /// At least one survey in the time of a lease.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            pace: Pace::new(GAP.min(lease), lease),
            recheck: None,
            found: None,
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.found.is_some()
    }

    /// Whether one begins now.
    pub(super) fn begins(&mut self, now: Timestamp) -> bool {
        let due = self.pace.is_due(now) || self.recheck.is_some_and(|moment| moment <= now);
        if self.found.is_some() || !due {
            return false;
        }
        self.found = Some(BTreeMap::new());
        self.recheck = None;
        true
    }

    /// Takes in a page and says how to go on.
    pub(super) fn described(&mut self, shards: Vec<Shard>, next: Option<String>) -> Option<Action> {
        let found = self.found.as_mut()?;
        let before = found.len();
        found.extend(shards.into_iter().map(|shard| (shard.id.clone(), shard)));
        // A page that brings nothing new and names another could go on for ever.
        let goes_on = found.len() > before && found.len() < SHARDS_MAX;
        Some(match next.filter(|_| goes_on) {
            Some(after) => Action::Describe { after: Some(after) },
            None => Action::ListLeases,
        })
    }

    /// The shards of the survey under way.
    pub(super) fn listed(&mut self) -> Vec<Shard> {
        let found = self.found.as_mut().map(std::mem::take);
        found.unwrap_or_default().into_values().collect()
    }

    /// It ended, well or not.
    pub(super) fn ended(&mut self, at: At) {
        self.found = None;
        self.pace.looked(at, false);
    }

    /// The next one begins at the latest then.
    pub(super) fn recheck(&mut self, moment: Option<Timestamp>) {
        self.recheck = moment;
    }

    /// The clock was set back.
    pub(super) fn set_back(&mut self, at: At, by: Duration) {
        self.pace.set_back(at, by);
        self.recheck = self.recheck.map(|moment| moment.set_back(by));
    }

    /// The next one begins shortly.
    pub(super) fn soon(&mut self, at: At) {
        let moment = at.now + GAP.mul_f64(0.5 + at.jitter / 2.0);
        self.recheck = Some(self.recheck.map_or(moment, |known| known.min(moment)));
    }

    /// The next one begins shortly, and others follow it closely: children are to be listed.
    pub(super) fn quicken(&mut self, at: At) {
        self.pace.hurry();
        self.pace.rest(at.now + GAP);
        self.soon(at);
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        if self.found.is_some() {
            return None;
        }
        let next = self.pace.next();
        Some(self.recheck.map_or(next, |moment| moment.min(next)))
    }
}
