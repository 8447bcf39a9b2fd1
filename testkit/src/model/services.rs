//! The services together: performs a request as it arrives, and tells what that changed.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet;
use roundtrip_core::job::{Lane, LaneKind, PRIORITY_MAX};
use roundtrip_core::lifecycle::{Change, RecordKey, Value, Write, attribute as a};
use roundtrip_core::queue::{Counts, LaneCount};

use super::bucket::Bucket;
use super::load::Partition;
use super::names;
use super::network::{Reply, Request};
use super::record::Record;
use super::scan::Retained;
use super::stream::{Stream, Taken};
use super::table::{Applied, Key, Table, Throttled};

/// Objects one page of a listing brings.
const LISTING_PAGE: usize = 1_000;

/// Bytes of a fetcher's row that holds a job.
const ROW_BYTES: usize = 400;

/// Bytes of the page of rows a fetcher reads to find another.
const NEIGHBOURS_BYTES: usize = 25 * ROW_BYTES;

/// Where the leases on the stream's shards lie.
const LEASES: &str = "roundtrip#stream";

/// Bytes of a lease.
const LEASE_BYTES: usize = 200;

/// A fetcher's row.
#[derive(Clone, Copy, Debug)]
struct Row {
    seen: Timestamp,
    resting_until: Option<Timestamp>,
}

/// What a request changed.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// A record was written.
    Wrote {
        change: Box<Change>,
        before: Option<Rc<Record>>,
        after: Rc<Record>,
    },
    /// Objects were put.
    Put(String),
    /// Objects that were there were deleted.
    Deleted(Vec<String>),
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// The name it goes by in the services.
    pub(crate) name: &'a str,
    /// Its own clock.
    pub(crate) now: Timestamp,
}

/// All services.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) table: Table,
    pub(crate) stream: Stream,
    pub(crate) bucket: Bucket,
    fleet: BTreeMap<String, Row>,
    /// Time between a fetcher's reports.
    report: Duration,
    shards: u32,
    retained: Retained,
    /// How it is measured; none where it is judged alone.
    measuring: Option<Measuring>,
}

/// What is otherwise while the services are measured: what is done with is dropped, and records are as large as real ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measuring {
    /// Bytes of a result before it is sealed.
    pub(crate) result_bytes: usize,
}

impl Services {
    pub(crate) fn new(shards: u32, report: Duration) -> Self {
        Self {
            table: Table::default(),
            stream: Stream::new(),
            bucket: Bucket::default(),
            fleet: BTreeMap::new(),
            report,
            shards,
            retained: Retained::default(),
            measuring: None,
        }
    }

    /// From now on a record goes when its job is cleaned, the stream keeps a minute, and a result is sealed.
    pub(crate) fn measure(&mut self, measuring: Measuring) {
        self.measuring = Some(measuring);
        self.stream.forgets();
    }

