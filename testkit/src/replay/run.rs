//! The course of a replay: recorded changes, news and schedules in the order of their moments.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::Write;

use super::actor::Actor;
use super::agenda::Plan;
use super::course::Act;
use super::intake::{Happening, What};
use super::line::{Line, Outcome};
use super::role::Role;
use super::survey::Survey;
use super::table::Row;
use super::world::{Verify, World};
use crate::report::Timeline;

mod cast;

/// How long a replay goes on after the last record where nobody says until when: the longest of the shipped leases,
/// and what is done about it.
const TAIL: Duration = Duration::from_mins(10);

/// The way to the end is gone in such parts: what is decided meanwhile is handed on after each.
const PART: Duration = Duration::from_hours(1);

/// A history that jumps further was put together, or a record has no moment: schedules are not fired through all of it.
const JUMP_MAX: Duration = Duration::from_hours(24 * 366);

/// A machine that wants to be woken at once is woken after this, as production does it.
const WAKE_MIN: Duration = Duration::from_millis(2);

/// How a replay is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Keeps the recorded course: what the role would write is told and not done.
    pub strict: bool,
    /// Until when records are taken and schedules are fired; a while after the last record where none.
    pub until: Option<Timestamp>,
    /// What the jitter is made from.
    pub seed: u64,
}

/// What a replay was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records of the recording.
    pub records: u64,
    /// Changes of jobs among them, up to the end of the replay.
    pub changes: u64,
    /// What happened in all: records, news, and ticks of the clock.
    pub events: u64,
    /// The first moment.
    pub begin: Option<Timestamp>,
    /// The last moment.
    pub end: Option<Timestamp>,
    /// Decisions by pipeline and action.
    pub decisions: BTreeMap<(String, String), u64>,
    /// Jobs in the table at once, at most.
    pub jobs_max: usize,
    /// Jobs in the table at the end: neither cleaned nor expired.
    pub jobs_left: usize,
    /// Jobs among them that are not finished: what becomes of them is not told.
    pub jobs_open: usize,
}

/// A role on a recorded history: entries go in, decisions come out.
pub struct Replay {
    role: Role,
    settings: Settings,
    survey: Rc<Survey>,
    world: World,
    actors: Vec<Actor>,
    /// Those of them that may hear of a change.
    listeners: Vec<usize>,
    /// When each actor is woken.
    wakes: BTreeSet<(Timestamp, usize)>,
    wake_of: Vec<Option<Timestamp>>,
    /// The actors of each client.
    clients: BTreeMap<String, Vec<usize>>,
    /// When it ends, once the recording has.
    end: Option<Timestamp>,
    summary: Summary,
}

impl Replay {
    /// A replay of this role. `verify` says whether a record is what its client signed, where the recording does not.
    pub fn new(
        role: Role,
        settings: Settings,
        verify: impl Fn(&Job) -> Result<(), String> + 'static,
    ) -> Self {
        let verify: Verify = Box::new(verify);
        let world = World::new(role.plays(), settings.strict, settings.seed, verify);
        Self {
            role,
            settings,
            survey: Rc::new(Survey::new(1)),
            world,
            actors: Vec::new(),
            listeners: Vec::new(),
            wakes: BTreeSet::new(),
            wake_of: Vec::new(),
            clients: BTreeMap::new(),
            end: None,
            summary: Summary::default(),
        }
    }

    /// The same replay with what the recording tells of its fetchers.
    #[must_use]
    pub fn with(self, mut survey: Survey) -> Self {
        survey.close();
        Self {
            survey: Rc::new(survey),
            ..self
        }
    }

    /// The same replay, which keeps what becomes of each job over time: memory grows with the jobs of the recording.
    #[must_use]
    pub fn with_timeline(mut self) -> Self {
        self.world.timeline = Some(Timeline::default());
        self
    }

    /// What became of each job up to now; none without [`Replay::with_timeline`].
    pub fn timeline(&mut self) -> Option<&Timeline> {
        let timeline = self.world.timeline.as_mut()?;
        timeline.pass(self.world.now);
        Some(timeline)
    }

    /// Goes on to the moment of what was recorded and lets it happen.
    pub fn happen(&mut self, happening: Happening) {
        self.summary.records += 1;
        let mut recorded = match happening.0 {
            What::Job(recorded) => *recorded,
            What::Fetcher {
                row, at, sighting, ..
            } => {
                // Before the first change of a job nothing is replayed.
                if self.summary.begin.is_some() {
                    if self.settings.until.is_some_and(|until| at > until) {
                        return;
                    }
                    self.go_to(at.max(self.world.now));
                }
                match sighting {
                    Some(sighting) => self.world.fleet.insert(row, sighting),
                    None => self.world.fleet.remove(&row),
                };
                return;
            }
            What::Nothing => return,
        };
        if self.settings.until.is_some_and(|until| recorded.at > until) {
            return;
        }
        self.summary.changes += 1;
        recorded.at = recorded.at.max(self.world.now);
        self.go_to(recorded.at);
        self.summary.events += 1;
        if let (Act::Write(Write::Create), Some(Ok(job))) = (recorded.act, &recorded.after) {
            self.announced(job);
        }
        self.world.hear(recorded);
        self.spread();
        self.summary.jobs_max = self.summary.jobs_max.max(self.world.jobs());
    }

