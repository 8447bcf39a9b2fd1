//! The decisions that a recording itself tells of: what the running system wrote, as lines.

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;

use super::course::Act;
use super::intake::Happening;
use super::line::{Line, Outcome, RECORDING};

/// Reads a recording as the decisions of those who were recorded.
#[derive(Debug, Default)]
pub struct History {
    now: Option<Timestamp>,
}

impl History {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The decision behind an entry, with the reason its writer left in the record; none for rows that are no jobs.
    pub fn read(&mut self, happening: Happening) -> Option<Line> {
        let recorded = happening.into_change()?;
        let at = self.now.map_or(recorded.at, |now| now.max(recorded.at));
        self.now = Some(at);
        let after = recorded.after.as_ref().and_then(|after| after.as_ref().ok());
        Some(Line {
            at,
            pipeline: RECORDING.to_owned(),
            file: recorded.key.file,
            action: recorded.act.as_str().to_owned(),
            reason: after
                .and_then(|after| why(recorded.act, after))
                .unwrap_or_default(),
            key: String::new(),
            outcome: Outcome::Done,
            again: None,
            chunks: None,
        })
    }
}

/// What the history of a job says of the write that made it so.
fn why(act: Act, after: &Job) -> Option<String> {
    let last = after.history.last()?;
    (last.what == act.as_str()).then(|| last.why.clone())
}
