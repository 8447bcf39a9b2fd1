//! The jobs table and its index of lanes: conditional writes, late index reads, limits by partition.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Lane, PRIORITY_MAX, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Value, attribute as a};

use super::load::{Load, Partition, write_units};
use super::names;
use super::record::{Place, Record};

/// A key that is shared, since every place that holds a record holds it.
pub(crate) type Key = Rc<RecordKey>;

/// Where the next page of a query begins: after this entry.
pub(crate) type Cursor = (u8, Timestamp, Key);

/// What came of a write.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    /// It was made.
    Made {
        before: Option<Rc<Record>>,
        after: Rc<Record>,
    },
    /// Its condition did not hold; the record as it is.
    Refused(Option<Rc<Record>>),
    /// The partition has no units left this second.
    Throttled,
}

/// The partition has no units left this second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttled;

/// A change on its way to the index.
#[derive(Debug)]
struct Late {
    key: Key,
    was: Option<Place>,
    is: Option<Place>,
    record: Rc<Record>,
}

/// A page of records, and where the next one begins.
pub(crate) type Page<C> = (Vec<Rc<Record>>, Option<C>);

/// The jobs table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    records: BTreeMap<Key, Rc<Record>>,
    lanes: BTreeMap<(Lane, u8, Timestamp, Key), Rc<Record>>,
    /// By the moment they come, then by the order of the writes.
    late: BTreeMap<(i64, u64), Late>,
    /// When the last change of an item that is on its way comes.
    last: BTreeMap<Key, i64>,
    writes: u64,
    pub(crate) load: Load,
}

impl Table {
    /// Makes a write if its condition holds. The index follows after `lag` milliseconds.
    pub(crate) fn apply(&mut self, now: i64, lag: i64, change: &Change) -> Applied {
        let empty = Record::default();
        let known = self.records.get_key_value(&change.key);
        let (key, before) = match known {
            Some((key, record)) => (Rc::clone(key), Some(Rc::clone(record))),
            None => (Rc::new(change.key.clone()), None),
        };
        let current = before.as_deref().unwrap_or(&empty);
        let partition = Partition::Table(partition_of(&change.key));
        let holds = change.only_if.iter().all(|term| current.holds(term));
        if !holds {
            // A condition that does not hold costs the write all the same.
            if !self.load.write(now, partition, write_units(current.bytes())) {
                return Applied::Throttled;
            }
            return Applied::Refused(before);
        }
        let mut after = current.clone();
        after.apply(change);
        let units = (write_units(current.bytes()), write_units(after.bytes()));
        let (was, is) = (before.as_ref().and_then(|record| record.place()), after.place());
        if !self.load.write(now, partition, units.0.max(units.1)) || !self.load_index(now, units, was, is) {
            return Applied::Throttled;
        }
        let after = Rc::new(after);
        self.records.insert(Rc::clone(&key), Rc::clone(&after));
        self.follow(now + lag, key, was, is, &after);
        Applied::Made { before, after }
    }

    /// Uses the units an index write costs: one entry taken out as large as it was, one put in as large as it is, or one
    /// updated in place.
    fn load_index(
        &mut self,
        now: i64,
        (before, after): (u32, u32),
        was: Option<Place>,
        is: Option<Place>,
    ) -> bool {
        let moved = was != is;
        let put = if moved { after } else { before.max(after) };
        let out = was.is_none_or(|(lane, ..)| !moved || self.load.write(now, Partition::Index(lane), before));
        out && is.is_none_or(|(lane, ..)| self.load.write(now, Partition::Index(lane), put))
    }

    fn follow(&mut self, when: i64, key: Key, was: Option<Place>, is: Option<Place>, record: &Rc<Record>) {
        if was.is_none() && is.is_none() {
            return;
        }
        // The index applies the changes of an item in their order, however late; those of others may overtake them.
        let when = self.last.get(&key).map_or(when, |last| when.max(*last));
        self.last.insert(Rc::clone(&key), when);
        self.writes += 1;
        let record = Rc::clone(record);
        let late = Late { key, was, is, record };
        self.late.insert((when, self.writes), late);
    }

