//! The processes: the core's machines, what they know while they live, and what they keep when they die.

pub(crate) mod client;
pub(crate) mod fetcher;
pub(crate) mod outbox;
pub(crate) mod watcher;
