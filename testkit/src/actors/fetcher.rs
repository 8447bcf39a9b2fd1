//! A fetcher: claims jobs, fetches their files, has them analysed, commits what comes back.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reply of another kind than was asked for is none: the request failed"
)]

mod carry;
mod looking;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::lifecycle::{RecordKey, Write};
use roundtrip_core::machine::{Decision, Machine, Reason};
use roundtrip_core::names::JobKey;
use roundtrip_core::search::Places;
use roundtrip_core::worker::{Action, Ending, Event, Outcome, Worker};

use super::outbox::{Actor, Clock, Fact, How, Outbox, Task};
use crate::model::network::{Reply, Request};
use crate::model::table::Cursor;
use crate::pipelines::AnalysePipeline;
use carry::Carry;
use looking::Look;

/// How a fetcher works.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) analyse: AnalysePipeline,
    pub(crate) shards: u32,
}

#[derive(Debug)]
enum Work {
    Look(Box<Look>),
    Write {
        key: RecordKey,
        write: Write,
    },
    Carry(Box<Carry>),
    /// The row was written, or whether there are others is being asked.
    Report {
        written: bool,
    },
}

/// A fetcher while it lives.
#[derive(Debug)]
pub(crate) struct Fetcher {
    settings: Settings,
    worker: Worker,
    /// What lies on its disk: it outlives a crash.
    pub(crate) spool: BTreeSet<JobKey>,
    events: VecDeque<Event>,
    /// Where the last look stopped.
    places: Places<Cursor>,
    work: BTreeMap<Task, Work>,
    tasks: Task,
}

impl Fetcher {
    /// A fetcher that finds what an earlier process left on its disk.
    pub(crate) fn new(settings: Settings, spool: BTreeSet<JobKey>, now: Timestamp) -> Self {
        let analyse = &settings.analyse;
        Self {
            worker: Worker::new(analyse.worker.clone(), analyse.pace.since(now)).in_fleet(analyse.fleet),
            settings,
            spool,
            events: VecDeque::new(),
            places: Places::new(),
            work: BTreeMap::new(),
            tasks: 0,
        }
    }

    fn looked(&mut self, look: Look, event: Event) {
        if matches!(event, Event::Found(_)) {
            self.places = look.into_places();
        }
        self.events.push_back(event);
    }

    fn begin(&mut self, work: Work) -> Task {
        self.tasks += 1;
        self.work.insert(self.tasks, work);
        self.tasks
    }

    fn settle(&mut self, clock: &mut Clock, out: &mut Outbox) {
        loop {
            while let Some(decision) = self.worker.poll_action() {
                self.perform(clock, out, decision);
            }
            let Some(event) = self.events.pop_front() else {
                return;
            };
            self.worker.handle(clock.at(), event);
        }
    }

    fn perform(&mut self, clock: &mut Clock, out: &mut Outbox, decision: Decision<Action>) {
        let Decision { action, reason } = decision;
        match action {
            Action::Look { limit, priority_max } => {
                let places = self.places.clone();
                let mut look = Look::new(limit, priority_max, self.settings.shards, places, clock);
                let task = self.tasks + 1;
                match look.go(&self.settings, clock, out, task, None) {
                    Some(event) => self.looked(look, event),
                    None => drop(self.begin(Work::Look(Box::new(look)))),
                }
            }
            Action::Write(change) => {
                out.decided(&reason, || {
                    format!("{} {}", change.write.as_str(), change.key.file)
                });
                let task = self.begin(Work::Write {
                    key: change.key.clone(),
                    write: change.write,
                });
                out.ask(task, Request::Apply(Box::new(change)));
            }
            Action::Fetch(job) => {
                out.decided(&reason, || format!("fetch {}", job.key));
                out.facts.push(Fact::Began {
                    key: job.key.clone(),
                    assigned: job.assigned,
                });
                let mut carry = Carry::new(*job);
                let task = self.tasks + 1;
                if let Some(ending) = carry.begin(clock, out, task) {
                    self.ended(out, carry.key().clone(), ending);
                } else {
                    self.spool.insert(carry.key().clone());
                    self.begin(Work::Carry(Box::new(carry)));
                }
            }
            Action::Engage(key) => {
                if let Some((task, carry)) = self.carry(&key) {
                    carry.engage(out, task);
                }
            }
            Action::Stop(key) => {
                out.decided(&reason, || format!("stop {key}"));
                if let Some((task, _)) = self.carry(&key) {
                    self.work.remove(&task);
                    self.ended(out, key, Ending::Stopped);
                }
            }
            // The simulated fetchers run in no task of ECS.
            Action::Protect(_) => self.events.push_back(Event::Protected(true)),
            Action::Report(report) => {
                let task = self.begin(Work::Report { written: false });
                out.ask(task, Request::Report(Box::new(report)));
            }
        }
    }

