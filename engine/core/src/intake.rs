//! When a file of a watched folder may be taken: once it has come to rest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::at::Timestamp;
use crate::file::Stamp;

/// Time between looks at a file that a program has open for writing, at least.
const BUSY_LOOK: Duration = Duration::from_millis(500);

/// `[source.directory]`, as far as it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakePolicy {
    /// A file is at rest when size and time have not changed for this long.
    pub settle: Duration,
    /// A file that never rests is taken after this long.
    pub settle_max: Duration,
    /// Files remembered while they wait for rest or for a free place; the others are found by a later scan.
    pub waiting_max: usize,
}

/// Why a file is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It did not change.
    Settled,
    /// It kept changing for the longest time.
    NeverRests,
}

#[derive(Debug)]
struct Waiting {
    stamp: Stamp,
    busy: bool,
    first_seen: Timestamp,
    /// Since when nothing has changed.
    unchanged_since: Timestamp,
    /// Whether the source was asked to look again.
    asked: bool,
}

/// Files that wait for rest.
#[derive(Debug)]
pub struct Intake {
    policy: IntakePolicy,
    waiting: BTreeMap<PathBuf, Waiting>,
}

impl Intake {
    /// Nothing waits.
    pub fn new(policy: IntakePolicy) -> Self {
        Self {
            policy,
            waiting: BTreeMap::new(),
        }
    }

    /// A file was seen. Gives why it may be taken, if it may; it waits here otherwise.
    pub fn seen(&mut self, now: Timestamp, path: &Path, stamp: Stamp, busy: bool) -> Option<Rest> {
        let IntakePolicy {
            settle, settle_max, ..
        } = self.policy;
        let fresh = Waiting {
            stamp: stamp.clone(),
            busy,
            first_seen: now,
            unchanged_since: now,
            asked: false,
        };
        let file = self.waiting.entry(path.to_owned()).or_insert(fresh);
        file.asked = false;
        if busy || !file.stamp.same_content(&stamp) {
            file.stamp = stamp;
            file.unchanged_since = now;
        }
        file.busy = busy;
        let rest = if now.since(file.unchanged_since) >= settle && !busy {
            Some(Rest::Settled)
        } else if now.since(file.first_seen) >= settle_max {
            Some(Rest::NeverRests)
        } else {
            None
        };
        if rest.is_some() {
            self.waiting.remove(path);
        }
        rest
    }

    /// A file, or a folder with all that was in it, is not there any more.
    pub fn gone(&mut self, path: &Path) {
        self.waiting.retain(|waiting, _| !waiting.starts_with(path));
    }

    /// The clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        for file in self.waiting.values_mut() {
            file.first_seen = file.first_seen.set_back(by);
            file.unchanged_since = file.unchanged_since.set_back(by);
        }
    }

    /// Files to look at again, because they may have come to rest.
    pub fn due(&mut self, now: Timestamp) -> Vec<PathBuf> {
        let policy = self.policy.clone();
        let due = self
            .waiting
            .iter_mut()
            .filter(|(_, file)| !file.asked && file.check_at(&policy) <= now);
        due.map(|(path, file)| {
            file.asked = true;
            path.clone()
        })
        .collect()
    }

    /// When a file is next due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.waiting
            .values()
            .filter(|file| !file.asked)
            .map(|file| file.check_at(&self.policy))
            .min()
    }

    /// Whether this file waits.
    pub fn contains(&self, path: &Path) -> bool {
        self.waiting.contains_key(path)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Waiting {
    fn check_at(&self, policy: &IntakePolicy) -> Timestamp {
        let settle = if self.busy {
            policy.settle.max(BUSY_LOOK)
        } else {
            policy.settle
        };
        (self.unchanged_since + settle).min(self.first_seen + policy.settle_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake() -> Intake {
        let settle = Duration::from_secs(2);
        Intake::new(IntakePolicy {
            settle,
            settle_max: Duration::from_secs(10),
            waiting_max: 2,
        })
    }

    fn stamp(size: u64) -> Stamp {
        Stamp {
            size,
            modified: Timestamp(0),
            changed: Timestamp(0),
            identity: 1,
        }
    }

    #[test]
    fn a_file_is_taken_at_the_end_of_its_rest_and_not_a_millisecond_before() {
        let (mut intake, path) = (intake(), Path::new("a.tif"));
        assert_eq!(intake.seen(Timestamp(0), path, stamp(1), false), None);
        assert_eq!(intake.wake_at(), Some(Timestamp(2_000)));
        assert_eq!(intake.seen(Timestamp(1_999), path, stamp(1), false), None);
        assert_eq!(
            intake.seen(Timestamp(2_000), path, stamp(1), false),
            Some(Rest::Settled)
        );
        assert!(intake.is_empty());
    }

    #[test]
    fn a_change_begins_the_rest_anew() {
        let (mut intake, path) = (intake(), Path::new("a.tif"));
        assert_eq!(intake.seen(Timestamp(0), path, stamp(1), false), None);
        assert_eq!(intake.seen(Timestamp(1_500), path, stamp(2), false), None);
        assert_eq!(intake.seen(Timestamp(3_499), path, stamp(2), false), None);
        assert_eq!(
            intake.seen(Timestamp(3_500), path, stamp(2), false),
            Some(Rest::Settled)
        );
    }

    #[test]
    fn a_file_open_for_writing_waits_to_the_longest() {
        let (mut intake, path) = (intake(), Path::new("a.tif"));
        assert_eq!(intake.seen(Timestamp(0), path, stamp(1), true), None);
        assert_eq!(intake.seen(Timestamp(9_999), path, stamp(1), true), None);
        assert_eq!(
            intake.seen(Timestamp(10_000), path, stamp(1), true),
            Some(Rest::NeverRests)
        );
    }

    #[test]
    fn each_file_is_asked_for_once() {
        let (mut intake, path) = (intake(), Path::new("a.tif"));
        assert_eq!(intake.seen(Timestamp(0), path, stamp(1), false), None);
        assert_eq!(intake.due(Timestamp(1_999)), Vec::<PathBuf>::new());
        assert_eq!(intake.due(Timestamp(2_000)), [path.to_owned()]);
        assert_eq!(intake.due(Timestamp(2_000)), Vec::<PathBuf>::new());
    }

    #[test]
    fn without_a_settle_time_a_busy_file_is_not_looked_at_all_the_time() {
        let mut intake = Intake::new(IntakePolicy {
            settle: Duration::ZERO,
            settle_max: Duration::from_secs(10),
            waiting_max: 2,
        });
        let path = Path::new("a.tif");
        assert_eq!(intake.seen(Timestamp(0), path, stamp(1), true), None);
        assert_eq!(intake.wake_at(), Some(Timestamp(500)));
        assert_eq!(
            intake.seen(Timestamp(500), path, stamp(1), false),
            Some(Rest::Settled)
        );
    }

    #[test]
    fn a_folder_takes_along_what_was_in_it() {
        let mut intake = intake();
        for name in ["a/b.tif", "a/c/d.tif", "ab.tif"] {
            assert_eq!(intake.seen(Timestamp(0), Path::new(name), stamp(1), false), None);
        }
        intake.gone(Path::new("a"));
        assert!(intake.contains(Path::new("ab.tif")));
        assert_eq!(intake.len(), 1);
    }
}
