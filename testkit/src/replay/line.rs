//! A decision as a line: for people, and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use serde::Serialize;

/// What came of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was done.
    Done,
    /// Its condition did not hold: someone else was first.
    Lost,
    /// It was told and not done, since the recorded course is kept.
    Told,
    /// No decision of the role: what of the recorded course could not happen, or came later.
    Trace,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// Which pipeline took it; `recording` where the line is about the recorded course.
    pub pipeline: String,
    /// About which file; empty where about none.
    pub file: String,
    /// What is done, in kebab-case.
    pub action: String,
    /// Why.
    pub reason: String,
    /// The TOML key that decided; empty where no setting did.
    pub key: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The job may be taken again after this; none where nobody gave it back.
    pub again: Option<Duration>,
    /// Chunks that are sent; none where none are.
    pub chunks: Option<u64>,
}

/// The pipeline of lines about the recorded course.
pub(super) const RECORDING: &str = "recording";

impl Line {
    /// The line for people: what a record says steers no terminal and begins no line.
    pub fn text(&self) -> String {
        let file = if self.file.is_empty() { "-" } else { &self.file };
        let mut text = format!(
            "{}  {:<16} {file}  {:<14} {}",
            iso::write(self.at),
            self.pipeline,
            self.action,
            self.reason
        );
        if !self.key.is_empty() {
            let _ = write!(text, "  [{}]", self.key);
        }
        if let Some(again) = self.again.filter(|again| !again.is_zero()) {
            let _ = match (again.as_secs(), again.subsec_millis()) {
                (seconds, 0) => write!(text, "  (again after {seconds} s)"),
                (seconds, ms) => write!(text, "  (again after {seconds}.{ms:03} s)"),
            };
        }
        match self.outcome {
            Outcome::Done | Outcome::Trace => {}
            Outcome::Lost => text.push_str("  (lost: someone else was first)"),
            Outcome::Told => text.push_str("  (told only)"),
        }
        if text.contains(char::is_control) {
            let escaped = |letter: char| {
                let escape = letter.is_control().then(|| letter.escape_default());
                let plain = escape.is_none().then_some(letter);
                escape.into_iter().flatten().chain(plain)
            };
            text = text.chars().flat_map(escaped).collect();
        }
        text
    }

    /// The line for programs: one JSON object.
    pub fn json(&self) -> String {
        /// In the order of its fields.
        #[derive(Serialize)]
        struct Object<'a> {
            at: String,
            pipeline: &'a str,
            file: Option<&'a str>,
            action: &'a str,
            reason: &'a str,
            key: Option<&'a str>,
            outcome: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            again_after_ms: Option<u128>,
            #[serde(skip_serializing_if = "Option::is_none")]
            chunks: Option<u64>,
        }
        let object = Object {
            at: iso::write(self.at),
            pipeline: &self.pipeline,
            file: Some(self.file.as_str()).filter(|file| !file.is_empty()),
            action: &self.action,
            reason: &self.reason,
            key: Some(self.key.as_str()).filter(|key| !key.is_empty()),
            outcome: self.outcome.as_str(),
            again_after_ms: self.again.map(|again| again.as_millis()),
            chunks: self.chunks,
        };
        serde_json::to_string(&object).unwrap_or_default()
    }
}

impl Outcome {
    /// The outcome's name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Lost => "lost",
            Self::Told => "told",
            Self::Trace => "trace",
        }
    }
}
