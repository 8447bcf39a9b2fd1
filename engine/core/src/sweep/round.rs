//! When a page, a look and a sweep are over, and what comes next.

use super::{Action, Step, Sweep, Tally};
use crate::at::At;
use crate::machine::{Reason, Round};

impl Sweep {
    /// The page is dealt with.
    pub(super) fn turn_page(&mut self, at: At) {
        self.step = Step::Resting;
        if self.draining {
            return;
        }
        self.failures = 0;
        self.tally.listed += self.seen.0;
        self.tally.foreign += self.seen.1;
        self.after = self.next.take();
        if self.after.is_none() {
            self.end(at, Reason::rule("the whole bucket was looked through"));
            return;
        }
        self.pages += 1;
        if self.pages < self.policy.pages_max || self.round != Round::Endless {
            self.pace.hurry();
        } else {
            self.pages = 0;
            self.is_ours = None;
            self.pace.looked(at, true);
        }
    }

    /// The sweep is over; the next one goes on behind the last page that was dealt with, or begins anew after the last
    /// of all.
    fn end(&mut self, at: At, reason: Reason) {
        self.decide(Action::Report(self.tally), reason);
        self.rest(at);
    }

    pub(super) fn rest(&mut self, at: At) {
        self.forget();
        self.step = Step::Resting;
        self.pace.looked(at, false);
        if self.round == Round::Running {
            self.round = Round::Ended;
        } else if self.round == Round::ToBegin {
            self.pace.hurry();
        }
    }

    pub(super) fn failed(&mut self, at: At) {
        self.failures = self.failures.saturating_add(1);
        if self.draining {
            self.step = Step::Resting;
        } else if self.policy.retry.allows_after(self.failures) {
            let wait = self.policy.retry.delay_after(self.failures, at.jitter);
            self.step = Step::Waiting(at.now + wait);
        } else {
            let reason = Reason::key("the sweep is broken off: a service is away", "retry.attempts-max");
            self.end(at, reason);
        }
    }

    pub(super) fn begin_anew(&mut self) {
        self.after = None;
        self.forget();
    }

    /// The next look asks for the owner and counts from nothing.
    fn forget(&mut self) {
        self.is_ours = None;
        self.next = None;
        (self.pages, self.failures) = (0, 0);
        self.tally = Tally::default();
    }
}
