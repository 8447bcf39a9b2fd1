//! The decisions a role takes on a recorded history: the machines of production on a virtual clock.

mod actor;
mod again;
mod agenda;
mod analyse;
mod care;
mod chance;
mod change;
mod client;
mod compare;
mod course;
mod history;
mod intake;
mod line;
mod queue;
mod role;
mod run;
mod survey;
mod table;
mod world;

pub use again::Told;
pub use compare::{Compared, Comparison, Difference, Effect, Side};
pub use history::History;
pub use intake::Happening;
pub use line::{Line, Outcome};
pub use role::Role;
pub use run::{Replay, Settings, Summary};
pub use survey::Survey;