    /// The decisions since the last call.
    pub fn lines(&mut self) -> Vec<Line> {
        let lines = std::mem::take(&mut self.world.lines);
        for line in lines.iter().filter(|line| line.outcome != Outcome::Trace) {
            let key = (line.pipeline.clone(), line.action.clone());
            *self.summary.decisions.entry(key).or_default() += 1;
        }
        lines
    }

    /// Goes on to the end: what is still planned and scheduled until then happens.
    pub fn finish(&mut self) {
        while self.go_on() {}
    }

    /// Goes on towards the end, where nothing more comes from the recording, by a part of the way; whether there is more.
    pub fn go_on(&mut self) -> bool {
        if self.summary.begin.is_none() {
            return false;
        }
        let now = self.world.now;
        let end = self.settings.until.unwrap_or(now + TAIL).max(now);
        let end = *self.end.get_or_insert(end);
        if now + PART < end && end.since(now) <= JUMP_MAX {
            self.go_to(now + PART);
            return true;
        }
        self.go_to(end + Duration::from_millis(1));
        self.world.now = end;
        self.world.close();
        self.summary.end = Some(end);
        self.summary.jobs_left = self.world.jobs();
        self.summary.jobs_open = self.world.table.open();
        false
    }

    /// The moment that was reached; all that is decided from here on is decided then or later.
    pub fn now(&self) -> Timestamp {
        self.world.now
    }

    /// What the replay was, so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Lets everything happen that comes before a moment.
    fn go_to(&mut self, moment: Timestamp) {
        if self.summary.begin.is_none() {
            self.begin(moment);
        }
        if moment.since(self.world.now) > JUMP_MAX {
            self.world.now = moment;
        }
        loop {
            let wake = self.wakes.first().map(|(at, _)| *at);
            let plan = self.world.next_plan();
            let Some(next) = wake.into_iter().chain(plan).min().filter(|next| *next < moment) else {
                break;
            };
            self.world.now = self.world.now.max(next);
            self.summary.events += 1;
            if plan == Some(next) {
                self.carry_out();
            } else if let Some((_, actor)) = self.wakes.first().copied() {
                self.wake(actor);
            }
            self.spread();
        }
        self.world.now = self.world.now.max(moment);
    }

    fn carry_out(&mut self) {
        match self.world.take_plan() {
            Some(Plan::Tell { actor, key }) => {
                if let Some(told) = self.actors.get_mut(actor) {
                    told.tell(&mut self.world, &key);
                    self.set_wake(actor, self.world.now);
                }
            }
            Some(Plan::Turn {
                actor,
                key,
                number,
                turn,
            }) => {
                if let Some(Actor::Analyse(fetcher)) = self.actors.get_mut(actor) {
                    fetcher.turn(&mut self.world, &key, number, turn);
                    self.set_wake(actor, self.world.now);
                }
            }
            Some(Plan::Leave(actor)) => {
                if let Some(Actor::Analyse(fetcher)) = self.actors.get_mut(actor) {
                    fetcher.leave(&mut self.world);
                    self.set_wake(actor, self.world.now);
                }
            }
            Some(Plan::Rescue { key, gives_up }) => self.world.rescue(&key, gives_up),
            Some(Plan::Play(recorded)) => self.world.play_in_turn(*recorded),
            Some(Plan::Resume(key)) => self.world.resume(&key),
            None => {}
        }
    }

    fn wake(&mut self, actor: usize) {
        if let Some(woken) = self.actors.get_mut(actor) {
            woken.tick(&mut self.world);
            self.set_wake(actor, self.world.now + WAKE_MIN);
        }
    }

    /// Plans the next waking of an actor, not before `earliest`.
    fn set_wake(&mut self, actor: usize, earliest: Timestamp) {
        let wake = self.actors.get(actor).and_then(Actor::wake_at);
        let wake = wake.map(|wake| wake.max(earliest));
        let Some(planned) = self.wake_of.get_mut(actor) else {
            return;
        };
        if let Some(old) = std::mem::replace(planned, wake) {
            self.wakes.remove(&(old, actor));
        }
        self.wakes.extend(wake.map(|wake| (wake, actor)));
    }

    /// Tells the pipelines that follow the stream of what changed, after the time news take.
    fn spread(&mut self) {
        for (before, key) in std::mem::take(&mut self.world.moved) {
            let Some(after) = self.world.table.get(&key).and_then(Row::job) else {
                continue;
            };
            let hears = |listener: &usize| {
                let listener = self.actors.get(*listener);
                listener.is_some_and(|listener| listener.hears(before.as_ref(), after))
            };
            let told: Vec<usize> = self.listeners.iter().copied().filter(hears).collect();
            for actor in told {
                let at = self.world.now + self.role.news_after;
                let key = key.clone();
                self.world.plan(at, Plan::Tell { actor, key });
            }
        }
    }
}
