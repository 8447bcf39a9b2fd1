//! When the task a fetcher runs in is protected from being scaled in: while it holds a job.
//!
//! Amazon ECS takes such a protection with a time after which it ends by itself, and throttles those who ask often.

use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::machine::Reason;
use crate::retry::Retry;

/// How long a fetcher that holds nothing any more stays protected: one that takes one short job after another would
/// else ask twice for each of them.
pub const LINGER: Duration = Duration::from_secs(10);

/// The shortest and the longest protection ECS takes, in minutes.
pub const MINUTES: std::ops::RangeInclusive<u64> = 1..=2_880;

/// How the protection is kept up.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtectionPolicy {
    /// How long a protection holds without renewal, in minutes, within [`MINUTES`]. It is renewed after half of it.
    pub minutes: u64,
    /// The waits after a request that failed; it is repeated for as long as it is needed.
    pub retry: Retry,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protect {
    /// Protection for so many minutes from now on.
    For {
        /// How many.
        minutes: u64,
    },
    /// No protection any more.
    Off,
}

/// The protection of one fetcher.
#[derive(Clone, Debug)]
pub struct Protection {
    policy: ProtectionPolicy,
    /// When what is known to be in place ends, and when it was asked for.
    on: Option<On>,
    /// What was asked for and when, while there is no answer.
    asked: Option<(Protect, Timestamp)>,
    /// How often in a row it failed, and when it is tried again.
    failures: u32,
    not_before: Timestamp,
    /// Since when nothing is held.
    free_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct On {
    renew: Timestamp,
    ends: Timestamp,
}

impl Protection {
    /// A fetcher that is not protected.
    pub fn new(policy: ProtectionPolicy) -> Self {
        Self {
            policy,
            on: None,
            asked: None,
            failures: 0,
            not_before: Timestamp(i64::MIN),
            free_since: None,
        }
    }

    /// Lets time pass; what is to be asked for now, if anything. `lingers`: whether more jobs may come.
    pub fn tick(&mut self, now: Timestamp, holds: bool, lingers: bool) -> Option<(Protect, Reason)> {
        self.free_since = if holds {
            None
        } else {
            self.free_since.or(Some(now))
        };
        if self.on.is_some_and(|on| on.ends <= now) {
            self.on = None;
        }
        if self.asked.is_some() || now < self.not_before {
            return None;
        }
        let asks = match (self.on, self.free_since) {
            (None, None) => Some((
                self.for_minutes(),
                Reason::key(
                    "a job is held: the task is not to be scaled in",
                    "claim.protection",
                ),
            )),
            (Some(on), None) if on.renew <= now => Some((
                self.for_minutes(),
                Reason::key(
                    "a job is still held: the protection is renewed",
                    "claim.protection",
                ),
            )),
            (Some(_), Some(since)) if !lingers || since + LINGER <= now => Some((
                Protect::Off,
                Reason::rule("nothing is held: the task may be scaled in"),
            )),
            (None | Some(_), _) => None,
        };
        self.asked = asks.as_ref().map(|(protect, _)| (*protect, now));
        asks
    }

    /// What was asked for was answered: whether it was granted.
    pub fn answered(&mut self, at: At, granted: bool) {
        let Some((protect, asked)) = self.asked.take() else {
            return;
        };
        if !granted {
            self.failures = self.failures.saturating_add(1);
            self.not_before = at.now + self.policy.retry.delay_after(self.failures, at.jitter);
            return;
        }
        self.failures = 0;
        self.on = match protect {
            Protect::For { minutes } => {
                let span = Duration::from_secs(minutes.saturating_mul(60));
                Some(On {
                    renew: asked + span / 2,
                    ends: asked + span,
                })
            }
            Protect::Off => None,
        };
    }

    /// The clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        let of_on = self.on.iter_mut().flat_map(|on| [&mut on.renew, &mut on.ends]);
        let of_asked = self.asked.iter_mut().map(|(_, asked)| asked);
        let moments = of_on.chain(of_asked).chain(&mut self.free_since);
        for moment in moments.chain([&mut self.not_before]) {
            *moment = moment.set_back(by);
        }
    }

