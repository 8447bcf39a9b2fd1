//! One shard while it is ours: its lease, its place, its reads.

use std::time::Duration;

use super::want::Want;
use super::{BadRecord, Batch, From, Place, StreamPolicy};
use crate::at::{At, Timestamp};

/// A write under way.
#[derive(Debug)]
struct Written {
    until: Timestamp,
    place: Option<Place>,
    bad: Option<BadRecord>,
    releases: bool,
}

/// How far a shard in our hands has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is read.
    Reading,
    /// It was read to its end, which is still to be written down.
    Ended,
    /// It is not ours any more.
    Left,
}

/// A shard while it is ours.
#[derive(Debug)]
pub(super) struct Hold {
    /// Until when the lease holds for certain.
    until: Timestamp,
    /// Where reading goes on.
    from: From,
    stage: Stage,
    iterator: Option<String>,
    /// A request to the stream is under way.
    busy: bool,
    writing: Option<Written>,
    /// Reading begins, or may have jumped: a look has to tell what was missed.
    uncertain: bool,
    /// News since the place was written.
    unsaved: bool,
    bad: Option<BadRecord>,
    next_read: Timestamp,
    /// The wait after the last read.
    wait: Duration,
    failures: u32,
    next_write: Timestamp,
}

impl Hold {
    pub(super) fn new(
        policy: &StreamPolicy,
        at: At,
        until: Timestamp,
        place: Option<Place>,
        begin: From,
    ) -> Self {
        let (from, stage) = match place {
            Some(Place::After(sequence)) => (From::After(sequence), Stage::Reading),
            Some(Place::End) => (begin, Stage::Ended),
            None => (begin, Stage::Reading),
        };
        Self {
            until,
            from,
            stage,
            iterator: None,
            busy: false,
            writing: None,
            uncertain: true,
            unsaved: false,
            bad: None,
            next_read: at.now,
            wait: policy.interval,
            failures: 0,
            next_write: at.now,
        }
    }

    /// The clock was set back: the lease ends earlier than its row says, until it is renewed.
    pub(super) fn set_back(&mut self, by: Duration) {
        let written = self.writing.iter_mut().map(|written| &mut written.until);
        let own = [&mut self.until, &mut self.next_read, &mut self.next_write];
        for moment in own.into_iter().chain(written) {
            *moment = moment.set_back(by);
        }
    }

