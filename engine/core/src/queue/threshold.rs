//! Thresholds with hysteresis, and the row that says what was told last.

use std::time::Duration;

use super::metric::Metric;
use crate::at::Timestamp;

/// When somebody is told of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Which number.
    pub metric: Metric,
    /// Up once it was above this...
    pub above: f64,
    /// ...for at least this long, seen in each round.
    pub hold: Duration,
    /// Down once it is below this; not more than `above`.
    pub below: f64,
}

/// Which side of a threshold was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing to worry about; also where nothing was told yet.
    #[default]
    Down,
    /// The threshold is crossed.
    Up,
}

impl State {
    /// As it stands in the row.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }

    /// Reads what stands in a row.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Down, Self::Up]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What the table says of a threshold: it outlives every watcher, and its condition decides who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which side was told last, or is being told.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// Until when whoever wrote the row is telling of it; none once that is done. After that another may.
    pub telling: Option<Timestamp>,
}

/// What a round says of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing new.
    Same,
    /// To the other side.
    Crossed(State),
    /// Whoever was to tell of it did not come to the end.
    Untold,
}

impl Threshold {
    /// What a number says. `over` is since when it was above the threshold in each round, this one included.
    pub(super) fn judge(
        &self,
        value: f64,
        over: Option<Timestamp>,
        row: Option<Row>,
        now: Timestamp,
    ) -> Finding {
        let telling = row.and_then(|row| row.telling);
        match telling {
            // Up and down are told in order. At the end of its time the teller may still be at it; a millisecond later
            // it is not.
            Some(until) if until >= now => return Finding::Same,
            Some(_) | None => {}
        }
        match row.map(|row| row.state).unwrap_or_default() {
            State::Down if over.is_some_and(|over| now.since(over) >= self.hold) => {
                Finding::Crossed(State::Up)
            }
            State::Up if value < self.below => Finding::Crossed(State::Down),
            State::Down | State::Up if telling.is_some() => Finding::Untold,
            State::Down | State::Up => Finding::Same,
        }
    }
}