    /// Performs a request at true time `now`; the index follows a write after `lag` ms, and a read of the stream
    /// brings `again` records once more.
    pub(crate) fn serve(
        &mut self,
        now: i64,
        caller: Caller<'_>,
        request: Request,
        lag: i64,
        again: usize,
    ) -> (Reply, Option<Effect>) {
        let read_only = |reply| (reply, None);
        match request {
            Request::Apply(change) => self.apply(now, lag, change),
            Request::Due {
                lane,
                below,
                until,
                limit,
                from,
            } => read_only(match self.table.due(now, lane, below, until, limit, from) {
                Some((page, next)) => Reply::Page(page, next),
                None => Reply::Throttled,
            }),
            Request::Scan(from) => read_only(self.scan(from.as_ref())),
            Request::Astray(lane, belongs, old) => {
                read_only(match self.table.astray(now, lane, belongs, old) {
                    Some(records) => Reply::Records(records),
                    None => Reply::Throttled,
                })
            }
            Request::Get(keys) => {
                let mut records = Vec::new();
                for key in &keys {
                    match self.table.read(now, &RecordKey::from(key)) {
                        Ok(record) => records.extend(record),
                        Err(Throttled) => return read_only(Reply::Throttled),
                    }
                }
                read_only(Reply::Records(records))
            }
            Request::Report(report) => {
                if !self.table.load.write(now, Partition::Fleet, 1) {
                    return read_only(Reply::Throttled);
                }
                let row = Row {
                    seen: caller.now,
                    resting_until: report.resting_until,
                };
                self.fleet.insert(caller.name.to_owned(), row);
                read_only(Reply::Done)
            }
            Request::Others
                if !self
                    .table
                    .load
                    .read(now, Partition::Fleet, NEIGHBOURS_BYTES, false) =>
            {
                read_only(Reply::Throttled)
            }
            Request::Others => read_only(Reply::Others(self.has_others(caller))),
            Request::Count => read_only(Reply::Counted(self.count(now, caller.now))),
            Request::Put(key, object) => {
                self.bucket.put(now, key.clone(), object);
                (Reply::Done, Some(Effect::Put(key)))
            }
            Request::GetObject(key) => read_only(Reply::Object(self.bucket.get(&key).cloned())),
            Request::Holdings(after) => {
                let (page, next) = self.bucket.page(after, LISTING_PAGE);
                read_only(Reply::Holdings(page, next))
            }
            Request::List(prefix) => read_only(Reply::Keys(self.bucket.list(&prefix))),
            Request::Delete(mut keys) => {
                keys.retain(|key| self.bucket.delete(key));
                (Reply::Done, (!keys.is_empty()).then_some(Effect::Deleted(keys)))
            }
            Request::Shards => read_only(Reply::Shards(self.stream.shards(now))),
            Request::Rows => read_only(self.leases(now)),
            // A lease is written whether its condition holds or not.
            Request::Take { .. } | Request::Hold { .. }
                if !self.table.load.write(now, Partition::Leases, 1) =>
            {
                read_only(Reply::Throttled)
            }
            Request::Take { shard, seen, until } => read_only(
                match self.stream.take(&shard, caller.name, seen.as_ref(), until) {
                    Ok(place) => Reply::Taken(place),
                    Err(Taken) => Reply::NotHeld,
                },
            ),
            Request::Hold { shard, until, place } => {
                let held = self.stream.write(&shard, caller.name, until, place);
                read_only(if held { Reply::Held } else { Reply::NotHeld })
            }
            Request::Locate(shard, from) => read_only(match self.stream.locate(now, &shard, &from) {
                Ok(iterator) => Reply::Located(iterator),
                Err(missing) => Reply::Missing(missing),
            }),
            Request::Read(shard, iterator) => {
                read_only(match self.stream.read(now, &shard, &iterator, again) {
                    Ok(read) => Reply::Read(Box::new(read)),
                    Err(missing) => Reply::Missing(missing),
                })
            }
            // The processor is no service: it answers for itself.
            Request::Analyse(_) => read_only(Reply::Failed),
        }
    }

    fn apply(&mut self, now: i64, lag: i64, mut change: Box<Change>) -> (Reply, Option<Effect>) {
        if let Some(measuring) = self.measuring
            && change.write == Write::Complete
        {
            seal(&mut change, measuring.result_bytes);
        }
        match self.table.apply(now, lag, &change) {
            Applied::Made { before, after } => {
                let key = Rc::new(change.key.clone());
                self.stream
                    .tell(now, key, before.clone(), Some(Rc::clone(&after)));
                if self.measuring.is_some() && change.write == Write::Cleaned {
                    self.table.drop_record(&change.key);
                    self.retained.keep(&change.key, after.bytes());
                }
                let reply = Reply::Made(Rc::clone(&after));
                (
                    reply,
                    Some(Effect::Wrote {
                        change,
                        before,
                        after,
                    }),
                )
            }
            Applied::Refused(record) => (Reply::Refused(record), None),
            Applied::Throttled => (Reply::Throttled, None),
        }
    }

    /// Records without a lane that were never cleaned, of one page of the whole table: whatever it reads costs.
    fn scan(&mut self, from: Option<&Key>) -> Reply {
        let records = self.table.records();
        let rows = [
            (fleet::PARTITION, self.fleet.len() * ROW_BYTES),
            (LEASES, self.stream.rows().len() * LEASE_BYTES),
        ];
        let others = records
            .map(|(key, record)| (&*key.client, record.bytes()))
            .chain(rows);
        let (bytes, end) = self.retained.page(others, from.map(|key| &**key));
        self.table.load.scan(bytes);
        let (mut found, _) = self.table.without_lane(usize::MAX, from);
        found.retain(|record| end.as_ref().is_none_or(|end| record.key() <= *end));
        Reply::Scanned(found, end.map(Rc::new))
    }

    /// The leases on the stream's shards, read consistently.
    fn leases(&mut self, now: i64) -> Reply {
        let rows = self.stream.rows();
        let bytes = rows.len() * LEASE_BYTES;
        if self.table.load.read(now, Partition::Leases, bytes, true) {
            Reply::Rows(rows)
        } else {
            Reply::Throttled
        }
    }

    fn has_others(&self, caller: Caller<'_>) -> bool {
        self.fleet.iter().any(|(name, row)| {
            let rests = row.resting_until.is_some_and(|until| until > caller.now);
            name != caller.name && fleet::is_alive(row.seen, self.report, caller.now) && !rests
        })
    }

    /// A fetcher takes its row away.
    pub(crate) fn leave(&mut self, name: &str) {
        self.fleet.remove(name);
    }

