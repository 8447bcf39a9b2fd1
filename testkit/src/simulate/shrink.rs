//! Makes a history in which a promise broke as short as it goes: fewer processes, files and faults, one after the
//! other, for as long as the same promise still breaks.

use std::fmt::Write as _;

use super::world::run_to_breach;
use super::{Fault, Outcome, Scenario, run};
use crate::promises::Promise;

/// Histories that are tried, at most.
const TRIES_MAX: usize = 500;

/// Lines a story has, at most; the last ones count.
const LINES_MAX: usize = 80;

/// A broken promise, told briefly.
#[derive(Clone, Debug)]
pub struct Story {
    /// The scenario as it was left, which breaks the promise with the same seed.
    pub scenario: Scenario,
    /// Its history, with a trace and a recording.
    pub outcome: Outcome,
    /// Histories that were tried.
    pub tries: usize,
}

struct Shrinking {
    best: Scenario,
    seed: u64,
    promise: Promise,
    tries: usize,
    /// How many faults the best history has.
    faults: u32,
}

/// Shortens the history of a seed; none where it breaks no promise.
pub fn shrink(scenario: &Scenario, seed: u64) -> Option<Story> {
    let first = run_to_breach(scenario, seed);
    let promise = first.breaches.first()?.promise;
    let mut shrinking = Shrinking {
        best: scenario.clone(),
        seed,
        promise,
        tries: 1,
        faults: first.struck,
    };
    shrinking.people();
    shrinking.kinds();
    shrinking.faults();
    shrinking.people();
    let Shrinking { best, tries, .. } = shrinking;
    let outcome = run(&best, seed, true);
    Some(Story {
        scenario: best,
        outcome,
        tries,
    })
}

impl Shrinking {
    /// Keeps a shorter scenario if it still breaks the promise.
    fn keeps(&mut self, shorter: Scenario) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        let outcome = run_to_breach(&shorter, self.seed);
        let breaks = outcome
            .breaches
            .first()
            .is_some_and(|breach| breach.promise == self.promise);
        if breaks {
            self.best = shorter;
            self.faults = outcome.struck;
        }
        breaks
    }

    fn people(&mut self) {
        let fewer: [fn(&mut Scenario); 6] = [
            |scenario| scenario.clients = 1,
            |scenario| scenario.fetchers = 1,
            |scenario| scenario.fetchers = scenario.fetchers.min(2),
            |scenario| scenario.watchers = 1,
            |scenario| scenario.files = 1,
            |scenario| scenario.chunks_max = 1,
        ];
        for change in fewer {
            let mut shorter = self.best.clone();
            change(&mut shorter);
            let same = (
                shorter.clients,
                shorter.fetchers,
                shorter.watchers,
                shorter.files,
                shorter.chunks_max,
            ) == (
                self.best.clients,
                self.best.fetchers,
                self.best.watchers,
                self.best.files,
                self.best.chunks_max,
            );
            if !same {
                self.keeps(shorter);
            }
        }
    }

    fn kinds(&mut self) {
        for kind in Fault::ALL {
            if self.best.faults.rate(kind) > 0.0 {
                let mut shorter = self.best.clone();
                shorter.faults = shorter.faults.with(kind, 0.0);
                self.keeps(shorter);
            }
        }
    }

    /// Leaves out faults by their number: halves first, then ever smaller parts.
    fn faults(&mut self) {
        let mut size = self.faults.div_ceil(2).max(1);
        loop {
            let mut from = 1;
            while from <= self.faults {
                let numbers = from..from + size;
                from += size;
                let mut shorter = self.best.clone();
                let before = shorter.faults.left_out.len();
                shorter.faults.left_out.extend(numbers);
                if shorter.faults.left_out.len() > before {
                    self.keeps(shorter);
                }
            }
            if size == 1 || self.tries >= TRIES_MAX {
                return;
            }
            size = size.div_ceil(2);
        }
    }
}

impl Story {
    /// The story in a few lines: what broke, and what led to it for the job it broke for.
    pub fn text(&self) -> String {
        let Scenario {
            clients,
            fetchers,
            watchers,
            files,
            ..
        } = self.scenario;
        let mut text = format!("seed {}\n", self.outcome.seed);
        for breach in self.outcome.breaches.iter().take(3) {
            let _ = writeln!(text, "{breach}");
        }
        let kinds: Vec<String> = self
            .outcome
            .statistics
            .faults
            .iter()
            .map(|(kind, count)| format!("{count} {kind:?}"))
            .collect();
        let _ = writeln!(
            text,
            "with at most {clients} clients, {fetchers} fetchers, {watchers} watchers, {files} files each; faults: {} \
             (shortened in {} histories)",
            kinds.join(", "),
            self.tries
        );
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(LINES_MAX);
        for line in &lines[skipped..] {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// The lines of the trace about the job for which it broke, and about processes.
    fn lines(&self) -> Vec<&str> {
        let broken = self.outcome.breaches.first();
        let end = broken.map_or(i64::MAX, |breach| breach.at_ms);
        let file = broken.and_then(|breach| {
            breach
                .what
                .split([' ', '/'])
                .find(|word| word.starts_with("file-"))
        });
        let about = |line: &str| {
            let of_process = ["starts", "killed", "paused", " ends"];
            file.is_none_or(|file| line.contains(file)) || of_process.iter().any(|word| line.contains(word))
        };
        let in_time = |line: &str| {
            let at = line
                .split_whitespace()
                .next()
                .and_then(|at| at.parse::<i64>().ok());
            at.is_none_or(|at| at <= end)
        };
        let lines = self.outcome.trace.iter().map(String::as_str);
        lines.filter(|line| about(line) && in_time(line)).collect()
    }
}
