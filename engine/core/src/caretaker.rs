//! What a watcher does with jobs that are due: clean the finished, give back the lost, let in the foreign.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp, spelled};
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
        /// Until this long after its creation, objects of a job that failed in the middle of its upload may come.
        upload_max: Duration,
    },
    /// `[sink.requeue]`: gives back jobs whose lease ended.
    Requeue(Retry),
    /// `[sink.admit]`: lets in jobs of clients and fetchers that do not know our lanes.
    Admit {
        /// Shards of each lane.
        shards: u32,
        /// The lease of a foreign fetcher, which sends no heartbeats.
        lease: Duration,
        /// A waiting job whose upload is not complete this long after its creation is ended, whosever it is.
        upload_max: Duration,
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

/// What a deletion found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that were there.
    pub objects: u64,
    /// Whether the manifest was among them: the client puts it last.
    pub manifest: bool,
}

impl Swept {
    fn is_whole(self, chunks: u64) -> bool {
        self.manifest || self.objects >= chunks
    }
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
    Deleted(RecordKey, Swept),
    /// A write was made.
    Written(RecordKey),
    /// The condition of a write did not hold: someone else was first.
    Lost(RecordKey),
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

/// Where the one full round stands that [`Machine::finish`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// None was asked for.
    Endless,
    /// The next look begins it.
    ToBegin,
    /// Its pages are looked at.
    Running,
    /// Every page was dealt with.
    Ended,
}

/// What a look brought.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Whether there is more behind it.
    more: bool,
    /// Whether anything came of it.
    progressed: bool,
}

/// What is done about a job of the page.
#[derive(Debug)]
enum Task {
    /// Its objects are deleted.
    Deleting(Box<Cleaning>),
    /// Its record is written; whether the lane gets shorter by that.
    Writing { progress: bool },
}

/// What is written once a job's objects are gone.
#[derive(Debug)]
struct Cleaning {
    change: Change,
    /// Instead, where fewer objects than so many chunks and no manifest were there: more may come.
    late: Option<(u64, Change)>,
}

/// The decisions of a pipeline that looks after jobs.
#[derive(Debug)]
pub struct Caretaker {
    duty: Duty,
    by: String,
    pace: Pace,
    looking: bool,
    /// Jobs under way, with what is to be written once their objects are gone.
    under_way: BTreeMap<RecordKey, Task>,
    /// Those of them that are not of the page: they came without a look.
    offered: BTreeSet<RecordKey>,
    /// Jobs offered shortly before they are due, by that moment.
    waiting: BTreeMap<(Timestamp, RecordKey), Offer>,
    page: Page,
    round: Round,
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
            looking: false,
            under_way: BTreeMap::new(),
            offered: BTreeSet::new(),
            waiting: BTreeMap::new(),
            page: Page::default(),
            round: Round::Endless,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn write(&mut self, change: Change, reason: Reason) {
        self.under_way
            .insert(change.key.clone(), Task::Writing { progress: true });
        self.decide(Action::Write(change), reason);
    }

    fn found(&mut self, at: At, offers: Vec<Offer>, malformed: Vec<Malformed>, more: bool) {
        self.looking = false;
        if self.draining {
            return;
        }
        for Malformed { key, why } in malformed {
            self.write(lifecycle::refuse_malformed(key, at.now, &why), Reason::rule(why));
        }
        for offer in offers {
            if !self.under_way.contains_key(&RecordKey::from(&offer.job.key)) {
                self.take_care(at, &offer);
            }
        }
        self.pace.looked(at, !self.is_dealt_with());
        self.page = Page {
            more,
            progressed: false,
        };
        if self.is_dealt_with() {
            self.turn_page();
        }
    }

    /// Takes care of jobs at once. One that is due before the next look waits here for its time; a later one, and
    /// all beyond the limit, are found by a look.
    fn offer(&mut self, at: At, offers: Vec<Offer>) {
        if self.draining || self.round != Round::Endless {
            return;
        }
        for offer in offers {
            if self.offered.len() + self.waiting.len() >= OFFERED_MAX {
                self.pace.hurry();
                return;
            }
            match offer.job.due {
                Some(due) if due > at.now => {
                    if due < self.pace.next() {
                        let key = RecordKey::from(&offer.job.key);
                        self.waiting.insert((due, key), offer);
                    }
                }
                Some(_) | None => self.take_offer(at, &offer),
            }
        }
    }

