//! What happens next: virtual time and everything that was planned for it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Things planned for a moment, in milliseconds of true time; of several at one moment the first planned comes first.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    heap: BinaryHeap<Entry<T>>,
    planned: u64,
}

#[derive(Debug)]
struct Entry<T> {
    when: i64,
    number: u64,
    what: T,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }

    pub(crate) fn plan(&mut self, when: i64, what: T) {
        self.planned += 1;
        self.heap.push(Entry {
            when,
            number: self.planned,
            what,
        });
    }

    pub(crate) fn next(&mut self) -> Option<(i64, T)> {
        self.heap.pop().map(|entry| (entry.when, entry.what))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.when, other.number).cmp(&(self.when, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_planned_first_for_a_moment_comes_first() {
        let mut agenda = Agenda::new();
        for (when, what) in [(5, 'b'), (3, 'a'), (5, 'c')] {
            agenda.plan(when, what);
        }
        let all: Vec<_> = std::iter::from_fn(|| agenda.next()).collect();
        assert_eq!(all, [(3, 'a'), (5, 'b'), (5, 'c')]);
    }
}
