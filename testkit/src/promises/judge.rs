//! The checkers: told of every effect and fact, they say which promise it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{LaneKind, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Write, attribute as a};
use roundtrip_core::names::JobKey;

use super::{Breach, Promise};
use crate::actors::outbox::Fact;
use crate::model::record::Record;
use crate::model::services::Services;

/// Who wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) process: usize,
    pub(crate) incarnation: u32,
    pub(crate) name: &'a str,
    /// When the write was sent, in true time.
    pub(crate) sent: i64,
}

/// What the checkers remember of a job.
#[derive(Debug, Default)]
struct Known {
    /// Until when its holder keeps it, in true time.
    kept_until: i64,
    /// The content its client announced.
    state: Option<u64>,
    delivered: Option<(u32, Option<u64>)>,
    cleaned: bool,
    /// A watcher deleted objects of it.
    swept: bool,
    first_offered: Option<i64>,
    /// Work on it that ended in a failure of the job.
    failed: BTreeSet<(usize, u32, Option<Timestamp>)>,
}

/// Work of a process on a job.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// When the claim was made that it works under.
    assigned: Option<Timestamp>,
    /// Whether the job failed; none while it goes on.
    failed: Option<bool>,
}

/// The checkers.
#[derive(Debug)]
pub(crate) struct Judge {
    start: i64,
    lease: i64,
    results_keep: i64,
    /// How far two clocks may be apart.
    skew: i64,
    jobs: BTreeMap<RecordKey, Known>,
    /// Under which claim a process works on a job, and whether that work ended in a failure of the job.
    work: BTreeMap<(usize, u32, RecordKey), Work>,
    forged: BTreeSet<RecordKey>,
    /// Objects that came after their job was swept: puts that were repeated, or came late.
    pub(crate) strays: u64,
    /// Jobs that were created and not cleaned yet.
    open: usize,
    /// What is done with is forgotten, since there is too much of it.
    forgets: bool,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) claim_waits: Vec<i64>,
    pub(crate) created: u64,
    pub(crate) finished: u64,
    pub(crate) deliveries: u64,
    pub(crate) requeues: u64,
}

/// Breaches one run tells of, at most.
const BREACHES_MAX: usize = 20;

