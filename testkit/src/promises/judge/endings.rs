//! The writes that end a claim, against the promises.

use roundtrip_core::job::Status;
use roundtrip_core::lifecycle::{Change, RecordKey, Write, attribute as a};

use super::{Judge, Work, Writer, ms};
use crate::actors::outbox::How;
use crate::model::names;
use crate::model::record::Record;
use crate::promises::Promise;

impl Judge {
    /// The holder ended its claim.
    pub(super) fn ended(
        &mut self,
        now: i64,
        writer: Writer<'_>,
        change: &Change,
        before: &Record,
        after: &Record,
    ) {
        let key = &change.key;
        // Work of an earlier claim is not what this write ends; a claim that is given back at once began none.
        let work = self
            .work
            .get(&(writer.process, writer.incarnation, key.clone()))
            .filter(|work| work.assigned == before.time(a::ASSIGNED))
            .copied();
        let is_holder = self.fenced(now, writer, change, before);
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
        if let Some(Work {
            assigned,
            ended: Some(How::AtFault | How::Failed),
        }) = work
        {
            // A write that is repeated counts once.
            known
                .failed
                .insert((writer.process, writer.incarnation, assigned));
        }
        let (expected, counted) = (known.failed.len() as u64, after.number(a::FAILURES));
        if is_holder {
            self.justified(now, writer, change, before, work.and_then(|work| work.ended));
        }
        self.let_go(now, key);
        if self.forgets {
            self.work
                .remove(&(writer.process, writer.incarnation, key.clone()));
        }
        let retries_same = after.number(a::RETRIES) == before.number(a::RETRIES);
        if is_holder && (counted != expected || !retries_same) {
            let what = change.write.as_str();
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

    /// Whether the job ends as the work on it did.
    fn justified(
        &mut self,
        now: i64,
        writer: Writer<'_>,
        change: &Change,
        before: &Record,
        how: Option<How>,
    ) {
        let key = &change.key;
        let failures = self.jobs.get(key).map_or(0, |known| known.failed.len());
        // It may be sent again after a clock was set back.
        let reading = self.furthest(writer.process, now);
        let (is_result, is_error) = (change.write == Write::Complete, change.write == Write::Fail);
        let is_justified = match how {
            Some(How::Result) => is_result,
            Some(How::AtFault | How::Refused) => is_error,
            Some(How::Failed) => !is_result && (!is_error || failures >= self.rules.attempts_max as usize),
            Some(How::Stalled) => !is_result && (!is_error || self.is_late(before, reading)),
            Some(How::BrokenOff) => !is_result && !is_error,
            // No work began: it was altered, or is given back.
            None => !is_result && (!is_error || self.altered.contains(key)),
        };
        if !is_justified {
            let what = format!(
                "{} of {} after {failures} failures, where the work ended with {how:?}",
                change.write.as_str(),
                key.file
            );
            self.breach(now, Promise::Justified, what);
        }
    }

    /// Whether a job's upload should have ended long ago, by a clock that says this.
    fn is_late(&self, record: &Record, reading: i64) -> bool {
        let created = record.text(a::CREATED).and_then(names::moment);
        created.is_some_and(|created| reading - created.0 > ms(self.rules.upload_max))
    }

    /// A watcher took a job from its holder, or closed one that waits.
    pub(super) fn taken_away(
        &mut self,
        now: i64,
        writer: Writer<'_>,
        change: &Change,
        before: &Record,
        after: &Record,
    ) {
        self.requeues += 1;
        let key = &change.key;
        let what = change.write.as_str();
        let reading = self.reading;
        // One that waits and whose upload never became complete is closed; nobody holds it.
        if before.status() == Some(Status::Processing) {
            let claim = self.jobs.get(key).and_then(|known| known.claim);
            let kept_until = claim.map_or(i64::MIN, |claim| claim.until);
            let early = kept_until.max(before.due().map_or(0, |due| due.0)) - reading;
            if early > 0 {
                self.breach(
                    now,
                    Promise::LeaseKept,
                    format!("{what} of {} {early} ms before its lease ended", key.file),
                );
            }
            let lost = before.number(a::RETRIES) + 1;
            if change.write == Write::GiveUp && lost < u64::from(self.rules.losses_max) {
                let told = format!("{} was given up when {lost} fetchers were lost on it", key.file);
                self.breach(now, Promise::Justified, told);
            }
        } else if change.write == Write::GiveUp {
            self.closed(now, writer, key, before);
        }
        self.let_go(now, key);
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

    /// A waiting job was closed, since its upload was not whole in time: by then something must have been missing.
    fn closed(&mut self, now: i64, writer: Writer<'_>, key: &RecordKey, before: &Record) {
        let created = before.text(a::CREATED).and_then(names::moment);
        let end = created.map_or(i64::MIN, |created| created.0 + ms(self.rules.upload_max));
        let ahead = self.furthest(writer.process, now) - now;
        let whole = self.jobs.get(key).and_then(|known| known.whole);
        let was_whole = whole.is_some_and(|whole| whole < end - ahead);
        let reading = self.reading;
        if !self.is_late(before, reading) || was_whole {
            let told = format!(
                "{} was closed, and its upload was whole or had time left",
                key.file
            );
            self.breach(now, Promise::Justified, told);
        }
    }
}