    /// When to tick next.
    pub fn wake_at(&self, lingers: bool) -> Option<Timestamp> {
        if self.asked.is_some() {
            return None;
        }
        let next = match (self.on, self.free_since) {
            (None, None) => Some(self.not_before),
            (Some(on), None) => Some(on.renew),
            (Some(_), Some(since)) => Some(if lingers { since + LINGER } else { since }),
            (None, Some(_)) => None,
        };
        next.map(|next| next.max(self.not_before))
    }

    fn for_minutes(&self) -> Protect {
        let minutes = self.policy.minutes.clamp(*MINUTES.start(), *MINUTES.end());
        Protect::For { minutes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, retry};

    const TEN: Protect = Protect::For { minutes: 10 };

    fn protection() -> Protection {
        Protection::new(ProtectionPolicy {
            minutes: 10,
            retry: retry(3),
        })
    }

    /// Ticks, and gives what is asked for and which key decided.
    fn asks(protection: &mut Protection, ms: i64, holds: bool) -> Option<(Protect, &'static str)> {
        let asked = protection.tick(at(ms).now, holds, true);
        asked.map(|(protect, reason)| (protect, reason.key))
    }

    /// Protected from the start on.
    fn protected() -> Protection {
        let mut protection = protection();
        assert_eq!(asks(&mut protection, 0, false), None);
        assert_eq!(asks(&mut protection, 0, true), Some((TEN, "claim.protection")));
        assert_eq!(asks(&mut protection, 1, true), None, "it is asked for once");
        protection.answered(at(50), true);
        protection
    }

    #[test]
    fn it_is_renewed_after_half_of_its_time_and_not_a_millisecond_before() {
        let mut protection = protected();
        assert_eq!(protection.wake_at(true), Some(at(300_000).now));
        assert_eq!(asks(&mut protection, 299_999, true), None);
        assert_eq!(
            asks(&mut protection, 300_000, true),
            Some((TEN, "claim.protection"))
        );
    }

    #[test]
    fn a_free_fetcher_lingers_before_it_lets_go() {
        let mut protection = protected();
        assert_eq!(asks(&mut protection, 1_000, false), None);
        assert_eq!(asks(&mut protection, 5_000, true), None, "the next job came");
        assert_eq!(asks(&mut protection, 6_000, false), None);
        assert_eq!(protection.wake_at(true), Some(at(16_000).now));
        assert_eq!(asks(&mut protection, 15_999, false), None);
        assert_eq!(asks(&mut protection, 16_000, false), Some((Protect::Off, "")));
        protection.answered(at(16_010), true);
        assert_eq!(asks(&mut protection, 99_000, false), None);
        assert_eq!(protection.wake_at(true), None);
    }

    #[test]
    fn one_that_is_told_to_stop_lets_go_at_once() {
        let mut protection = protected();
        let asked = protection.tick(at(1_000).now, false, false);
        assert_eq!(asked.unwrap().0, Protect::Off);
    }

    #[test]
    fn what_failed_is_tried_again_with_growing_waits() {
        let mut protection = protection();
        assert!(asks(&mut protection, 0, true).is_some());
        protection.answered(at(0), false);
        assert_eq!(
            protection.wake_at(true),
            Some(at(5_000).now),
            "half of ten seconds"
        );
        assert_eq!(asks(&mut protection, 4_999, true), None);
        assert!(asks(&mut protection, 5_000, true).is_some());
        protection.answered(at(5_000), false);
        assert_eq!(protection.wake_at(true), Some(at(15_000).now));
    }

    #[test]
    fn one_that_ran_out_is_asked_for_anew() {
        let mut protection = protected();
        assert!(asks(&mut protection, 300_000, true).is_some());
        protection.answered(at(599_990), false);
        assert_eq!(asks(&mut protection, 604_989, true), None);
        assert_eq!(
            asks(&mut protection, 604_990, true),
            Some((TEN, "claim.protection"))
        );
    }
}
