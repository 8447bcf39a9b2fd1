//! Every write to a record, against the promises.

use roundtrip_core::job::{LaneKind, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Write, attribute as a};

use super::{Claim, Judge, ms};
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
            Write::Create => self.create(now, key),
            Write::Claim => self.claimed(now, writer, key, before, after),
            Write::Heartbeat => {
                self.fenced(now, writer, change, before);
                self.kept(writer, key);
            }
            Write::Downloaded => drop(self.fenced(now, writer, change, before)),
            Write::Complete | Write::Fail | Write::Release => self.ended(now, writer, change, before, after),
            Write::Requeue | Write::GiveUp => self.taken_away(now, writer, change, before, after),
            Write::Cleaned => self.cleaned(key),
            Write::Refuse => {
                if !self.forged.contains(key) {
                    let what = format!("{} refused {}", writer.name, key.file);
                    self.breach(now, Promise::Genuine, what);
                }
                if after.get(a::CLEANED).is_some() {
                    self.cleaned(key);
                }
            }
            Write::Admit | Write::Adopt => self.waits(now, key),
            Write::Cancel => self.let_go(now, key),
            Write::Cleaning | Write::Keep => {}
        }
        if !was_finished && after.is_finished() {
            self.finished += 1;
            self.completed += u64::from(after.status() == Some(Status::Completed));
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
        self.let_go(now, &change.key);
        if let Some(known) = self.jobs.get_mut(&change.key) {
            known.failed.clear();
        }
    }

    fn create(&mut self, now: i64, key: &RecordKey) {
        self.open += 1;
        self.created += 1;
        self.waits(now, key);
    }

    /// From now on it waits as it does.
    fn waits(&mut self, now: i64, key: &RecordKey) {
        self.jobs.entry(key.clone()).or_default().waits = now;
    }

    /// Nobody holds it any more.
    pub(super) fn let_go(&mut self, now: i64, key: &RecordKey) {
        let known = self.jobs.entry(key.clone()).or_default();
        (known.claim, known.waits) = (None, now);
    }

    /// A heartbeat keeps the job from the moment it was sent, whenever it comes. One that was sent earlier says nothing
    /// new.
    fn kept(&mut self, writer: Writer<'_>, key: &RecordKey) {
        let until = self.reading + ms(self.rules.lease);
        let claim = self.jobs.get_mut(key).and_then(|known| known.claim.as_mut());
        if let Some(claim) = claim.filter(|claim| claim.kept <= writer.sent) {
            (claim.kept, claim.until) = (writer.sent, until);
        }
    }

    /// Whether it is the holder who writes, under its claim.
    pub(super) fn fenced(&mut self, now: i64, writer: Writer<'_>, change: &Change, before: &Record) -> bool {
        let key = &change.key;
        let claim = self.jobs.get(key).and_then(|known| known.claim);
        let is_held =
            before.status() == Some(Status::Processing) && before.text(a::PROCESSOR) == Some(writer.name);
        let is_under = claim.is_some_and(|claim| claim.at <= writer.sent);
        if is_held && is_under {
            return true;
        }
        let why = if is_held {
            "sent before its claim".to_owned()
        } else {
            format!("held by {}", before.text(a::PROCESSOR).unwrap_or("nobody"))
        };
        let what = format!(
            "{} of {} by {}, {why}",
            change.write.as_str(),
            key.file,
            writer.name
        );
        self.breach(now, Promise::Fenced, what);
        false
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
        if self.altered.contains(key) {
            // It may have been seen before it was altered: whether work begins on it is what counts.
            let assigned = after.time(a::ASSIGNED);
            self.tainted.insert((key.clone(), assigned));
        } else if self.forged.contains(key) {
            self.breach(
                now,
                Promise::Genuine,
                format!("{} claimed {}", writer.name, key.file),
            );
        }
        let offered = before.due().map_or(now, |due| due.0);
        let until = self.reading + ms(self.rules.lease);
        let known = self.jobs.entry(key.clone()).or_default();
        known.claim = Some(Claim {
            at: now,
            kept: writer.sent,
            until,
        });
        let waits = known.waits;
        if known.first_offered.is_none() {
            known.first_offered = Some(offered);
            self.claim_waits.push((now - offered).max(0));
        }
        if writer.sent < waits {
            let what = format!("{} claimed {} before it waited as it does", writer.name, key.file);
            self.breach(now, Promise::Fenced, what);
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
