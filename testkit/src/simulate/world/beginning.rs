//! How a history begins: who is there, which files come, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::caretaker::Duty;

use super::others::Other;
use super::process::{Kind, Living, Process};
use super::{SKEW_MAX, START, Step, World};
use crate::actors::client::{self, Disk};
use crate::actors::outbox::Outbox;
use crate::actors::{fetcher, watcher};
use crate::model::agenda::Agenda;
use crate::model::chance::Chance;
use crate::model::names;
use crate::model::network::Verdict;
use crate::model::services::Services;
use crate::promises::{Judge, Rules};
use crate::simulate::faults::Striking;
use crate::simulate::{Fault, Policies, Scenario};

/// More than there are of anything, and divisible by the small numbers.
const HOW_MANY: usize = 5_040;

/// How long a stream keeps records that keeps them for too short a time, at most, in milliseconds.
const KEPT_MAX: i64 = 120_000;

/// The bucket of every history.
pub(super) const BUCKET: &str = "lab";

/// The version every simulated client states.
pub const VERSION: &str = "2.5.21";

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, seed: u64, trace: bool) -> Self {
        let mut chance = Chance::new(seed);
        let faults = if scenario.vary {
            scenario.faults.some(&mut chance)
        } else {
            scenario.faults.clone()
        };
        let mut policies = scenario.policies.clone();
        if scenario.vary {
            policies = policies.drawn(&mut chance.fork());
        }
        let load = i64::try_from(scenario.load.as_millis()).unwrap_or(i64::MAX);
        let mut world = World {
            scenario,
            now: START,
            agenda: Agenda::new(),
            striking: Striking::new(faults, chance.fork(), START + load),
            services: Services::new(policies.shards, policies.analyse.fleet.report),
            processes: Vec::new(),
            judge: Judge::new(START, rules(&policies)),
            out: Outbox {
                lines: trace.then(Vec::new),
                ..Outbox::default()
            },
            events: 0,
            requests: 0,
            decisions: 0,
            trace: trace.then(Vec::new),
            natures: BTreeMap::new(),
            coming: 0,
            chance,
            seed,
            events_max: super::EVENTS_MAX,
            stirred: START,
            still_until: START,
            ends_broken: false,
            bulk: None,
            policies,
        };
        if trace {
            world.services.stream.remembers();
        }
        if world.strikes(Fault::Trimmed) {
            let kept = world.chance.between(5_000, KEPT_MAX);
            let iterator = world.chance.between(2_000, KEPT_MAX / 4);
            world.services.stream.keeps(kept, iterator);
        }
        world.people();
        world.files(load);
        world.agenda.plan(START + 10_000, Step::Service);
        world
    }

    fn how_many(&mut self, most: usize) -> usize {
        let chosen = 1 + self.chance.below(HOW_MANY) % most.max(1);
        if self.scenario.vary { chosen } else { most }
    }

    /// Every process starts within the first second.
    fn people(&mut self) {
        let (clients, fetchers) = (
            self.how_many(self.scenario.clients),
            self.how_many(self.scenario.fetchers),
        );
        let watchers = self.how_many(self.scenario.watchers);
        for number in 0..clients {
            let settings = self.client(number);
            let disk = Disk::new(settings.id.clone());
            self.person(Kind::Client(Box::new(settings)), Some(disk));
        }
        for _ in 0..fetchers {
            let settings = self.fetcher();
            self.person(Kind::Fetcher(Box::new(settings)), None);
        }
        for _ in 0..watchers {
            let settings = self.watcher();
            self.person(Kind::Watcher(Box::new(settings)), None);
        }
    }

    fn person(&mut self, kind: Kind, disk: Option<Disk>) {
        let number = self.processes.len();
        let role = match &kind {
            Kind::Client(_) => 1,
            Kind::Fetcher(_) => 2,
            Kind::Watcher(_) => 3,
        };
        let same =
            |process: &&Process| std::mem::discriminant(&process.kind) == std::mem::discriminant(&kind);
        let place = self.processes.iter().filter(same).count();
        let mut chance = self.own(role, place);
        let (skew, when) = (
            chance.between(-SKEW_MAX, SKEW_MAX),
            START + chance.between(0, 1_000),
        );
        let skew = if self.strikes(Fault::Skew) { skew } else { 0 };
        self.judge.clock_set(number, skew);
        self.processes
            .push(Process::new(kind, number, disk, skew, chance));
        self.agenda.plan(when, Step::Start(number));
    }

    /// The chance of one of a kind: a smaller scenario keeps that of the others.
    fn own(&self, kind: u64, place: usize) -> Chance {
        let mixed = (kind << 32 | place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Chance::new(self.seed ^ mixed)
    }

    fn client(&self, number: usize) -> client::Settings {
        let policies = &self.policies;
        // One client in three says that it is urgent.
        let mut chance = self.own(5, number);
        let priority = if chance.hits(0.33) { 1 + chance.below(9) } else { 0 };
        let priority = u8::try_from(priority).unwrap_or(0);
        client::Settings {
            id: names::client(number),
            bucket: BUCKET.to_owned(),
            shards: policies.shards,
            version: VERSION.to_owned(),
            priority,
            upload: policies.upload.clone(),
            collect: policies.collect.clone(),
            local_ms: 20,
        }
    }

    fn fetcher(&self) -> fetcher::Settings {
        let policies = &self.policies;
        let mut analyse = policies.analyse.clone();
        BUCKET.clone_into(&mut analyse.worker.bucket);
        fetcher::Settings {
            analyse,
            shards: policies.shards,
        }
    }

    fn watcher(&self) -> watcher::Settings {
        let policies = &self.policies;
        let mut queue = policies.queue.clone();
        queue.policy.thresholds.clear();
        watcher::Settings {
            name: String::new(),
            care: [
                policies.clean.clone(),
                policies.requeue.clone(),
                policies.admit.clone(),
            ],
            stream: policies.stream.clone(),
            queue,
            sweep: policies.sweep.clone(),
            shards: policies.shards,
        }
    }

    /// Files come in the first half of the load, and change or go in all of it.
    fn files(&mut self, load: i64) {
        let clients = self
            .processes
            .iter()
            .filter(|process| matches!(process.kind, Kind::Client(_)))
            .count();
        for client in 0..clients {
            let mut chance = self.own(4, client);
            for file in 0..self.how_many(self.scenario.files) {
                let path = PathBuf::from(format!("{file}.tif"));
                let when = START + chance.between(0, load / 2);
                self.plan_file(when, client, path.clone());
                if self.strikes(Fault::Changed) {
                    let when = START + chance.between(0, load);
                    self.plan_file(when, client, path.clone());
                }
                if self.strikes(Fault::Gone) {
                    let when = START + chance.between(0, load);
                    self.coming += 1;
                    self.agenda.plan(when, Step::Gone { client, path });
                }
            }
        }
        let others = [
            (Fault::Forged, Other::Forge),
            (Fault::Forged, Other::Forge),
            (Fault::Forged, Other::Forge),
            (Fault::ForeignClient, Other::Create),
            (Fault::ForeignFetcher, Other::Take),
            (Fault::ForeignFetcher, Other::Take),
            (Fault::Cancelled, Other::Cancel),
            (Fault::Requeued, Other::Requeue(None)),
        ];
        for (fault, other) in others {
            if self.strikes(fault) {
                self.coming += 1;
                let when = START + self.chance.between(0, load);
                self.agenda.plan(when, Step::Other(Box::new(other)));
            }
        }
    }

    fn plan_file(&mut self, when: i64, client: usize, path: PathBuf) {
        self.coming += 1;
        self.agenda.plan(when, Step::File { client, path });
    }

    /// A person or a machine writes a file.
    pub(super) fn file(&mut self, number: usize, path: PathBuf) {
        self.coming -= 1;
        let chunk = self.policies.upload.chunk_size;
        let chunks = self
            .chance
            .between(1, i64::try_from(self.scenario.chunks_max).unwrap_or(1));
        let size = chunk * chunks.unsigned_abs() - self.chance.below(1_000) as u64;
        let stamp = client::stamp(size, Timestamp(self.now));
        if self.strikes(Fault::Unprocessable) {
            let nature = if self.chance.hits(0.5) {
                Verdict::Unprocessable
            } else {
                Verdict::Broken
            };
            self.natures.insert(client::content(&stamp), nature);
        }
        self.say(|| format!("client {number} writes {} of {size} bytes", path.display()));
        if let Some(disk) = self.disk(number) {
            disk.write(path.clone(), stamp);
        }
        if !self.strikes(Fault::NoticeLost) {
            self.notice(number, path);
        }
    }

    pub(super) fn gone(&mut self, number: usize, path: PathBuf) {
        self.coming -= 1;
        self.say(|| format!("client {number} takes {} away", path.display()));
        if let Some(disk) = self.disk(number) {
            disk.take_away(&path);
        }
        self.notice(number, path);
    }

    fn disk(&mut self, number: usize) -> Option<&mut Disk> {
        let process = &mut self.processes[number];
        match &mut process.living {
            Some(Living::Client(client)) => Some(&mut client.disk),
            Some(Living::Fetcher(_) | Living::Watcher(_)) => None,
            None => process.disk.as_mut(),
        }
    }
}

/// What the policies come to, as far as promises are held against them.
fn rules(policies: &Policies) -> Rules {
    let worker = &policies.analyse.worker;
    let mut rules = Rules {
        lease: worker.claim.lease,
        attempts_max: worker.retry.attempts_max,
        losses_max: 0,
        results_keep: Duration::ZERO,
        upload_max: worker.claim.upload_max,
    };
    for care in [&policies.clean, &policies.requeue, &policies.admit] {
        match &care.duty {
            Duty::Clean { results_keep, .. } => rules.results_keep = *results_keep,
            Duty::Requeue(retry) => rules.losses_max = retry.attempts_max,
            Duty::Admit { upload_max, .. } => rules.upload_max = rules.upload_max.min(*upload_max),
        }
    }
    rules
}
