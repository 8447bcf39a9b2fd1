//! Sinks that touch the world: the user's processor, and results as files.

pub mod directory;
pub mod processor;

mod content;
