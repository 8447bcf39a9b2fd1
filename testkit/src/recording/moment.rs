//! A record's moment as the services write it: seconds since 1970, or ISO 8601 text.

use std::fmt;

use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// The last moment that is read: the end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What is said of a later one.
const BEYOND: &str = "a moment after the year 9999: seconds since 1970 are read, not milliseconds";

/// Reads a number of seconds or a text.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    deserializer.deserialize_any(Spelling).map(Some)
}

/// Writes seconds, with milliseconds where there are any.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds up to the year 9999 are exact in a double"
)]
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match moment {
        None => serializer.serialize_none(),
        Some(moment) if moment.0 % 1_000 == 0 => serializer.serialize_i64(moment.0 / 1_000),
        Some(moment) => serializer.serialize_f64(moment.0 as f64 / 1_000.0),
    }
}

struct Spelling;

impl Visitor<'_> for Spelling {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("seconds since 1970 or an ISO 8601 time with its offset")
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Timestamp, E> {
        let is_read = (-SECONDS_MAX..=SECONDS_MAX).contains(&seconds);
        let ms = seconds.checked_mul(1_000).filter(|_| is_read);
        ms.map(Timestamp).ok_or_else(|| E::custom(BEYOND))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Timestamp, E> {
        self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the range is checked, and what is finer than a millisecond is cut off"
    )]
    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Timestamp, E> {
        let end = SECONDS_MAX as f64;
        if !(-end..=end).contains(&seconds) {
            return Err(E::custom(BEYOND));
        }
        Ok(Timestamp((seconds * 1_000.0).round() as i64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Timestamp, E> {
        iso::read(text).ok_or_else(|| E::custom(format!("`{text}` is no ISO 8601 time with its offset")))
    }
}
