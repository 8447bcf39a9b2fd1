//! The jobs table of a replay: the jobs of the recorded history, and the lanes they lie in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::claim::Malformed;
use roundtrip_core::job::{Job, Lane, LaneKind, PRIORITY_MAX, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Write};
use roundtrip_core::queue::LaneCount;

use super::change;

/// A key that is shared, since every lane holds it.
pub(super) type Key = Rc<RecordKey>;

/// The rank of jobs without a priority: urgent ones come before.
const RANK_MAX: u8 = PRIORITY_MAX;

/// A place in a lane: urgent jobs first, then by the moment they are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    rank: u8,
    due: Timestamp,
}

/// Where a row lies in its lane.
pub(super) type Place = (Turn, Key);

/// A record of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The job, or why it is none.
    pub(super) job: Result<Job, Malformed>,
    /// Where a record that is no job lies, which its text says all the same.
    pub(super) place: Option<(Lane, Timestamp)>,
    /// Whether it is what its client signed, once that is known.
    pub(super) signature: Option<Result<(), String>>,
    /// Its last change's place in the stream.
    pub(super) sequence: u128,
    /// Whether the role wrote to it: from then on recorded changes have to hold against it.
    pub(super) ours: bool,
    /// Whether whoever holds it claimed it in the recording alone, and is not played.
    pub(super) held_as_recorded: bool,
}

impl Row {
    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref().ok()
    }

    fn lane(&self) -> Option<(Lane, Turn)> {
        let ordinary = |(lane, due)| (lane, Turn { rank: RANK_MAX, due });
        match &self.job {
            Ok(job) => job.lane.zip(job.due).map(|(lane, due)| match lane.kind {
                LaneKind::Ready => {
                    let rank = RANK_MAX.saturating_sub(job.priority);
                    (lane, Turn { rank, due })
                }
                LaneKind::Leased | LaneKind::Done => ordinary((lane, due)),
            }),
            Err(_) => self.place.map(ordinary),
        }
    }

    /// Whether whoever wrote it knows no lanes: it has none, or is in one where its status does not belong.
    fn is_foreign(&self) -> bool {
        match &self.job {
            Ok(job) => match job.lane.map(|lane| lane.kind) {
                None => job.cleaned.is_none(),
                Some(LaneKind::Ready) => job.status != Status::Queued,
                Some(LaneKind::Leased) => job.status != Status::Processing,
                Some(LaneKind::Done) => false,
            },
            Err(_) => self.place.is_none(),
        }
    }
}

/// What came of a write.
#[derive(Debug)]
pub(super) enum Applied {
    /// It was made; the job before and after it.
    Made(Option<Box<Job>>),
    /// Its condition did not hold.
    Refused,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: HashMap<Key, Row>,
    lanes: BTreeMap<Lane, BTreeSet<Place>>,
    foreign: BTreeSet<Key>,
}

