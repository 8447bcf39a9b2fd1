//! What the machines of a replay act upon: clock, table, bucket, and the recorded course of every job.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::caretaker::Swept;
use roundtrip_core::fleet::Sighting;
use roundtrip_core::job::{Job, Status};
use roundtrip_core::lifecycle::{self, Change, RecordKey, Write};
use roundtrip_core::machine::Reason;
use roundtrip_core::queue;

use super::agenda::{Agenda, Plan};
use super::chance;
use super::line::{Line, Outcome, RECORDING};
use super::role::Plays;
use super::table::{Applied, Row, Table};
use crate::report::Timeline;

mod gone;
mod recorded;

use gone::Gone;
use recorded::Course;

/// How long after the end of a lease a job is given back, where the role does not do that itself: half of what the
/// shipped watcher takes at most.
const RESCUE_AFTER: Duration = Duration::from_secs(15);

/// Says whether a record is what its client signed.
pub(super) type Verify = Box<dyn Fn(&Job) -> Result<(), String>>;

/// What the machines act upon.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) table: Table,
    pub(super) strict: bool,
    pub(super) plays: Plays,
    pub(super) lines: Vec<Line>,
    /// Jobs that changed since the pipelines were told, as they were before.
    pub(super) moved: Vec<(Option<Job>, RecordKey)>,
    /// The jobs over time, where somebody wants to see them.
    pub(super) timeline: Option<Timeline>,
    pub(super) notices: BTreeMap<String, queue::Row>,
    /// What each fetcher's row tells of its reports.
    pub(super) fleet: BTreeMap<String, Sighting>,
    agenda: Agenda,
    courses: HashMap<RecordKey, Course>,
    gone: Gone,
    /// With the recorded course kept: what was told of a job, in which state of it.
    told: HashMap<RecordKey, (u128, BTreeSet<&'static str>)>,
    /// How jobs ended that left the table before their clients looked.
    outcomes: HashMap<RecordKey, Option<Job>>,
    /// How often each job was claimed.
    attempts: HashMap<RecordKey, usize>,
    seed: u64,
    verify: Verify,
}

impl World {
    pub(super) fn new(plays: Plays, strict: bool, seed: u64, verify: Verify) -> Self {
        Self {
            now: Timestamp(i64::MIN),
            table: Table::default(),
            strict,
            plays,
            lines: Vec::new(),
            moved: Vec::new(),
            timeline: None,
            notices: BTreeMap::new(),
            fleet: BTreeMap::new(),
            agenda: Agenda::default(),
            courses: HashMap::new(),
            gone: Gone::default(),
            told: HashMap::new(),
            outcomes: HashMap::new(),
            attempts: HashMap::new(),
            seed,
            verify,
        }
    }

    /// Now, with the jitter a pipeline has for a subject.
    pub(super) fn at(&self, pipeline: &str, subject: &str) -> At {
        chance::at(self.now, self.seed, pipeline, subject)
    }

    pub(super) fn plan(&mut self, at: Timestamp, plan: Plan) {
        self.agenda.plan(at.max(self.now), plan);
    }

    /// When the next plan is due.
    pub(super) fn next_plan(&self) -> Option<Timestamp> {
        self.agenda.next()
    }

    pub(super) fn take_plan(&mut self) -> Option<Plan> {
        self.agenda.take()
    }

    /// Tells of a decision.
    pub(super) fn say(&mut self, pipeline: &str, file: &str, action: &str, reason: Reason, outcome: Outcome) {
        self.lines.push(Line {
            at: self.now,
            pipeline: pipeline.to_owned(),
            file: file.to_owned(),
            action: action.to_owned(),
            reason: reason.rule,
            key: reason.key.to_owned(),
            outcome,
            again: None,
            chunks: None,
        });
    }

    /// Tells of a write.
    fn say_written(&mut self, pipeline: &str, change: &Change, reason: Reason, outcome: Outcome) {
        self.say(pipeline, &change.key.file, change.write.as_str(), reason, outcome);
        let gives_back = matches!(change.write, Write::Requeue | Write::Release);
        if let (true, Some(due), Some(line)) = (gives_back, change.due(), self.lines.last_mut()) {
            line.again = Some(due.since(line.at));
        }
    }

    /// Whether a job is what its client signed; asked once for each.
    pub(super) fn signature(&mut self, key: &RecordKey) -> Result<(), String> {
        let Some(row) = self.table.get(key) else {
            return Ok(());
        };
        match (&row.signature, &row.job) {
            (Some(known), _) => known.clone(),
            (None, Ok(job)) => {
                let verdict = (self.verify)(job);
                let known = verdict.clone();
                self.table.change(key, |row| row.signature = Some(known));
                verdict
            }
            (None, Err(_)) => Ok(()),
        }
    }

    /// What a deletion finds. A recording says nothing of objects: whatever was fetched or completed was whole, and so,
    /// it is taken, was the rest.
    pub(super) fn sweep(job: &Job) -> Swept {
        Swept {
            objects: job.chunks.saturating_add(u64::from(job.outline.is_some())),
            manifest: job.outline.is_some(),
        }
    }

    /// Makes a write of the role. Whether it was made.
    pub(super) fn write(&mut self, pipeline: &str, change: &Change, reason: Reason) -> bool {
        if self.strict {
            self.tell(pipeline, change, reason);
            return false;
        }
        match self.table.apply(change) {
            Applied::Refused => {
                self.say_written(pipeline, change, reason, Outcome::Lost);
                false
            }
            Applied::Made(before) => {
                self.say_written(pipeline, change, reason, Outcome::Done);
                self.wrote(before.map(|job| *job), &change.key);
                true
            }
        }
    }

