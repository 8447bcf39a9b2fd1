//! A watcher: cleans, gives back, lets in; reads the stream; counts the queue.

mod caring;
mod reading;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::caretaker::{self, Caretaker, Duty};
use roundtrip_core::machine::{Decision, Machine, Reason};
use roundtrip_core::names::JobKey;
use roundtrip_core::news::Interest;
use roundtrip_core::queue::{self, Queue};
use roundtrip_core::stream::{self, Reader, StreamPolicy};
use roundtrip_core::sweep::{self, Sweep};

use super::outbox::{Actor, Clock, Outbox, Task};
use crate::model::network::{Reply, Request};
use crate::pipelines::{CarePipeline, QueuePipeline, SweepPipeline};
use caring::{Cursor, Deletion, Look, Pages};
use reading::{Asked, Telling};

/// How a watcher works.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// Its caretakers, in the order of [`Which`].
    pub(crate) care: [CarePipeline; 3],
    pub(crate) stream: StreamPolicy,
    pub(crate) queue: QueuePipeline,
    pub(crate) sweep: SweepPipeline,
    pub(crate) shards: u32,
}

impl Settings {
    /// Whether one of its caretakers hears of the stream.
    fn hears(&self, which: Which) -> bool {
        self.care[which as usize].interest.is_some()
    }

    /// Jobs created then or before should be complete.
    fn old(&self, clock: &Clock) -> Timestamp {
        let upload_max = match self.care[Which::Admit as usize].duty {
            Duty::Admit { upload_max, .. } => upload_max,
            Duty::Clean { .. } | Duty::Requeue(_) => Duration::MAX,
        };
        let ms = i64::try_from(upload_max.as_millis()).unwrap_or(i64::MAX);
        Timestamp(clock.now.0.saturating_sub(ms))
    }
}

/// Which of its caretakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Clean,
    Requeue,
    Admit,
}

impl Which {
    /// The one that wants to hear of this.
    fn of(interest: Interest) -> Self {
        match interest {
            Interest::Finished => Self::Clean,
            Interest::Foreign => Self::Admit,
        }
    }
}

const ALL: [Which; 3] = [Which::Clean, Which::Requeue, Which::Admit];

#[derive(Debug)]
enum Event {
    Care(Which, caretaker::Event),
    Stream(stream::Event),
    Queue(queue::Event),
    Sweep(sweep::Event),
}

#[derive(Debug)]
enum Work {
    Look(Which, Box<Look>),
    Delete(Which, Box<Deletion>),
    Write(Which, roundtrip_core::lifecycle::RecordKey),
    Stream(Asked),
    Telling(Box<Telling>),
    Count,
    /// A page of the bucket is listed.
    Holdings,
    /// The records behind its objects are read.
    Standings(Vec<JobKey>),
    /// So many objects are deleted.
    Strays(u64),
}

/// A watcher while it lives.
#[derive(Debug)]
pub(crate) struct Watcher {
    settings: Settings,
    care: [Caretaker; 3],
    /// None where no pipeline hears of the stream.
    reader: Option<Reader>,
    queue: Queue,
    sweep: Sweep,
    /// Where the next scan for foreign jobs goes on.
    cursor: Cursor,
    /// Where the next pages of their lanes begin, caretaker by caretaker.
    pages: [Pages; 3],
    events: VecDeque<Event>,
    work: BTreeMap<Task, Work>,
    tasks: Task,
}

impl Watcher {
    pub(crate) fn new(settings: Settings, now: Timestamp) -> Self {
        let care = |CarePipeline { duty, pace, .. }: &CarePipeline| {
            Caretaker::new(duty.clone(), &*settings.name, pace.since(now))
        };
        let (sweep, queue) = (&settings.sweep, &settings.queue);
        Self {
            care: settings.care.each_ref().map(care),
            reader: ALL
                .iter()
                .any(|which| settings.hears(*which))
                .then(|| Reader::new(settings.stream.clone())),
            sweep: Sweep::new(sweep.policy.clone(), sweep.pace.since(now)),
            queue: Queue::new(queue.policy.clone(), queue.pace.since(now)),
            cursor: None,
            pages: Default::default(),
            settings,
            events: VecDeque::new(),
            work: BTreeMap::new(),
            tasks: 0,
        }
    }

    fn begin(&mut self, work: Work) -> Task {
        self.tasks += 1;
        self.work.insert(self.tasks, work);
        self.tasks
    }

