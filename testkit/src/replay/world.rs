//! What the machines of a replay act upon: clock, table, bucket, and the recorded course of every job.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::caretaker::Swept;
use roundtrip_core::job::{Job, Status};
use roundtrip_core::lifecycle::{self, Change, RecordKey, Write};
use roundtrip_core::machine::Reason;
use roundtrip_core::names::JobKey;
use roundtrip_core::queue;

use super::analyse::Turn;
use super::chance;
use super::course::{self, Act, Chance, Recorded};
use super::line::{Line, Outcome, RECORDING};
use super::role::Plays;
use super::table::{Applied, Row, Table};
use crate::report::Timeline;

/// Jobs remembered after they left the table, at most: what the recording tells of them later is refused.
const GONE_MAX: usize = 1 << 20;

/// How long after the end of a lease a job is given back, where the role does not do that itself: half of what the
/// shipped watcher takes at most.
const RESCUE_AFTER: Duration = Duration::from_secs(15);

/// Says whether a record is what its client signed.
pub(super) type Verify = Box<dyn Fn(&Job) -> Result<(), String>>;

/// What is planned for a moment.
#[derive(Debug)]
pub(super) enum Plan {
    /// A pipeline hears of a job.
    Tell { actor: usize, key: RecordKey },
    /// A recorded change happens later than it did.
    Play(Box<Recorded>),
    /// A recorded change that waits is tried again.
    Resume(RecordKey),
    /// Something happens to the work of a fetcher.
    Turn {
        actor: usize,
        key: JobKey,
        number: u64,
        turn: Turn,
    },
    /// A fetcher goes silent for good.
    Die(usize),
    /// A job is given back if its lease has ended, as a watcher would.
    Rescue(RecordKey),
}

