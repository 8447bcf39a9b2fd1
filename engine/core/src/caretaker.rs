//! What a watcher does with jobs that are due: clean the finished, give back the lost, let in the foreign.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::claim::{Malformed, Offer};
use crate::job::{Job, Lane, LaneKind, Status};
use crate::lifecycle::{self, Change, RecordKey};
use crate::machine::{Decision, Machine, Reason};
use crate::pace::Pace;
use crate::retry::Retry;
use crate::shard;

/// Jobs offered without a look that are under way or wait for their time, at most; a look finds the rest.
const OFFERED_MAX: usize = 1_000;

/// The duty of one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Duty {
    /// `[sink.delete]`: deletes the objects of finished jobs.
    Clean {
        /// How long a result that lies in the bucket is kept for its client.
        results_keep: Duration,
        /// How long the record is kept.
        retention: Duration,
    },
    /// `[sink.requeue]`: gives back jobs whose lease ended.
    Requeue(Retry),
    /// `[sink.admit]`: lets in jobs of clients and fetchers that do not know our lanes.
    Admit {
        /// Shards of each lane.
        shards: u32,
        /// The lease of a foreign fetcher, which sends no heartbeats.
        lease: Duration,
    },
}

/// What of a job's objects is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// Everything but the sealed result.
    AllButResults,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A look ended.
    Found {
        /// Jobs that are due, oldest first.
        offers: Vec<Offer>,
        /// Records that are no jobs.
        malformed: Vec<Malformed>,
        /// Whether there is more than the look brought.
        more: bool,
    },
    /// A look failed.
    LookFailed(String),
    /// Jobs came without a look: the stream told of them, and their records were read since.
    Offered(Vec<Offer>),
    /// Jobs may have come that nobody told of: only a look can find them.
    NewsMissed,
    /// The objects were deleted.
    Deleted(RecordKey),
    /// A write was answered, with a yes or a no: both end the duty towards this job.
    Written(RecordKey),
    /// Deleting or writing failed.
    Failed(RecordKey, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for jobs that are due.
    Look,
    /// Delete objects of a job.
    Delete(Box<Job>, Extent),
    /// Write, and report the answer.
    Write(Change),
}

/// The decisions of a pipeline that looks after jobs.
#[derive(Debug)]
pub struct Caretaker {
    duty: Duty,
    by: String,
    pace: Pace,
    /// Jobs under way, with what is to be written once their objects are gone.
    under_way: BTreeMap<RecordKey, Option<(Job, Change)>>,
    /// Those of them that the last look brought.
    of_look: BTreeSet<RecordKey>,
    /// Jobs offered shortly before they are due, by that moment.
    waiting: BTreeMap<(Timestamp, RecordKey), Offer>,
    looking: bool,
    /// Rounds still to make before the machine is idle; none while it runs until stopped.
    finishing: Option<bool>,
    draining: bool,
    actions: VecDeque<Decision<Action>>,
}

impl Caretaker {
    /// A caretaker with this duty; `by` names it in histories.
    pub fn new(duty: Duty, by: impl Into<String>, pace: Pace) -> Self {
        Self {
            duty,
            by: by.into(),
            pace,
            under_way: BTreeMap::new(),
            of_look: BTreeSet::new(),
            waiting: BTreeMap::new(),
            looking: false,
            finishing: None,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn write(&mut self, change: Change, reason: Reason) {
        self.under_way.insert(change.key.clone(), None);
        self.decide(Action::Write(change), reason);
    }

    fn found(&mut self, at: At, offers: Vec<Offer>, malformed: Vec<Malformed>, more: bool) {
        self.looking = false;
        let mut began = false;
        for Malformed { key, why } in malformed {
            if !self.under_way.contains_key(&key) {
                began = true;
                self.of_look.insert(key.clone());
                self.write(lifecycle::refuse_malformed(key, at.now, &why), Reason::rule(why));
            }
        }
        for offer in offers {
            let key = RecordKey::from(&offer.job.key);
            if !self.under_way.contains_key(&key) && self.take_care(at, &offer) {
                began = true;
                self.of_look.insert(key);
            }
        }
        // Without progress a full page would bring itself again at once.
        if more && began {
            self.pace.hurry();
        } else {
            self.pace.looked(at, began);
            if self.finishing == Some(false) && !more {
                self.finishing = Some(true);
            }
        }
        if more && !began && self.finishing.is_some() {
            self.finishing = Some(true);
        }
    }

    /// Takes care of jobs at once. One that is due before the next look waits here for its time; a later one, and
    /// all beyond the limit, are found by a look.
    fn offered(&mut self, at: At, offers: Vec<Offer>) {
        if self.draining || self.finishing == Some(true) {
            return;
        }
        for offer in offers {
            let key = RecordKey::from(&offer.job.key);
            if self.under_way.contains_key(&key) {
                continue;
            }
            if self.under_way.len() + self.waiting.len() >= OFFERED_MAX {
                self.pace.hurry();
                return;
            }
            match offer.job.due {
                Some(due) if due > at.now => {
                    if due < self.pace.next() {
                        self.waiting.insert((due, key), offer);
                    }
                }
                Some(_) | None => drop(self.take_care(at, &offer)),
            }
        }
    }

    /// Takes care of offered jobs whose time has come.
    fn waited(&mut self, at: At) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > at.now {
                break;
            }
            let ((_, key), offer) = entry.remove_entry();
            if !self.under_way.contains_key(&key) {
                self.take_care(at, &offer);
            }
        }
    }