impl Table {
    pub(super) fn get(&self, key: &RecordKey) -> Option<&Row> {
        self.rows.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Jobs that are not finished.
    pub(super) fn open(&self) -> usize {
        let jobs = self.rows.values().filter_map(Row::job);
        jobs.filter(|job| !job.status.is_finished()).count()
    }

    /// Puts a row in the place of what is there.
    pub(super) fn put(&mut self, key: &RecordKey, row: Row) {
        let key = self.take_out(key);
        self.put_in(&key, &row);
        self.rows.insert(key, row);
    }

    pub(super) fn remove(&mut self, key: &RecordKey) -> Option<Row> {
        let key = self.take_out(key);
        self.rows.remove(&key)
    }

    /// Changes a row where it stands.
    pub(super) fn change<T>(&mut self, key: &RecordKey, change: impl FnOnce(&mut Row) -> T) -> Option<T> {
        let key = self.take_out(key);
        let row = self.rows.get_mut(&key)?;
        let changed = change(row);
        let row = row.clone_place();
        self.index(&key, row);
        Some(changed)
    }

    /// Makes a write of the role, if its condition holds.
    pub(super) fn apply(&mut self, wanted: &Change) -> Applied {
        let holds = wanted
            .only_if
            .iter()
            .all(|term| change::holds(self.rows.get(&wanted.key), term));
        if !holds {
            return Applied::Refused;
        }
        let before = self.change(&wanted.key, |row| {
            let before = row.job.as_ref().ok().cloned().map(Box::new);
            change::make(row, wanted);
            row.ours = true;
            row.held_as_recorded &= wanted.write != Write::Claim;
            before
        });
        Applied::Made(before.flatten())
    }

    /// Takes a row out of every index, and gives its shared key.
    fn take_out(&mut self, key: &RecordKey) -> Key {
        let Some((key, row)) = self.rows.get_key_value(key) else {
            return Rc::new(key.clone());
        };
        let key = Rc::clone(key);
        if let Some((lane, turn)) = row.lane()
            && let Some(entries) = self.lanes.get_mut(&lane)
        {
            entries.remove(&(turn, Rc::clone(&key)));
        }
        if row.is_foreign() {
            self.foreign.remove(&key);
        }
        key
    }

    fn put_in(&mut self, key: &Key, row: &Row) {
        self.index(key, row.clone_place());
    }

    fn index(&mut self, key: &Key, (lane, foreign): (Option<(Lane, Turn)>, bool)) {
        if let Some((lane, turn)) = lane {
            self.lanes.entry(lane).or_default().insert((turn, Rc::clone(key)));
        }
        if foreign {
            self.foreign.insert(Rc::clone(key));
        }
    }

    /// Up to `limit` rows of a lane that are due at `now`, those of `priority_max` and below, the most urgent and then
    /// the longest due first, and where the next ones begin; none where there are no more.
    pub(super) fn due(
        &self,
        lane: Lane,
        now: Timestamp,
        limit: usize,
        priority_max: u8,
        from: Option<&Place>,
    ) -> (Vec<(&Key, &Row)>, Option<Place>) {
        let entries = self.lanes.get(&lane);
        let Some((entries, (most_urgent, _))) = entries.and_then(|all| Some((all, all.first()?))) else {
            return (Vec::new(), None);
        };
        let first = match from {
            Some((turn, _)) => turn.rank,
            None => most_urgent.rank.max(RANK_MAX.saturating_sub(priority_max)),
        };
        let least = Key::default();
        let ends = Timestamp(now.0.saturating_add(1));
        let of_rank = |rank| {
            let at = |due| (Turn { rank, due }, Rc::clone(&least));
            let begin = match from {
                Some(from) if from.0.rank == rank => from.clone(),
                Some(_) | None => at(Timestamp(i64::MIN)),
            };
            let end = at(ends).max(begin.clone());
            entries.range(begin..end)
        };
        let mut due = (first..=RANK_MAX).flat_map(of_rank);
        let page = due.by_ref().take(limit);
        let page = page.filter_map(|(_, key)| Some((key, self.rows.get(key)?)));
        (page.collect(), due.next().cloned())
    }

    /// Keys of rows whose writer knows no lanes.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &Key> {
        self.foreign.iter()
    }

    /// How many rows lie in a lane over all its shards, and since when the oldest is due.
    pub(super) fn count(&self, kind: LaneKind, now: Timestamp) -> LaneCount {
        let mut count = LaneCount::default();
        let least = Key::default();
        for (_, entries) in self.lanes.iter().filter(|(lane, _)| lane.kind == kind) {
            count.jobs += u64::try_from(entries.len()).unwrap_or(u64::MAX);
            // Within a rank the oldest comes first.
            let begins = (0..=RANK_MAX).map(|rank| {
                (
                    Turn {
                        rank,
                        due: Timestamp(i64::MIN),
                    },
                    Rc::clone(&least),
                )
            });
            let oldest = begins.filter_map(|begin| entries.range(begin..).next());
            let due = oldest.map(|(turn, _)| turn.due).filter(|due| *due <= now);
            count.oldest = count.oldest.into_iter().chain(due).min();
        }
        count
    }

    /// How many processors hold a job.
    pub(super) fn holders(&self) -> u64 {
        let held = self
            .lanes
            .iter()
            .filter(|(lane, _)| lane.kind == LaneKind::Leased);
        let rows = held.flat_map(|(_, entries)| entries.iter().filter_map(|(_, key)| self.rows.get(key)));
        let holders: BTreeSet<&str> = rows.filter_map(|row| row.job()?.processor.as_deref()).collect();
        u64::try_from(holders.len()).unwrap_or(u64::MAX)
    }
}

impl Row {
    fn clone_place(&self) -> (Option<(Lane, Turn)>, bool) {
        (self.lane(), self.is_foreign())
    }
}
