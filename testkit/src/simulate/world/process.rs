//! A process: alive or not, with its own clock, and what it keeps when it dies.

use std::collections::BTreeSet;
use std::path::PathBuf;

use roundtrip_core::at::Timestamp;
use roundtrip_core::names::JobKey;

use super::{Step, World};
use crate::actors::client::{self, Client, Disk};
use crate::actors::fetcher::{self, Fetcher};
use crate::actors::outbox::{Actor, Clock, Outbox, Task};
use crate::actors::watcher::{self, Watcher};
use crate::model::chance::Chance;
use crate::model::network::Reply;
use crate::simulate::Fault;

/// What a process is made from when it begins.
#[derive(Debug)]
pub(super) enum Kind {
    Client(Box<client::Settings>),
    Fetcher(Box<fetcher::Settings>),
    Watcher(Box<watcher::Settings>),
}

/// A process while it lives.
#[derive(Debug)]
pub(super) enum Living {
    Client(Box<Client>),
    Fetcher(Box<Fetcher>),
    Watcher(Box<Watcher>),
}

/// A process and its machine.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) kind: Kind,
    pub(super) number: usize,
    pub(super) living: Option<Living>,
    /// A client's disk while it does not run.
    pub(super) disk: Option<Disk>,
    /// What lies in a fetcher's spool while it does not run.
    spool: BTreeSet<JobKey>,
    /// Counts its starts: replies to an earlier life are not for this one.
    pub(super) incarnation: u32,
    pub(super) skew: i64,
    paused_until: i64,
    clock: Clock,
    /// The wake that is planned.
    planned: Option<i64>,
    draining: bool,
}

impl Living {
    fn actor(&self) -> &dyn Actor {
        match self {
            Self::Client(client) => &**client,
            Self::Fetcher(fetcher) => &**fetcher,
            Self::Watcher(watcher) => &**watcher,
        }
    }

    fn actor_mut(&mut self) -> &mut dyn Actor {
        match self {
            Self::Client(client) => &mut **client,
            Self::Fetcher(fetcher) => &mut **fetcher,
            Self::Watcher(watcher) => &mut **watcher,
        }
    }
}

impl Process {
    pub(super) fn new(kind: Kind, number: usize, disk: Option<Disk>, skew: i64, chance: Chance) -> Self {
        let clock = Clock {
            now: Timestamp(0),
            course: 0,
            chance,
        };
        Self {
            kind,
            number,
            living: None,
            disk,
            spool: BTreeSet::new(),
            incarnation: 0,
            skew,
            paused_until: 0,
            clock,
            planned: None,
            draining: false,
        }
    }

    /// Its own clock.
    pub(super) fn now(&self, now: i64) -> Timestamp {
        Timestamp(now + self.skew)
    }

    fn read_clock(&mut self, now: i64) {
        (self.clock.now, self.clock.course) = (self.now(now), now);
    }

    pub(super) fn name(&self) -> String {
        self.living
            .as_ref()
            .map(|living| living.actor().name().to_owned())
            .unwrap_or_default()
    }

    fn begin(&mut self, now: i64) {
        let now = self.now(now);
        self.incarnation += 1;
        (self.paused_until, self.planned, self.draining) = (0, None, false);
        let (number, incarnation) = (self.number, self.incarnation);
        self.living = Some(match &mut self.kind {
            Kind::Client(settings) => {
                let disk = self.disk.take().unwrap_or_else(|| Disk::new(settings.id.clone()));
                Living::Client(Box::new(Client::new((**settings).clone(), disk, now)))
            }
            // A new process has a new name, and finds what an earlier one left in the spool.
            Kind::Fetcher(settings) => {
                settings.analyse.worker.processor = format!("fetcher-{number}-{incarnation}");
                Living::Fetcher(Box::new(Fetcher::new(
                    (**settings).clone(),
                    std::mem::take(&mut self.spool),
                    now,
                )))
            }
            Kind::Watcher(settings) => {
                settings.name = format!("watcher-{number}-{incarnation}");
                settings.stream.reader.clone_from(&settings.name);
                Living::Watcher(Box::new(Watcher::new((**settings).clone(), now)))
            }
        });
    }

    fn end(&mut self) {
        match self.living.take() {
            Some(Living::Client(client)) => self.disk = Some(client.disk),
            Some(Living::Fetcher(fetcher)) => self.spool = fetcher.spool,
            Some(Living::Watcher(_)) | None => {}
        }
    }
}

