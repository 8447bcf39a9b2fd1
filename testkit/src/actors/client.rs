//! A client: ships the files of its folder and collects their results.

mod collecting;
mod disk;
mod shipping;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::collect::{self, Collect};
use roundtrip_core::file::Sight;
use roundtrip_core::machine::{Decision, Machine};
use roundtrip_core::names::ClientId;
use roundtrip_core::upload::{self, Upload};

use super::outbox::{Actor, Clock, Outbox, Task};
use crate::model::network::Reply;
use crate::pipelines::{CollectPipeline, UploadPipeline};
use collecting::{Delivery, Look};
pub(crate) use disk::{Disk, content, stamp};
use shipping::{Shipment, Shipping};

/// How a client works.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id: ClientId,
    pub(crate) bucket: String,
    pub(crate) shards: u32,
    pub(crate) version: String,
    /// How urgent its jobs are.
    pub(crate) priority: u8,
    pub(crate) upload: UploadPipeline,
    pub(crate) collect: CollectPipeline,
    /// Milliseconds a local step takes, at most.
    pub(crate) local_ms: i64,
}

/// Something that happened to one of its machines.
#[derive(Debug)]
enum Event {
    Upload(upload::Event),
    Collect(collect::Event),
}

#[derive(Debug)]
enum Work {
    Shipping(Box<Shipping>),
    Sighting(PathBuf),
    Rescan,
    Look(Look),
    Delivery(Box<Delivery>),
}

/// A client while it lives.
#[derive(Debug)]
pub(crate) struct Client {
    settings: Settings,
    /// What it keeps when it dies.
    pub(crate) disk: Disk,
    upload: Upload,
    collect: Collect,
    shipments: BTreeMap<PathBuf, Shipment>,
    events: VecDeque<Event>,
    work: BTreeMap<Task, Work>,
    tasks: Task,
}

impl Client {
    /// A client that begins with what it kept.
    pub(crate) fn new(settings: Settings, disk: Disk, now: Timestamp) -> Self {
        let CollectPipeline { pace, retry } = &settings.collect;
        Self {
            upload: Upload::new(settings.upload.policy.clone()),
            collect: Collect::new(pace.since(now), retry.clone()),
            shipments: BTreeMap::new(),
            events: VecDeque::new(),
            work: BTreeMap::new(),
            tasks: 0,
            settings,
            disk,
        }
    }

    /// The system tells of a change in the folder.
    pub(crate) fn notice(&mut self, clock: &mut Clock, out: &mut Outbox, path: PathBuf) {
        self.sighted(path);
        self.settle(clock, out);
    }

    fn sight(&self, path: &std::path::Path) -> Sight {
        match self.disk.stamp(path) {
            Some(stamp) => Sight::File { stamp, busy: false },
            None => Sight::Gone,
        }
    }

    fn sighted(&mut self, path: PathBuf) {
        let sight = self.sight(&path);
        let known = self.disk.known(&path);
        self.events
            .push_back(Event::Upload(upload::Event::Sighted { path, sight, known }));
    }

    fn scan(&mut self) {
        for path in self.disk.paths() {
            self.sighted(path);
        }
        self.events.push_back(Event::Upload(upload::Event::Scanned));
    }

    fn begin(&mut self, work: Work) -> Task {
        self.tasks += 1;
        self.work.insert(self.tasks, work);
        self.tasks
    }

    fn settle(&mut self, clock: &mut Clock, out: &mut Outbox) {
        loop {
            while let Some(decision) = self.upload.poll_action() {
                self.ship(clock, out, decision);
            }
            while let Some(decision) = self.collect.poll_action() {
                self.receive(clock, out, decision);
            }
            let Some(event) = self.events.pop_front() else {
                return;
            };
            match event {
                Event::Upload(event) => self.upload.handle(clock.at(), event),
                Event::Collect(event) => self.collect.handle(clock.at(), event),
            }
        }
    }

