//! A pipeline that looks after jobs, on a replayed table.

use std::collections::BTreeMap;
use std::rc::Rc;

use roundtrip_core::caretaker::{Action, Caretaker, Event};
use roundtrip_core::claim::Offer;
use roundtrip_core::job::{Lane, LaneKind, PRIORITY_MAX};
use roundtrip_core::lifecycle::{RecordKey, Write};
use roundtrip_core::machine::{Decision, Machine as _};
use roundtrip_core::news::Interest;

use super::table::{Key, Place, Row};
use super::world::World;
use crate::pipelines::CarePipeline;

/// A pipeline that looks after jobs.
#[derive(Debug)]
pub(super) struct Care {
    pub(super) name: String,
    pub(super) machine: Caretaker,
    pub(super) interest: Option<Interest>,
    lane: Option<LaneKind>,
    shards: u32,
    batch_max: usize,
    /// Where the next pages begin, by shard.
    pages: BTreeMap<u32, Place>,
}

/// What a look brought.
#[derive(Default)]
struct Look {
    keys: Vec<Key>,
    more: bool,
}

impl Care {
    pub(super) fn new(name: &str, role: &str, shards: u32, policy: &CarePipeline, world: &World) -> Self {
        Self {
            name: name.to_owned(),
            machine: Caretaker::new(policy.duty.clone(), role, policy.pace.since(world.now)),
            interest: policy.interest,
            lane: policy.lane,
            shards,
            batch_max: policy.batch_max,
            pages: BTreeMap::new(),
        }
    }

    /// Does all that the machine asks for.
    pub(super) fn pump(&mut self, world: &mut World) {
        while let Some(decision) = self.machine.poll_action() {
            let (subject, event) = self.perform(world, decision);
            self.machine.handle(world.at(&self.name, &subject), event);
        }
    }

    /// It hears of a job, which is read as it is now.
    pub(super) fn tell(&mut self, world: &mut World, key: &RecordKey) {
        let current = world.table.get(key).and_then(Row::job);
        let is_for_us =
            current.is_some_and(|job| self.interest.is_some_and(|interest| interest.wants(job.into())));
        if is_for_us && let Some(offer) = self.offer(world, key) {
            let at = world.at(&self.name, &key.file);
            self.machine.handle(at, Event::Offered(vec![offer]));
            self.pump(world);
        }
    }

    fn perform(
        &mut self,
        world: &mut World,
        Decision { action, reason }: Decision<Action>,
    ) -> (String, Event) {
        match action {
            Action::Look { on } => (String::new(), self.look(world, on)),
            Action::Delete(job, _) => {
                let key = RecordKey::from(&job.key);
                world.delete(&self.name, &key, reason);
                (key.file.clone(), Event::Deleted(key, World::sweep(&job)))
            }
            Action::Write(change) => {
                // With the recorded course kept no job is marked, and what would follow is told all the same.
                let is_mark = world.strict && change.write == Write::Cleaning;
                let made = world.write(&self.name, &change, reason) || is_mark;
                let (file, key) = (change.key.file.clone(), change.key);
                let event = if made {
                    Event::Written(key)
                } else {
                    Event::Lost(key)
                };
                (file, event)
            }
        }
    }

    fn look(&mut self, world: &mut World, on: bool) -> Event {
        let look = match self.lane {
            Some(kind) => self.due(world, kind, on),
            None => Look {
                keys: world.table.foreign().map(Rc::clone).collect(),
                more: false,
            },
        };
        let (mut offers, mut malformed) = (Vec::new(), Vec::new());
        for key in look.keys {
            match world.table.get(&key).and_then(|row| row.job.as_ref().err()) {
                Some(bad) => malformed.push(bad.clone()),
                None => offers.extend(self.offer(world, &key)),
            }
        }
        Event::Found {
            offers,
            malformed,
            more: look.more,
        }
    }

    fn due(&mut self, world: &World, kind: LaneKind, on: bool) -> Look {
        let mut before = std::mem::take(&mut self.pages);
        if !on {
            before.clear();
        }
        let mut look = Look::default();
        for shard in 0..self.shards {
            let lane = Lane { kind, shard };
            let (rows, next) =
                world
                    .table
                    .due(lane, world.now, self.batch_max, PRIORITY_MAX, before.get(&shard));
            look.more |= next.is_some();
            self.pages.extend(next.map(|next| (shard, next)));
            look.keys.extend(rows.into_iter().map(|(key, _)| Rc::clone(key)));
        }
        look
    }

    fn offer(&self, world: &mut World, key: &RecordKey) -> Option<Offer> {
        // Only jobs without a lane are judged: those in one were judged before.
        let signature = if self.lane.is_none() {
            world.signature(key)
        } else {
            Ok(())
        };
        Some(Offer {
            job: world.table.get(key)?.job()?.clone(),
            signature,
            uploaded: true,
        })
    }
}
