//! What may go wrong, how likely, and until when.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::model::chance::Chance;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// kill -9, before a request is sent or after its effect and before its answer; it is started again later.
    Crash,
    /// SIGSTOP for up to twice the lease: replies wait, the clock jumps.
    Pause,
    /// SIGTERM, and a new start later.
    Drain,
    /// A request that does not arrive.
    LostRequest,
    /// An answer that does not arrive: the effect is there.
    LostAnswer,
    /// A write that arrives a second time, up to twice the lease later.
    Doubled,
    /// A request or an answer that takes up to ten seconds.
    Slow,
    /// A request that is throttled.
    Throttled,
    /// The index follows a write up to five seconds late.
    IndexLag,
    /// The processor answers 500.
    Broken,
    /// The processor says that the job is at fault.
    Unprocessable,
    /// The processor is away.
    Away,
    /// The processor never answers.
    Hangs,
    /// A file changes while it is shipped, or later.
    Changed,
    /// A file goes away.
    Gone,
    /// The system does not tell of a new file: the next scan finds it.
    NoticeLost,
    /// A record that is not what its client signed, that another signed, that is no job, or that is of the future.
    Forged,
    /// A client that knows no lanes, outlines and manifests; sometimes it stops in the middle.
    ForeignClient,
    /// A fetcher that knows no lanes and sends no heartbeats; sometimes it never comes back.
    ForeignFetcher,
    /// An operator ends a job.
    Cancelled,
    /// An operator has a job taken again.
    Requeued,
    /// A shard of the stream splits, or is followed by another.
    Split,
    /// Records of the stream come again.
    Again,
    /// The clock of a process is up to two seconds off from its beginning.
    Skew,
    /// A result is too large for the record: it goes into the bucket.
    LargeResult,
    /// The clock of a process is set, by up to a minute back or ahead.
    ClockSet,
    /// The stream keeps its records, and what is read by, for seconds instead of a day.
    Trimmed,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 27] = [
        Self::Crash,
        Self::Pause,
        Self::Drain,
        Self::LostRequest,
        Self::LostAnswer,
        Self::Doubled,
        Self::Slow,
        Self::Throttled,
        Self::IndexLag,
        Self::Broken,
        Self::Unprocessable,
        Self::Away,
        Self::Hangs,
        Self::Changed,
        Self::Gone,
        Self::NoticeLost,
        Self::Forged,
        Self::ForeignClient,
        Self::ForeignFetcher,
        Self::Cancelled,
        Self::Requeued,
        Self::Split,
        Self::Again,
        Self::Skew,
        Self::LargeResult,
        Self::ClockSet,
        Self::Trimmed,
    ];

    /// How likely it is where it may happen, unless told otherwise.
    pub const fn rate(self) -> f64 {
        match self {
            Self::Crash => 0.004,
            Self::Pause | Self::Drain | Self::ClockSet => 0.001,
            Self::LostRequest
            | Self::LostAnswer
            | Self::Doubled
            | Self::Slow
            | Self::Throttled
            | Self::IndexLag
            | Self::Hangs => 0.02,
            Self::Broken
            | Self::Unprocessable
            | Self::Away
            | Self::Changed
            | Self::Gone
            | Self::Forged
            | Self::Cancelled
            | Self::Requeued => 0.1,
            Self::NoticeLost | Self::ForeignClient | Self::ForeignFetcher => 0.2,
            Self::Split => 0.005,
            Self::Again => 0.05,
            Self::Skew => 1.0,
            Self::LargeResult | Self::Trimmed => 0.3,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for Fault {
    type Err = String;

    /// A kind by its name, as a history tells it.
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.to_string() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|fault| fault.to_string()).join(", ");
            format!("no fault is called `{name}`; there are {names}")
        })
    }
}

/// Faults and their likelihood.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    rates: [f64; Fault::ALL.len()],
    /// Kinds whose rate was asked for: no seed leaves them out.
    named: [bool; Fault::ALL.len()],
    /// Faults that do not happen, by their number in the history: how a story is made shorter.
    pub(crate) left_out: BTreeSet<u32>,
}

impl Faults {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self {
            rates: [0.0; Fault::ALL.len()],
            named: [false; Fault::ALL.len()],
            left_out: BTreeSet::new(),
        }
    }

    /// Everything goes wrong, at its usual rate.
    pub fn all() -> Self {
        Self {
            rates: Fault::ALL.map(Fault::rate),
            named: [false; Fault::ALL.len()],
            left_out: BTreeSet::new(),
        }
    }

    /// The same, with this kind at this rate (0 to 1), in every seed.
    #[must_use]
    pub fn with(mut self, fault: Fault, rate: f64) -> Self {
        self.rates[fault as usize] = rate;
        self.named[fault as usize] = true;
        self
    }

    /// The rate of a kind.
    pub fn rate(&self, fault: Fault) -> f64 {
        self.rates[fault as usize]
    }

    /// The same with about a third of the kinds left out, as the chance of a seed has it: many histories are less
    /// alike than when everything always goes wrong. A kind whose rate was asked for stays.
    pub(crate) fn some(&self, chance: &mut Chance) -> Self {
        let mut some = self.clone();
        for (rate, named) in some.rates.iter_mut().zip(self.named) {
            // It is drawn in any case: what one kind is set to moves no other.
            if chance.hits(0.35) && !named {
                *rate = 0.0;
            }
        }
        some
    }
}

/// Decides which faults strike.
#[derive(Debug)]
pub(crate) struct Striking {
    faults: Faults,
    pub(crate) chance: Chance,
    struck: u32,
    pub(crate) by_kind: [u32; Fault::ALL.len()],
    /// After it nothing goes wrong any more.
    pub(crate) until: i64,
}

impl Striking {
    pub(crate) fn new(faults: Faults, chance: Chance, until: i64) -> Self {
        Self {
            faults,
            chance,
            struck: 0,
            by_kind: [0; Fault::ALL.len()],
            until,
        }
    }

    pub(crate) fn strikes(&mut self, now: i64, fault: Fault) -> bool {
        let rate = self.faults.rates[fault as usize];
        if rate <= 0.0 || now >= self.until || !self.chance.hits(rate) {
            return false;
        }
        self.struck += 1;
        let happens = !self.faults.left_out.contains(&self.struck);
        if happens {
            self.by_kind[fault as usize] += 1;
        }
        happens
    }

    /// How many faults struck, those left out included.
    pub(crate) fn struck(&self) -> u32 {
        self.struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_was_named_is_in_every_seed_and_moves_no_other() {
        let (all, named) = (Faults::all(), Faults::all().with(Fault::Crash, 0.5));
        let mut without = 0;
        for seed in 0..100 {
            let some = |faults: &Faults| faults.some(&mut Chance::new(seed));
            let (all, named) = (some(&all), some(&named));
            assert!((named.rate(Fault::Crash) - 0.5).abs() < f64::EPSILON);
            without += u32::from(all.rate(Fault::Crash) == 0.0);
            assert!(
                Fault::ALL
                    .into_iter()
                    .filter(|fault| *fault != Fault::Crash)
                    .all(|fault| all.rate(fault).total_cmp(&named.rate(fault)).is_eq())
            );
        }
        assert!((20..50).contains(&without), "{without}");
    }
}
