//! The table's stream: shards that split, records that live a day, and the rows that say who reads what.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::stream::{From, Lease, Place, Shard};

use super::record::Record;
use super::table::Key;

/// How long records are kept, and a shard after it was closed.
const KEPT_MS: i64 = 24 * 3_600_000;

/// How long an iterator may be used.
const ITERATOR_MS: i64 = 15 * 60_000;

/// Shards of a large table's stream.
const SHARDS_LARGE: usize = 15;

/// Records one read brings, at most.
const RECORDS_MAX: usize = 1_000;

/// A change of a record.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) when: Timestamp,
    pub(crate) key: Key,
    pub(crate) before: Option<Rc<Record>>,
    /// None where the record was deleted.
    pub(crate) after: Option<Rc<Record>>,
}

#[derive(Debug)]
struct Source {
    id: String,
    parent: Option<usize>,
    /// Which partitions it takes: from this hash on, to that, exclusive.
    range: (u64, u64),
    /// The records that are in memory; `dropped` came before them.
    records: VecDeque<News>,
    dropped: usize,
    closed: Option<i64>,
}

impl Source {
    /// How many records there ever were.
    fn len(&self) -> usize {
        self.dropped + self.records.len()
    }
}

/// Where a read found nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The records at this place are gone.
    Trimmed,
    /// The shard is gone.
    Gone,
    /// The iterator is too old.
    Expired,
}

/// The lease is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken;

/// What one read brought.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) news: Vec<News>,
    pub(crate) last: Option<String>,
    pub(crate) next: Option<String>,
}

/// The stream and the rows about its shards.
#[derive(Debug)]
pub(crate) struct Stream {
    sources: Vec<Source>,
    /// Milliseconds that records are kept.
    kept_ms: i64,
    iterator_ms: i64,
    /// Records that are not kept any more are not dropped: they are wanted for a recording.
    remembers: bool,
    rows: BTreeMap<String, Lease>,
}

impl Stream {
    /// One open shard.
    pub(crate) fn new() -> Self {
        Self {
            sources: vec![Source {
                id: id(0),
                parent: None,
                range: (0, u64::MAX),
                records: VecDeque::new(),
                dropped: 0,
                closed: None,
            }],
            rows: BTreeMap::new(),
            kept_ms: KEPT_MS,
            iterator_ms: ITERATOR_MS,
            remembers: false,
        }
    }

    /// From now on records are kept for so long, and iterators.
    pub(crate) fn keeps(&mut self, kept_ms: i64, iterator_ms: i64) {
        (self.kept_ms, self.iterator_ms) = (kept_ms, iterator_ms);
    }

    /// Whatever is told from now on can be recorded, however long it lasts.
    pub(crate) fn remembers(&mut self) {
        self.remembers = true;
    }

    /// From now on records go after a minute, and there are as many shards as a large table has.
    pub(crate) fn forgets(&mut self) {
        self.kept_ms = 60_000;
        for open in 0..SHARDS_LARGE {
            self.split(0, open / 2, 2);
        }
    }

    pub(crate) fn tell(&mut self, now: i64, key: Key, before: Option<Rc<Record>>, after: Option<Rc<Record>>) {
        let hash = super::names::hash(&[&key.file]);
        let open = self.sources.iter_mut().rev().find(|source| {
            source.closed.is_none()
                && source.range.0 <= hash
                && (hash < source.range.1 || source.range.1 == u64::MAX)
        });
        if let Some(source) = open {
            source.records.push_back(News {
                when: Timestamp(now),
                key,
                before,
                after,
            });
            let kept_ms = self.kept_ms;
            while !self.remembers
                && source
                    .records
                    .front()
                    .is_some_and(|first| first.when.0 + kept_ms < now)
            {
                source.records.pop_front();
                source.dropped += 1;
            }
        }
    }

    /// Every record there ever was with its shard, by time.
    pub(crate) fn all(&self) -> Vec<(&str, &News)> {
        let of = |source: &'_ Source| source.records.len();
        let mut all: Vec<(&str, &News)> = Vec::with_capacity(self.sources.iter().map(of).sum());
        for source in &self.sources {
            all.extend(source.records.iter().map(|news| (source.id.as_str(), news)));
        }
        // Stable: within a shard the order stays.
        all.sort_by_key(|(_, news)| news.when);
        all
    }

    /// Closes an open shard; one or two follow it.
    pub(crate) fn split(&mut self, now: i64, chosen: usize, children: usize) {
        let open: Vec<usize> = (0..self.sources.len())
            .filter(|n| self.sources[*n].closed.is_none())
            .collect();
        let Some(&parent) = open.get(chosen % open.len().max(1)) else {
            return;
        };
        self.sources[parent].closed = Some(now);
        let (low, high) = self.sources[parent].range;
        let middle = low + (high - low) / 2;
        let ranges = if children > 1 {
            vec![(low, middle), (middle, high)]
        } else {
            vec![(low, high)]
        };
        for range in ranges {
            self.sources.push(Source {
                id: id(self.sources.len()),
                parent: Some(parent),
                range,
                records: VecDeque::new(),
                dropped: 0,
                closed: None,
            });
        }
    }