    /// Takes care of offered jobs whose time has come.
    fn take_waiting(&mut self, at: At) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > at.now {
                break;
            }
            let offer = entry.remove();
            self.take_offer(at, &offer);
        }
    }

    fn take_offer(&mut self, at: At, offer: &Offer) {
        let key = RecordKey::from(&offer.job.key);
        if !self.under_way.contains_key(&key) {
            self.take_care(at, offer);
            if self.under_way.contains_key(&key) {
                self.offered.insert(key);
            }
        }
    }

    /// Whether nothing of the page is under way.
    fn is_dealt_with(&self) -> bool {
        self.under_way.len() == self.offered.len()
    }

    /// A job is dealt with for now.
    fn dealt_with(&mut self, key: &RecordKey, written: bool) {
        let Some(task) = self.under_way.remove(key) else {
            return;
        };
        if self.offered.remove(key) {
            return;
        }
        self.page.progressed |= written && matches!(task, Task::Writing { progress: true });
        if self.is_dealt_with() {
            self.turn_page();
        }
    }

    /// The page is dealt with: the next follows at once, if it will be another.
    fn turn_page(&mut self) {
        // A lane is read from its beginning: where nothing came of a page, it would come again, and so it waits for
        // its time. A scan for foreign jobs goes on where it stopped.
        let is_another = self.page.progressed || (self.scans() && self.round != Round::Endless);
        if self.page.more && is_another || self.round == Round::ToBegin {
            self.pace.hurry();
        } else if self.round == Round::Running {
            self.round = Round::Ended;
        }
    }

    fn scans(&self) -> bool {
        match self.duty {
            Duty::Admit { .. } => true,
            Duty::Clean { .. } | Duty::Requeue(_) => false,
        }
    }

    fn may_look(&self) -> bool {
        // One page at a time: what a look brought is dealt with before the next.
        !self.draining && !self.looking && self.is_dealt_with() && self.round != Round::Ended
    }

    fn take_care(&mut self, at: At, offer: &Offer) {
        let job = &offer.job;
        match self.duty.clone() {
            Duty::Clean {
                results_keep,
                retention,
                upload_max,
            } => self.clean(at, job, results_keep, retention, upload_max),
            Duty::Requeue(retry) => self.give_back(at, job, &retry),
            Duty::Admit {
                shards,
                lease,
                upload_max,
            } => self.let_in(at, offer, shards, (lease, upload_max)),
        }
    }

    fn clean(
        &mut self,
        at: At,
        job: &Job,
        results_keep: Duration,
        retention: Duration,
        upload_max: Duration,
    ) {
        let is_due = job.due.is_some_and(|due| due <= at.now);
        if !job.status.is_finished() || !is_due {
            return;
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
        // A completed job had everything; a failed one may have failed while its client still sends.
        let may_come = job.status == Status::Error
            && job
                .created_at
                .is_some_and(|created| at.now.since(created) < upload_max);
        // It goes to the end of its lane, to be found by the next look.
        let late = may_come.then(|| (job.chunks, lifecycle::keep(job, at.now)));
        let task = Task::Deleting(Box::new(Cleaning { change, late }));
        self.under_way.insert(RecordKey::from(&job.key), task);
        self.decide(Action::Delete(Box::new(job.clone()), extent), reason);
    }

    fn give_back(&mut self, at: At, job: &Job, retry: &Retry) {
        // At the end of its lease a claim still holds; a millisecond later it does not.
        if job.due.is_none_or(|due| due >= at.now) {
            return;
        }
        match job.status {
            Status::Processing => self.requeue(at, job, retry),
            // Whoever does not know lanes leaves the job in this one.
            Status::Queued => self.adopt(at, job, LaneKind::Ready, "a foreign fetcher gave it back"),
            Status::Completed | Status::Error => {
                self.adopt(at, job, LaneKind::Done, "a foreign fetcher finished it");
            }
        }
    }

    fn requeue(&mut self, at: At, job: &Job, retry: &Retry) {
        let lost = job.retries.saturating_add(1);
        let who = job.processor.as_deref().unwrap_or("a fetcher");
        let (change, why) = if retry.allows_after(lost) {
            let why = format!("{who} sent no heartbeat before its lease ended");
            let due = at.now + retry.delay_after(lost, at.jitter);
            (lifecycle::requeue(job, at.now, due, &why), why)
        } else {
            let lost = match lost {
                1 => "a fetcher was lost on this job".to_owned(),
                lost => format!("{lost} fetchers were lost on this job"),
            };
            let why = format!("{lost}, the last was {who}");
            (lifecycle::give_up(job, at.now, &why), why)
        };
        self.write(change, Reason::key(why, "retry.attempts-max"));
    }

    fn adopt(&mut self, at: At, job: &Job, kind: LaneKind, why: &str) {
        let lane = job.lane.map_or(Lane { kind, shard: 0 }, |lane| lane.of(kind));
        self.write(lifecycle::adopt(job, lane, at.now), Reason::rule(why));
    }

    fn let_in(&mut self, at: At, offer: &Offer, shards: u32, (lease, upload_max): (Duration, Duration)) {
        let Offer {
            job,
            signature,
            uploaded,
        } = offer;
        if job.cleaned.is_some() {
            return;
        }
        let shard = job
            .lane
            .map_or_else(|| shard::of(&job.key, shards, shard::MANY), |lane| lane.shard);
        let lane = |kind| Lane { kind, shard };
        let is_late = |created: Timestamp| at.now.since(created) > upload_max;
        let is_never_complete = !uploaded && job.created_at.is_some_and(is_late);
        match (job.status, job.lane.map(|lane| lane.kind)) {
            (Status::Queued, None | Some(LaneKind::Ready)) if is_never_complete && signature.is_ok() => {
                let why = "the upload was never completed";
                let key = "sink.admit.upload-max";
                let error = format!(
                    "{why}: not within {} of its creation ({key})",
                    spelled(upload_max)
                );
                let change = lifecycle::close(job, lane(LaneKind::Done), at.now, &self.by, &error);
                self.write(change, Reason::key(why, key));
            }
            (Status::Queued, None) => match signature {
                Ok(()) => {
                    let reason = Reason::rule("a foreign client's job, and its signature holds");
                    self.write(lifecycle::admit(job, at.now, shard), reason);
                }
                Err(why) => {
                    let placed = Job {
                        lane: Some(lane(LaneKind::Ready)),
                        ..job.clone()
                    };
                    let change = lifecycle::refuse(&placed, at.now, &self.by, why);
                    self.write(change, Reason::rule(why.clone()));
                }
            },
            (Status::Processing, None | Some(LaneKind::Ready)) => {
                let due = job.assigned.unwrap_or(at.now) + lease;
                let reason = Reason::key("a foreign fetcher holds it", "sink.admit.lease");
                self.write(lifecycle::adopt(job, lane(LaneKind::Leased), due), reason);
            }
            (Status::Completed | Status::Error, None | Some(LaneKind::Ready | LaneKind::Leased)) => {
                let reason = Reason::rule("a foreign fetcher finished it");
                self.write(lifecycle::adopt(job, lane(LaneKind::Done), at.now), reason);
            }
            // It is where it belongs, or another duty's.
            (Status::Queued, Some(_))
            | (Status::Processing, Some(LaneKind::Leased | LaneKind::Done))
            | (Status::Completed | Status::Error, Some(LaneKind::Done)) => {}
        }
    }

    fn deleted(&mut self, key: &RecordKey, swept: Swept) {
        let Some(task) = self.under_way.get_mut(key) else {
            return;
        };
        let Task::Deleting(cleaning) = std::mem::replace(task, Task::Writing { progress: true }) else {
            return;
        };
        match cleaning.late {
            Some((chunks, change)) if !swept.is_whole(chunks) => {
                *task = Task::Writing { progress: false };
                let reason = Reason::key("its client may still send the rest", "sink.delete.upload-max");
                self.decide(Action::Write(change), reason);
            }
            Some(_) | None => self.decide(
                Action::Write(cleaning.change),
                Reason::rule("its objects are deleted"),
            ),
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
                // A scan begins anew as well.
                self.page = Page::default();
                self.pace.looked(at, false);
            }
            Event::Offered(offers) => self.offer(at, offers),
            Event::NewsMissed => self.pace.hurry(),
            Event::Deleted(key, swept) => self.deleted(&key, swept),
            Event::Written(key) => self.dealt_with(&key, true),
            // It stays in its lane: a later look finds it again.
            Event::Lost(key) | Event::Failed(key, _) => self.dealt_with(&key, false),
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.take_waiting(at);
        if !self.may_look() || !self.pace.is_due(at.now) {
            return;
        }
        self.looking = true;
        // A scan that is half-way is first brought to its end.
        if self.round == Round::ToBegin && !(self.scans() && self.page.more) {
            self.round = Round::Running;
        }
        self.decide(Action::Look, Reason::key("a look is due", "source.jobs.every"));
    }

    fn finish(&mut self, at: At) {
        self.round = Round::ToBegin;
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
        let look = self.may_look().then(|| self.pace.next());
        let waiting = self.waiting.keys().next().map(|(due, _)| *due);
        look.into_iter().chain(waiting).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || self.round == Round::Ended;
        nothing_more && !self.looking && self.under_way.is_empty() && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