    fn settle(&mut self, clock: &mut Clock, out: &mut Outbox) {
        loop {
            for which in ALL {
                while let Some(decision) = self.care[which as usize].poll_action() {
                    self.care(clock, out, which, decision);
                }
            }
            while let Some(decision) = self.reader.as_mut().and_then(Machine::poll_action) {
                self.read(out, decision);
            }
            while let Some(decision) = self.queue.poll_action() {
                self.count(out, &decision);
            }
            while let Some(decision) = self.sweep.poll_action() {
                self.sweep_on(out, decision);
            }
            let Some(event) = self.events.pop_front() else {
                return;
            };
            match event {
                Event::Sweep(event) => self.sweep.handle(clock.at(), event),
                Event::Care(which, event) => self.care[which as usize].handle(clock.at(), event),
                Event::Stream(event) => {
                    if let Some(reader) = &mut self.reader {
                        reader.handle(clock.at(), event);
                    }
                }
                Event::Queue(event) => self.queue.handle(clock.at(), event),
            }
        }
    }

    fn care(&mut self, clock: &Clock, out: &mut Outbox, which: Which, decision: Decision<caretaker::Action>) {
        let Decision { action, reason } = decision;
        match action {
            caretaker::Action::Look { on } => {
                let cursor = match which {
                    Which::Admit => self.cursor.take(),
                    Which::Clean | Which::Requeue => None,
                };
                let pages = std::mem::take(&mut self.pages[which as usize]);
                let look = Look::new(which, cursor, if on { pages } else { Pages::new() });
                let task = self.begin(Work::Look(which, Box::new(look)));
                self.go_on(clock, out, task, None);
            }
            caretaker::Action::Delete(job, extent) => {
                out.decided(&reason, || format!("delete-chunks {}", job.key));
                out.ask(self.tasks + 1, Request::List(job.key.prefix()));
                self.begin(Work::Delete(
                    which,
                    Box::new(Deletion::new(job.key.clone(), extent)),
                ));
            }
            caretaker::Action::Write(change) => {
                out.decided(&reason, || {
                    format!("{} {}", change.write.as_str(), change.key.file)
                });
                let task = self.begin(Work::Write(which, change.key.clone()));
                out.ask(task, Request::Apply(Box::new(change)));
            }
        }
    }

    fn read(&mut self, out: &mut Outbox, decision: Decision<stream::Action>) {
        let Decision { action, reason } = decision;
        if let Some((asked, request)) = reading::request(action) {
            let task = self.begin(Work::Stream(asked));
            out.ask(task, request);
            return;
        }
        out.decided(&reason, || "reconcile".to_owned());
        for which in ALL {
            if self.settings.hears(which) {
                self.events
                    .push_back(Event::Care(which, caretaker::Event::NewsMissed));
            }
        }
    }

    fn count(&mut self, out: &mut Outbox, decision: &Decision<queue::Action>) {
        match &decision.action {
            queue::Action::Count => {
                let task = self.begin(Work::Count);
                out.ask(task, Request::Count);
            }
            queue::Action::Publish(_) => self.events.push_back(Event::Queue(queue::Event::Published)),
            // The simulation sets no thresholds.
            queue::Action::Switch { .. } | queue::Action::Notify(_) | queue::Action::Settle { .. } => {}
        }
    }

    fn sweep_on(&mut self, out: &mut Outbox, decision: Decision<sweep::Action>) {
        let Decision { action, reason } = decision;
        match action {
            sweep::Action::AskOwner => {
                // There is one table.
                let owner = Some(self.settings.sweep.policy.table.clone());
                self.events
                    .push_back(Event::Sweep(sweep::Event::OwnerTold(owner)));
            }
            sweep::Action::List { after } => {
                let task = self.begin(Work::Holdings);
                out.ask(task, Request::Holdings(after));
            }
            sweep::Action::Ask(jobs) => {
                let task = self.begin(Work::Standings(jobs.clone()));
                out.ask(task, Request::Get(jobs));
            }
            sweep::Action::Delete(objects) => {
                out.decided(&reason, || format!("sweep {} objects", objects.len()));
                let task = self.begin(Work::Strays(objects.len() as u64));
                let keys = objects.into_iter().map(|object| object.key);
                out.ask(task, Request::Delete(keys.collect()));
            }
            sweep::Action::Refuse { .. } | sweep::Action::Spare(_) | sweep::Action::Report(_) => {}
        }
    }