    fn count(&mut self, now: i64, until: Timestamp) -> Counts {
        // Every row of the fleet is read; where that is too much it is read all the same, as far as pages go.
        let rows = self.fleet.len() * ROW_BYTES;
        self.table.load.read(now, Partition::Fleet, rows, false);
        let mut lane = |kind: LaneKind| {
            let mut count = LaneCount::default();
            for shard in 0..self.shards {
                let all = self.table.due(
                    now,
                    Lane { kind, shard },
                    PRIORITY_MAX,
                    Timestamp(i64::MAX),
                    usize::MAX,
                    None,
                );
                let (records, _) = all.unwrap_or_default();
                count.jobs += records.len() as u64;
                let first = records
                    .first()
                    .and_then(|record| record.due())
                    .filter(|due| *due <= until);
                count.oldest = count.oldest.into_iter().chain(first).min();
            }
            count
        };
        Counts {
            ready: lane(LaneKind::Ready),
            leased: lane(LaneKind::Leased),
            done: lane(LaneKind::Done),
            fetchers: self.fleet.len() as u64,
        }
    }

    /// Takes records out whose time to live has ended, whatever they are; tells which.
    pub(crate) fn expire(&mut self, now: i64) -> Vec<(Key, Rc<Record>)> {
        let has_ended = |record: &Record| record.time(a::EXPIRES).is_some_and(|end| end.0 <= now);
        let due = self.table.records().filter(|(_, record)| has_ended(record));
        let due: Vec<Key> = due.map(|(key, _)| Rc::clone(key)).collect();
        let mut gone = Vec::new();
        for key in due {
            if let Some(record) = self.table.expire(now, &key) {
                self.stream
                    .tell(now, Rc::clone(&key), Some(Rc::clone(&record)), None);
                gone.push((key, record));
            }
        }
        gone
    }

    /// Whether a record is still to go by this moment.
    pub(crate) fn is_to_expire(&self, until: i64) -> bool {
        let mut all = self.table.records();
        all.any(|(_, record)| record.time(a::EXPIRES).is_some_and(|end| end.0 <= until))
    }
}

/// The fetchers of the model commit a word for a file's state: makes it as large as a sealed JSON of so many bytes.
fn seal(change: &mut Change, plain_bytes: usize) {
    for (name, value) in &mut change.set {
        if let (&mut a::RESULTS, Value::Text(results)) = (name, value) {
            *results = names::sealed(results, plain_bytes);
        }
    }
    change.remove.retain(|name| *name != a::RESULTS_TYPE);
    let kind = Value::Text("application/json".to_owned());
    change.set.push((a::RESULTS_TYPE, kind));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(services: &mut Services, request: Request) -> u64 {
        let caller = Caller {
            name: "watcher",
            now: Timestamp(0),
        };
        let before = (services.table.load.writes, services.table.load.reads_halves);
        services.serve(0, caller, request, 0, 0);
        let load = &services.table.load;
        (load.writes - before.0) * 2 + load.reads_halves - before.1
    }

    #[test]
    fn leases_cost_units_and_a_scan_costs_those_of_all_it_reads() {
        let mut services = Services::new(1, Duration::from_secs(30));
        let empty = asked(&mut services, Request::Scan(None));
        assert_eq!(empty, 1, "halves of a unit");
        let take = Request::Take {
            shard: "shardId-0000000000-0".to_owned(),
            seen: None,
            until: Timestamp(1),
        };
        assert_eq!(asked(&mut services, take), 2);
        assert_eq!(asked(&mut services, Request::Rows), 2);
        let key = RecordKey {
            client: "client-a".to_owned(),
            file: String::new(),
        };
        services.retained.keep(&key, 5 << 20);
        assert_eq!(asked(&mut services, Request::Scan(None)), 256, "a page of 1 MiB");
    }

    #[test]
    fn an_entry_that_moves_costs_what_it_was_and_what_it_is() {
        let mut services = Services::new(1, Duration::from_secs(30));
        let mut write = |lane: &str, results: usize| {
            let set = vec![
                (a::LANE, Value::Text(lane.to_owned())),
                (a::DUE, Value::Time(Timestamp(0))),
                (a::RESULTS, Value::Text("0".repeat(results))),
            ];
            let change = Change {
                write: Write::Heartbeat,
                key: RecordKey {
                    client: "client-a".to_owned(),
                    file: "file-a".to_owned(),
                },
                only_if: Vec::new(),
                set,
                remove: Vec::new(),
            };
            asked(&mut services, Request::Apply(Box::new(change))) / 2
        };
        assert_eq!(write("leased#0", 500), 1 + 1);
        assert_eq!(write("leased#0", 600), 1 + 1, "in place");
        assert_eq!(write("done#0", 3_500), 4 + 1 + 4);
        assert_eq!(write("done#0", 500), 4 + 4, "in place");
    }
}
