//! What a history came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Fault;
use crate::promises::Breach;

/// Numbers of one history.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// Virtual time from the first to the last event, in milliseconds.
    pub span_ms: i64,
    /// Things that happened.
    pub events: u64,
    /// Decisions the machines took.
    pub decisions: u64,
    /// Requests to the services.
    pub requests: u64,
    /// Jobs that were created.
    pub jobs: u64,
    /// Jobs that ended.
    pub finished: u64,
    /// Jobs among them that ended with a result.
    pub completed: u64,
    /// Outcomes that reached their client.
    pub deliveries: u64,
    /// Records that went when their time had ended.
    pub expired: u64,
    /// Jobs taken from a lost fetcher.
    pub requeues: u64,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<Fault, u32>,
    /// Objects that came after their job was done with: puts that were repeated, or came late.
    pub strays: u64,
    /// The most write units a partition was asked for in one second.
    pub writes_peak: u32,
    /// The most read units a partition was asked for in one second.
    pub reads_peak: u32,
}

/// A history, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The seed it follows from.
    pub seed: u64,
    /// Promises that did not hold; none is what should be.
    pub breaches: Vec<Breach>,
    /// Whether it was given up after too many events: then its end is not judged.
    #[serde(skip_serializing_if = "is_false")]
    pub given_up: bool,
    /// Numbers.
    pub statistics: Statistics,
    /// How many faults struck, those left out included.
    #[serde(skip)]
    pub(crate) struck: u32,
    /// What happened, line by line, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
    /// The table's stream as a recording, JSON Lines, where a trace was asked for.
    #[serde(skip)]
    pub recording: Vec<String>,
}

impl Outcome {
    /// Whether it came to its end, and every promise held.
    pub fn holds(&self) -> bool {
        self.breaches.is_empty() && !self.given_up
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(given: &bool) -> bool {
    !given
}