    /// Lets a task go on with a reply.
    fn go_on(&mut self, clock: &Clock, out: &mut Outbox, task: Task, reply: Option<Reply>) {
        let Some(work) = self.work.remove(&task) else {
            return;
        };
        match work {
            Work::Look(which, mut look) => match look.go(&self.settings, clock, out, task, reply) {
                Some((event, cursor, pages)) => {
                    if which == Which::Admit {
                        self.cursor = cursor;
                    }
                    self.pages[which as usize] = pages;
                    self.events.push_back(Event::Care(which, event));
                }
                None => drop(self.work.insert(task, Work::Look(which, look))),
            },
            Work::Delete(which, mut deletion) => match deletion.go(out, task, reply) {
                Some(event) => self.events.push_back(Event::Care(which, event)),
                None => drop(self.work.insert(task, Work::Delete(which, deletion))),
            },
            Work::Write(which, key) => {
                let event = match reply {
                    Some(Reply::Made(_)) => caretaker::Event::Written(key),
                    Some(Reply::Refused(_)) => caretaker::Event::Lost(key),
                    _ => caretaker::Event::Failed(key, "the service did not answer".to_owned()),
                };
                self.events.push_back(Event::Care(which, event));
            }
            Work::Stream(asked) => match reply {
                Some(Reply::Read(read)) => {
                    let hears = |interest| self.settings.hears(Which::of(interest));
                    let mut telling = Telling::new(asked, *read, hears);
                    match telling.go(out, task, None) {
                        Some(event) => self.told(telling, event),
                        None => drop(self.work.insert(task, Work::Telling(Box::new(telling)))),
                    }
                }
                reply => self.events.push_back(Event::Stream(asked.answered(reply))),
            },
            Work::Telling(mut telling) => match telling.go(out, task, reply) {
                Some(event) => self.told(*telling, event),
                None => drop(self.work.insert(task, Work::Telling(telling))),
            },
            Work::Holdings => {
                let event = match reply {
                    Some(Reply::Holdings(objects, next)) => sweep::Event::Listed { objects, next },
                    _ => sweep::Event::ListFailed("the service did not answer".to_owned()),
                };
                self.events.push_back(Event::Sweep(event));
            }
            Work::Standings(keys) => {
                let event = caring::standings(keys, reply);
                self.events.push_back(Event::Sweep(event));
            }
            Work::Strays(count) => {
                let event = match reply {
                    Some(Reply::Done) => sweep::Event::Deleted(count),
                    _ => sweep::Event::DeleteFailed(count, "the service did not answer".to_owned()),
                };
                self.events.push_back(Event::Sweep(event));
            }
            Work::Count => {
                let event = match reply {
                    Some(Reply::Counted(counts)) => queue::Event::Counted {
                        counts,
                        rows: BTreeMap::new(),
                    },
                    _ => queue::Event::CountFailed("the service did not answer".to_owned()),
                };
                self.events.push_back(Event::Queue(event));
            }
        }
    }

    /// The pipelines that follow the stream hear of jobs before the reader hears that it told them.
    fn told(&mut self, telling: Telling, event: stream::Event) {
        for (interest, offers) in telling.offers {
            let which = Which::of(interest);
            if !offers.is_empty() {
                self.events
                    .push_back(Event::Care(which, caretaker::Event::Offered(offers)));
            }
        }
        self.events.push_back(Event::Stream(event));
    }
}

impl Actor for Watcher {
    fn start(&mut self, clock: &mut Clock, out: &mut Outbox) {
        out.decided(&Reason::rule("the process begins"), || "start".to_owned());
        self.wake(clock, out);
    }

    fn wake(&mut self, clock: &mut Clock, out: &mut Outbox) {
        for care in &mut self.care {
            care.tick(clock.at());
        }
        if let Some(reader) = &mut self.reader {
            reader.tick(clock.at());
        }
        self.sweep.tick(clock.at());
        self.queue.tick(clock.at());
        self.settle(clock, out);
    }

    fn answer(&mut self, clock: &mut Clock, out: &mut Outbox, task: Task, reply: Reply) {
        self.go_on(clock, out, task, Some(reply));
        self.settle(clock, out);
    }

    fn set_back(&mut self, clock: &mut Clock, out: &mut Outbox, by: Duration) {
        for care in &mut self.care {
            care.set_back(clock.at(), by);
        }
        if let Some(reader) = &mut self.reader {
            reader.set_back(clock.at(), by);
        }
        self.sweep.set_back(clock.at(), by);
        self.queue.set_back(clock.at(), by);
        self.wake(clock, out);
    }

    fn drain(&mut self, clock: &mut Clock, out: &mut Outbox) {
        for care in &mut self.care {
            care.drain(clock.at());
        }
        if let Some(reader) = &mut self.reader {
            reader.drain(clock.at());
        }
        self.sweep.drain(clock.at());
        self.queue.drain(clock.at());
        self.settle(clock, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let care = self.care.iter().filter_map(Machine::wake_at);
        let reader = self.reader.as_ref().and_then(Machine::wake_at);
        care.chain(reader)
            .chain(self.sweep.wake_at())
            .chain(self.queue.wake_at())
            .min()
    }

    fn is_idle(&self) -> bool {
        self.care.iter().all(Machine::is_idle)
            && self.reader.as_ref().is_none_or(Machine::is_idle)
            && self.sweep.is_idle()
            && self.queue.is_idle()
    }

    fn name(&self) -> &str {
        &self.settings.name
    }
}
