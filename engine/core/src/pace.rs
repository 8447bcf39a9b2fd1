//! When to look next: soon while there is something, less and less often while there is nothing.

use std::time::Duration;

use crate::at::{At, Timestamp};

const AT_ONCE: Timestamp = Timestamp(i64::MIN);

/// Adaptive time between looks, within two configured bounds.
#[derive(Clone, Debug)]
pub struct Pace {
    interval: Duration,
    interval_max: Duration,
    current: Duration,
    next: Timestamp,
    rests_until: Timestamp,
}

impl Pace {
    /// Looks every `interval` while there is something, up to every `interval_max` while there is nothing.
    pub fn new(interval: Duration, interval_max: Duration) -> Self {
        Self {
            interval,
            interval_max: interval_max.max(interval),
            current: interval,
            next: AT_ONCE,
            rests_until: AT_ONCE,
        }
    }

    /// Whether a look is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next() <= now
    }

    /// When the next look is due; in the past: at once.
    pub fn next(&self) -> Timestamp {
        self.next.max(self.rests_until)
    }

    /// Looks at once, or when the rest ends.
    pub fn hurry(&mut self) {
        self.current = self.interval;
        self.next = AT_ONCE;
    }

    /// Looks no more before `until`, whatever happens; of several rests the longest holds.
    pub fn rest(&mut self, until: Timestamp) {
        self.rests_until = self.rests_until.max(until);
    }

    /// Whether a rest has not ended.
    pub fn rests(&self, now: Timestamp) -> bool {
        self.rests_until > now
    }

    /// A look ended: plans the next one. Waits are spread by up to a quarter, so that many do not look at once.
    pub fn looked(&mut self, at: At, found: bool) {
        self.current = if found {
            self.interval
        } else {
            (self.current * 2).min(self.interval_max)
        };
        self.next = at.now + self.current.mul_f64(1.0 - 0.25 * at.jitter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, seconds};

    #[test]
    fn the_longest_of_several_rests_holds_and_a_hurry_waits_for_it() {
        let mut pace = Pace::new(seconds(1), seconds(8));
        assert!(pace.is_due(at(0).now));
        pace.rest(at(9_000).now);
        pace.rest(at(5_000).now);
        pace.hurry();
        assert_eq!(pace.next(), at(9_000).now);
        assert!(pace.rests(at(8_999).now) && !pace.is_due(at(8_999).now));
        assert!(!pace.rests(at(9_000).now) && pace.is_due(at(9_000).now));
        pace.looked(at(9_000), true);
        assert_eq!(
            pace.next(),
            at(9_875).now,
            "an eighth less than a second by the jitter"
        );
    }
}