/// A job whose recorded course goes on later than it did.
#[derive(Debug, Default)]
struct Course {
    shift_ms: i64,
    waiting: VecDeque<Recorded>,
}

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
    /// When each fetcher's row was last seen to be written.
    pub(super) fleet: BTreeMap<String, Timestamp>,
    plans: BTreeMap<(Timestamp, u64), Plan>,
    planned: u64,
    courses: HashMap<RecordKey, Course>,
    gone: HashSet<u64>,
    gone_order: VecDeque<u64>,
    /// With the recorded course kept: which write was told last of a job, and in which state of it.
    told: HashMap<RecordKey, (Write, u128)>,
    /// How jobs ended that left the table before their clients looked.
    outcomes: HashMap<RecordKey, Job>,
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
            plans: BTreeMap::new(),
            planned: 0,
            courses: HashMap::new(),
            gone: HashSet::new(),
            gone_order: VecDeque::new(),
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
        self.planned += 1;
        self.plans.insert((at.max(self.now), self.planned), plan);
    }

    /// When the next plan is due.
    pub(super) fn next_plan(&self) -> Option<Timestamp> {
        self.plans.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn take_plan(&mut self) -> Option<Plan> {
        self.plans.pop_first().map(|(_, plan)| plan)
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
        });
    }

    fn trace(&mut self, recorded: &Recorded, reason: String) {
        // A fetcher that lost its claim sends a heartbeat at most once more.
        if recorded.act != Act::Write(Write::Heartbeat) {
            let action = recorded.act.as_str();
            self.say(
                RECORDING,
                &recorded.key.file,
                action,
                Reason::rule(reason),
                Outcome::Trace,
            );
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
        let (action, file) = (change.write.as_str(), change.key.file.as_str());
        if self.strict {
            self.tell(pipeline, change, reason);
            return false;
        }
        match self.table.apply(change) {
            Applied::Refused => {
                self.say(pipeline, file, action, reason, Outcome::Lost);
                false
            }
            Applied::Made(before) => {
                self.say(pipeline, file, action, reason, Outcome::Done);
                self.wrote(before.map(|job| *job), &change.key);
                true
            }
        }
    }

    /// Tells of a write that is not made, once for each state of the job.
    fn tell(&mut self, pipeline: &str, change: &Change, reason: Reason) {
        let state = self.table.get(&change.key).map_or(0, |row| row.sequence);
        let told = (change.write, state);
        if self.told.insert(change.key.clone(), told) != Some(told) {
            let file = change.key.file.as_str();
            self.say(pipeline, file, change.write.as_str(), reason, Outcome::Told);
        }
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
        if let (true, Some(Ok(job))) = (self.plays.collect, row.map(|row| row.job)) {
            self.outcomes.insert(key.clone(), job);
        }
        self.told.remove(key);
        self.attempts.remove(key);
        if self.gone.insert(hash(key)) {
            self.gone_order.push_back(hash(key));
        }
        if self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
        if let Some(course) = self.courses.remove(key) {
            for recorded in course.waiting {
                self.trace(&recorded, "refused: the job has left the table".to_owned());
            }
        }
    }

    /// A change comes from the recording.
    pub(super) fn hear(&mut self, recorded: Recorded) {
        if let Some(row) = self.table.get(&recorded.key)
            && recorded.sequence != 0
            && recorded.sequence <= row.sequence
        {
            return self.trace(&recorded, "refused: the stream told of it before".to_owned());
        }
        if !self.strict && recorded.is_played_by(self.plays) {
            self.leave_out(&recorded);
            return;
        }
        if let Some(course) = self.courses.get_mut(&recorded.key) {
            if !course.waiting.is_empty() {
                course.waiting.push_back(recorded);
                return;
            }
            let at = Timestamp(recorded.at.0.saturating_add(course.shift_ms));
            if at > self.now {
                return self.plan(at, Plan::Play(Box::new(recorded)));
            }
        }
        self.play(recorded);
    }

    /// The role makes such writes itself: from here on its history counts, not the recorded one.
    fn leave_out(&mut self, recorded: &Recorded) {
        self.seed_row(recorded);
        self.table.change(&recorded.key, |row| {
            row.ours = true;
            row.sequence = recorded.sequence;
        });
    }

    /// A job that was there before the recording began.
    fn seed_row(&mut self, recorded: &Recorded) {
        let is_known = self.table.get(&recorded.key).is_some() || self.gone.contains(&hash(&recorded.key));
        if let (false, Some(before)) = (is_known, &recorded.before) {
            let row = Row {
                job: Ok(before.clone()),
                place: None,
                signature: recorded.verdict.clone(),
                sequence: 0,
                ours: false,
            };
            self.table.put(&recorded.key, row);
        }
    }

    /// A recorded change happens, if it still can.
    pub(super) fn play(&mut self, recorded: Recorded) {
        let key = recorded.key.clone();
        if recorded.act == Act::Deleted {
            if let Some(row) = self.table.get(&key) {
                if let (Some(timeline), Some(job)) = (&mut self.timeline, row.job()) {
                    timeline.removed(self.now, &job.key);
                }
                self.forget(&key);
            }
            return;
        }
        self.seed_row(&recorded);
        let Some(row) = self.table.get(&key) else {
            let is_new = recorded.act == Act::Write(Write::Create) || !self.gone.contains(&hash(&key));
            if is_new {
                self.overwrite(recorded, None);
            } else {
                self.trace(&recorded, "refused: the job has left the table".to_owned());
            }
            return;
        };
        let before = row.job().cloned();
        let (true, false, Some(job)) = (row.ours, self.strict, &before) else {
            return self.overwrite(recorded, before);
        };
        match course::chance(job, &recorded, self.now, self.plays) {
            Chance::Now => self.enact(&recorded, before),
            Chance::Later(when) => {
                let file = recorded.key.file.clone();
                let why = "waits: the job is not yet where it was then";
                self.say(
                    RECORDING,
                    &file,
                    recorded.act.as_str(),
                    Reason::rule(why),
                    Outcome::Trace,
                );
                self.courses
                    .entry(key.clone())
                    .or_default()
                    .waiting
                    .push_back(recorded);
                if let Some(when) = when {
                    self.plan(when, Plan::Resume(key));
                }
            }
            Chance::Never(why) => self.trace(&recorded, format!("refused: {why}")),
        }
    }

    /// The record becomes what the recording says.
    fn overwrite(&mut self, recorded: Recorded, before: Option<Job>) {
        let Some(job) = recorded.after else { return };
        let known = self.table.get(&recorded.key);
        let still_signed = known.and_then(|row| Some((row.job()?, job.as_ref().ok()?, &row.signature)));
        let signature = match (recorded.verdict, still_signed) {
            (Some(verdict), _) => Some(verdict),
            (None, Some((was, is, known))) if is_signed_alike(was, is) => known.clone(),
            (None, _) => None,
        };
        let place = recorded.place;
        let row = Row {
            job,
            place,
            signature,
            sequence: recorded.sequence,
            ours: known.is_some_and(|row| row.ours),
        };
        self.table.put(&recorded.key, row);
        self.changed(before, &recorded.key);
    }

    /// A recorded change happens to a job that the role has written to.
    fn enact(&mut self, recorded: &Recorded, before: Option<Job>) {
        let shift_ms = self.now.0.saturating_sub(recorded.at.0).max(0);
        self.table.change(&recorded.key, |row| {
            row.sequence = row.sequence.max(recorded.sequence);
            if let (Ok(job), Some(was), Some(Ok(is))) = (&mut row.job, &recorded.before, &recorded.after) {
                course::enact(job, was, is, shift_ms);
            }
        });
        self.changed(before, &recorded.key);
    }

    /// A recorded change that waited is tried again, and with it all that follows.
    pub(super) fn resume(&mut self, key: &RecordKey) {
        let Some(course) = self.courses.get_mut(key) else {
            return;
        };
        let Some(recorded) = course.waiting.pop_front() else {
            return;
        };
        let job = self.table.get(key).and_then(Row::job);
        let chance = job.map(|job| course::chance(job, &recorded, self.now, self.plays));
        if let Some(Chance::Later(when)) = chance {
            course.waiting.push_front(recorded);
            if let Some(when) = when {
                self.plan(when, Plan::Resume(key.clone()));
            }
            return;
        }
        let shift_ms = self.now.0.saturating_sub(recorded.at.0).max(0);
        course.shift_ms = shift_ms;
        let rest = std::mem::take(&mut course.waiting);
        self.play(recorded);
        for recorded in rest {
            let at = Timestamp(recorded.at.0.saturating_add(shift_ms));
            self.plan(at, Plan::Play(Box::new(recorded)));
        }
    }

    /// How a job ended that has left the table.
    pub(super) fn outcome(&self, key: &RecordKey) -> Option<&Job> {
        self.outcomes.get(key)
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

    /// Has a job given back when its lease has ended, unless the role does so.
    pub(super) fn plan_rescue(&mut self, key: &RecordKey) {
        let due = self.table.get(key).and_then(|row| row.job()?.due);
        if let (false, Some(due)) = (self.plays.requeue, due) {
            self.plan(due + RESCUE_AFTER, Plan::Rescue(key.clone()));
        }
    }

    /// Gives a job back whose lease has ended.
    pub(super) fn rescue(&mut self, key: &RecordKey) {
        let Some(job) = self.table.get(key).and_then(Row::job) else {
            return;
        };
        if job.status != Status::Processing {
            return;
        }
        if job.due.is_none_or(|due| due >= self.now) {
            return self.plan_rescue(key);
        }
        let change = lifecycle::requeue(job, self.now, self.now, "its lease ended");
        if let Applied::Made(before) = self.table.apply(&change) {
            let reason = Reason::rule("its lease ended: a watcher gives it back");
            self.say(RECORDING, &key.file, "requeue", reason, Outcome::Trace);
            self.wrote(before.map(|job| *job), key);
        }
    }

    /// The recording is over and the last moment has come: what could not happen is told.
    pub(super) fn close(&mut self) {
        let mut waiting: Vec<Recorded> = self
            .courses
            .drain()
            .flat_map(|(_, course)| course.waiting)
            .collect();
        waiting.sort_by(|one, other| (&one.key, one.at).cmp(&(&other.key, other.at)));
        for recorded in waiting {
            self.trace(&recorded, "it still waits at the end".to_owned());
        }
    }

    /// Jobs in the table.
    pub(super) fn jobs(&self) -> usize {
        self.table.len()
    }
}

fn is_signed_alike(one: &Job, other: &Job) -> bool {
    one.version == other.version
        && one.created == other.created
        && one.bucket == other.bucket
        && one.chunks == other.chunks
        && one.signature == other.signature
        && one.outline == other.outline
        && one.outline_signature == other.outline_signature
}

fn hash(key: &RecordKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
