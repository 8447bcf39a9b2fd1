//! A fetcher of the recording on a replayed table: the machine decides, the recording tells how long work takes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::claim::Offer;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::{Change, RecordKey, Write};
use roundtrip_core::machine::{Decision, Machine as _, Reason};
use roundtrip_core::names::JobKey;
use roundtrip_core::search::{Places, Search, Step};
use roundtrip_core::worker::{Action, Ending, Event, Outcome as Answer, Worker, WorkerPolicy};

use super::agenda::Plan;
use super::line::Outcome;
use super::survey::{Fetcher, Survey};
use super::table::Place;
use super::world::World;
use crate::pipelines::AnalysePipeline;

/// A fetcher.
#[derive(Debug)]
pub(super) struct Analyse {
    pub(super) name: String,
    pub(super) machine: Worker,
    policy: AnalysePipeline,
    survey: Rc<Survey>,
    seat: Seat,
    /// When it was last heard of: from then on it takes only what it took when it was recorded.
    until: Option<Timestamp>,
    shards: u32,
    /// Where its looks begin: production draws a shard.
    first_shard: u32,
    /// Where the last look stopped.
    places: Places<Place>,
    /// What it works on.
    work: BTreeMap<JobKey, Work>,
    works: u64,
    /// Whether another fetcher is there.
    pub(super) others: bool,
}

/// Where a fetcher stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// Among the replay's actors.
    pub(super) actor: usize,
    /// Among the recording's fetchers.
    pub(super) place: usize,
}

#[derive(Debug)]
struct Work {
    number: u64,
    ending: Option<Ending>,
    /// How long the analysis takes, from the moment it begins; none where it never ends or never begins.
    analysis: Option<Duration>,
    silent: bool,
    /// Whether the job is given up when this attempt is lost.
    gives_up: bool,
}

/// What happens to work on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The file is here.
    Arrived,
    /// The work ends.
    Ended,
    /// Nothing gets through any more.
    Silent,
}

impl Analyse {
    pub(super) fn new(
        name: &str,
        policy: &AnalysePipeline,
        fetcher: &Fetcher,
        survey: &Rc<Survey>,
        seat: Seat,
        shards: u32,
        world: &World,
    ) -> Self {
        let worker = policy.worker.clone();
        let worker = WorkerPolicy {
            processor: fetcher.id.clone(),
            // Where jobs lie is no policy: the recording's bucket counts, whatever it is called here.
            bucket: survey.bucket().unwrap_or_default().to_owned(),
            ..worker
        };
        let machine = Worker::new(worker.clone(), policy.pace.since(world.now)).in_fleet(policy.fleet);
        Self {
            name: name.to_owned(),
            machine,
            policy: AnalysePipeline {
                worker,
                ..policy.clone()
            },
            survey: Rc::clone(survey),
            seat,
            until: fetcher.until,
            shards: shards.max(1),
            first_shard: u32::try_from(seat.actor).unwrap_or(0) % shards.max(1),
            places: Places::new(),
            work: BTreeMap::new(),
            works: 0,
            others: false,
        }
    }

    /// Does all that the machine asks for.
    pub(super) fn pump(&mut self, world: &mut World) {
        while let Some(decision) = self.machine.poll_action() {
            let (subject, event) = self.perform(world, decision);
            if let Some(event) = event {
                self.machine.handle(world.at(&self.name, &subject), event);
            }
        }
    }

    /// Something happens to work on a job, if that work still goes on.
    pub(super) fn turn(&mut self, world: &mut World, key: &JobKey, number: u64, turn: Turn) {
        let Some(work) = self.work.get_mut(key).filter(|work| work.number == number) else {
            return;
        };
        let event = match turn {
            Turn::Arrived => Event::Arrived(key.clone()),
            Turn::Ended => {
                let Some(ending) = work.ending.take() else { return };
                self.work.remove(key);
                Event::Ended(key.clone(), ending)
            }
            Turn::Silent => {
                work.silent = true;
                world.plan_rescue(&RecordKey::from(key), work.gives_up);
                return;
            }
        };
        self.machine
            .handle(world.at(&self.name, key.file.as_str()), event);
        self.pump(world);
    }

    /// It is told to stop: it goes on with what it has, and claims nothing more.
    pub(super) fn leave(&mut self, world: &mut World) {
        self.machine.drain(world.at(&self.name, ""));
        self.pump(world);
    }

    fn perform(&mut self, world: &mut World, decision: Decision<Action>) -> (String, Option<Event>) {
        let Decision { action, reason } = decision;
        match action {
            Action::Look { limit, priority_max } => {
                (String::new(), Some(self.look(world, limit, priority_max)))
            }
            Action::Protect(_) => (String::new(), Some(Event::Protected(true))),
            Action::Write(change) => {
                let file = change.key.file.clone();
                (file, Some(self.write(world, &change, reason)))
            }
            Action::Fetch(job) => {
                world.say(&self.name, job.key.file.as_str(), "fetch", reason, Outcome::Done);
                self.fetch(world, &job);
                (String::new(), None)
            }
            Action::Engage(key) => {
                world.say(&self.name, key.file.as_str(), "engage", reason, Outcome::Done);
                self.engaged(world, &key);
                (String::new(), None)
            }
            Action::Stop(key) => {
                let file = key.file.to_string();
                let work = self.work.remove(&key);
                // One that was never heard of again decided nothing more.
                let is_gone = self.until.is_some() && work.as_ref().is_some_and(|work| work.silent);
                if !is_gone {
                    world.say(&self.name, &file, "stop", reason, Outcome::Done);
                }
                // Work that had ended tells of itself.
                (file, work.map(|_| Event::Ended(key, Ending::Stopped)))
            }
            Action::Report(_) => {
                if reason.key != "claim.report" {
                    world.say(&self.name, "", "report", reason, Outcome::Done);
                }
                (String::new(), Some(Event::Reported(Some(self.others))))
            }
        }
    }