    fn take_care(&mut self, at: At, offer: &Offer) -> bool {
        let job = &offer.job;
        match self.duty.clone() {
            Duty::Clean {
                results_keep,
                retention,
            } => self.clean(at, job, results_keep, retention),
            Duty::Requeue(retry) => self.give_back(at, job, &retry),
            Duty::Admit { shards, lease } => self.let_in(at, offer, shards, lease),
        }
    }

    fn clean(&mut self, at: At, job: &Job, results_keep: Duration, retention: Duration) -> bool {
        let is_due = job.due.is_some_and(|due| due <= at.now);
        if !job.status.is_finished() || !is_due {
            return false;
        }
        let keep_until = job.processed.unwrap_or(at.now) + results_keep;
        let keeps = job.results_object().is_some() && keep_until > at.now;
        let (extent, change, reason) = if keeps {
            let reason = Reason::key(
                "the job is finished; its result waits for the client",
                "sink.delete.results-keep",
            );
            (Extent::AllButResults, lifecycle::keep(job, keep_until), reason)
        } else {
            let reason = Reason::key("the job is finished", "sink.delete.retention");
            (Extent::All, lifecycle::cleaned(job, at.now, retention), reason)
        };
        self.under_way
            .insert(RecordKey::from(&job.key), Some((job.clone(), change)));
        self.decide(Action::Delete(Box::new(job.clone()), extent), reason);
        true
    }

    fn give_back(&mut self, at: At, job: &Job, retry: &Retry) -> bool {
        // At the end of its lease a claim still holds; a millisecond later it does not.
        let ended = job.due.is_some_and(|due| due < at.now);
        if job.status != Status::Processing || !ended {
            return false;
        }
        let lost = job.retries.saturating_add(1);
        let who = job.processor.as_deref().unwrap_or("a fetcher");
        if retry.allows_after(lost) {
            let why = format!("{who} sent no heartbeat before its lease ended");
            let due = at.now + retry.delay_after(lost, at.jitter);
            self.write(
                lifecycle::requeue(job, at.now, due, &why),
                Reason::key(why, "retry.attempts-max"),
            );
        } else {
            let why = format!("{lost} fetchers were lost on this job, the last was {who}");
            self.write(
                lifecycle::give_up(job, at.now, &why),
                Reason::key(why, "retry.attempts-max"),
            );
        }
        true
    }

    fn let_in(&mut self, at: At, offer: &Offer, shards: u32, lease: Duration) -> bool {
        let Offer { job, signature, .. } = offer;
        let shard = job
            .lane
            .map_or_else(|| shard::of(&job.key, shards), |lane| lane.shard);
        let lane = |kind| Lane { kind, shard };
        match (job.status, job.lane.map(|lane| lane.kind)) {
            (Status::Queued, None) => match signature {
                Ok(()) => {
                    let reason = Reason::rule("a foreign client's job, and its signature holds");
                    self.write(lifecycle::admit(job, at.now, shard), reason);
                }
                Err(why) => self.write(
                    lifecycle::refuse(job, at.now, &self.by, why),
                    Reason::rule(why.clone()),
                ),
            },
            (Status::Processing, None | Some(LaneKind::Ready)) => {
                let due = job.assigned.unwrap_or(at.now) + lease;
                let reason = Reason::key("a foreign fetcher holds it", "sink.admit.lease");
                self.write(lifecycle::adopt(job, lane(LaneKind::Leased), due), reason);
            }
            (Status::Completed | Status::Error, lane_now) if lane_now != Some(LaneKind::Done) => {
                let reason = Reason::rule("a foreign fetcher finished it");
                self.write(lifecycle::adopt(job, lane(LaneKind::Done), at.now), reason);
            }
            (Status::Queued, Some(_))
            | (Status::Processing, Some(LaneKind::Leased | LaneKind::Done))
            | (Status::Completed | Status::Error, _) => return false,
        }
        true
    }

    fn deleted(&mut self, key: &RecordKey) {
        if let Some(Some((_, change))) = self.under_way.get_mut(key).map(Option::take) {
            self.decide(Action::Write(change), Reason::rule("its objects are deleted"));
        }
    }
}

impl Machine for Caretaker {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Found {
                offers,
                malformed,
                more,
            } => self.found(at, offers, malformed, more),
            Event::LookFailed(_) => {
                self.looking = false;
                self.pace.looked(at, false);
            }
            Event::Offered(offers) => self.offered(at, offers),
            Event::NewsMissed => self.pace.hurry(),
            Event::Deleted(key) => self.deleted(&key),
            // What failed stays in its lane: the next look finds it again.
            Event::Written(key) | Event::Failed(key, _) => {
                self.under_way.remove(&key);
                self.of_look.remove(&key);
            }
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.waited(at);
        let may_look = !self.draining && !self.looking && self.finishing != Some(true);
        // One page at a time: what a look brought is dealt with before the next.
        if may_look && self.of_look.is_empty() && self.pace.is_due(at.now) {
            self.looking = true;
            self.decide(Action::Look, Reason::key("a look is due", "source.jobs.every"));
        }
    }

    fn finish(&mut self, at: At) {
        self.finishing = Some(false);
        self.waiting.clear();
        self.pace.hurry();
        self.tick(at);
    }

    fn drain(&mut self, _at: At) {
        self.draining = true;
        self.waiting.clear();
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let rests = self.draining || self.looking || !self.of_look.is_empty() || self.finishing == Some(true);
        let look = if rests { None } else { Some(self.pace.next()) };
        let waiting = self.waiting.keys().next().map(|(due, _)| *due);
        look.into_iter().chain(waiting).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || self.finishing == Some(true);
        nothing_more && !self.looking && self.under_way.is_empty() && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
