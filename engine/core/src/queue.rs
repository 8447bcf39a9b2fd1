//! What is published of the queue each round, and who is told when a number crosses a threshold.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::machine::{Decision, Machine, Reason, Round};
use crate::pace::Pace;
use crate::retry::Retry;

mod metric;
mod telling;
mod threshold;

pub use metric::{Counts, LaneCount, Metric};
use telling::{Step, Telling};
pub use threshold::{Row, State, Threshold};

/// Whom to tell, and how often it is tried.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePolicy {
    /// Thresholds by name.
    pub thresholds: BTreeMap<String, Threshold>,
    /// How often a notification that failed is sent again at once. A later round then sends it once more each time
    /// that telling of it may take is over, until it is told or the number has returned.
    pub retry: Retry,
    /// How long sending one may take.
    pub attempt_max: Duration,
}

impl QueuePolicy {
    /// How long telling of one crossing may take in all; after that another watcher may do it.
    fn telling_max(&self) -> Duration {
        let longest_wait = self.retry.interval_after(self.retry.attempts_max);
        self.attempt_max
            .saturating_add(longest_wait)
            .saturating_mul(self.retry.attempts_max)
    }
}

/// What somebody is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The threshold's name.
    pub threshold: String,
    /// Which number crossed it.
    pub metric: Metric,
    /// To which side.
    pub state: State,
    /// The number.
    pub value: f64,
    /// The limit that was crossed.
    pub limit: f64,
    /// When it crossed.
    pub since: Timestamp,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The queue was counted.
    Counted {
        /// How many jobs where.
        counts: Counts,
        /// What the table says of the thresholds.
        rows: BTreeMap<String, Row>,
    },
    /// Counting failed.
    CountFailed(String),
    /// The numbers were published, or could not be: the next round publishes anew.
    Published,
    /// The row of a threshold was written: it is on us to tell.
    Switched(String),
    /// The row was not as seen: another watcher was first.
    SwitchLost(String),
    /// Writing the row failed; the next round tries again.
    SwitchFailed(String, String),
    /// Somebody was told.
    Notified(String),
    /// Telling failed.
    NotifyFailed(String, String),
    /// The row says that it was told, or could not be written.
    Settled(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Count the queue, and read the rows of the thresholds.
    Count,
    /// Publish these numbers, all at once.
    Publish(Vec<(Metric, f64)>),
    /// Write a threshold's row, if it is still as seen.
    Switch {
        /// The threshold's name.
        threshold: String,
        /// The row as it was seen; none where there was none.
        seen: Option<Row>,
        /// What it becomes.
        row: Row,
    },
    /// Tell of a crossing.
    Notify(Notice),
    /// Take `telling` out of a threshold's row, if it is still this one.
    Settle {
        /// The threshold's name.
        threshold: String,
        /// The row as it was written.
        row: Row,
    },
}

/// The decisions of a pipeline that publishes the queue's length.
#[derive(Debug)]
pub struct Queue {
    policy: QueuePolicy,
    pace: Pace,
    counting: bool,
    publishing: bool,
    /// Since when each number was above its threshold, in this process.
    over: BTreeMap<String, Timestamp>,
    telling: BTreeMap<String, Telling>,
    round: Round,
    draining: bool,
    actions: VecDeque<Decision<Action>>,
}

impl Queue {
    /// Counts at this pace.
    pub fn new(policy: QueuePolicy, pace: Pace) -> Self {
        Self {
            policy,
            pace,
            counting: false,
            publishing: false,
            over: BTreeMap::new(),
            telling: BTreeMap::new(),
            round: Round::Endless,
            draining: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn counted(&mut self, at: At, counts: &Counts, rows: &BTreeMap<String, Row>) {
        self.look_ended(at);
        let numbers = Metric::ALL.map(|metric| (metric, metric.of(counts, at.now)));
        self.publishing = true;
        self.decide(
            Action::Publish(numbers.to_vec()),
            Reason::key("the queue was counted", "sink.metrics"),
        );
        for (name, threshold) in self.policy.thresholds.clone() {
            let value = threshold.metric.of(counts, at.now);
            self.judge(at, &name, threshold, value, rows.get(&name).copied());
        }
    }

    fn look_ended(&mut self, at: At) {
        self.counting = false;
        self.pace.looked(at, false);
        if self.round == Round::Running {
            self.round = Round::Ended;
        } else if self.round == Round::ToBegin {
            self.pace.hurry();
        }
    }

    fn may_count(&self) -> bool {
        !self.draining && !self.counting && !self.publishing && self.round != Round::Ended
    }
}

impl Machine for Queue {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        match event {
            Event::Counted { counts, rows } => self.counted(at, &counts, &rows),
            Event::CountFailed(_) => self.look_ended(at),
            Event::Published => self.publishing = false,
            Event::Switched(name) => self.notify(&name, Reason::rule("the row is ours")),
            Event::NotifyFailed(name, _) => self.notify_failed(at, &name),
            Event::Notified(name) => self.settle(&name, Reason::rule("it was told")),
            Event::SwitchLost(name) | Event::SwitchFailed(name, _) | Event::Settled(name) => {
                self.telling.remove(&name);
            }
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        self.waited(at);
        if self.may_count() && self.pace.is_due(at.now) {
            self.counting = true;
            if self.round == Round::ToBegin {
                self.round = Round::Running;
            }
            self.decide(Action::Count, Reason::key("a round is due", "source.lanes"));
        }
    }

    fn finish(&mut self, at: At) {
        self.round = Round::ToBegin;
        self.pace.hurry();
        self.tick(at);
    }

    fn drain(&mut self, _at: At) {
        self.draining = true;
        self.telling
            .retain(|_, telling| !matches!(telling.step, Step::Waiting(_)));
    }

    fn set_back(&mut self, at: At, by: Duration) {
        self.pace.set_back(at, by);
        for since in self.over.values_mut() {
            *since = since.set_back(by);
        }
        for telling in self.telling.values_mut() {
            if let Step::Waiting(until) = &mut telling.step {
                *until = until.set_back(by);
            }
        }
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let waits = self.telling.values().filter_map(|telling| match telling.step {
            Step::Waiting(until) => Some(until),
            Step::Switching | Step::Notifying | Step::Settling => None,
        });
        let count = self.may_count().then(|| self.pace.next());
        waits.chain(count).min()
    }

    fn is_idle(&self) -> bool {
        let nothing_more = self.draining || self.round == Round::Ended;
        let at_rest = !self.counting && !self.publishing && self.telling.is_empty();
        nothing_more && at_rest && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