impl Judge {
    pub(crate) fn new(start: i64, lease: Duration, results_keep: Duration, skew: i64) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            start,
            lease: ms(lease),
            results_keep: ms(results_keep),
            skew,
            jobs: BTreeMap::new(),
            work: BTreeMap::new(),
            forged: BTreeSet::new(),
            strays: 0,
            open: 0,
            forgets: false,
            breaches: Vec::new(),
            claim_waits: Vec::new(),
            created: 0,
            finished: 0,
            deliveries: 0,
            requeues: 0,
        }
    }

    /// Whether every job that was created is cleaned.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open == 0
    }

    /// From now on jobs are forgotten when they are cleaned: memory follows those that are open.
    pub(crate) fn forgets(&mut self) {
        self.forgets = true;
    }

    /// A record that nobody signed lies in the table.
    pub(crate) fn forged(&mut self, key: RecordKey) {
        self.forged.insert(key.clone());
        self.made(key);
    }

    /// An operator had a job taken again: its failures are forgotten.
    pub(crate) fn forgiven(&mut self, key: &RecordKey) {
        if let Some(known) = self.jobs.get_mut(key) {
            known.failed.clear();
        }
    }

    /// A job lies in the table that none of our machines made.
    pub(crate) fn made(&mut self, key: RecordKey) {
        self.open += 1;
        self.created += 1;
        self.jobs.entry(key).or_default();
    }

    fn breach(&mut self, now: i64, promise: Promise, what: String) {
        if self.breaches.len() < BREACHES_MAX {
            let since = Timestamp(now - self.start);
            self.breaches.push(Breach::new(promise, since, what));
        }
    }

    /// A process told what it does.
    pub(crate) fn told(&mut self, now: i64, process: usize, incarnation: u32, fact: Fact) {
        match fact {
            Fact::Began { key, assigned } => {
                self.work.insert(
                    (process, incarnation, RecordKey::from(&key)),
                    Work {
                        assigned,
                        failed: None,
                    },
                );
            }
            Fact::Ended { key, failed } => {
                if let Some(work) = self.work.get_mut(&(process, incarnation, RecordKey::from(&key))) {
                    work.failed = Some(failed);
                }
            }
            Fact::Announced { key, state } => {
                self.jobs.entry(RecordKey::from(&key)).or_default().state = Some(state);
            }
            Fact::Forgot(key) => {
                self.jobs.entry(RecordKey::from(&key)).or_default().state = None;
            }
            Fact::Delivered { key, state } => self.delivered(now, incarnation, &key, state),
        }
    }

    fn delivered(&mut self, now: i64, incarnation: u32, key: &JobKey, state: Option<u64>) {
        self.deliveries += 1;
        let known = self.jobs.entry(RecordKey::from(key)).or_default();
        let before = known.delivered.replace((incarnation, state));
        let announced = known.state;
        if let Some((by, what)) = before
            // A process that dies between the folder and the ledger writes the same file again.
            && (by == incarnation || what != state)
        {
            self.breach(now, Promise::DeliveredOnce, format!("{key} came twice"));
        }
        if state.is_some() && announced.is_some() && state != announced {
            self.breach(
                now,
                Promise::RightResult,
                format!("{key} has another file's result"),
            );
        }
    }

    /// A record was written.
    pub(crate) fn wrote(
        &mut self,
        now: i64,
        writer: Writer<'_>,
        change: &Change,
        before: Option<&Record>,
        after: &Record,
    ) {
        let empty = Record::default();
        let before = before.unwrap_or(&empty);
        let by = format_args!("{}", change.write.as_str()).to_string();
        let key = &change.key;
        let was_finished = before.is_finished();
        if was_finished
            && (after.get(a::STATUS) != before.get(a::STATUS)
                || after.get(a::RESULTS) != before.get(a::RESULTS)
                || after.get(a::ERROR) != before.get(a::ERROR))
        {
            self.breach(
                now,
                Promise::OneOutcome,
                format!("{by} wrote to {} which was finished", key.file),
            );
        }
        match change.write {
            Write::Create => self.create(key),
            Write::Claim => self.claimed(now, writer, key, before, after),
            Write::Heartbeat => {
                self.jobs.entry(key.clone()).or_default().kept_until = writer.sent + self.lease;
            }
            Write::Complete | Write::Fail | Write::Release => self.ended(now, writer, change, before, after),
            Write::Requeue | Write::GiveUp => self.taken_away(now, change, before, after),
            Write::Cleaned => self.cleaned(key),
            Write::Refuse => {
                if after.get(a::CLEANED).is_some() {
                    self.cleaned(key);
                }
            }
            Write::Downloaded | Write::Keep | Write::Admit | Write::Adopt | Write::Cancel => {}
        }
        if !was_finished && after.is_finished() {
            self.finished += 1;
        }
        self.lane(now, change, after);
    }

    fn create(&mut self, key: &RecordKey) {
        self.open += 1;
        self.created += 1;
        self.jobs.entry(key.clone()).or_default();
    }

    fn cleaned(&mut self, key: &RecordKey) {
        let known = self.jobs.entry(key.clone()).or_default();
        if !std::mem::replace(&mut known.cleaned, true) {
            self.open = self.open.saturating_sub(1);
        }
        if self.forgets {
            self.jobs.remove(key);
        }
    }

    fn claimed(&mut self, now: i64, writer: Writer<'_>, key: &RecordKey, before: &Record, after: &Record) {
        if self.forged.contains(key) {
            self.breach(
                now,
                Promise::Genuine,
                format!("{} claimed {}", writer.name, key.file),
            );
        }
        let offered = before.due().map_or(now, |due| due.0);
        let known = self.jobs.entry(key.clone()).or_default();
        known.kept_until = writer.sent + self.lease;
        if known.first_offered.is_none() {
            known.first_offered = Some(offered);
            self.claim_waits.push((now - offered).max(0));
        }
        if after.get(a::RETRIES) != before.get(a::RETRIES)
            || after.get(a::FAILURES) != before.get(a::FAILURES)
        {
            self.breach(
                now,
                Promise::CountedApart,
                format!("the claim of {} counted something", key.file),
            );
        }
    }

    /// The holder ended its claim.
    fn ended(&mut self, now: i64, writer: Writer<'_>, change: &Change, before: &Record, after: &Record) {
        let key = &change.key;
        let work = self
            .work
            .get(&(writer.process, writer.incarnation, key.clone()))
            .copied();
        let what = change.write.as_str();
        let is_holder = before.status() == Some(Status::Processing)
            && before.text(a::PROCESSOR) == Some(writer.name)
            // A claim that is given back at once, while the process stops, began no work.
            && work.is_none_or(|work| work.assigned == before.time(a::ASSIGNED));
        if !is_holder && change.write != Write::Release {
            let holder = before.text(a::PROCESSOR).unwrap_or("nobody");
            self.breach(
                now,
                Promise::Fenced,
                format!("{what} of {} by {}, held by {holder}", key.file, writer.name),
            );
        }
        if self.forged.contains(key) && change.write == Write::Complete {
            self.breach(now, Promise::Genuine, format!("{} has a result", key.file));
        }
        let state = after
            .text(a::RESULTS)
            .and_then(|text| u64::from_str_radix(text, 16).ok());
        let announced = self.jobs.get(key).and_then(|known| known.state);
        if change.write == Write::Complete && state.is_some() && announced.is_some() && state != announced {
            self.breach(
                now,
                Promise::RightResult,
                format!("{} was given another file's result", key.file),
            );
        }
        let known = self.jobs.entry(key.clone()).or_default();
        if let Some(Work {
            assigned,
            failed: Some(true),
        }) = work
        {
            // A write that is repeated counts once.
            known
                .failed
                .insert((writer.process, writer.incarnation, assigned));
        }
        let (expected, counted) = (known.failed.len() as u64, after.number(a::FAILURES));
        let retries_same = after.number(a::RETRIES) == before.number(a::RETRIES);
        if self.forgets {
            self.work
                .remove(&(writer.process, writer.incarnation, key.clone()));
        }
        if is_holder && (counted != expected || !retries_same) {
            self.breach(
                now,
                Promise::CountedApart,
                format!(
                    "after {what} {} has {counted} failures, {expected} is right",
                    key.file
                ),
            );
        }
    }

    /// A watcher took a job from its holder.
    fn taken_away(&mut self, now: i64, change: &Change, before: &Record, after: &Record) {
        self.requeues += 1;
        let key = &change.key;
        let what = change.write.as_str();
        let kept_until = self.jobs.get(key).map_or(0, |known| known.kept_until);
        let due = before.due().map_or(0, |due| due.0);
        let early = kept_until.max(due) - self.skew * 2 - now;
        // One that waits and whose upload never became complete is closed; nobody holds it.
        let held = before.status() == Some(Status::Processing);
        if held && early > 0 {
            self.breach(
                now,
                Promise::LeaseKept,
                format!("{what} of {} {early} ms before its lease ended", key.file),
            );
        }
        let lost = after.number(a::RETRIES).wrapping_sub(before.number(a::RETRIES));
        let failures_same = after.number(a::FAILURES) == before.number(a::FAILURES);
        if !failures_same || lost != u64::from(change.write == Write::Requeue) {
            self.breach(
                now,
                Promise::CountedApart,
                format!("{what} of {} counts a lost worker as something else", key.file),
            );
        }
    }

    /// Whether the record lies where its status asks for.
    fn lane(&mut self, now: i64, change: &Change, after: &Record) {
        let cleaned = after.get(a::CLEANED).is_some();
        let wanted = match after.status() {
            _ if cleaned => None,
            Some(Status::Queued) => Some(LaneKind::Ready),
            Some(Status::Processing) => Some(LaneKind::Leased),
            Some(Status::Completed | Status::Error) => Some(LaneKind::Done),
            None => return,
        };
        let lane = after.lane().map(|lane| lane.kind);
        if lane != wanted || lane.is_some() != after.due().is_some() {
            let (what, file) = (change.write.as_str(), &change.key.file);
            let found = lane.map_or("none", LaneKind::as_str);
            self.breach(
                now,
                Promise::LaneKept,
                format!("after {what} {file} lies in lane {found}"),
            );
        }
    }

    /// An object was put. One that comes after its job completed, or after it was swept, is a put that was repeated
    /// or came late.
    pub(crate) fn put(&mut self, key: &str, services: &Services) {
        let Some(job) = job_of(key) else { return };
        let status = services.table.get(&job).and_then(|record| record.status());
        let known = self.jobs.get(&job);
        if status == Some(Status::Completed) || known.is_some_and(|known| known.cleaned || known.swept) {
            self.strays += 1;
        }
    }

    /// Objects were deleted, by a client or a watcher.
    pub(crate) fn deleted(&mut self, now: i64, by_client: bool, keys: &[String], services: &Services) {
        for key in keys {
            let Some(job) = job_of(key) else { continue };
            if let Some(known) = self.jobs.get_mut(&job) {
                known.swept |= !by_client;
            }
            let record = services.table.get(&job);
            let is_result = key.ends_with("/results");
            let known = self.jobs.get(&job);
            let delivered = known.is_some_and(|known| known.delivered.is_some());
            let needed = match record.map(|record| record.status()) {
                // A client gives a job up before it deletes: there is no record, or it will end as an error.
                Some(_) if by_client => {
                    is_result && !delivered && known.is_some_and(|known| known.state.is_some())
                }
                Some(Some(Status::Queued | Status::Processing) | None) => true,
                Some(Some(Status::Completed)) if is_result && !delivered => {
                    let in_object = record.and_then(|record| record.text(a::RESULTS)) == Some(key);
                    let processed = record
                        .and_then(|record| record.time(a::PROCESSED))
                        .map_or(0, |at| at.0);
                    in_object && now + self.skew * 2 < processed + self.results_keep
                }
                None | Some(Some(Status::Completed | Status::Error)) => false,
            };
            if needed {
                let what = key.rsplit('/').next().unwrap_or_default();
                self.breach(
                    now,
                    Promise::ChunksKept,
                    format!("{what} of {} was deleted", job.file),
                );
            }
        }
    }

    /// At the end: what is not finished, and what was left behind.
    pub(crate) fn conclude(&mut self, now: i64, services: &Services) {
        let mut open = Vec::new();
        for (key, record) in services.table.records() {
            if self.jobs.contains_key(&**key) && !record.is_finished() {
                let status = record.text(a::STATUS).unwrap_or_default().to_owned();
                open.push(format!("{} is still {status}", key.file));
            } else if record.is_finished() && record.get(a::CLEANED).is_none() {
                self.breach(now, Promise::NothingLeft, format!("{} was not cleaned", key.file));
            }
        }
        for what in open {
            self.breach(now, Promise::Outcome, what);
        }
        let left: Vec<String> = services
            .bucket
            .keys()
            .filter(|key| {
                let record = job_of(key).and_then(|job| services.table.get(&job));
                record.is_none_or(|record| record.get(a::CLEANED).is_some())
            })
            .map(ToOwned::to_owned)
            .collect();
        for key in left {
            let what = key.get(138..).unwrap_or(&key).to_owned();
            self.breach(now, Promise::NothingLeft, format!("{what} lies in the bucket"));
        }
    }

    /// A breach that is seen from elsewhere.
    pub(crate) fn add(&mut self, now: i64, promise: Promise, what: String) {
        self.breach(now, promise, what);
    }
}

/// The job an object belongs to.
fn job_of(object: &str) -> Option<RecordKey> {
    let mut parts = object.split('/');
    Some(RecordKey {
        client: parts.next()?.to_owned(),
        file: parts.next()?.to_owned(),
    })
}
