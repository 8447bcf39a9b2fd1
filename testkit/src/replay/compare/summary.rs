//! What a difference of decisions means, in sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::Side;
use crate::replay::line::{Line, Outcome};

/// What a fetcher does with a job that goes well, or whose analysis fails.
const WAY: [&str; 7] = [
    "claim",
    "fetch",
    "downloaded",
    "engage",
    "complete",
    "fail",
    "release",
];

/// What the deletion of a job's chunks is called.
pub(super) const DELETION: &str = "delete-chunks";

/// What happens to jobs under the new role that does not under the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// How many jobs, or how many decisions, it is about.
    pub count: usize,
    /// The sentence.
    pub text: String,
}

/// How decisions of one kind are counted.
#[derive(Clone, Copy, Debug)]
enum Words {
    /// A job has it once: what is done to it.
    Once(&'static str, &'static str, &'static str),
    /// A job may have it again and again.
    Often(&'static str, &'static str, &'static str),
    /// It follows from another that is told; only what it says itself counts.
    Follows(&'static str, &'static str, &'static str),
    /// The decisions count, not the jobs.
    Each(&'static str, &'static str, &'static str),
}

impl Words {
    fn of(action: &str) -> Option<Self> {
        Some(match action {
            "give-up" => Self::Once("job", "jobs", "given up"),
            DELETION => Self::Once("job's chunks", "jobs' chunks", "deleted"),
            "keep" => Self::Often("result", "results", "kept for longer"),
            "admit" => Self::Once("foreign job", "foreign jobs", "let in"),
            "adopt" => Self::Once("foreign job", "foreign jobs", "moved into its lane"),
            "refuse" => Self::Once("job", "jobs", "refused"),
            "complete" => Self::Once("job", "jobs", "completed"),
            "fail" => Self::Once("job", "jobs", "ended as an error"),
            "send" => Self::Once("file", "files", "sent"),
            "create" => Self::Once("job", "jobs", "created"),
            "deliver-result" => Self::Once("result", "results", "delivered"),
            "deliver-error" => Self::Once("error", "errors", "delivered"),
            "report" => Self::Each("report", "reports", "made"),
            "requeue" => Self::Often("job", "jobs", "restarted"),
            "claim" => Self::Often("job", "jobs", "claimed"),
            "release" => Self::Often("job", "jobs", "given back"),
            "stop" => Self::Often("analysis", "analyses", "stopped"),
            "heartbeat" => Self::Each("heartbeat", "heartbeats", "sent"),
            "publish-metric" => Self::Each("round of numbers", "rounds of numbers", "published"),
            "notify" => Self::Each("notice", "notices", "sent"),
            "cleaned" => Self::Follows("job's record", "jobs' records", "kept"),
            // They follow from others that are told.
            "cleaning" | "fetch" | "engage" | "downloaded" | "begin" | "commit" | "remember"
            | "release-file" => return None,
            _ => Self::Each("decision", "decisions", "taken"),
        })
    }

    fn said(self, count: usize, what: impl FnOnce(&str) -> String) -> Option<Effect> {
        let (Self::Once(one, many, done)
        | Self::Often(one, many, done)
        | Self::Follows(one, many, done)
        | Self::Each(one, many, done)) = self;
        let noun = if count == 1 { one } else { many };
        (count > 0).then(|| Effect {
            count,
            text: format!("{count} {noun} would {}", what(done)),
        })
    }
}

/// How the decisions of one kind differ. What is about jobs counts each once, by its first decision that differs.
#[derive(Debug, Default)]
struct Kind {
    /// By how many milliseconds they come earlier.
    earlier: Vec<i64>,
    later: Vec<i64>,
    /// Moved by less than is told one by one: of how many subjects, and how many decisions.
    barely: (usize, usize),
    /// At the same moment, for another reason.
    otherwise: usize,
    /// Those reasons; no more than two of them are kept.
    reasons: BTreeSet<String>,
    /// Chunks that are sent, under the old role and under the new one.
    chunks: (u64, u64),
    /// At the same moment, to be taken again so many milliseconds earlier.
    sooner: Vec<i64>,
    after: Vec<i64>,
    /// Only or more often under the new role: of how many subjects, and how often in all.
    more: (usize, usize),
    /// Only or more often under the old one.
    fewer: (usize, usize),
    /// Decisions that have one of the other side in their place.
    moved: usize,
}

impl Kind {
    fn take(&mut self, Sides { old, new, folded }: &Sides<'_>) {
        if let (Some(old), Some(new)) = (old.first(), new.first()) {
            match new.at.0 - old.at.0 {
                0 => match again_ms(new) - again_ms(old) {
                    0 => {
                        self.otherwise += 1;
                        if self.reasons.len() < 2 {
                            self.reasons.insert(new.reason.clone());
                        }
                    }
                    sooner if sooner < 0 => self.sooner.push(-sooner),
                    after => self.after.push(after),
                },
                earlier if earlier < 0 => self.earlier.push(-earlier),
                later => self.later.push(later),
            }
        }
        let count = |(subjects, times): &mut (usize, usize), more: usize| {
            *subjects += usize::from(more > 0);
            *times += more;
        };
        let sent = |lines: &[&Line]| lines.iter().filter_map(|line| line.chunks).sum::<u64>();
        self.chunks.0 += sent(old);
        self.chunks.1 += sent(new);
        count(&mut self.more, new.len().saturating_sub(old.len()));
        count(&mut self.fewer, old.len().saturating_sub(new.len()));
        count(&mut self.barely, folded.times);
        self.moved += old.len().min(new.len());
    }

    fn told(self, words: Words, moves_min: Duration) -> Vec<Effect> {
        let often = |(subjects, times): (usize, usize), direction: &str| {
            if times > subjects {
                format!(" ({times} times {direction} in all)")
            } else {
                String::new()
            }
        };
        let (more, fewer) = (often(self.more, "more"), often(self.fewer, "fewer"));
        let mut how = match (self.reasons.len(), self.reasons.first()) {
            (1, Some(reason)) => format!(": {reason}"),
            _ => String::new(),
        };
        if self.chunks.0 != self.chunks.1 {
            let (old, new) = self.chunks;
            how = format!(", in {new} chunks in place of {old}");
        }
        let least = span(i64::try_from(moves_min.as_millis()).unwrap_or(i64::MAX));
        let barely = |done: &str| format!("be {done} less than {least} earlier or later (not listed)");
        let (earlier, later) = (self.earlier.len(), self.later.len());
        let moved = |done: &str, moves, direction| format!("be {done} {}", spread(moves, direction));
        let said = match words {
            Words::Each(..) => vec![
                words.said(self.more.1, |done| {
                    format!("be {done} that would not be otherwise")
                }),
                words.said(self.fewer.1, |done| format!("not be {done}")),
                words.said(self.moved, |done| format!("be {done} at another moment")),
                words.said(self.barely.1, barely),
            ],
            Words::Follows(..) => {
                vec![words.said(self.otherwise, |done| format!("be {done} for another time{how}"))]
            }
            Words::Once(..) => vec![
                words.said(earlier, |done| moved(done, self.earlier, "earlier")),
                words.said(later, |done| moved(done, self.later, "later")),
                words.said(self.more.0, |done| {
                    format!("be {done} that would not be otherwise{more}")
                }),
                words.said(self.fewer.0, |done| format!("not be {done}{fewer}")),
                words.said(self.otherwise, |done| format!("be {done} otherwise{how}")),
                words.said(self.barely.0, barely),
            ],
            Words::Often(..) => vec![
                words.said(earlier, |done| moved(done, self.earlier, "earlier")),
                words.said(later, |done| moved(done, self.later, "later")),
                words.said(self.more.0, |done| format!("be {done} more often{more}")),
                words.said(self.fewer.0, |done| format!("be {done} less often{fewer}")),
                words.said(self.sooner.len(), |done| {
                    format!(
                        "be {done} at the same time and taken again {}",
                        spread(self.sooner, "earlier")
                    )
                }),
                words.said(self.after.len(), |done| {
                    format!(
                        "be {done} at the same time and taken again {}",
                        spread(self.after, "later")
                    )
                }),
                words.said(self.otherwise, |done| format!("be {done} otherwise{how}")),
                words.said(self.barely.0, barely),
            ],
        };
        said.into_iter().flatten().collect()
    }
}

/// After how many milliseconds a job may be taken again.
fn again_ms(line: &Line) -> i64 {
    let again = line.again.unwrap_or_default();
    i64::try_from(again.as_millis()).unwrap_or(i64::MAX)
}

/// What differs about one subject.
#[derive(Debug)]
pub(super) struct Differing {
    /// The lines that are told one by one.
    pub(super) lines: Vec<(Side, Line)>,
    /// Decisions that have moved by less than that, by action.
    pub(super) folded: BTreeMap<String, Folded>,
}

impl Differing {
    /// By how many milliseconds the job ends later, where it goes the same way at other moments: a fetcher had it later or
    /// earlier, since it was busy with others or was not. None where anything else differs.
    pub(super) fn same_way(&self) -> Option<i64> {
        let of = |wanted: Side| {
            let lines = self.lines.iter().filter(move |(side, _)| *side == wanted);
            let lines = lines.map(|(_, line)| line);
            lines.filter(|line| line.outcome != Outcome::Trace && line.action != "heartbeat")
        };
        let is_same = |(old, new): (&Line, &Line)| {
            old.action == new.action
                && WAY.contains(&old.action.as_str())
                && old.outcome == new.outcome
                && old.again == new.again
                && (old.reason == new.reason || old.action == "engage")
        };
        // A watcher that takes it from a fetcher is no busy fetcher.
        let is_lost = self.lines.iter().any(|(_, line)| line.action == "requeue");
        let is_way = !is_lost && of(Side::Old).count() == of(Side::New).count();
        let is_way = is_way && std::iter::zip(of(Side::Old), of(Side::New)).all(is_same);
        let (old, new) = (of(Side::Old).next_back()?, of(Side::New).next_back()?);
        is_way.then(|| new.at.0 - old.at.0)
    }
}

/// Decisions of one kind that have moved by little.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Folded {
    pub(super) times: usize,
    /// Whether any of them comes earlier.
    pub(super) earlier: bool,
}

/// What differs about one subject and action.
#[derive(Debug, Default)]
struct Sides<'a> {
    old: Vec<&'a Line>,
    new: Vec<&'a Line>,
    folded: Folded,
}

impl Sides<'_> {
    /// Whether any decision comes earlier under the new role.
    fn has_earlier(&self) -> bool {
        let mut pairs = std::iter::zip(&self.old, &self.new);
        self.folded.earlier || pairs.any(|(old, new)| new.at < old.at)
    }
}

/// What differs, action by action; `deletes`: whether either role deletes chunks at all.
pub(super) fn effects<'a>(
    subjects: impl Iterator<Item = &'a Differing>,
    moves_min: Duration,
    deletes: bool,
) -> Vec<Effect> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut deletes_earlier = false;
    let (mut earlier, mut later) = (Vec::new(), Vec::new());
    for differing in subjects {
        let same_way = differing.same_way();
        match same_way {
            Some(moved) if moved < 0 => earlier.push(-moved),
            Some(moved) => later.push(moved),
            None => {}
        }
        for (action, mut sides) in by_action(differing) {
            deletes_earlier |= action == DELETION && sides.has_earlier();
            if same_way.is_some() {
                // They are told together.
                (sides.old, sides.new) = (Vec::new(), Vec::new());
            }
            kinds.entry(action).or_default().take(&sides);
        }
    }
    let told = kinds
        .into_iter()
        .filter_map(|(action, kind)| Some(kind.told(Words::of(action)?, moves_min)));
    let mut effects: Vec<Effect> = told.flatten().collect();
    effects.extend(same_way(earlier, "earlier"));
    effects.extend(same_way(later, "later"));
    // What people fear most of a change is said even where it does not happen.
    if deletes && !effects.is_empty() && !deletes_earlier {
        effects.push(Effect {
            count: 0,
            text: "0 chunks deleted earlier".to_owned(),
        });
    }
    effects
}

