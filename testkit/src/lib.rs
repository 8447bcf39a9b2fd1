//! Roundtrip's core against a model of the world: what happened and what could happen, judged by the promises.
//!
//! The machines here are those that run in production; only the services, the disks and the clock are models. One
//! seed is one history, to the byte: nothing here asks a clock, reads a file or draws chance from elsewhere.

mod actors;
mod model;
pub mod pipelines;
pub mod promises;
pub mod recording;
pub mod replay;
pub mod report;
pub mod simulate;