    /// Whether nothing of it is under way any more, and it is not ours.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Left && !self.busy && self.writing.is_none()
    }

    /// It is not ours any more.
    pub(super) fn leave(&mut self) {
        self.stage = Stage::Left;
        self.writing = None;
    }

    /// The place a write under way sets.
    pub(super) fn written(&self) -> Option<Place> {
        self.writing.as_ref().and_then(|written| written.place.clone())
    }

    fn place(&self) -> Option<Place> {
        match &self.from {
            _ if self.stage == Stage::Ended => Some(Place::End),
            From::After(sequence) => Some(Place::After(sequence.clone())),
            From::Oldest | From::Newest => None,
        }
    }

    /// When the lease is renewed.
    fn renewal(&self, policy: &StreamPolicy) -> Timestamp {
        let third = i64::try_from(policy.request_max().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.until.0.saturating_sub(third.saturating_mul(2)))
    }

    /// From when on nothing is read without a renewal.
    fn reads_end(&self, policy: &StreamPolicy) -> Timestamp {
        let third = i64::try_from(policy.request_max().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.until.0.saturating_sub(third))
    }

    /// When a write is due.
    fn write_at(&self, policy: &StreamPolicy, stopping: bool) -> Option<Timestamp> {
        if self.stage == Stage::Left || self.writing.is_some() {
            return None;
        }
        if self.stage == Stage::Ended || stopping {
            return (!self.busy).then_some(self.next_write);
        }
        // News are written down together: a dozen times in a lease, not once a read.
        let save = self.unsaved.then(|| {
            let twelfth = i64::try_from((policy.lease / 12).as_millis()).unwrap_or(i64::MAX);
            Timestamp(self.until.0.saturating_sub(twelfth.saturating_mul(11)))
        });
        let renewal = self.renewal(policy);
        Some(
            save.map_or(renewal, |save| save.min(renewal))
                .max(self.next_write),
        )
    }

    /// When a request to the stream is due.
    fn read_at(&self, policy: &StreamPolicy, stopping: bool) -> Option<Timestamp> {
        let reads = self.stage == Stage::Reading && !self.busy && !stopping;
        (reads && self.next_read < self.reads_end(policy)).then_some(self.next_read)
    }

    /// The next thing it needs at this moment.
    pub(super) fn want(&mut self, policy: &StreamPolicy, at: At, stopping: bool) -> Option<Want> {
        if self.write_at(policy, stopping).is_some_and(|due| due <= at.now) {
            let releases = self.stage == Stage::Ended || stopping;
            return Some(self.write(at.now + policy.lease, releases));
        }
        let due = self.read_at(policy, stopping).is_some_and(|due| due <= at.now);
        if !due {
            return None;
        }
        if at.now >= self.reads_end(policy) {
            // Too close to the lease's end: the renewal, which is due, brings reading back.
            self.next_read = self.reads_end(policy);
            return None;
        }
        self.busy = true;
        Some(match &self.iterator {
            Some(iterator) => Want::Read(iterator.clone()),
            None => Want::Locate(self.from.clone()),
        })
    }

    fn write(&mut self, until: Timestamp, releases: bool) -> Want {
        let (place, bad) = (self.place(), self.bad.take());
        self.unsaved = false;
        self.writing = Some(Written {
            until,
            place: place.clone(),
            bad: bad.clone(),
            releases,
        });
        if releases {
            Want::Release { place, bad }
        } else {
            Want::Renew { until, place, bad }
        }
    }

    /// A renewal was made.
    pub(super) fn kept(&mut self, at: At) {
        if let Some(written) = self.writing.take() {
            self.until = written.until;
            self.next_write = at.now;
            self.next_read = self.next_read.max(at.now);
        }
    }

    /// A write was not answered: it is made again, for as long as nobody else has the lease.
    pub(super) fn write_failed(&mut self, policy: &StreamPolicy, at: At, stopping: bool) {
        let Some(written) = self.writing.take() else {
            return;
        };
        if written.releases && stopping {
            // The lease ends by itself.
            self.stage = Stage::Left;
            return;
        }
        self.unsaved = true;
        self.bad = self.bad.take().or(written.bad);
        self.next_write = at.now + (policy.lease / 12).mul_f64(1.0 + at.jitter / 4.0);
    }

    /// An iterator came; whether the pipelines have to look.
    pub(super) fn located(&mut self, iterator: String) -> bool {
        self.busy = false;
        self.iterator = Some(iterator);
        std::mem::take(&mut self.uncertain)
    }

    /// A read ended; `closed` shards are read to their end without slowing down.
    pub(super) fn read(&mut self, policy: &StreamPolicy, at: At, batch: Batch, closed: bool) {
        self.busy = false;
        self.failures = 0;
        self.unsaved |= batch.news > 0 || !batch.bad.is_empty();
        self.wait = if batch.news > 0 || closed {
            policy.interval
        } else {
            (self.wait * 2).min(policy.interval_max.max(policy.interval))
        };
        self.next_read = at.now + self.wait.mul_f64(1.0 + at.jitter / 4.0);
        if let Some(last) = batch.last {
            self.from = From::After(last);
        }
        if let Some(bad) = batch.bad.into_iter().next_back() {
            self.bad = Some(bad);
        }
        if batch.next.is_none() {
            self.end();
        }
        self.iterator = batch.next;
    }

    /// A request failed. With a new iterator nothing is skipped, unless nothing was read yet.
    pub(super) fn failed(&mut self, policy: &StreamPolicy, at: At, relocate: bool) {
        self.busy = false;
        self.failures = self.failures.saturating_add(1);
        self.next_read = at.now + policy.backoff(at, self.failures);
        if relocate {
            self.uncertain |= self.iterator.take().is_some() && self.from == From::Newest;
        }
    }

    /// What came next is not kept any more: begins with what is.
    pub(super) fn trimmed(&mut self, policy: &StreamPolicy, at: At) {
        self.failed(policy, at, true);
        self.iterator = None;
        self.from = From::Oldest;
        self.uncertain = true;
    }

    /// The shard is not kept any more: that is its end.
    pub(super) fn gone(&mut self) {
        self.busy = false;
        self.iterator = None;
        self.end();
    }

    fn end(&mut self) {
        if self.stage == Stage::Reading {
            self.stage = Stage::Ended;
        }
    }

    /// When time alone changes anything.
    pub(super) fn wake_at(&self, policy: &StreamPolicy, stopping: bool) -> Option<Timestamp> {
        let due = [self.write_at(policy, stopping), self.read_at(policy, stopping)];
        due.into_iter().flatten().min()
    }
}
