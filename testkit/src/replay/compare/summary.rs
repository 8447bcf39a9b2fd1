//! What a difference of decisions means, in sentences.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Side;
use crate::replay::line::{Line, Outcome};

/// What happens to jobs under the new role that does not under the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// How many decisions it is about.
    pub count: usize,
    /// The sentence.
    pub text: String,
}

/// How the decisions of one kind differ.
#[derive(Debug, Default)]
struct Kind {
    /// By how many milliseconds they come earlier.
    earlier: Vec<i64>,
    later: Vec<i64>,
    /// Only under the new role: of how many subjects, and how often.
    added: (usize, usize),
    /// Only under the old one.
    gone: (usize, usize),
    /// Of the same moment, for another reason.
    otherwise: usize,
}

/// What differs, action by action, over the lines of each subject that differ.
pub(super) fn effects<'a>(subjects: impl Iterator<Item = &'a [(Side, Line)]>) -> Vec<Effect> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for lines in subjects {
        for (action, (old, new)) in by_action(lines) {
            let kind = kinds.entry(action).or_default();
            for (old, new) in std::iter::zip(&old, &new) {
                match new.at.0 - old.at.0 {
                    0 => kind.otherwise += 1,
                    earlier if earlier < 0 => kind.earlier.push(-earlier),
                    later => kind.later.push(later),
                }
            }
            count(&mut kind.added, new.len().saturating_sub(old.len()));
            count(&mut kind.gone, old.len().saturating_sub(new.len()));
        }
    }
    let deletes_earlier = kinds
        .get("delete-chunks")
        .is_some_and(|kind| !kind.earlier.is_empty());
    let differs = !kinds.is_empty();
    let mut effects: Vec<Effect> = kinds
        .into_iter()
        .flat_map(|(action, kind)| told(action, kind))
        .collect();
    // What people fear most of a change is said even where it does not happen.
    if differs && !deletes_earlier {
        effects.push(Effect {
            count: 0,
            text: "0 chunks deleted earlier".to_owned(),
        });
    }
    effects
}

fn count((subjects, times): &mut (usize, usize), more: usize) {
    *subjects += usize::from(more > 0);
    *times += more;
}

type Sides<'a> = (Vec<&'a Line>, Vec<&'a Line>);

fn by_action(lines: &[(Side, Line)]) -> BTreeMap<&str, Sides<'_>> {
    let mut actions: BTreeMap<&str, Sides<'_>> = BTreeMap::new();
    for (side, line) in lines.iter().filter(|(_, line)| line.outcome != Outcome::Trace) {
        let (old, new) = actions.entry(&line.action).or_default();
        match side {
            Side::Old => old.push(line),
            Side::New => new.push(line),
        }
    }
    actions
}

/// What is said of an action: how often, and what is done to the job.
fn words(action: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match action {
        "requeue" => ("job", "jobs", "restarted"),
        "give-up" => ("job", "jobs", "given up"),
        "delete-chunks" => ("job's chunks", "jobs' chunks", "deleted"),
        "keep" => ("result", "results", "kept for longer"),
        "admit" => ("foreign job", "foreign jobs", "let in"),
        "adopt" => ("foreign job", "foreign jobs", "moved into its lane"),
        "refuse" => ("job", "jobs", "refused"),
        "claim" => ("job", "jobs", "claimed"),
        "heartbeat" => ("heartbeat", "heartbeats", "sent"),
        "complete" => ("job", "jobs", "completed"),
        "fail" => ("job", "jobs", "ended as an error"),
        "release" => ("job", "jobs", "given back"),
        "stop" => ("analysis", "analyses", "stopped"),
        "publish-metric" => ("round of numbers", "rounds of numbers", "published"),
        "notify" => ("notice", "notices", "sent"),
        "send" => ("file", "files", "sent"),
        "create" => ("job", "jobs", "created"),
        // They follow from others that are told.
        "cleaning" | "cleaned" | "fetch" | "engage" | "downloaded" | "begin" | "commit" | "remember"
        | "release-file" | "deliver-result" | "deliver-error" => return None,
        _ => ("decision", "decisions", "taken"),
    })
}

fn told(action: &str, kind: Kind) -> Vec<Effect> {
    let Some((one, many, done)) = words(action) else {
        return Vec::new();
    };
    let mut effects = Vec::new();
    let mut say = |count: usize, what: String| {
        if count > 0 {
            let text = format!("{count} {} would {what}", if count == 1 { one } else { many });
            effects.push(Effect { count, text });
        }
    };
    let (earlier, later) = (kind.earlier.len(), kind.later.len());
    say(earlier, format!("be {done} {}", spread(kind.earlier, "earlier")));
    say(later, format!("be {done} {}", spread(kind.later, "later")));
    let often = |(subjects, times): (usize, usize)| {
        if times > subjects {
            format!(" ({times} times in all)")
        } else {
            String::new()
        }
    };
    say(
        kind.added.0,
        format!("be {done} that would not be otherwise{}", often(kind.added)),
    );
    say(kind.gone.0, format!("not be {done}{}", often(kind.gone)));
    say(kind.otherwise, format!("be {done} otherwise"));
    effects
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

/// A time for people.
fn span(ms: i64) -> String {
    match ms {
        ..=999 => format!("{ms} ms"),
        1_000..=119_999 => format!("{} s", ms / 1_000),
        120_000..=7_199_999 => format!("{} min", ms / 60_000),
        7_200_000..=172_799_999 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}
