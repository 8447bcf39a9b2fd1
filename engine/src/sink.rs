//! Sinks that touch the world: the user's processor, results as files, and who is told.

pub mod directory;
pub mod notifier;
pub mod processor;

mod content;