    fn is_gone(&self, source: &Source, now: i64) -> bool {
        source.closed.is_some_and(|closed| closed + self.kept_ms < now)
    }

    /// Every shard that is still kept.
    pub(crate) fn shards(&self, now: i64) -> Vec<Shard> {
        let kept = self.sources.iter().filter(|source| !self.is_gone(source, now));
        kept.map(|source| Shard {
            id: source.id.clone(),
            parent: source.parent.map(|parent| self.sources[parent].id.clone()),
        })
        .collect()
    }

    fn find(&self, shard: &str, now: i64) -> Result<&Source, Missing> {
        let number: usize = shard
            .rsplit('-')
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or(Missing::Gone)?;
        let source = self.sources.get(number).ok_or(Missing::Gone)?;
        if self.is_gone(source, now) {
            Err(Missing::Gone)
        } else {
            Ok(source)
        }
    }

    /// The first record that is still kept.
    fn oldest(&self, source: &Source, now: i64) -> usize {
        let kept_ms = self.kept_ms;
        source.dropped + source.records.partition_point(|news| news.when.0 + kept_ms < now)
    }

    pub(crate) fn locate(&self, now: i64, shard: &str, from: &From) -> Result<String, Missing> {
        let source = self.find(shard, now)?;
        let oldest = self.oldest(source, now);
        let begin = match from {
            From::Oldest => oldest,
            From::Newest => source.len(),
            From::After(sequence) => {
                let next = sequence.parse::<usize>().map_err(|_| Missing::Trimmed)? + 1;
                if next < oldest {
                    return Err(Missing::Trimmed);
                }
                next
            }
        };
        Ok(iterator(begin, now))
    }

    /// Reads on from an iterator; `again` records before it come once more, as they may.
    pub(crate) fn read(&self, now: i64, shard: &str, from: &str, again: usize) -> Result<Read, Missing> {
        let source = self.find(shard, now)?;
        let (begin, made) = place(from).ok_or(Missing::Trimmed)?;
        if made + self.iterator_ms < now {
            return Err(Missing::Expired);
        }
        let oldest = self.oldest(source, now);
        if begin < oldest {
            return Err(Missing::Trimmed);
        }
        let end = source.len().min(begin + RECORDS_MAX);
        let first = begin.saturating_sub(again).max(oldest).min(end);
        let news = source
            .records
            .range(first - source.dropped..end - source.dropped)
            .cloned()
            .collect();
        let last = (end > begin).then(|| (end - 1).to_string());
        let next = (source.closed.is_none() || end < source.len()).then(|| iterator(end, now));
        Ok(Read { news, last, next })
    }

    pub(crate) fn rows(&self) -> Vec<Lease> {
        self.rows.values().cloned().collect()
    }

    /// Takes a lease if its row is as it was seen; how far the shard was read.
    pub(crate) fn take(
        &mut self,
        shard: &str,
        reader: &str,
        seen: Option<&Lease>,
        until: Timestamp,
    ) -> Result<Option<Place>, Taken> {
        let row = self.rows.get(shard);
        let as_seen = match (row, seen) {
            (None, None) => true,
            (Some(row), Some(seen)) => {
                row.holder == seen.holder && (seen.holder.is_none() || row.until == seen.until)
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !as_seen {
            return Err(Taken);
        }
        let place = row.and_then(|row| row.place.clone());
        let row = Lease {
            shard: shard.to_owned(),
            holder: Some(reader.to_owned()),
            until,
            place: place.clone(),
        };
        self.rows.insert(shard.to_owned(), row);
        Ok(place)
    }

    /// Renews a lease, or gives it back where there is no `until`; whether it was the reader's.
    pub(crate) fn write(
        &mut self,
        shard: &str,
        reader: &str,
        until: Option<Timestamp>,
        place: Option<Place>,
    ) -> bool {
        let Some(row) = self.rows.get_mut(shard) else {
            return false;
        };
        if row.holder.as_deref() != Some(reader) {
            return false;
        }
        if place.is_some() {
            row.place = place;
        }
        match until {
            Some(until) => row.until = until,
            None => row.holder = None,
        }
        true
    }
}

/// An iterator: a place, and when it was made.
fn iterator(place: usize, now: i64) -> String {
    format!("{place}@{now}")
}

fn place(iterator: &str) -> Option<(usize, i64)> {
    let (place, made) = iterator.split_once('@')?;
    Some((place.parse().ok()?, made.parse().ok()?))
}

fn id(number: usize) -> String {
    format!("shardId-0000000000-{number}")
}

#[cfg(test)]
mod tests;
