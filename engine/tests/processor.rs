//! The processor against real services and commands: every answer, early answers, and losses in the middle.

#[path = "processor/command.rs"]
mod command;
#[path = "processor/fingerprint.rs"]
mod fingerprint;
#[path = "processor/http.rs"]
mod http;
#[path = "processor/polling.rs"]
mod polling;
#[path = "processor/world.rs"]
mod world;
