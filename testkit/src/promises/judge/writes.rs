//! Every write to a record, against the promises.

use roundtrip_core::job::{LaneKind, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Write, attribute as a};

use super::{Judge, Work};
use crate::model::record::Record;
use crate::promises::Promise;

/// Who wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) process: usize,
    pub(crate) incarnation: u32,
    pub(crate) name: &'a str,
    /// When the write was sent, in true time.
    pub(crate) sent: i64,
}

impl Judge {
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
                let known = self.jobs.entry(key.clone()).or_default();
                known.kept_until = known.kept_until.max(writer.sent + self.lease);
            }
            Write::Complete | Write::Fail | Write::Release => self.ended(now, writer, change, before, after),
            Write::Requeue | Write::GiveUp => self.taken_away(now, change, before, after),
            Write::Cleaned => self.cleaned(key),
            Write::Refuse => {
                if after.get(a::CLEANED).is_some() {
                    self.cleaned(key);
                }
            }
            Write::Downloaded
            | Write::Cleaning
            | Write::Keep
            | Write::Admit
            | Write::Adopt
            | Write::Cancel => {}
        }
        if !was_finished && after.is_finished() {
            self.finished += 1;
        }
        self.lane(now, change, after);
    }

    /// An operator had a job taken again: its failures are forgotten. One that has ended comes back only after an error,
    /// and only while nobody deletes its objects.
    pub(crate) fn taken_again(&mut self, now: i64, change: &Change, before: &Record, after: &Record) {
        let is_going = before.get(a::CLEANING).is_some() || before.get(a::CLEANED).is_some();
        if before.is_finished() && (before.status() != Some(Status::Error) || is_going) {
            let what = format!("an operator took {} again after its end", change.key.file);
            self.breach(now, Promise::OneOutcome, what);
        }
        let was_held = before.get(a::PROCESSOR).is_some();
        if was_held && after.number(a::RETRIES) <= before.number(a::RETRIES) {
            let what = format!("{} was taken again in the same generation", change.key.file);
            self.breach(now, Promise::Fenced, what);
        }
        self.lane(now, change, after);
        if let Some(known) = self.jobs.get_mut(&change.key) {
            known.failed.clear();
        }
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
        known.is_completed |= change.write == Write::Complete && state.is_some();
        // Work of an earlier claim is not what this write ends.
        if let Some(Work {
            assigned,
            failed: Some(true),
        }) = work
            && assigned == before.time(a::ASSIGNED)
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
}
