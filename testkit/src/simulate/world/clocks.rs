//! Clocks that are set in the middle of a process's life.

use std::time::Duration;

use super::World;

/// How far off a clock is that was set, in milliseconds.
const CLOCK_SET_MAX: i64 = 60_000;

/// Machines are told of a clock that was set back by so much: as in the engine.
const SET_BACK_MIN: i64 = 2_000;

impl World<'_> {
    /// The clock of a process is set: back, of which its machines are told as in the engine, or ahead, which they follow.
    pub(super) fn set_clock(&mut self, number: usize) {
        let ahead = self.chance.between(-CLOCK_SET_MAX, CLOCK_SET_MAX);
        let process = &mut self.processes[number];
        let back = std::mem::replace(&mut process.skew, ahead) - ahead;
        self.judge.clock_set(number, ahead);
        self.say(|| format!("the clock of process {number} is set back by {back} ms"));
        if back >= SET_BACK_MIN {
            let by = Duration::from_millis(back.unsigned_abs());
            self.act(number, |actor, clock, out| actor.set_back(clock, out, by));
        }
    }
}
