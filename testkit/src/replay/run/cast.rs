//! Who takes part in a replay: pipelines of the role from its first record on, clients and fetchers as the recording
//! tells of them.

use std::rc::Rc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::RecordKey;

use super::Replay;
use crate::pipelines::{AnalysePipeline, Pipeline};
use crate::replay::actor::Actor;
use crate::replay::agenda::Plan;
use crate::replay::analyse::{Analyse, Seat};
use crate::replay::care::Care;
use crate::replay::client::{self, Collect, Ship};
use crate::replay::queue::Queue;
use crate::replay::role::Role;
use crate::replay::survey::Fetcher;

impl Replay {
    /// The clock begins with the first record.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.world.now = at;
        self.summary.begin = Some(at);
        let Role {
            name,
            shards,
            pipelines,
            ..
        } = self.role.clone();
        for (pipeline, policy) in pipelines {
            let actor = match policy {
                // They begin with the first job of each client.
                // What lies in the bucket no recording tells: a sweep has nothing to decide on.
                Pipeline::Upload(_) | Pipeline::Collect(_) | Pipeline::Sweep(_) => continue,
                Pipeline::Analyse(analyse) => {
                    self.begin_fetchers(&pipeline, &analyse);
                    continue;
                }
                Pipeline::Care(care) => {
                    Actor::Care(Box::new(Care::new(&pipeline, &name, shards, &care, &self.world)))
                }
                Pipeline::Queue(queue) => Actor::Queue(Box::new(Queue::new(&pipeline, &queue, &self.world))),
            };
            if matches!(actor, Actor::Care(_)) {
                self.listeners.push(self.actors.len());
            }
            self.actors.push(actor);
            self.wake_of.push(None);
            self.set_wake(self.actors.len() - 1, at);
        }
    }

    /// A job was made: its client has a file to ship, and an outcome to wait for.
    pub(super) fn announced(&mut self, job: &Job) {
        // A foreign client ships in its own way.
        let Some(size) = client::size_of(job) else {
            return;
        };
        let id = job.key.client.as_str();
        if !self.clients.contains_key(id) {
            let actors = self.begin_client();
            self.clients.insert(id.to_owned(), actors);
        }
        for actor in self.clients.get(id).cloned().unwrap_or_default() {
            match self.actors.get_mut(actor) {
                Some(Actor::Ship(ship)) => ship.sight(&mut self.world, job.key.file.as_str(), size),
                Some(Actor::Collect(collect)) => {
                    collect.await_outcome(&job.key);
                    self.world.awaited(&RecordKey::from(&job.key));
                }
                Some(Actor::Analyse(_) | Actor::Care(_) | Actor::Queue(_)) | None => {}
            }
            self.set_wake(actor, self.world.now);
        }
    }

    fn begin_client(&mut self) -> Vec<usize> {
        let begin = |(name, pipeline): &(String, Pipeline)| match pipeline {
            Pipeline::Upload(upload) => Some(Actor::Ship(Box::new(Ship::new(name, upload)))),
            Pipeline::Collect(collect) => {
                let collect = Collect::new(name, collect, self.world.now);
                Some(Actor::Collect(Box::new(collect)))
            }
            Pipeline::Analyse(_) | Pipeline::Care(_) | Pipeline::Sweep(_) | Pipeline::Queue(_) => None,
        };
        let actors: Vec<Actor> = self.role.pipelines.iter().filter_map(begin).collect();
        let first = self.actors.len();
        self.actors.extend(actors);
        self.wake_of.resize(self.actors.len(), None);
        (first..self.actors.len()).collect()
    }

    /// Every fetcher of the recording takes part from when it was first heard of.
    fn begin_fetchers(&mut self, pipeline: &str, policy: &AnalysePipeline) {
        let survey = Rc::clone(&self.survey);
        let nobody = [Fetcher::unrecorded(self.world.now)];
        let fetchers = if survey.fetchers().is_empty() {
            &nobody
        } else {
            survey.fetchers()
        };
        for (place, fetcher) in fetchers.iter().enumerate() {
            let (actor, shards) = (self.actors.len(), self.role.shards);
            let seat = Seat { actor, place };
            let mut analyse = Analyse::new(pipeline, policy, fetcher, &survey, seat, shards, &self.world);
            analyse.others = fetchers.len() > 1;
            self.actors.push(Actor::Analyse(Box::new(analyse)));
            self.wake_of.push(None);
            self.set_wake(actor, fetcher.from);
            if let Some(leaves) = fetcher.leaves() {
                self.world.plan(leaves, Plan::Leave(actor));
            }
        }
    }
}
