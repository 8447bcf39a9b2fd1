//! How often, and after what waits, something is tried again.

use std::time::Duration;

/// How a wait is spread so that many do not come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Anything from nothing to the whole wait.
    Full,
    /// The wait as computed.
    None,
}

/// A retry policy: `[retry]` in a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts_max: u32,
    /// The wait before the second attempt.
    pub interval: Duration,
    /// What each further wait is multiplied with; at least 1.
    pub backoff_rate: f64,
    /// No wait is longer.
    pub interval_max: Duration,
    /// How waits are spread.
    pub jitter: Jitter,
}

impl Retry {
    /// The wait after `failures` failed attempts (1 or more), before jitter.
    pub fn interval_after(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.interval.as_secs_f64() * self.backoff_rate.powi(exponent);
        if seconds.is_finite() && seconds < self.interval_max.as_secs_f64() {
            Duration::from_secs_f64(seconds)
        } else {
            self.interval_max
        }
    }

    /// The wait after `failures` failed attempts, spread by `jitter` (0 inclusive to 1 exclusive).
    pub fn delay_after(&self, failures: u32, jitter: f64) -> Duration {
        let interval = self.interval_after(failures);
        match self.jitter {
            Jitter::Full => interval.mul_f64(jitter.clamp(0.0, 1.0)),
            Jitter::None => interval,
        }
    }

    /// Whether another attempt is allowed after `failures` failed ones.
    pub fn allows_after(&self, failures: u32) -> bool {
        failures < self.attempts_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Retry {
        Retry {
            attempts_max: 3,
            interval: Duration::from_secs(5),
            backoff_rate: 2.0,
            interval_max: Duration::from_secs(15),
            jitter: Jitter::Full,
        }
    }

    #[test]
    fn waits_grow_to_the_longest() {
        let waits: Vec<_> = (1..=4)
            .map(|failures| policy().interval_after(failures).as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 15, 15]);
        assert_eq!(policy().interval_after(u32::MAX).as_secs(), 15);
    }

    #[test]
    fn jitter_spreads_from_nothing_to_the_whole_wait() {
        assert_eq!(policy().delay_after(1, 0.0), Duration::ZERO);
        assert_eq!(policy().delay_after(2, 0.5), Duration::from_secs(5));
        assert_eq!(
            Retry {
                jitter: Jitter::None,
                ..policy()
            }
            .delay_after(2, 0.5),
            Duration::from_secs(10)
        );
    }

    #[test]
    fn the_first_attempt_counts() {
        assert!(policy().allows_after(2));
        assert!(!policy().allows_after(3));
    }
}