impl World<'_> {
    /// Lets a process act, then does what it asks for.
    pub(super) fn act(&mut self, number: usize, act: impl FnOnce(&mut dyn Actor, &mut Clock, &mut Outbox)) {
        let process = &mut self.processes[number];
        process.read_clock(self.now);
        let Some(living) = &mut process.living else { return };
        act(living.actor_mut(), &mut process.clock, &mut self.out);
        self.after(number);
    }

    fn after(&mut self, number: usize) {
        let incarnation = self.processes[number].incarnation;
        if let Some(lines) = &mut self.out.lines {
            let lines = std::mem::take(lines);
            let name = self.processes[number].name();
            for line in lines {
                self.say(|| format!("{} {line}", super::short(&name)));
            }
        }
        self.decisions += std::mem::take(&mut self.out.decisions);
        for fact in std::mem::take(&mut self.out.facts) {
            self.judge.told(self.now, number, incarnation, fact);
        }
        let asks = std::mem::take(&mut self.out.asks);
        let sleeps = std::mem::take(&mut self.out.sleeps);
        for (task, ms) in sleeps {
            let step = Step::Answer {
                process: number,
                incarnation,
                task,
                reply: Box::new(Reply::Woken),
            };
            self.agenda.plan(self.now + ms, step);
        }
        for (task, request) in asks {
            // kill -9 before the request is sent.
            if self.strikes(Fault::Crash) {
                return self.crash(number, incarnation);
            }
            self.send(number, task, request);
        }
        if self.strikes(Fault::ClockSet) {
            self.set_clock(number);
        }
        if self.strikes(Fault::Pause) {
            let lease = i64::try_from(self.policies.analyse.worker.claim.lease.as_millis()).unwrap_or(0);
            self.processes[number].paused_until = self.now + self.chance.between(1, lease * 2);
            self.say(|| format!("process {number} is paused"));
        }
        if self.strikes(Fault::Drain) && !self.processes[number].draining {
            self.processes[number].draining = true;
            return self.act(number, |actor, clock, out| actor.drain(clock, out));
        }
        self.plan_wake(number);
    }

    fn plan_wake(&mut self, number: usize) {
        let process = &mut self.processes[number];
        let Some(living) = &process.living else { return };
        if process.draining && living.actor().is_idle() {
            return self.leave(number);
        }
        let Some(wake) = living.actor().wake_at() else {
            return;
        };
        // A machine that wants to be woken in the past does not spin, as in the engine.
        let when = wake.0.saturating_sub(process.skew).max(self.now + 2);
        if process.planned.is_none_or(|planned| planned > when) {
            process.planned = Some(when);
            let incarnation = process.incarnation;
            self.agenda.plan(
                when,
                Step::Wake {
                    process: number,
                    incarnation,
                },
            );
        }
    }

    /// A process ended by itself; it is started again later.
    fn leave(&mut self, number: usize) {
        let name = self.processes[number].name();
        self.say(|| format!("{} ends", super::short(&name)));
        self.services.leave(&name);
        self.processes[number].end();
        let pause = self.chance.between(100, 20_000);
        self.agenda.plan(self.now + pause, Step::Start(number));
    }

    pub(super) fn start(&mut self, number: usize) {
        self.processes[number].begin(self.now);
        self.say(|| format!("process {number} starts"));
        self.act(number, |actor, clock, out| actor.start(clock, out));
    }

    pub(super) fn crash(&mut self, number: usize, incarnation: u32) {
        let process = &mut self.processes[number];
        if process.incarnation != incarnation || process.living.is_none() {
            return;
        }
        let name = process.name();
        process.end();
        self.say(|| format!("{} is killed", super::short(&name)));
        let pause = self.chance.between(100, 60_000);
        self.agenda.plan(self.now + pause, Step::Start(number));
    }

    /// Whether a process can take something in now; while it is paused, that waits.
    fn hears(&mut self, number: usize, incarnation: u32) -> Result<(), Option<i64>> {
        let process = &self.processes[number];
        if process.incarnation != incarnation || process.living.is_none() {
            return Err(None);
        }
        if process.paused_until > self.now {
            return Err(Some(process.paused_until));
        }
        Ok(())
    }

    pub(super) fn wake(&mut self, number: usize, incarnation: u32) {
        match self.hears(number, incarnation) {
            Ok(()) => {
                self.processes[number].planned = None;
                self.act(number, |actor, clock, out| actor.wake(clock, out));
            }
            Err(Some(until)) => self.agenda.plan(
                until,
                Step::Wake {
                    process: number,
                    incarnation,
                },
            ),
            Err(None) => {}
        }
    }

    pub(super) fn answer(&mut self, number: usize, incarnation: u32, task: Task, reply: Box<Reply>) {
        match self.hears(number, incarnation) {
            Ok(()) => self.act(number, |actor, clock, out| actor.answer(clock, out, task, *reply)),
            Err(Some(until)) => {
                let step = Step::Answer {
                    process: number,
                    incarnation,
                    task,
                    reply,
                };
                self.agenda.plan(until, step);
            }
            Err(None) => {}
        }
    }

    /// The system tells a client of a change in its folder.
    pub(super) fn notice(&mut self, number: usize, path: PathBuf) {
        let process = &mut self.processes[number];
        if process.paused_until > self.now {
            return;
        }
        process.read_clock(self.now);
        if let Some(Living::Client(client)) = &mut process.living {
            client.notice(&mut process.clock, &mut self.out, path);
            self.after(number);
        }
    }
}