    fn write(&mut self, world: &mut World, change: &Change, reason: Reason) -> Event {
        let (key, write) = (change.key.clone(), change.write);
        let silent = self
            .work
            .iter()
            .any(|(held, work)| work.silent && RecordKey::from(held) == key);
        if silent {
            let outcome = Answer::Failed("nothing gets through, as it was recorded".to_owned());
            return Event::Written { key, write, outcome };
        }
        let made = world.write(&self.name, change, reason);
        let job = || {
            world
                .table
                .get(&key)
                .and_then(|row| row.job().cloned())
                .map(Box::new)
        };
        let outcome = match (made, write) {
            (true, Write::Claim) => Answer::Done(job()),
            (true, _) => Answer::Done(None),
            (false, _) => Answer::Lost(job()),
        };
        Event::Written { key, write, outcome }
    }

    fn fetch(&mut self, world: &mut World, job: &Job) {
        let attempt = world.next_attempt(&RecordKey::from(&job.key));
        let course = self.survey.course(job, attempt, self.policy.bounds);
        let course = course.within(self.policy.timeout);
        self.works += 1;
        let number = self.works;
        let mut plan = |after, turn| {
            let (actor, key) = (self.seat.actor, job.key.clone());
            let at = world.now + after;
            world.plan(
                at,
                Plan::Turn {
                    actor,
                    key,
                    number,
                    turn,
                },
            );
        };
        if let Some(download) = course.download {
            plan(download, Turn::Arrived);
        }
        let analysis = match (&course.end, course.download) {
            (Some((end, _)), Some(download)) => Some(end.saturating_sub(download)),
            // It ends before there is anything to analyse.
            (Some((end, _)), None) => {
                plan(*end, Turn::Ended);
                None
            }
            (None, _) => None,
        };
        if let Some(loss) = course.loss {
            plan(loss.after, Turn::Silent);
        }
        let work = Work {
            number,
            ending: course.end.map(|(_, ending)| ending),
            analysis,
            silent: false,
            gives_up: course.loss.is_some_and(|loss| loss.gives_up),
        };
        self.work.insert(job.key.clone(), work);
    }

    /// The processor has the file.
    fn engaged(&self, world: &mut World, key: &JobKey) {
        if let Some(work) = self.work.get(key)
            && let Some(analysis) = work.analysis
        {
            let (actor, key, number, turn) = (self.seat.actor, key.clone(), work.number, Turn::Ended);
            let at = world.now + analysis;
            world.plan(
                at,
                Plan::Turn {
                    actor,
                    key,
                    number,
                    turn,
                },
            );
        }
    }

    /// Searches the ready lanes. Production begins with a shard and a job that chance picks; this one always with the
    /// same shard and with the oldest job, so that two policies are compared under the same chance.
    fn look(&mut self, world: &mut World, wanted: usize, priority_max: u8) -> Event {
        let at = At {
            now: world.now,
            jitter: 0.0,
        };
        let WorkerPolicy { claim, bucket, .. } = &self.policy.worker;
        let shards = (0..self.shards).map(|n| (self.first_shard + n) % self.shards);
        let mut search = Search::new(wanted, priority_max, shards).going_on(self.places.clone());
        let mut page = Vec::new();
        loop {
            match search.step() {
                Step::Read {
                    lane,
                    priority_max,
                    from,
                } => {
                    let limit = self.policy.batch_max;
                    let (rows, next) = world.table.due(lane, at.now, limit, priority_max, from.as_ref());
                    let records = rows.iter().map(|(_, row)| row.job.as_ref());
                    search.page(at, claim, bucket, records, next);
                    page = rows.into_iter().map(|(key, _)| Rc::clone(key)).collect();
                }
                Step::Judge(place) => {
                    let key = page.get(place).filter(|key| self.is_there_for(world, key));
                    if let Some(offer) = key.and_then(|key| self.judge(world, key)) {
                        search.judged(offer);
                    }
                }
                Step::Over(findings) => {
                    self.places = search.into_places();
                    return Event::Found(findings);
                }
            }
        }
    }

    /// Whether it takes a job: any while it was heard of, and later what it took when it was recorded.
    fn is_there_for(&self, world: &World, key: &RecordKey) -> bool {
        let (survey, attempt) = (&self.survey, world.attempts(key));
        let was_there = self.until.is_none_or(|until| world.now <= until);
        was_there || survey.is_attempt_of(self.seat.place, key, attempt)
    }

    fn judge(&self, world: &mut World, key: &RecordKey) -> Option<Offer> {
        let signature = world.signature(key);
        let asks = self.policy.worker.claim.waits_for_upload(&signature);
        Some(Offer {
            job: world.table.get(key)?.job()?.clone(),
            uploaded: !asks || self.survey.is_uploaded(key, world.now),
            signature,
        })
    }
}
