//! Two roles on one history: which decisions differ, and what that means for the jobs.

mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use roundtrip_core::at::Timestamp;

use super::intake::Happening;
use super::line::{Line, Outcome};
use super::run::Replay;
use crate::report::Timeline;

pub use summary::Effect;
use summary::{Differing, Folded};

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
    moves_min: Duration,
    /// Whether either of them deletes chunks.
    deletes: bool,
}

/// How two roles differ on a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The decisions that differ, the first difference first; those of jobs that go the same way at other moments
    /// behind the others.
    pub differences: Vec<Difference>,
    /// What that means.
    pub effects: Vec<Effect>,
    /// Jobs that are not finished at the end, under the old role and under the new one: what becomes of them is not told.
    pub open: (usize, usize),
    /// Finished jobs that are still in the table then: neither moved to where they belong nor cleaned.
    pub uncleaned: (usize, usize),
    /// How many changes of jobs were compared.
    pub records: u64,
    /// When the replay ended.
    pub end: Option<Timestamp>,
}

impl Compared {
    /// Whether any decision differs.
    pub fn differs(&self) -> bool {
        !self.differences.is_empty() || !self.effects.is_empty()
    }
}

impl Comparison {
    /// Compares these two. Decisions that have moved by less than `moves_min` are counted, not listed: one job that waits
    /// for longer moves many others by a little.
    pub fn new(old: Replay, new: Replay, moves_min: Duration) -> Self {
        Self {
            old,
            new,
            fresh: BTreeMap::new(),
            left: BTreeMap::new(),
            moves_min,
            deletes: false,
        }
    }

    /// Lets an entry happen in both.
    pub fn happen(&mut self, happening: Happening) {
        self.old.happen(happening.clone());
        self.new.happen(happening);
        self.catch_up();
    }

    /// Compares what neither can add to any more.
    fn catch_up(&mut self) {
        self.gather();
        let now = self.old.now().min(self.new.now());
        while let Some(first) = self.fresh.first_entry()
            && first.key().0 < now
        {
            let ((_, subject), both) = first.remove_entry();
            self.settle(subject, both);
        }
    }

    /// Goes on to the end of both, and gives what differs.
    pub fn finish(&mut self) -> Compared {
        // Both, or the one that is not at its end yet.
        while self.old.go_on() | self.new.go_on() {
            self.catch_up();
        }
        self.gather();
        for ((_, subject), both) in std::mem::take(&mut self.fresh) {
            self.settle(subject, both);
        }
        let left = std::mem::take(&mut self.left).into_iter();
        let folded = left.map(|(subject, lines)| (subject, fold(lines, self.moves_min)));
        let left: Vec<(String, Differing)> = folded.collect();
        let differing = left.iter().map(|(_, differing)| differing);
        let effects = summary::effects(differing, self.moves_min, self.deletes);
        let listed = left
            .into_iter()
            .filter(|(_, differing)| !differing.lines.is_empty());
        let mut differences: Vec<(bool, Difference)> = listed
            .map(|(subject, differing)| {
                let (follows, lines) = (differing.same_way().is_some(), differing.lines);
                (follows, Difference { subject, lines })
            })
            .collect();
        differences.sort_by_key(|(follows, difference)| {
            (*follows, difference.lines.first().map(|(_, line)| line.at))
        });
        let differences = differences
            .into_iter()
            .map(|(_, difference)| difference)
            .collect();
        let (old, new) = (self.old.summary(), self.new.summary());
        Compared {
            differences,
            effects,
            open: (old.jobs_open, new.jobs_open),
            uncleaned: (old.jobs_left - old.jobs_open, new.jobs_left - new.jobs_open),
            records: new.changes,
            end: new.end,
        }
    }

    /// What became of each job under the new role; none where its replay keeps none.
    pub fn timeline(&mut self) -> Option<&Timeline> {
        self.new.timeline()
    }

    /// Takes in the latest decisions.
    fn gather(&mut self) {
        for (side, lines) in [(Side::Old, self.old.lines()), (Side::New, self.new.lines())] {
            for line in lines {
                self.deletes |= line.action == summary::DELETION;
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

/// Takes out pairs of decisions that are the same but for a small move.
fn fold(lines: Vec<(Side, Line)>, moves_min: Duration) -> Differing {
    let bound = i64::try_from(moves_min.as_millis()).unwrap_or(i64::MAX);
    let mut folded: BTreeMap<String, Folded> = BTreeMap::new();
    // Those that are kept, and from where on a line may still be the twin of a later one.
    let (mut kept, mut near): (Vec<Option<(Side, Line)>>, usize) = (Vec::new(), 0);
    for (side, line) in lines {
        let is_past = |other: &Option<(Side, Line)>| {
            other
                .as_ref()
                .is_none_or(|(_, other)| line.at.0 - other.at.0 >= bound)
        };
        near += kept.iter().skip(near).take_while(|other| is_past(other)).count();
        let is_twin = |other: &Option<(Side, Line)>| {
            let other = other.as_ref();
            other.is_some_and(|(of, other)| *of != side && is_moved(other, &line))
        };
        let twin = kept.iter().skip(near).position(is_twin);
        match twin.and_then(|twin| kept.get_mut(near + twin)) {
            Some(twin) => {
                // Lines come in the order of their moments: the twin is the earlier one.
                let was_first = twin.take().map(|(of, _)| of);
                let folded = folded.entry(line.action).or_default();
                folded.times += 1;
                folded.earlier |= was_first == Some(Side::New);
            }
            None => kept.push(Some((side, line))),
        }
    }
    let lines = kept.into_iter().flatten().collect();
    Differing { lines, folded }
}

/// Whether two lines are the same decision at another moment.
fn is_moved(one: &Line, other: &Line) -> bool {
    one.at != other.at
        && one.outcome == other.outcome
        && one.pipeline == other.pipeline
        && one.action == other.action
        && one.reason == other.reason
        && one.key == other.key
        && one.again == other.again
}