    fn ship(&mut self, clock: &mut Clock, out: &mut Outbox, decision: Decision<upload::Action>) {
        let Decision { action, reason } = decision;
        match action {
            upload::Action::Look(path) => {
                let task = self.begin(Work::Sighting(path));
                out.sleep(task, 1);
            }
            upload::Action::Scan => self.scan(),
            upload::Action::Do {
                path,
                step,
                stamp,
                resume,
            } => {
                out.decided(&reason, || format!("{:?} {}", step, path.display()));
                let task = self.begin(Work::Shipping(Box::new(Shipping::new(path, step, stamp, resume))));
                out.sleep(task, clock.chance.between(0, self.settings.local_ms));
            }
            upload::Action::Stop(path) => {
                let stopped: Vec<Task> = self
                    .work
                    .iter()
                    .filter(|(_, work)| matches!(work, Work::Shipping(shipping) if shipping.path == path))
                    .map(|(task, _)| *task)
                    .collect();
                for task in stopped {
                    if let Some(Work::Shipping(shipping)) = self.work.remove(&task) {
                        let fault = upload::Fault::Transient("stopped".to_owned());
                        let event = upload::Event::Failed(shipping.path, shipping.step, fault);
                        self.events.push_back(Event::Upload(event));
                    }
                }
            }
            upload::Action::Report(path, what) => {
                out.decided(&reason, || format!("report {}: {what}", path.display()));
            }
            upload::Action::Release(path) => {
                self.shipments.remove(&path);
            }
        }
    }

    fn receive(&mut self, clock: &mut Clock, out: &mut Outbox, decision: Decision<collect::Action>) {
        let Decision { action, reason } = decision;
        let local = clock.chance.between(0, self.settings.local_ms);
        match action {
            collect::Action::Look { after } => {
                let task = self.begin(Work::Look(Look::new(after)));
                out.sleep(task, local);
            }
            collect::Action::DeliverResult(job) => {
                out.decided(&reason, || format!("deliver-result {}", job.key));
                let task = self.begin(Work::Delivery(Box::new(Delivery::result(*job))));
                out.sleep(task, local);
            }
            collect::Action::DeliverError(key, why) => {
                out.decided(&reason, || format!("deliver-error {key}: {why}"));
                let task = self.begin(Work::Delivery(Box::new(Delivery::error(key))));
                out.sleep(task, local);
            }
        }
    }
}

impl Actor for Client {
    fn start(&mut self, clock: &mut Clock, out: &mut Outbox) {
        // What a crash left half-done is gone on with or given up, also where the file is gone by now.
        for (path, known) in self.disk.unfinished() {
            let sight = self.sight(&path);
            let event = upload::Event::Sighted {
                path,
                sight,
                known: Some(known),
            };
            self.events.push_back(Event::Upload(event));
        }
        self.scan();
        let task = self.begin(Work::Rescan);
        out.sleep(task, millis(self.settings.upload.rescan));
        self.wake(clock, out);
    }

    fn wake(&mut self, clock: &mut Clock, out: &mut Outbox) {
        self.upload.tick(clock.at());
        self.collect.tick(clock.at());
        self.settle(clock, out);
    }

    fn answer(&mut self, clock: &mut Clock, out: &mut Outbox, task: Task, reply: Reply) {
        let Some(mut work) = self.work.remove(&task) else {
            return;
        };
        let goes_on = match &mut work {
            Work::Rescan => {
                self.scan();
                out.sleep(task, millis(self.settings.upload.rescan));
                true
            }
            Work::Sighting(path) => {
                let path = std::mem::take(path);
                self.sighted(path);
                false
            }
            Work::Shipping(shipping) => {
                let ended = shipping.go(
                    &self.settings,
                    &mut self.disk,
                    &mut self.shipments,
                    clock,
                    out,
                    task,
                    reply,
                );
                let goes_on = ended.is_none();
                self.events.extend(ended.map(Event::Upload));
                goes_on
            }
            Work::Look(look) => {
                let ended = look.go(&self.settings, &self.disk, out, task, reply);
                let goes_on = ended.is_none();
                self.events.extend(ended.map(Event::Collect));
                goes_on
            }
            Work::Delivery(delivery) => {
                let ended = delivery.go(&mut self.disk, out, task, &reply);
                let goes_on = ended.is_none();
                self.events.extend(ended.map(Event::Collect));
                goes_on
            }
        };
        if goes_on {
            self.work.insert(task, work);
        }
        self.settle(clock, out);
    }

    fn set_back(&mut self, clock: &mut Clock, out: &mut Outbox, by: Duration) {
        self.upload.set_back(clock.at(), by);
        self.collect.set_back(clock.at(), by);
        self.wake(clock, out);
    }

    fn drain(&mut self, clock: &mut Clock, out: &mut Outbox) {
        self.upload.drain(clock.at());
        self.collect.drain(clock.at());
        self.settle(clock, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.upload
            .wake_at()
            .into_iter()
            .chain(self.collect.wake_at())
            .min()
    }

    fn is_idle(&self) -> bool {
        self.upload.is_idle() && self.collect.is_idle()
    }

    fn name(&self) -> &str {
        self.settings.id.as_str()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
