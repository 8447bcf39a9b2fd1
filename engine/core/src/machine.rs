//! The shape every decision maker has: events and ticks go in, decisions are polled out.

use std::time::Duration;

use crate::at::{At, Timestamp};

/// Why an action was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule, in words an operator understands.
    pub rule: String,
    /// The TOML key that decided, such as `claim.lease`; empty where no setting did.
    pub key: &'static str,
}

impl Reason {
    /// A reason that no setting decided.
    pub fn rule(rule: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            key: "",
        }
    }

    /// A reason that a setting decided.
    pub fn key(rule: impl Into<String>, key: &'static str) -> Self {
        Self {
            rule: rule.into(),
            key,
        }
    }
}

/// Something to do, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<A> {
    /// What to do.
    pub action: A,
    /// Why.
    pub reason: Reason,
}

/// A synchronous state machine: it never waits, asks or writes; who drives it does.
pub trait Machine {
    /// What happened.
    type Event;
    /// What to do.
    type Action;

    /// Takes in what happened.
    fn handle(&mut self, at: At, event: Self::Event);

    /// Lets time pass: everything due at `at.now` is decided.
    fn tick(&mut self, at: At);

    /// From now on one more full round is enough: what is found is done, then the machine is idle. This is what
    /// `--once` means.
    fn finish(&mut self, at: At);

    /// Stops taking on new work; what is under way is brought to a safe end, within the time its policy gives.
    fn drain(&mut self, at: At);

    /// Does not wait any longer for what is under way: it is brought to a safe end at once.
    fn stop(&mut self, at: At) {
        self.drain(at);
    }

    /// The clock was set back by so much, to `at.now`: every wait lasts as long as it was to last, and the next moment
    /// of a calendar is that of the new time. What records say stays as it was written.
    fn set_back(&mut self, at: At, by: Duration);

    /// The next thing to do, until there is none.
    fn poll_action(&mut self) -> Option<Decision<Self::Action>>;

    /// When to call [`Machine::tick`] next, if time alone can change anything.
    fn wake_at(&self) -> Option<Timestamp>;

    /// Whether nothing is under way, and after [`Machine::finish`] or [`Machine::drain`] nothing is left to do.
    fn is_idle(&self) -> bool;
}

/// Where the one full round stands that [`Machine::finish`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// None was asked for.
    Endless,
    /// The next look begins it.
    ToBegin,
    /// What there is is looked at.
    Running,
    /// Everything was dealt with.
    Ended,
}
