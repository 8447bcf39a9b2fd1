//! What the clocks of processes say: what is written and when it may be is told by them.

use std::collections::BTreeMap;

/// How far each clock is ahead of true time, and since when.
#[derive(Debug, Default)]
pub(super) struct Clocks(BTreeMap<usize, Vec<(i64, i64)>>);

impl Clocks {
    pub(super) fn set(&mut self, now: i64, process: usize, ahead: i64) {
        self.0.entry(process).or_default().push((now, ahead));
    }

    /// What a process's clock said then; of whom nothing is known, it says the true time.
    pub(super) fn reading(&self, process: usize, then: i64) -> i64 {
        let all = self.0.get(&process).map_or(&[][..], Vec::as_slice);
        let since = all.iter().rev().find(|(since, _)| *since <= then).or(all.first());
        then + since.map_or(0, |(_, ahead)| *ahead)
    }

    /// The most that a process's clock may have said until now: what was decided by it may be done later.
    pub(super) fn furthest(&self, process: usize, now: i64) -> i64 {
        let all = self.0.get(&process).map_or(&[][..], Vec::as_slice);
        now + all.iter().map(|(_, ahead)| *ahead).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_that_of_its_moment() {
        let mut clocks = Clocks::default();
        clocks.set(0, 1, 500);
        clocks.set(1_000, 1, -2_000);
        assert_eq!(
            (clocks.reading(1, 999), clocks.reading(1, 1_000)),
            (1_499, -1_000)
        );
        assert_eq!(clocks.reading(7, 5), 5);
        assert_eq!((clocks.furthest(1, 1_000), clocks.furthest(7, 5)), (1_500, 5));
    }
}
