//! What an operator sees and does: `roundtrip jobs` and `roundtrip fleet` against the embedded stack.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod fleet;
mod list;
mod show;
mod steer;
mod world;
