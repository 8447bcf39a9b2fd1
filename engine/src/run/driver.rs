//! Drives one machine of the core: performs its actions, reports outcomes, fires its clock.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::machine::{Decision, Machine};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::error::{Error, Result};

/// What is asked of every pipeline of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on until told otherwise.
    Serve,
    /// One more full round, then end.
    Finish,
    /// Bring what is under way to a safe end, then end.
    Drain,
    /// The same, without waiting for what is under way.
    Stop,
}

/// The longest sleep: after it the clock is asked again, in case somebody set it.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// The shortest sleep: a machine that wants to be woken in the past does not spin.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// A clock that goes back by less is not told of: it is adjusted all the time.
const SET_BACK_MIN: Duration = Duration::from_secs(2);

/// That it was set back is said again after this long, at the earliest.
const SAID_AGAIN: Duration = Duration::from_mins(10);

/// What is done about an action.
pub enum Work<E> {
    /// Nothing is left to do.
    None,
    /// This; its outcome is the next event.
    Task(BoxFuture<'static, E>),
}

impl<E> Work<E> {
    /// Work whose outcome is the next event.
    pub fn task(future: impl Future<Output = E> + Send + 'static) -> Self {
        Self::Task(Box::pin(future))
    }
}

/// The world of one machine: where its events come from and its actions go to.
pub trait World<M: Machine>: Send {
    /// The next thing that happens by itself; never, for a world that only answers. Must be cancel-safe.
    fn next(&mut self) -> impl Future<Output = M::Event> + Send;

    /// Performs an action.
    fn perform(&mut self, decision: Decision<M::Action>) -> Work<M::Event>;
}

/// Now.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// A clock that may be set, and one that only goes on; the second need not count while the machine sleeps.
type Reading = (Timestamp, Instant);

fn read_clocks() -> Reading {
    (now(), Instant::now())
}

/// Finds out when the clock was set back.
///
/// Machines live by the wall clock, as leases and moments in records mean the same to everybody. Where it runs ahead, by
/// being set or while the computer sleeps, what is due is done late or early and that is all. Where it is set back, every
/// wait would be longer by as much: the machines are told.
struct Clock<C> {
    read: C,
    last: Reading,
}

impl<C: FnMut() -> Reading> Clock<C> {
    fn new(mut read: C) -> Self {
        let last = read();
        Self { read, last }
    }

    /// Now; the machine has heard of it if that is earlier than it should be.
    fn at<M: Machine>(&mut self, name: &str, machine: &mut M) -> At {
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

/// Runs a machine in its world until it is idle after [`Order::Finish`], [`Order::Drain`] or [`Order::Stop`].
pub async fn drive<M, W>(name: &str, machine: M, world: W, orders: watch::Receiver<Order>) -> Result<()>
where
    M: Machine,
    M::Event: Send + 'static,
    W: World<M>,
{
    drive_by(Clock::new(read_clocks), name, machine, world, orders).await
}

async fn drive_by<C, M, W>(
    mut clock: Clock<C>,
    name: &str,
    mut machine: M,
    mut world: W,
    mut orders: watch::Receiver<Order>,
) -> Result<()>
where
    C: FnMut() -> Reading,
    M: Machine,
    M::Event: Send + 'static,
    W: World<M>,
{
    let mut tasks: JoinSet<M::Event> = JoinSet::new();
    let mut order = Order::Serve;
    loop {
        let asked = *orders.borrow_and_update();
        if asked != order {
            order = asked;
            let at = clock.at(name, &mut machine);
            match order {
                Order::Serve => {}
                Order::Finish => machine.finish(at),
                Order::Drain => machine.drain(at),
                Order::Stop => machine.stop(at),
            }
        }
        while let Some(decision) = machine.poll_action() {
            if let Work::Task(task) = world.perform(decision) {
                tasks.spawn(task);
            }
        }
        if order != Order::Serve && tasks.is_empty() && machine.is_idle() {
            return Ok(());
        }
        let At { now, .. } = clock.at(name, &mut machine);
        let sleep = machine
            .wake_at()
            .map(|wake| wake.since(now).clamp(SLEEP_MIN, SLEEP_MAX));
        tokio::select! {
            changed = orders.changed() => {
                // Whoever gave the orders is gone: so is the process.
                if changed.is_err() {
                    return Ok(());
                }
            }
            Some(done) = tasks.join_next(), if !tasks.is_empty() => match done {
                Ok(event) => {
                    let at = clock.at(name, &mut machine);
                    machine.handle(at, event);
                }
                Err(error) => return Err(broken(name, error)),
            },
            event = world.next() => {
                let at = clock.at(name, &mut machine);
                machine.handle(at, event);
            }
            () = tokio::time::sleep(sleep.unwrap_or(SLEEP_MAX)), if sleep.is_some() => {
                let at = clock.at(name, &mut machine);
                machine.tick(at);
            }
        }
    }
}

fn broken(name: &str, error: tokio::task::JoinError) -> Error {
    Error::failed(format!(
        "pipeline `{name}` broke off: this is a fault of the program"
    ))
    .because(error)
    .hint("nothing is lost: start it again; please report what was printed above")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use roundtrip_core::collect::{Action, Collect, Event};
    use roundtrip_core::pace::Pace;
    use roundtrip_core::retry::{Jitter, Retry};
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    const TWO_HOURS_MS: i64 = 7_200_000;

    fn collect() -> Collect {
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

    /// Tells of every look and finds nothing.
    struct Looks(UnboundedSender<()>);

    impl World<Collect> for Looks {
        async fn next(&mut self) -> Event {
            std::future::pending().await
        }

        fn perform(&mut self, _decision: Decision<Action>) -> Work<Event> {
            let _: std::result::Result<(), _> = self.0.send(());
            Work::task(std::future::ready(Event::Found {
                standings: Vec::new(),
                unanswered: false,
                next: None,
            }))
        }
    }

    #[tokio::test]
    async fn looks_go_on_where_the_clock_is_set_back() {
        let ahead_ms = Arc::new(AtomicI64::new(TWO_HOURS_MS));
        let ahead = Arc::clone(&ahead_ms);
        let clock = Clock::new(move || {
            let (wall, course) = read_clocks();
            (Timestamp(wall.0 + ahead.load(Ordering::SeqCst)), course)
        });
        let (looked, mut looks) = unbounded_channel();
        let (orders, told) = watch::channel(Order::Serve);
        let driven = tokio::spawn(drive_by(clock, "receive", collect(), Looks(looked), told));
        looks.recv().await.unwrap();
        ahead_ms.store(0, Ordering::SeqCst);
        for _ in 0..5 {
            let look = tokio::time::timeout(Duration::from_secs(20), looks.recv()).await;
            look.expect("it goes on looking").unwrap();
        }
        orders.send(Order::Stop).unwrap();
        driven.await.unwrap().unwrap();
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