    /// Brings the index to where it is by now.
    fn settle(&mut self, now: i64) {
        while let Some(first) = self.late.first_entry().filter(|first| first.key().0 <= now) {
            let when = first.key().0;
            let Late { key, was, is, record } = first.remove();
            if self.last.get(&key) == Some(&when) {
                self.last.remove(&key);
            }
            if let Some((lane, rank, due)) = was {
                self.lanes.remove(&(lane, rank, due, Rc::clone(&key)));
            }
            if let Some((lane, rank, due)) = is {
                self.lanes.insert((lane, rank, due, key), record);
            }
        }
    }

    /// Entries of a lane up to this priority: the most urgent first, whenever they are due, then those without a
    /// priority that were due before or at `until`, the longest due first; none where throttled.
    pub(crate) fn due(
        &mut self,
        now: i64,
        lane: Lane,
        below: u8,
        until: Timestamp,
        limit: usize,
        from: Option<Cursor>,
    ) -> Option<Page<Cursor>> {
        self.settle(now);
        let least = (
            lane,
            PRIORITY_MAX.saturating_sub(below),
            Timestamp(i64::MIN),
            Rc::new(RecordKey {
                client: String::new(),
                file: String::new(),
            }),
        );
        let begin = match from {
            Some((rank, due, key)) => Bound::Excluded((lane, rank, due, key)),
            None => Bound::Included(least),
        };
        let mut entries = self
            .lanes
            .range((begin, Bound::Unbounded))
            .take_while(|((of, rank, due, _), _)| *of == lane && (*rank < PRIORITY_MAX || *due <= until));
        let (mut page, mut size, mut end) = (Vec::new(), 0, None);
        for ((_, rank, due, key), record) in entries.by_ref().take(limit) {
            size += record.bytes();
            page.push(Rc::clone(record));
            end = Some((*rank, *due, Rc::clone(key)));
        }
        let next = if page.len() == limit { end } else { None };
        let fits = self.load.read(now, Partition::Index(lane), size, false);
        fits.then_some((page, next))
    }

    /// Entries of a lane whose status is another than belongs there, or that were created at `old` or before.
    pub(crate) fn astray(
        &mut self,
        now: i64,
        lane: Lane,
        belongs: Status,
        old: Option<Timestamp>,
    ) -> Option<Vec<Rc<Record>>> {
        let (page, _) = self.due(now, lane, PRIORITY_MAX, Timestamp(i64::MAX), usize::MAX, None)?;
        let is_old = |record: &Record| {
            let created = record.text(a::CREATED).and_then(names::moment);
            old.zip(created).is_some_and(|(old, created)| created <= old)
        };
        let astray = |record: &Rc<Record>| record.status() != Some(belongs) || is_old(record);
        Some(page.into_iter().filter(astray).collect())
    }

    /// Records without a lane that were never cleaned, over one page of the whole table.
    pub(crate) fn without_lane(&self, limit: usize, from: Option<&Key>) -> Page<Key> {
        let begin = from.map_or(Bound::Unbounded, |key| Bound::Excluded(Rc::clone(key)));
        let read: Vec<_> = self
            .records
            .range((begin, Bound::Unbounded))
            .take(limit)
            .collect();
        let next = if read.len() == limit {
            read.last().map(|(key, _)| Rc::clone(key))
        } else {
            None
        };
        let outside = read
            .into_iter()
            .filter(|(_, record)| record.get(a::LANE).is_none() && record.get(a::CLEANED).is_none())
            .map(|(_, record)| Rc::clone(record));
        (outside.collect(), next)
    }

    /// A record, read consistently.
    pub(crate) fn get(&self, key: &RecordKey) -> Option<&Rc<Record>> {
        self.records.get(key)
    }

