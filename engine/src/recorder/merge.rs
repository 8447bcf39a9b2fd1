//! Puts the records of several shards in the order of their moments: each shard tells its own in order, but a shard with
//! many behind it is read for longer than its neighbours.

use std::collections::{BTreeMap, VecDeque};

use roundtrip_testkit::recording::Entry;

/// Reads in a row that bring nothing until a shard is taken to have nothing more for now: a read may well bring nothing
/// while records lie further on.
const EMPTY_MAX: u32 = 4;

/// What was read and waits for the other shards: a page of each at most, since a shard that has records here is not read.
#[derive(Debug, Default)]
pub(super) struct Merge {
    shards: BTreeMap<String, Held>,
}

#[derive(Debug, Default)]
struct Held {
    entries: VecDeque<Entry<'static>>,
    /// Reads in a row that brought nothing.
    empty: u32,
    /// Whether it was read to its end.
    ended: bool,
}

impl Held {
    /// Whether something older than what the other shards hold may still come from it.
    fn is_awaited(&self) -> bool {
        self.entries.is_empty() && !self.ended && self.empty < EMPTY_MAX
    }
}

impl Merge {
    /// A shard is read from now on: from its past, or from the present on.
    pub(super) fn begin(&mut self, shard: &str, is_present: bool) {
        let empty = if is_present { EMPTY_MAX } else { 0 };
        let held = Held {
            empty,
            ..Held::default()
        };
        self.shards.insert(shard.to_owned(), held);
    }

    /// A read of a shard brought this; `is_empty` says that there was nothing to bring.
    pub(super) fn take(&mut self, shard: &str, entries: Vec<Entry<'static>>, is_empty: bool) {
        if let Some(held) = self.shards.get_mut(shard) {
            held.empty = if is_empty { held.empty.saturating_add(1) } else { 0 };
            held.entries.extend(entries);
        }
    }

    /// Nothing more comes from a shard.
    pub(super) fn end(&mut self, shard: &str) {
        if let Some(held) = self.shards.get_mut(shard) {
            held.ended = true;
        }
    }

    /// Nobody waits for a shard any more, until it brings something.
    pub(super) fn let_be(&mut self, shard: &str) {
        if let Some(held) = self.shards.get_mut(shard) {
            held.empty = EMPTY_MAX;
        }
    }

    /// Whether a shard was begun and has not given its last record.
    pub(super) fn knows(&self, shard: &str) -> bool {
        self.shards.contains_key(shard)
    }

    /// Whether a shard is to be read: it is known, and nothing of it waits here.
    pub(super) fn wants(&self, shard: &str) -> bool {
        self.shards.get(shard).is_some_and(|held| held.entries.is_empty())
    }

    /// What no other shard can have anything older than, in order. It stops where ended shards have given their last
    /// records, and gives their names: shards that follow them may begin there.
    pub(super) fn release(&mut self) -> (Vec<Entry<'static>>, Vec<String>) {
        let mut released = Vec::new();
        loop {
            let spent = self
                .shards
                .extract_if(.., |_, held| held.ended && held.entries.is_empty());
            let spent: Vec<String> = spent.map(|(shard, _)| shard).collect();
            if !spent.is_empty() || self.shards.values().any(Held::is_awaited) {
                return (released, spent);
            }
            let oldest = self.shards.values_mut().filter(|held| !held.entries.is_empty());
            let oldest =
                oldest.min_by_key(|held| held.entries.front().map(|entry| (entry.moment(), entry.place())));
            match oldest.and_then(|held| held.entries.pop_front()) {
                Some(entry) => released.push(entry),
                None => return (released, Vec::new()),
            }
        }
    }

    /// Whether the last reads of a shard brought nothing, for so long that nobody waits for it.
    pub(super) fn is_quiet(&self, shard: &str) -> bool {
        self.shards.get(shard).is_none_or(|held| held.empty >= EMPTY_MAX)
    }

    /// How many records wait here.
    pub(super) fn held(&self) -> usize {
        self.shards.values().map(|held| held.entries.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_core::at::Timestamp;
    use roundtrip_core::record::Record;
    use roundtrip_testkit::recording::{Body, Kind};

    use super::*;

    fn entry(second: i64) -> Entry<'static> {
        let body = Body {
            created: Some(Timestamp(second * 1_000)),
            keys: Record::default(),
            sequence: Some(second.to_string()),
            ..Body::default()
        };
        Entry {
            id: None,
            kind: Kind::Insert,
            identity: None,
            body,
            own: None,
        }
    }

    fn take(merge: &mut Merge, shard: &str, seconds: &[i64]) {
        let entries = seconds.iter().map(|second| entry(*second)).collect();
        merge.take(shard, entries, seconds.is_empty());
    }

    fn released(merge: &mut Merge) -> Vec<i64> {
        let seconds = merge.release().0.into_iter();
        seconds
            .filter_map(|entry| Some(entry.body.created?.0 / 1_000))
            .collect()
    }

    #[test]
    fn a_shard_with_less_behind_it_waits_for_the_others() {
        let mut merge = Merge::default();
        merge.begin("a", false);
        merge.begin("b", false);
        take(&mut merge, "a", &[1, 4, 9]);
        assert_eq!(released(&mut merge), [0; 0]);
        take(&mut merge, "b", &[2, 3]);
        assert_eq!(released(&mut merge), [1, 2, 3]);
        assert!(merge.wants("b") && !merge.wants("a"));
        take(&mut merge, "b", &[5]);
        assert_eq!(released(&mut merge), [4, 5]);
        for _ in 1..EMPTY_MAX {
            take(&mut merge, "b", &[]);
            assert_eq!(released(&mut merge), [0; 0]);
        }
        take(&mut merge, "b", &[]);
        assert_eq!(released(&mut merge), [9]);
    }

    #[test]
    fn it_stops_at_a_shards_end_until_those_that_follow_it_are_known() {
        let mut merge = Merge::default();
        merge.begin("a", false);
        merge.begin("b", false);
        take(&mut merge, "a", &[1]);
        take(&mut merge, "b", &[7]);
        merge.end("a");
        let (entries, spent) = merge.release();
        assert_eq!((entries.len(), spent), (1, vec!["a".to_owned()]));
        merge.begin("c", false);
        assert_eq!(released(&mut merge), [0; 0]);
        take(&mut merge, "c", &[2, 8]);
        assert_eq!(released(&mut merge), [2, 7, 8][..2]);
        assert_eq!(merge.held(), 1);
    }

    #[test]
    fn nobody_waits_for_a_shard_that_is_read_from_the_present_on() {
        let mut merge = Merge::default();
        merge.begin("a", true);
        merge.begin("b", true);
        take(&mut merge, "a", &[1]);
        assert_eq!(released(&mut merge), [1]);
    }
}
