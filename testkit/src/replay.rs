//! The decisions a role takes on a recorded history: the machines of production on a virtual clock.

mod analyse;
mod care;
mod chance;
mod change;
mod course;
mod intake;
mod line;
mod queue;
mod role;
mod run;
mod survey;
mod table;
mod world;

pub use line::{Line, Outcome};
pub use role::{AnalysePipeline, CarePipeline, PaceFrom, Pipeline, QueuePipeline, Role};
pub use run::{Replay, Settings, Summary};
pub use survey::Survey;
