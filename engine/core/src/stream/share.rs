//! Which shards this reader takes: its share of those that are free.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hold::Hold;
use super::{Action, From, Lease, Place, Reader, Shard, Start};
use crate::at::{At, Timestamp};
use crate::machine::Reason;

/// What is known of a shard.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) parent: Option<String>,
    /// Its row in the last survey.
    pub(super) row: Option<Lease>,
    /// Since when it is left to the others.
    pub(super) left_since: Option<Timestamp>,
    /// A write that takes it is under way.
    pub(super) taking: Option<Timestamp>,
    /// It is ours.
    pub(super) hold: Option<Hold>,
}

impl Known {
    /// The clock was set back. What the row says is another reader's time.
    pub(super) fn set_back(&mut self, by: Duration) {
        for moment in self.left_since.iter_mut().chain(&mut self.taking) {
            *moment = moment.set_back(by);
        }
        if let Some(hold) = &mut self.hold {
            hold.set_back(by);
        }
    }
}

impl Reader {
    /// Every page and every row is here: forgets shards that are gone, takes those that are due to us.
    pub(super) fn surveyed(&mut self, at: At, listed: Vec<Shard>, rows: Vec<Lease>) {
        self.survey.ended(at);
        let first = self.shards.is_empty() && rows.is_empty();
        let mut rows: BTreeMap<String, Lease> =
            rows.into_iter().map(|row| (row.shard.clone(), row)).collect();
        let ids: BTreeSet<String> = listed.iter().map(|shard| shard.id.clone()).collect();
        self.shards
            .retain(|id, known| ids.contains(id) || known.hold.is_some() || known.taking.is_some());
        for Shard { id, parent } in listed {
            let row = rows.remove(&id);
            if first && self.policy.start == Start::Newest {
                self.at_newest.insert(id.clone());
            }
            let known = self.shards.entry(id).or_insert(Known {
                parent: None,
                row: None,
                left_since: None,
                taking: None,
                hold: None,
            });
            known.parent = parent;
            known.row = row;
        }
        self.at_newest.retain(|id| ids.contains(id));
        if !self.stopping {
            self.share(at);
        }
    }

    /// Takes free shards up to our share; beyond it only those that the others left for the length of a lease.
    fn share(&mut self, at: At) {
        let open: Vec<String> = self
            .shards
            .keys()
            .filter(|id| self.is_open(id))
            .cloned()
            .collect();
        let mut readers = BTreeSet::from([self.policy.reader.clone()]);
        let mut free = Vec::new();
        let mut recheck: Option<Timestamp> = None;
        let mut again = |moment: Timestamp| {
            recheck = Some(recheck.map_or(moment, |known| known.min(moment)));
        };
        for id in &open {
            let Some(known) = self.shards.get_mut(id) else {
                continue;
            };
            if known.hold.is_some() || known.taking.is_some() {
                continue;
            }
            match &known.row {
                // At the end of its lease a reader still holds the shard; a millisecond later it does not.
                Some(Lease {
                    holder: Some(holder),
                    until,
                    ..
                }) if *holder != self.policy.reader && *until >= at.now => {
                    readers.insert(holder.clone());
                    known.left_since = None;
                    again(*until + Duration::from_millis(1));
                }
                Some(_) | None => free.push(id.clone()),
            }
        }
        let share = open.len().div_ceil(readers.len());
        // Readers that begin together do not all begin with the same shard.
        let turn = u32::try_from(free.len()).map_or(0.0, |len| f64::from(len) * at.jitter);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the number of shards"
        )]
        let turn = (turn as usize).min(free.len().saturating_sub(1));
        free.rotate_left(turn);
        for id in free {
            let held = self.held();
            let lease = self.policy.lease;
            let Some(known) = self.shards.get_mut(&id) else {
                continue;
            };
            let since = *known.left_since.get_or_insert(at.now);
            let left = at.now.since(since) > lease;
            if held >= self.policy.shards_max {
                continue;
            }
            if held < share || left {
                self.take(at, &id);
            } else {
                again(since + lease + Duration::from_millis(1));
            }
        }
        self.survey.recheck(if self.held() < self.policy.shards_max {
            recheck
        } else {
            None
        });
    }

    /// Whether a shard is there to be read: not read to its end, and no parent before it.
    fn is_open(&self, id: &str) -> bool {
        let is_read = |known: &Known| {
            let row = known.row.as_ref();
            row.is_some_and(|row| row.place == Some(Place::End))
        };
        let Some(known) = self.shards.get(id) else {
            return false;
        };
        let parent = known.parent.as_ref().and_then(|parent| self.shards.get(parent));
        !is_read(known) && parent.is_none_or(is_read)
    }

    fn take(&mut self, at: At, id: &str) {
        let until = at.now + self.policy.lease;
        let Some(known) = self.shards.get_mut(id) else {
            return;
        };
        known.left_since = None;
        known.taking = Some(until);
        let why = match &known.row {
            Some(Lease {
                holder: Some(holder), ..
            }) if *holder != self.policy.reader => {
                format!("the lease of {holder} has ended")
            }
            Some(_) | None => "nobody holds the shard".to_owned(),
        };
        let seen = known.row.clone();
        let action = Action::Take {
            shard: id.to_owned(),
            seen,
            until,
        };
        self.decide(action, Reason::key(why, "stream.lease"));
    }

    pub(super) fn taken(&mut self, at: At, id: &str, place: Option<Place>) {
        let begin = if self.at_newest.remove(id) {
            From::Newest
        } else {
            From::Oldest
        };
        let Some(known) = self.shards.get_mut(id) else {
            return;
        };
        let Some(until) = known.taking.take() else { return };
        known.hold = Some(Hold::new(&self.policy, at, until, place, begin));
    }
}