    /// Tells of a write that is not made, once for each state of the job.
    fn tell(&mut self, pipeline: &str, change: &Change, reason: Reason) {
        if self.is_untold(&change.key, change.write.as_str()) {
            self.say_written(pipeline, change, reason, Outcome::Told);
        }
    }

    /// Deletes a job's chunks, of which a recording says nothing.
    pub(super) fn delete(&mut self, pipeline: &str, key: &RecordKey, reason: Reason) {
        let action = "delete-chunks";
        if !self.strict {
            self.say(pipeline, &key.file, action, reason, Outcome::Done);
        } else if self.is_untold(key, action) {
            self.say(pipeline, &key.file, action, reason, Outcome::Told);
        }
    }

    /// Whether an action is told for the first time of a job in the state it is in.
    fn is_untold(&mut self, key: &RecordKey, action: &'static str) -> bool {
        let state = self.table.get(key).map_or(0, |row| row.sequence);
        let (of, told) = self.told.entry(key.clone()).or_default();
        if std::mem::replace(of, state) != state {
            told.clear();
        }
        told.insert(action)
    }

    /// The role wrote to a job: pipelines hear of it, and what the recording had for it may happen now.
    fn wrote(&mut self, before: Option<Job>, key: &RecordKey) {
        self.changed(before, key);
        if self
            .courses
            .get(key)
            .is_some_and(|course| !course.waiting.is_empty())
        {
            let due = self.table.get(key).and_then(|row| row.job()?.due);
            self.plan(due.unwrap_or(self.now), Plan::Resume(key.clone()));
        }
    }

    /// A job changed. One that is cleaned leaves the table.
    fn changed(&mut self, before: Option<Job>, key: &RecordKey) {
        if let (Some(timeline), Some(job)) = (&mut self.timeline, self.table.get(key).and_then(Row::job)) {
            timeline.observe(self.now, job);
        }
        let is_over = self.table.get(key).is_none_or(|row| match &row.job {
            Ok(job) => job.cleaned.is_some(),
            Err(_) => row.place.is_none(),
        });
        if is_over {
            self.forget(key);
        }
        self.moved.push((before, key.clone()));
    }

    fn forget(&mut self, key: &RecordKey) {
        let row = self.table.remove(key);
        if let (Some(awaited), Some(Ok(job))) = (self.outcomes.get_mut(key), row.map(|row| row.job)) {
            *awaited = Some(job);
        }
        self.told.remove(key);
        self.attempts.remove(key);
        self.gone.insert(key);
        if let Some(course) = self.courses.remove(key) {
            for recorded in course.waiting {
                self.trace(&recorded, "refused: the job was cleaned before".to_owned());
            }
        }
    }

    /// A client asks for a job's outcome from now on.
    pub(super) fn awaited(&mut self, key: &RecordKey) {
        self.outcomes.entry(key.clone()).or_default();
    }

    /// How a job ended that has left the table.
    pub(super) fn outcome(&self, key: &RecordKey) -> Option<&Job> {
        self.outcomes.get(key)?.as_ref()
    }

    /// A job's outcome is with its client.
    pub(super) fn collected(&mut self, key: &RecordKey) {
        self.outcomes.remove(key);
    }

    /// Which attempt of a job this is, from 0.
    pub(super) fn next_attempt(&mut self, key: &RecordKey) -> usize {
        let next = self.attempts.entry(key.clone()).or_default();
        *next += 1;
        *next - 1
    }

    /// How often a job was claimed.
    pub(super) fn attempts(&self, key: &RecordKey) -> usize {
        self.attempts.get(key).copied().unwrap_or_default()
    }

    /// Has a job given back or given up when its lease has ended, unless the role does so.
    pub(super) fn plan_rescue(&mut self, key: &RecordKey, gives_up: bool) {
        let due = self.table.get(key).and_then(|row| row.job()?.due);
        if let (false, Some(due)) = (self.plays.requeue, due) {
            let key = key.clone();
            self.plan(due + RESCUE_AFTER, Plan::Rescue { key, gives_up });
        }
    }

    /// Gives a job back whose lease has ended, or gives it up where it was the last attempt that was recorded.
    pub(super) fn rescue(&mut self, key: &RecordKey, gives_up: bool) {
        let Some(job) = self.table.get(key).and_then(Row::job) else {
            return;
        };
        if job.status != Status::Processing {
            return;
        }
        if job.due.is_none_or(|due| due >= self.now) {
            return self.plan_rescue(key, gives_up);
        }
        let (change, why) = if gives_up {
            let change = lifecycle::give_up(job, self.now, "its lease ended");
            (
                change,
                "its lease ended: a watcher gives it up, as it was recorded",
            )
        } else {
            let change = lifecycle::requeue(job, self.now, self.now, "its lease ended");
            (change, "its lease ended: a watcher gives it back")
        };
        let action = change.write.as_str();
        if let Applied::Made(before) = self.table.apply(&change) {
            self.say(RECORDING, &key.file, action, Reason::rule(why), Outcome::Done);
            self.wrote(before.map(|job| *job), key);
        }
    }

    /// Jobs in the table.
    pub(super) fn jobs(&self) -> usize {
        self.table.len()
    }
}
