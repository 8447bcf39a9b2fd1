//! A pipeline that publishes how long the queue is, on a replayed table.

use roundtrip_core::job::LaneKind;
use roundtrip_core::machine::{Decision, Machine as _, Reason};
use roundtrip_core::queue::{Action, Counts, Event, Queue as Machine, Row};

use super::line::Outcome;
use super::world::World;
use crate::pipelines::QueuePipeline;

/// A pipeline that publishes how long the queue is.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) machine: Machine,
}

impl Queue {
    pub(super) fn new(name: &str, policy: &QueuePipeline, world: &World) -> Self {
        Self {
            name: name.to_owned(),
            machine: Machine::new(policy.policy.clone(), policy.pace.since(world.now)),
        }
    }

    /// Does all that the machine asks for.
    pub(super) fn pump(&mut self, world: &mut World) {
        while let Some(decision) = self.machine.poll_action() {
            let event = self.perform(world, decision);
            self.machine.handle(world.at(&self.name, ""), event);
        }
    }

    fn perform(&self, world: &mut World, Decision { action, reason }: Decision<Action>) -> Event {
        match action {
            Action::Count => Event::Counted {
                counts: counts(world),
                rows: world.notices.clone(),
            },
            Action::Publish(numbers) => {
                let numbers = numbers
                    .iter()
                    .map(|(metric, value)| format!("{} {value}", metric.as_str()));
                let rule = format!("{}: {}", reason.rule, numbers.collect::<Vec<_>>().join(", "));
                let reason = Reason { rule, ..reason };
                world.say(&self.name, "", "publish-metric", reason, Outcome::Done);
                Event::Published
            }
            Action::Switch { threshold, row, .. } => {
                let rule = format!("{threshold}: {}", reason.rule);
                let reason = Reason { rule, ..reason };
                world.say(&self.name, "", "notify", reason, Outcome::Done);
                world.notices.insert(threshold.clone(), row);
                Event::Switched(threshold)
            }
            Action::Notify(notice) => Event::Notified(notice.threshold),
            Action::Settle { threshold, row } => {
                world
                    .notices
                    .insert(threshold.clone(), Row { telling: None, ..row });
                Event::Settled(threshold)
            }
        }
    }
}

/// How many jobs lie where. Where the recording has no reports of fetchers, those that hold a job are counted.
fn counts(world: &World) -> Counts {
    let alive = world
        .fleet
        .values()
        .filter(|sighting| sighting.is_alive(world.now));
    let alive = alive.count();
    let fetchers = if world.fleet.is_empty() {
        world.table.holders()
    } else {
        u64::try_from(alive).unwrap_or(u64::MAX)
    };
    Counts {
        ready: world.table.count(LaneKind::Ready, world.now),
        leased: world.table.count(LaneKind::Leased, world.now),
        done: world.table.count(LaneKind::Done, world.now),
        fetchers,
    }
}
