//! Drives one machine of the core: performs its actions, reports outcomes, fires its clock.

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::machine::{Decision, Machine};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::{Error, Result};

mod clock;

use clock::{Clock, Reading, read_clocks};

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
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::clock::tests::{TWO_HOURS_MS, collect};
    use super::*;

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
}
