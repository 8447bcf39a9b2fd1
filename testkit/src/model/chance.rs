//! The only source of chance: one seed is one history.

/// Draws from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Another source that follows from this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.0.u64(..))
    }

    /// 0 inclusive to 1 exclusive.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0.f64()
    }

    /// 0 to `limit` exclusive.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit.max(1))
    }

    /// `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: i64, most: i64) -> i64 {
        self.0.i64(least..=most.max(least))
    }

    /// Whether something of this likelihood happens.
    pub(crate) fn hits(&mut self, likelihood: f64) -> bool {
        likelihood > 0.0 && self.0.f64() < likelihood
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }
}
