//! What a person meets at the edge: messages, hints, exit codes, and lines for programs.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod configuration;
mod desk;
mod environment;
mod folders;
mod local;
mod output;
mod record;
mod replay;
mod services;
mod simulate;
