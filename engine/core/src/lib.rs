//! The decisions of Roundtrip: events in, actions out.
//!
//! No clock, randomness, environment, file, network, async or logging here, and no dependency that has them:
//! time and chance come in with each event ([`at::At`]). The engine turns the world into events, performs the
//! actions and reports each outcome as the next event, so that production, replay and simulation run the same
//! code.

pub mod at;
pub mod calendar;
pub mod caretaker;
pub mod claim;
pub mod collect;
pub mod file;
pub mod fleet;
pub mod health;
pub mod intake;
pub mod iso;
pub mod job;
pub mod lifecycle;
pub mod machine;
pub mod names;
pub mod news;
pub mod pace;
pub mod plan;
pub mod protection;
pub mod queue;
pub mod record;
pub mod retry;
pub mod search;
pub mod shard;
pub mod story;
pub mod stream;
pub mod sweep;
pub mod upload;
pub mod worker;

#[cfg(test)]
mod fixture;
