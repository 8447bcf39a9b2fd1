//! Time as it comes in with an event: the core never asks a clock.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A moment: milliseconds since 1970-01-01T00:00:00Z, as precise as a job record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same moment by a clock that was set back by so much; the ends of time, which stand for "at once" and
    /// "never", stay.
    #[must_use]
    pub(crate) fn set_back(self, by: Duration) -> Self {
        if self.0 == i64::MIN || self.0 == i64::MAX {
            return self;
        }
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A span as a pipeline's TOML spells it, in its largest whole unit: `24h`, `90s`.
pub(crate) fn spelled(span: Duration) -> String {
    let ms = span.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit, _)| ms.is_multiple_of(*unit))
        .map_or_else(
            || format!("{ms}ms"),
            |(unit, name)| format!("{}{name}", ms / unit),
        )
}

/// When an event is handled, and the chance it is handled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// Now.
    pub now: Timestamp,
    /// A fresh random number, 0 inclusive to 1 exclusive; the core's only source of chance.
    pub jitter: f64,
}

impl At {
    /// The same moment, with a chance of its own for one of several subjects that are decided about at once: what is
    /// spread by chance would else come together again.
    #[must_use]
    pub fn of(self, subject: &str) -> Self {
        Self {
            jitter: chance(self.jitter.to_bits(), [subject]),
            ..self
        }
    }

    /// The place that chance picks among so many; zero where there are none.
    pub(crate) fn any_of(self, count: usize) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a fraction of a short list's length, clamped to it"
        )]
        let place = (self.jitter.clamp(0.0, 1.0) * count as f64) as usize;
        place.min(count.saturating_sub(1))
    }
}

/// A number from 0 inclusive to 1 exclusive that only these names and the seed tell: FNV-1a over the names with a zero
/// byte between them, then the last step of splitmix64, since FNV's upper bits differ little between similar names.
pub fn chance<'a>(seed: u64, names: impl IntoIterator<Item = &'a str>) -> f64 {
    let names = names.into_iter().enumerate();
    let hash = names
        .flat_map(|(place, name)| (place > 0).then_some(0).into_iter().chain(name.bytes()))
        .fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let hash = hash ^ (hash >> 31);
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    let fraction = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_one_moment_have_chances_of_their_own() {
        let now = Timestamp(0);
        let at = At { now, jitter: 0.5 };
        let same = (at.of("file-1").jitter - at.of("file-1").jitter).abs();
        assert!(same < f64::EPSILON);
        let all: Vec<f64> = (0..1_000)
            .map(|file| at.of(&format!("file-{file}")).jitter)
            .collect();
        assert!(all.iter().all(|jitter| (0.0..1.0).contains(jitter)));
        let below = all.iter().filter(|jitter| **jitter < 0.25).count();
        assert!((200..300).contains(&below), "{below}");
        let again = At { now, jitter: 0.6 }.of("file-1");
        assert!((again.jitter - at.of("file-1").jitter).abs() > f64::EPSILON);
    }

    #[test]
    fn chance_picks_every_place_and_none_beyond() {
        let place = |jitter, count| {
            let now = Timestamp(0);
            At { now, jitter }.any_of(count)
        };
        let picked: Vec<_> = [0.0, 0.332, 0.334, 0.667, 0.999, 1.0]
            .map(|jitter| place(jitter, 3))
            .into();
        assert_eq!(picked, [0, 0, 1, 2, 2, 2]);
        assert_eq!((place(0.999, 1), place(0.5, 0)), (0, 0));
    }

    #[test]
    fn a_span_is_spelled_in_its_largest_whole_unit() {
        let spelled: Vec<_> = [86_400_000, 5_400_000, 90_000, 1_500, 1]
            .map(|ms| spelled(Duration::from_millis(ms)))
            .into();
        assert_eq!(spelled, ["1d", "90m", "90s", "1500ms", "1ms"]);
    }
}
