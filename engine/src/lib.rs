//! The engine of Roundtrip: everything that touches the world.

pub mod cli;
pub mod cloud;
pub mod codec;
pub mod dsl;
pub mod error;
pub mod ledger;
mod pipelines;
pub mod recorder;
pub mod recordings;
pub mod replay;
pub mod run;
pub mod schedule;
pub mod simulation;
pub mod sink;
pub mod source;
pub mod spool;
pub mod stack;
pub mod wire;