    /// A record, read by a request that costs units; none where throttled.
    pub(crate) fn read(&mut self, now: i64, key: &RecordKey) -> Result<Option<Rc<Record>>, Throttled> {
        let record = self.records.get(key).cloned();
        let bytes = record.as_ref().map_or(0, |record| record.bytes());
        let fits = self
            .load
            .read(now, Partition::Table(partition_of(key)), bytes, true);
        if fits { Ok(record) } else { Err(Throttled) }
    }

    /// Every record.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&Key, &Rc<Record>)> {
        self.records.iter()
    }

    /// Takes a record out that is in no lane, as if its time had come at once.
    pub(crate) fn drop_record(&mut self, key: &RecordKey) {
        self.records.remove(key);
    }

    /// Takes a record out whose time to live has ended, as the service does by itself.
    pub(crate) fn expire(&mut self, now: i64, key: &Key) -> Option<Rc<Record>> {
        let expires = self.records.get(key)?.time(a::EXPIRES)?;
        if expires.0 > now {
            return None;
        }
        let record = self.records.remove(key)?;
        self.follow(now, Rc::clone(key), record.place(), None, &record);
        Some(record)
    }

    /// Writes a record as someone would who knows no lanes and no conditions.
    pub(crate) fn overwrite(
        &mut self,
        now: i64,
        key: RecordKey,
        attributes: Vec<(&'static str, Value)>,
    ) -> (Option<Rc<Record>>, Rc<Record>) {
        let change = Change {
            write: roundtrip_core::lifecycle::Write::Create,
            key: key.clone(),
            only_if: Vec::new(),
            set: attributes,
            remove: Vec::new(),
        };
        let before = self.records.get(&key).cloned();
        let mut after = before.as_deref().cloned().unwrap_or_default();
        after.apply(&change);
        let after = Rc::new(after);
        let key = Rc::new(key);
        let was = before.as_ref().and_then(|record| record.place());
        self.follow(now, Rc::clone(&key), was, after.place(), &after);
        self.records.insert(key, Rc::clone(&after));
        (before, after)
    }
}

/// A partition of the table by the end of its client's id.
fn partition_of(key: &RecordKey) -> u64 {
    let from = key.client.len().saturating_sub(16);
    names::hash(&[key.client.get(from..).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use roundtrip_core::job::LaneKind;
    use roundtrip_core::lifecycle::Write;

    use super::*;

    fn put(table: &mut Table, now: i64, lag: i64, file: &str, due: i64) {
        let key = RecordKey {
            client: "client".to_owned(),
            file: file.to_owned(),
        };
        let set = vec![
            (a::LANE, Value::Text("ready#0".to_owned())),
            (a::DUE, Value::Time(Timestamp(due))),
        ];
        let change = Change {
            write: Write::Create,
            key,
            only_if: Vec::new(),
            set,
            remove: Vec::new(),
        };
        assert!(matches!(table.apply(now, lag, &change), Applied::Made { .. }));
    }

    fn seen(table: &mut Table, now: i64) -> Vec<(String, i64)> {
        let lane = Lane {
            kind: LaneKind::Ready,
            shard: 0,
        };
        let (page, _) = table
            .due(now, lane, PRIORITY_MAX, Timestamp(i64::MAX), 10, None)
            .unwrap();
        let entry = |record: &Rc<Record>| (record.key().file, record.due().unwrap().0);
        page.iter().map(entry).collect()
    }

    #[test]
    fn the_index_is_late_item_by_item_and_in_the_order_of_each() {
        let mut table = Table::default();
        put(&mut table, 0, 100, "a", 1);
        put(&mut table, 1, 5, "a", 2);
        put(&mut table, 2, 5, "b", 3);
        assert_eq!(
            seen(&mut table, 50),
            [("b".to_owned(), 3)],
            "it overtakes the other"
        );
        assert_eq!(
            seen(&mut table, 100),
            [("a".to_owned(), 2), ("b".to_owned(), 3)],
            "the second change of an item comes behind its first"
        );
    }
}
