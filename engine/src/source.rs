//! What comes in from a folder: which files there are, in which state, and their bytes.
//!
//! A source reports what it saw and decides nothing; whether and when a file is taken is the core's to say.

pub mod directory;
mod filter;
pub mod foreign;
pub mod lanes;
mod looks;
pub mod news;
mod notices;
pub mod objects;
mod open_files;
mod place;
pub mod queue;
pub mod reading;
mod root;
mod stamp;
mod walk;
