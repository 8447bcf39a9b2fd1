//! Two roles on one history: which decisions differ, and what that means for the jobs.

mod summary;

use std::collections::BTreeMap;

use roundtrip_core::at::Timestamp;

use super::intake::Happening;
use super::line::{Line, Outcome};
use super::run::Replay;
use crate::report::Timeline;

pub use summary::Effect;

/// Which role a line that differs is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one before.
    Old,
    /// The one after.
    New,
}

impl Side {
    /// As a unified difference writes it.
    pub const fn sign(self) -> char {
        match self {
            Self::Old => '-',
            Self::New => '+',
        }
    }
}

/// The decisions about one file, or of one pipeline about none, that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file, or the pipeline.
    pub subject: String,
    /// The lines, in the order of their moments.
    pub lines: Vec<(Side, Line)>,
}

/// What both roles decided about one subject at one moment.
#[derive(Debug, Default)]
struct Both {
    old: Vec<Line>,
    new: Vec<Line>,
}

/// Replays two roles side by side. It keeps what differs, and nothing of what does not.
pub struct Comparison {
    old: Replay,
    new: Replay,
    /// Decisions that are not compared yet, by moment and subject: more may come of the same moment.
    fresh: BTreeMap<(Timestamp, String), Both>,
    /// What differs, by subject.
    left: BTreeMap<String, Vec<(Side, Line)>>,
}

impl Comparison {
    /// Compares these two.
    pub fn new(old: Replay, new: Replay) -> Self {
        Self {
            old,
            new,
            fresh: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }

    /// Lets an entry happen in both.
    pub fn happen(&mut self, happening: Happening) {
        self.old.happen(happening.clone());
        self.new.happen(happening);
        self.gather();
        let now = self.old.now().min(self.new.now());
        while let Some(first) = self.fresh.first_entry()
            && first.key().0 < now
        {
            let ((_, subject), both) = first.remove_entry();
            self.settle(subject, both);
        }
    }

    /// Goes on to the end of both, and gives what differs, the first difference first, and what that means.
    pub fn finish(&mut self) -> (Vec<Difference>, Vec<Effect>) {
        self.old.finish();
        self.new.finish();
        self.gather();
        for ((_, subject), both) in std::mem::take(&mut self.fresh) {
            self.settle(subject, both);
        }
        let left = std::mem::take(&mut self.left);
        let effects = summary::effects(left.values().map(Vec::as_slice));
        let differences = left.into_iter();
        let mut differences: Vec<Difference> = differences
            .map(|(subject, lines)| Difference { subject, lines })
            .collect();
        differences.sort_by_key(|difference| difference.lines.first().map(|(_, line)| line.at));
        (differences, effects)
    }

    /// What became of each job under the new role; none where its replay keeps none.
    pub fn timeline(&mut self) -> Option<&Timeline> {
        self.new.timeline()
    }

    /// Takes in the latest decisions.
    fn gather(&mut self) {
        for (side, lines) in [(Side::Old, self.old.lines()), (Side::New, self.new.lines())] {
            for line in lines {
                let both = self.fresh.entry((line.at, subject(&line))).or_default();
                match side {
                    Side::Old => both.old.push(line),
                    Side::New => both.new.push(line),
                }
            }
        }
    }

    /// Keeps the decisions of one side that the other did not take at the same moment.
    fn settle(&mut self, subject: String, Both { mut old, mut new }: Both) {
        old.retain(|line| {
            let twin = new.iter().position(|other| is_alike(line, other));
            twin.map(|twin| new.remove(twin)).is_none()
        });
        let sides = old.into_iter().map(|line| (Side::Old, line));
        let sides = sides.chain(new.into_iter().map(|line| (Side::New, line)));
        let mut lines = sides
            .filter(|(_, line)| line.outcome != Outcome::Trace || line.action != "heartbeat")
            .peekable();
        if lines.peek().is_some() {
            self.left.entry(subject).or_default().extend(lines);
        }
    }
}

/// Whether two lines of one moment are the same decision. Numbers that are published are: where they differ, they follow
/// from decisions that are told.
fn is_alike(old: &Line, new: &Line) -> bool {
    old == new || (old.action == "publish-metric" && new.action == old.action)
}

fn subject(line: &Line) -> String {
    if line.file.is_empty() {
        line.pipeline.clone()
    } else {
        line.file.clone()
    }
}