/// What is said of jobs that go the same way at other moments.
fn same_way(moves: Vec<i64>, direction: &str) -> Option<Effect> {
    let (count, jobs) = (moves.len(), if moves.len() == 1 { "job" } else { "jobs" });
    (count > 0).then(|| Effect {
        count,
        text: format!(
            "{count} {jobs} would go the same way and end {}",
            spread(moves, direction)
        ),
    })
}

fn by_action(differing: &Differing) -> BTreeMap<&str, Sides<'_>> {
    let mut actions: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
    let lines = differing.lines.iter();
    for (side, line) in lines.filter(|(_, line)| line.outcome != Outcome::Trace) {
        let sides = actions.entry(&line.action).or_default();
        match side {
            Side::Old => sides.old.push(line),
            Side::New => sides.new.push(line),
        }
    }
    for (action, folded) in &differing.folded {
        actions.entry(action).or_default().folded = *folded;
    }
    actions
}

/// `10 min earlier`, or `10 min earlier (3 s to 12 min)`: the middle, and from where to where.
fn spread(mut waits: Vec<i64>, direction: &str) -> String {
    waits.sort_unstable();
    let (Some(least), Some(most)) = (waits.first(), waits.last()) else {
        return String::new();
    };
    let middle = waits.get(waits.len() / 2).unwrap_or(most);
    let mut text = format!("{} {direction}", span(*middle));
    let (least, most) = (span(*least), span(*most));
    if least != most {
        let _ = write!(text, " ({least} to {most})");
    }
    text
}

/// A time for people, rounded to the nearest of its unit.
fn span(ms: i64) -> String {
    let round = |unit: i64| ms.saturating_add(unit / 2) / unit;
    match ms {
        ..=999 => format!("{ms} ms"),
        1_000..=119_499 => format!("{} s", round(1_000)),
        119_500..=7_169_999 => format!("{} min", round(60_000)),
        7_170_000..=170_999_999 => format!("{} h", round(3_600_000)),
        _ => format!("{} d", round(86_400_000)),
    }
}
