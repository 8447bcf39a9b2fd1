//! The wall clock, held against one that only goes on: a machine is told when it was set back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::machine::Machine;
use tracing::{debug, warn};

use super::now;

/// A clock that goes back by less is not told of: it is adjusted all the time.
const SET_BACK_MIN: Duration = Duration::from_secs(2);

/// That it was set back is said again after this long, at the earliest.
const SAID_AGAIN: Duration = Duration::from_mins(10);

/// A clock that may be set, and one that only goes on; the second need not count while the machine sleeps.
pub(super) type Reading = (Timestamp, Instant);

/// Reads both at the same moment: a process that was paused in between reads them again.
pub(super) fn read_clocks() -> Reading {
    loop {
        let course = Instant::now();
        let wall = now();
        if course.elapsed() < SET_BACK_MIN / 4 {
            return (wall, course);
        }
    }
}

/// Finds out when the clock was set back.
///
/// Machines live by the wall clock, as leases and moments in records mean the same to everybody. Where it runs ahead, by
/// being set or while the computer sleeps, what is due is done late or early and that is all. Where it is set back, every
/// wait would be longer by as much: the machines are told.
pub(super) struct Clock<C> {
    read: C,
    last: Reading,
}

impl<C: FnMut() -> Reading> Clock<C> {
    pub(super) fn new(mut read: C) -> Self {
        let last = read();
        Self { read, last }
    }

    /// Now; the machine has heard of it if that is earlier than it should be.
    pub(super) fn at<M: Machine>(&mut self, name: &str, machine: &mut M) -> At {
        let (wall, course) = (self.read)();
        let at = At {
            now: wall,
            jitter: fastrand::f64(),
        };
        let expected = self.last.0 + course.saturating_duration_since(self.last.1);
        let back = expected.since(wall);
        self.last = (wall, course);
        if back >= SET_BACK_MIN {
            let seconds = back.as_secs();
            debug!(pipeline = name, seconds, "waits go on by the new time");
            if is_news(course) {
                warn!(seconds, "the clock was set back: waits go on by the new time");
            }
            machine.set_back(at, back);
        }
        at
    }
}

/// Whether nobody has said for a while that the clock was set back: every pipeline notices it.
fn is_news(course: Instant) -> bool {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let recently = said.is_some_and(|said| course.saturating_duration_since(said) < SAID_AGAIN);
    if !recently {
        *said = Some(course);
    }
    !recently
}

#[cfg(test)]
pub(super) mod tests {
    use roundtrip_core::collect::{Collect, Event};
    use roundtrip_core::pace::Pace;
    use roundtrip_core::retry::{Jitter, Retry};

    use super::*;

    pub(in super::super) const TWO_HOURS_MS: i64 = 7_200_000;

    pub(in super::super) fn collect() -> Collect {
        let interval = Duration::from_millis(20);
        let retry = Retry {
            attempts_max: 3,
            interval,
            backoff_rate: 2.0,
            interval_max: interval,
            jitter: Jitter::None,
        };
        Collect::new(Pace::new(interval, interval), retry)
    }

    /// What a machine is told where the clock goes on from one reading to another.
    fn told_back(wall_ms: i64, course: Duration) -> Duration {
        let begin = Instant::now();
        let mut readings = vec![
            (Timestamp(TWO_HOURS_MS + wall_ms), begin + course),
            (Timestamp(TWO_HOURS_MS), begin),
        ];
        let mut clock = Clock::new(move || readings.pop().unwrap());
        let mut machine = collect();
        machine.tick(At {
            now: Timestamp(TWO_HOURS_MS),
            jitter: 0.0,
        });
        machine.handle(
            At {
                now: Timestamp(TWO_HOURS_MS),
                jitter: 0.0,
            },
            Event::LookFailed(String::new()),
        );
        let before = machine.wake_at().unwrap();
        clock.at("receive", &mut machine);
        before.since(machine.wake_at().unwrap())
    }

    #[test]
    fn a_clock_that_runs_ahead_or_is_only_slewed_is_followed() {
        let second = Duration::from_secs(1);
        assert_eq!(told_back(1_000, second), Duration::ZERO);
        assert_eq!(
            told_back(TWO_HOURS_MS, second),
            Duration::ZERO,
            "it was set, or it slept"
        );
        assert_eq!(told_back(-999, second), Duration::ZERO);
        assert_eq!(told_back(-1_000, second), Duration::from_secs(2));
        assert_eq!(told_back(-TWO_HOURS_MS, second), Duration::from_secs(7_201));
    }
}
