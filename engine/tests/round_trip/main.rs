//! The whole round trip: files out, results back, over the embedded services and through the real SDK.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod changing;
mod draining;
mod files;
mod killed;
mod priorities;
mod processes;
mod processors;
mod program;
mod recorded;
mod roles;
mod sealed;
mod several;
mod stream;
mod sweep;
mod tampered;
mod watcher;
mod world;
