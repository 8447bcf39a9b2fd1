//! Which jobs have left the table, so that what the recording tells of them later is refused.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use roundtrip_core::lifecycle::RecordKey;

/// Jobs remembered, at most: beyond that the one that left first is forgotten.
const GONE_MAX: usize = 1 << 20;

/// The jobs that left last, by a hash of their keys.
#[derive(Debug, Default)]
pub(super) struct Gone {
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Gone {
    pub(super) fn insert(&mut self, key: &RecordKey) {
        if self.hashes.insert(hash(key)) {
            self.order.push_back(hash(key));
        }
        if self.hashes.len() > GONE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, key: &RecordKey) -> bool {
        self.hashes.contains(&hash(key))
    }
}

fn hash(key: &RecordKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
