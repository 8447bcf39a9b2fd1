//! What a process wants of the world after each event, and what it tells the checkers beside it.

use std::time::Duration;

use roundtrip_core::at::{At, Timestamp};
use roundtrip_core::machine::Reason;
use roundtrip_core::names::JobKey;

use crate::model::chance::Chance;
use crate::model::network::{Reply, Request};

/// One piece of work of a process; its replies carry this number.
pub(crate) type Task = u32;

/// How work on a job ended, as far as it matters for what may be written then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// There is a result.
    Result,
    /// The processor says that the job is at fault.
    AtFault,
    /// The attempt failed, and the job may be at fault.
    Failed,
    /// What came is not what the client signed, or it gave the job up.
    Refused,
    /// Chunks stopped coming.
    Stalled,
    /// Nobody is at fault.
    BrokenOff,
}

/// What the checkers are told beside what they see in the services.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// Work on a job began under the claim that was made at this moment.
    Began {
        key: JobKey,
        assigned: Option<Timestamp>,
    },
    /// Work on a job ended.
    Ended { key: JobKey, how: How },
    /// A client wrote a result over a file in this state, or why there is none.
    Delivered { key: JobKey, state: Option<u64> },
    /// A client remembered a job before anything of it existed.
    Announced { key: JobKey, state: u64 },
    /// A client forgot a job.
    Forgot(JobKey),
}

/// What came of one event.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) asks: Vec<(Task, Request)>,
    /// Tasks that wait, and for how many milliseconds.
    pub(crate) sleeps: Vec<(Task, i64)>,
    pub(crate) facts: Vec<Fact>,
    /// Decisions in words, where a story is wanted.
    pub(crate) lines: Option<Vec<String>>,
    pub(crate) decisions: u64,
}

impl Outbox {
    pub(crate) fn ask(&mut self, task: Task, request: Request) {
        self.asks.push((task, request));
    }

    pub(crate) fn sleep(&mut self, task: Task, ms: i64) {
        self.sleeps.push((task, ms));
    }

    /// Notes a decision.
    pub(crate) fn decided(&mut self, reason: &Reason, what: impl FnOnce() -> String) {
        self.decisions += 1;
        if let Some(lines) = &mut self.lines {
            let key = if reason.key.is_empty() {
                String::new()
            } else {
                format!(" [{}]", reason.key)
            };
            lines.push(format!("{}: {}{key}", what(), reason.rule));
        }
    }
}

/// A process's own clock and chance.
#[derive(Debug)]
pub(crate) struct Clock {
    pub(crate) now: Timestamp,
    /// Milliseconds of a clock that nobody sets.
    pub(crate) course: i64,
    pub(crate) chance: Chance,
}

impl Clock {
    pub(crate) fn at(&mut self) -> At {
        At {
            now: self.now,
            jitter: self.chance.fraction(),
        }
    }
}

/// A process while it lives.
pub(crate) trait Actor {
    /// It begins.
    fn start(&mut self, clock: &mut Clock, out: &mut Outbox);
    /// Time passed.
    fn wake(&mut self, clock: &mut Clock, out: &mut Outbox);
    /// A reply came for a task.
    fn answer(&mut self, clock: &mut Clock, out: &mut Outbox, task: Task, reply: Reply);
    /// Its clock was set back by so much.
    fn set_back(&mut self, clock: &mut Clock, out: &mut Outbox, by: Duration);
    /// It is told to stop.
    fn drain(&mut self, clock: &mut Clock, out: &mut Outbox);
    /// When time alone changes anything.
    fn wake_at(&self) -> Option<Timestamp>;
    /// Whether it may end after a drain.
    fn is_idle(&self) -> bool;
    /// The name it goes by in the services.
    fn name(&self) -> &str;
}
