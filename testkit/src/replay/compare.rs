//! Two roles on one history: which decisions differ, and what that means for the jobs.

mod summary;

use std::collections::BTreeMap;

use super::intake::Happening;
use super::line::{Line, Outcome};
use super::run::Replay;
use crate::report::Timeline;

pub use summary::Effect;

/// Pairs of lines that are held against each other for one file, at most; beyond it lines are only told apart in order.
const PAIRS_MAX: usize = 4_000_000;

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

/// What is left to compare of one subject.
#[derive(Debug, Default)]
struct Both {
    old: Vec<Line>,
    new: Vec<Line>,
}

/// Replays two roles side by side. It keeps what differs, and nothing of what does not.
pub struct Comparison {
    old: Replay,
    new: Replay,
    left: BTreeMap<String, Both>,
}

impl Comparison {
    /// Compares these two.
    pub fn new(old: Replay, new: Replay) -> Self {
        let left = BTreeMap::new();
        Self { old, new, left }
    }

    /// Lets an entry happen in both.
    pub fn happen(&mut self, happening: Happening) {
        self.old.happen(happening.clone());
        self.new.happen(happening);
        self.gather();
    }

    /// Goes on to the end of both, and gives what differs, the first difference first, and what that means.
    pub fn finish(&mut self) -> (Vec<Difference>, Vec<Effect>) {
        self.old.finish();
        self.new.finish();
        self.gather();
        let left = std::mem::take(&mut self.left);
        let effects = summary::effects(
            left.values()
                .map(|both| (both.old.as_slice(), both.new.as_slice())),
        );
        let mut differences: Vec<Difference> = left
            .into_iter()
            .map(|(subject, both)| Difference {
                subject,
                lines: differing(both),
            })
            .filter(|difference| !difference.lines.is_empty())
            .collect();
        differences.sort_by_key(|difference| difference.lines.first().map(|(_, line)| line.at));
        (differences, effects)
    }

    /// What became of each job under the new role; none where its replay keeps none.
    pub fn timeline(&mut self) -> Option<&Timeline> {
        self.new.timeline()
    }

    /// Takes in the latest decisions, and lets go of those that agree.
    fn gather(&mut self) {
        let mut touched = Vec::new();
        for (side, lines) in [(Side::Old, self.old.lines()), (Side::New, self.new.lines())] {
            for line in lines {
                let subject = subject(&line);
                if touched.last() != Some(&subject) {
                    touched.push(subject.clone());
                }
                let both = self.left.entry(subject).or_default();
                match side {
                    Side::Old => both.old.push(line),
                    Side::New => both.new.push(line),
                }
            }
        }
        for subject in touched {
            let Some(both) = self.left.get_mut(&subject) else {
                continue;
            };
            let alike = std::iter::zip(&both.old, &both.new);
            let alike = alike.take_while(|(old, new)| is_alike(old, new)).count();
            both.old.drain(..alike);
            both.new.drain(..alike);
            if both.old.is_empty() && both.new.is_empty() {
                self.left.remove(&subject);
            }
        }
    }
}

/// Whether two lines are the same decision. Numbers that are published at the same moment are: where they differ, they
/// follow from decisions that are told.
fn is_alike(old: &Line, new: &Line) -> bool {
    old == new || (old.action == "publish-metric" && new.action == old.action && old.at == new.at)
}

fn subject(line: &Line) -> String {
    if line.file.is_empty() {
        line.pipeline.clone()
    } else {
        line.file.clone()
    }
}

/// The lines of both sides that are in no longest common part of them, in the order of their moments.
fn differing(both: Both) -> Vec<(Side, Line)> {
    let Both { old, new } = both;
    let common = if old.len().saturating_mul(new.len()) <= PAIRS_MAX {
        common(&old, &new)
    } else {
        Vec::new()
    };
    let (in_old, in_new): (Vec<usize>, Vec<usize>) = common.into_iter().unzip();
    let rest = |side, lines: Vec<Line>, common: Vec<usize>| {
        let rest = lines.into_iter().enumerate();
        rest.filter(move |(index, _)| common.binary_search(index).is_err())
            .map(move |(_, line)| (side, line))
    };
    let mut lines: Vec<(Side, Line)> = rest(Side::Old, old, in_old)
        .chain(rest(Side::New, new, in_new))
        .filter(|(_, line)| line.outcome != Outcome::Trace || line.action != "heartbeat")
        .collect();
    lines.sort_by_key(|(side, line)| (line.at, *side));
    lines
}

/// A longest common subsequence, as pairs of places.
fn common(old: &[Line], new: &[Line]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            lengths[i * width + j] = if is_alike(a, b) {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        if is_alike(a, b) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}
