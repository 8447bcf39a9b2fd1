//! How it is told that a number crossed its threshold: the row is switched, whoever is named is told, the row settles.

use super::threshold::Finding;
use super::{Action, Notice, Queue, Row, State, Threshold};
use crate::at::{At, Timestamp};
use crate::machine::Reason;

/// How far telling of a crossing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Switching,
    Notifying,
    Waiting(Timestamp),
    Settling,
}

/// A crossing that is told of.
#[derive(Clone, Debug)]
pub(super) struct Telling {
    pub(super) notice: Notice,
    pub(super) row: Row,
    pub(super) failures: u32,
    /// Attempts of this round.
    pub(super) attempts_max: u32,
    pub(super) step: Step,
}

impl Queue {
    pub(super) fn judge(&mut self, at: At, name: &str, threshold: Threshold, value: f64, seen: Option<Row>) {
        let over = if value > threshold.above {
            Some(*self.over.entry(name.to_owned()).or_insert(at.now))
        } else {
            self.over.remove(name);
            None
        };
        if self.draining || self.telling.contains_key(name) {
            return;
        }
        let attempts_max = self.policy.retry.attempts_max;
        let (state, since, attempts_max, reason) = match threshold.judge(value, over, seen, at.now) {
            Finding::Same => return,
            Finding::Crossed(State::Up) => {
                let rule = format!("{} is above {}", threshold.metric.as_str(), threshold.above);
                (State::Up, at.now, attempts_max, Reason::key(rule, "notify.above"))
            }
            Finding::Crossed(State::Down) => {
                let rule = format!("{} is below {}", threshold.metric.as_str(), threshold.below);
                (
                    State::Down,
                    at.now,
                    attempts_max,
                    Reason::key(rule, "notify.below"),
                )
            }
            Finding::Untold => {
                let row = seen.unwrap_or(Row {
                    state: State::Down,
                    since: at.now,
                    telling: None,
                });
                let rule = "it is not told yet: every attempt failed, or its watcher did not come to the end";
                // Whoever is to be told may be away for hours.
                (row.state, row.since, 1, Reason::rule(rule))
            }
        };
        let row = Row {
            state,
            since,
            telling: Some(at.now + self.policy.telling_max()),
        };
        let limit = match state {
            State::Up => threshold.above,
            State::Down => threshold.below,
        };
        let notice = Notice {
            threshold: name.to_owned(),
            metric: threshold.metric,
            state,
            value,
            limit,
            since,
        };
        let telling = Telling {
            notice,
            row,
            failures: 0,
            attempts_max,
            step: Step::Switching,
        };
        self.telling.insert(name.to_owned(), telling);
        let threshold = name.to_owned();
        self.decide(Action::Switch { threshold, seen, row }, reason);
    }

    pub(super) fn notify(&mut self, name: &str, reason: Reason) {
        if let Some(telling) = self.telling.get_mut(name) {
            telling.step = Step::Notifying;
            let notice = telling.notice.clone();
            self.decide(Action::Notify(notice), reason);
        }
    }

    pub(super) fn settle(&mut self, name: &str, reason: Reason) {
        if let Some(telling) = self.telling.get_mut(name) {
            telling.step = Step::Settling;
            let (threshold, row) = (name.to_owned(), telling.row);
            self.decide(Action::Settle { threshold, row }, reason);
        }
    }

    pub(super) fn notify_failed(&mut self, at: At, name: &str) {
        let Some(telling) = self.telling.get_mut(name) else {
            return;
        };
        telling.failures = telling.failures.saturating_add(1);
        let failures = telling.failures;
        if self.draining || failures >= telling.attempts_max {
            // The row still says that it is to be told: a later round does, here or at another watcher.
            self.telling.remove(name);
        } else {
            telling.step = Step::Waiting(at.now + self.policy.retry.delay_after(failures, at.jitter));
        }
    }

    pub(super) fn waited(&mut self, at: At) {
        let due = |telling: &Telling| matches!(telling.step, Step::Waiting(until) if until <= at.now);
        let names: Vec<String> = self
            .telling
            .iter()
            .filter(|(_, telling)| due(telling))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.notify(&name, Reason::key("the last attempt failed", "retry.interval"));
        }
    }
}