    fn carry(&mut self, key: &JobKey) -> Option<(Task, &mut Carry)> {
        self.work.iter_mut().find_map(|(task, work)| match work {
            Work::Carry(carry) if carry.key() == key => Some((*task, &mut **carry)),
            Work::Carry(_) | Work::Look(_) | Work::Write { .. } | Work::Report { .. } => None,
        })
    }

    /// Work on a job ended: its local copy is gone.
    fn ended(&mut self, out: &mut Outbox, key: JobKey, ending: Ending) {
        self.spool.remove(&key);
        out.facts.push(Fact::Ended {
            key: key.clone(),
            how: how(&ending),
        });
        self.events.push_back(Event::Ended(key, ending));
    }
}

impl Actor for Fetcher {
    fn start(&mut self, clock: &mut Clock, out: &mut Outbox) {
        // What an earlier process left is cleared before anything is fetched, as in the engine.
        for key in std::mem::take(&mut self.spool) {
            let reason = Reason::rule("an earlier process left it");
            out.decided(&reason, || format!("clear {key} from the spool"));
        }
        self.wake(clock, out);
    }

    fn wake(&mut self, clock: &mut Clock, out: &mut Outbox) {
        self.worker.tick(clock.at());
        self.settle(clock, out);
    }

    fn answer(&mut self, clock: &mut Clock, out: &mut Outbox, task: Task, reply: Reply) {
        let Some(work) = self.work.remove(&task) else {
            return;
        };
        match work {
            Work::Look(mut look) => match look.go(&self.settings, clock, out, task, Some(reply)) {
                Some(event) => self.looked(*look, event),
                None => drop(self.work.insert(task, Work::Look(look))),
            },
            Work::Write { key, write } => {
                let outcome = outcome(write, &reply);
                self.events.push_back(Event::Written { key, write, outcome });
            }
            Work::Carry(mut carry) => {
                let ending = carry.go(&self.settings, clock, out, task, reply);
                self.events.extend(carry.reports.drain(..));
                match ending {
                    Some(ending) => self.ended(out, carry.key().clone(), ending),
                    None => drop(self.work.insert(task, Work::Carry(carry))),
                }
            }
            Work::Report { written } => match reply {
                Reply::Done if !written => {
                    self.work.insert(task, Work::Report { written: true });
                    out.ask(task, Request::Others);
                }
                Reply::Others(others) => self.events.push_back(Event::Reported(Some(others))),
                _ => self.events.push_back(Event::Reported(None)),
            },
        }
        self.settle(clock, out);
    }

    fn set_back(&mut self, clock: &mut Clock, out: &mut Outbox, by: Duration) {
        self.worker.set_back(clock.at(), by);
        self.wake(clock, out);
    }

    fn drain(&mut self, clock: &mut Clock, out: &mut Outbox) {
        self.worker.drain(clock.at());
        self.settle(clock, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.worker.wake_at()
    }

    fn is_idle(&self) -> bool {
        self.worker.is_idle()
    }

    fn name(&self) -> &str {
        &self.settings.analyse.worker.processor
    }
}

/// What the checkers are told of an ending.
fn how(ending: &Ending) -> How {
    match ending {
        Ending::Result { .. } => How::Result,
        Ending::JobFault(_) => How::AtFault,
        Ending::Failed { .. } => How::Failed,
        Ending::Refused(_) => How::Refused,
        Ending::Stalled(_) => How::Stalled,
        Ending::Away { .. }
        | Ending::TurnedAway { .. }
        | Ending::Fault(_)
        | Ending::Unfit(_)
        | Ending::Barred(_)
        | Ending::Stopped => How::BrokenOff,
    }
}

/// What a reply means for a write: the record comes back where the engine asks for it.
fn outcome(write: Write, reply: &Reply) -> Outcome {
    match reply {
        Reply::Made(record) if write == Write::Claim => Outcome::Done(record.job().ok().map(Box::new)),
        Reply::Made(_) => Outcome::Done(None),
        Reply::Refused(record) => {
            let job = record.as_ref().and_then(|record| record.job().ok());
            Outcome::Lost(job.map(Box::new))
        }
        _ => Outcome::Failed("the service did not answer".to_owned()),
    }
}
