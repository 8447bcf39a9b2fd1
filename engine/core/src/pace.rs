//! When to look next: soon while there is something, less and less often while there is nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::calendar::Calendar;

/// When to look, before it is known since when: a calendar has to know which moments have passed.
#[derive(Clone, Debug)]
pub enum PacePolicy {
    /// So often while there is something, and so often while there is nothing.
    Between(Duration, Duration),
    /// At the moments of a calendar.
    Calendar(Arc<dyn Calendar>),
}

impl PacePolicy {
    /// At a steady pace.
    pub const fn every(every: Duration) -> Self {
        Self::Between(every, every)
    }

    /// The pace from a moment on.
    pub fn since(&self, moment: Timestamp) -> Pace {
        match self {
            Self::Between(interval, interval_max) => Pace::new(*interval, *interval_max),
            Self::Calendar(calendar) => Pace::on(Arc::clone(calendar), moment),
        }
    }
}

/// Two calendars are equal where they are the same one.
impl PartialEq for PacePolicy {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Between(..), Self::Calendar(_)) | (Self::Calendar(_), Self::Between(..)) => false,
            (Self::Between(interval, max), Self::Between(other, other_max)) => {
                (interval, max) == (other, other_max)
            }
            (Self::Calendar(calendar), Self::Calendar(other)) => Arc::ptr_eq(calendar, other),
        }
    }
}

const AT_ONCE: Timestamp = Timestamp(i64::MIN);

const NEVER: Timestamp = Timestamp(i64::MAX);

/// Time between looks: adaptive within two configured bounds, or as a calendar says.
#[derive(Clone, Debug)]
pub struct Pace {
    interval: Duration,
    interval_max: Duration,
    current: Duration,
    next: Timestamp,
    rests_until: Timestamp,
    calendar: Option<Arc<dyn Calendar>>,
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
            calendar: None,
        }
    }

    /// Looks at the moments of a calendar, the first of them after `since`. Of several that were missed, one look
    /// makes up for all.
    pub fn on(calendar: Arc<dyn Calendar>, since: Timestamp) -> Self {
        Self {
            next: calendar.next_after(since).unwrap_or(NEVER),
            calendar: Some(calendar),
            ..Self::new(Duration::ZERO, Duration::ZERO)
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

    /// A look ended: plans the next one. Waits are spread by up to a quarter, so that many do not look at once;
    /// the moments of a calendar are kept.
    pub fn looked(&mut self, at: At, found: bool) {
        self.current = if found {
            self.interval
        } else {
            (self.current * 2).min(self.interval_max)
        };
        self.again(at);
    }

    /// A look ended, and whether it was worth it is not known yet: the next comes after as long a wait as before.
    pub fn again(&mut self, at: At) {
        self.next = match &self.calendar {
            Some(calendar) => calendar.next_after(at.now).unwrap_or(NEVER),
            None => at.now + self.spread(at),
        };
    }

    /// The last look was worth it: the next comes as soon as while there is something.
    pub fn sooner(&mut self, at: At) {
        self.current = self.interval;
        if self.calendar.is_none() {
            self.next = self.next.min(at.now + self.spread(at));
        }
    }

    /// The clock was set back: waits last as long as before, and a calendar is asked again.
    pub fn set_back(&mut self, at: At, by: Duration) {
        self.next = match &self.calendar {
            Some(calendar) if self.next > at.now => calendar.next_after(at.now).unwrap_or(NEVER),
            Some(_) | None => self.next.set_back(by),
        };
        self.rests_until = self.rests_until.set_back(by);
    }

    fn spread(&self, at: At) -> Duration {
        self.current.mul_f64(1.0 - 0.25 * at.jitter)
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

    /// Every full second up to the tenth.
    #[derive(Debug)]
    struct Seconds;

    impl Calendar for Seconds {
        fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
            let next = (after.0.div_euclid(1_000) + 1) * 1_000;
            (next <= 10_000).then_some(Timestamp(next))
        }
    }

    #[test]
    fn a_look_that_may_be_worth_it_keeps_the_pace_until_it_is_known() {
        let mut pace = Pace::new(seconds(1), seconds(8));
        pace.looked(at(0), false);
        pace.again(at(0));
        assert_eq!(
            pace.next(),
            at(1_750).now,
            "two seconds less an eighth, as before"
        );
        pace.sooner(at(1_000));
        assert_eq!(pace.next(), at(1_750).now, "it was sooner already");
        pace.again(at(2_000));
        assert_eq!(pace.next(), at(2_875).now, "a second less an eighth");
        let mut pace = Pace::new(seconds(1), seconds(8));
        pace.looked(at(0), false);
        pace.looked(at(0), false);
        pace.sooner(at(100));
        assert_eq!(pace.next(), at(975).now);
    }

    #[test]
    fn waits_and_rests_last_as_long_where_the_clock_is_set_back() {
        let mut pace = Pace::new(seconds(1), seconds(8));
        pace.set_back(at(0), seconds(7_200));
        assert!(pace.is_due(at(0).now), "at once stays at once");
        pace.looked(at(7_200_000), true);
        pace.set_back(at(0), seconds(7_200));
        assert_eq!(pace.next(), at(875).now);
        pace.rest(at(7_205_000).now);
        pace.set_back(at(0), seconds(7_200));
        assert_eq!(pace.next(), at(5_000).now);
    }

    #[test]
    fn a_calendar_is_asked_again_where_the_clock_is_set_back() {
        let mut pace = Pace::on(Arc::new(Seconds), Timestamp(0));
        pace.looked(after(9_000), false);
        assert_eq!(pace.next(), Timestamp(10_000));
        pace.set_back(after(2_500), Duration::from_millis(6_500));
        assert_eq!(pace.next(), Timestamp(3_000), "and not 3.5 seconds");
        pace.looked(after(10_000), false);
        pace.set_back(after(10_000), seconds(5));
        assert!(!pace.is_due(Timestamp(i64::MAX - 1)), "never stays never");
    }

    fn after(ms: i64) -> At {
        At {
            now: Timestamp(ms),
            ..at(0)
        }
    }

    #[test]
    fn a_calendar_is_kept_to_the_millisecond() {
        let mut pace = Pace::on(Arc::new(Seconds), Timestamp(1_000));
        assert!(!pace.is_due(Timestamp(1_999)) && pace.is_due(Timestamp(2_000)));
        pace.looked(after(2_000), true);
        assert_eq!(pace.next(), Timestamp(3_000));
    }

    #[test]
    fn missed_moments_are_one_look_and_after_the_last_there_is_none() {
        let mut pace = Pace::on(Arc::new(Seconds), Timestamp(0));
        pace.looked(after(7_250), false);
        assert_eq!(pace.next(), Timestamp(8_000));
        pace.looked(after(10_000), false);
        assert!(!pace.is_due(Timestamp(i64::MAX - 1)));
        pace.hurry();
        assert!(
            pace.is_due(Timestamp(10_001)),
            "asked for by a person, not by the calendar"
        );
    }
}
