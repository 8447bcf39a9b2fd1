//! A pipeline at work in a replay, whichever machine it is.

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::RecordKey;
use roundtrip_core::machine::Machine as _;

use super::analyse::Analyse;
use super::care::Care;
use super::client::{Collect, Ship};
use super::queue::Queue;
use super::world::World;

/// A pipeline at work.
#[derive(Debug)]
pub(super) enum Actor {
    Analyse(Box<Analyse>),
    Collect(Box<Collect>),
    Ship(Box<Ship>),
    Care(Box<Care>),
    Queue(Box<Queue>),
}

impl Actor {
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match self {
            Self::Collect(collect) => collect.machine.wake_at(),
            Self::Ship(ship) => ship.wake_at(),
            Self::Analyse(fetcher) => fetcher.machine.wake_at(),
            Self::Care(care) => care.machine.wake_at(),
            Self::Queue(queue) => queue.machine.wake_at(),
        }
    }

    pub(super) fn tick(&mut self, world: &mut World) {
        match self {
            Self::Collect(collect) => {
                collect.machine.tick(world.at(&collect.name, ""));
                collect.pump(world);
            }
            Self::Ship(ship) => ship.tick(world),
            Self::Analyse(fetcher) => {
                fetcher.machine.tick(world.at(&fetcher.name, ""));
                fetcher.pump(world);
            }
            Self::Care(care) => {
                care.machine.tick(world.at(&care.name, ""));
                care.pump(world);
            }
            Self::Queue(queue) => {
                queue.machine.tick(world.at(&queue.name, ""));
                queue.pump(world);
            }
        }
    }

    pub(super) fn tell(&mut self, world: &mut World, key: &RecordKey) {
        match self {
            Self::Care(care) => care.tell(world, key),
            Self::Analyse(_) | Self::Collect(_) | Self::Ship(_) | Self::Queue(_) => {}
        }
    }

    pub(super) fn hears(&self, before: Option<&Job>, after: &Job) -> bool {
        match self {
            Self::Care(care) => care
                .interest
                .is_some_and(|interest| interest.tells(before.map(Into::into), after.into())),
            Self::Analyse(_) | Self::Collect(_) | Self::Ship(_) | Self::Queue(_) => false,
        }
    }
}
