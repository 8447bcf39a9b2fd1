//! Running pipelines: the machines of the core in the real world.

mod analyse;
mod build;
mod care;
mod collect;
pub mod driver;
mod feed;
mod fetch;
mod membership;
mod needs;
pub mod parts;
pub(crate) mod policy;
pub mod progress;
mod protection;
mod queue;
pub mod role;
mod ship;
mod stream;
mod sweep;
