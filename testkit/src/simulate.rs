//! The simulator: one seed is one history of a whole installation, with whatever goes wrong in it.

mod faults;
mod outcome;
mod policies;
mod recording;
mod scale;
mod scenario;
mod seeds;
mod shrink;
mod world;

pub use faults::{Fault, Faults};
pub use outcome::{Outcome, Statistics};
pub use policies::Policies;
pub use scale::{Measured, Prices, Scale, scale};
pub use scenario::Scenario;
pub use seeds::{Found, seeds};
pub use shrink::{Story, shrink};
pub use world::{VERSION, run};
