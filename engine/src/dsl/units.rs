//! Values as people write them in TOML: times and sizes with their units, counts, rates and lists.
//!
//! A refusal is one text: what is wrong, and after a line break what to do.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::words::words;

/// A time with its unit: `"5m"`, `"1h 30m"`, `"500ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// A number of bytes with its unit: `"8 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A whole number, zero or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u64);

/// A number, whole or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate(pub(super) f64);

/// Texts, or one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List(pub(super) Vec<String>);

/// A command: program and arguments, or one text that is cut at white space outside of quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words(pub(super) Vec<String>);

const SPAN_FORM: &str = "a time is a number and a unit: ms, s, m, h or d, such as \"5m\"";
const SIZE_FORM: &str = "a size is a number and a unit: B, KiB, MiB, GiB (powers of 1024) or KB, MB, GB (powers of \
                         1000), such as \"8 MiB\"";

/// Reads a time; the error is what is wrong, and after a line break what to do.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    if trimmed.parse::<f64>().is_ok() {
        return Err(bare_span(trimmed));
    }
    let units = trimmed.split(|letter: char| !letter.is_alphabetic());
    if units
        .into_iter()
        .any(|unit| matches!(unit, "M" | "month" | "months" | "y" | "yr" | "year" | "years"))
    {
        return Err(format!(
            "\"{text}\" has a unit of no fixed length\n{SPAN_FORM}; minutes are a small m"
        ));
    }
    humantime::parse_duration(trimmed).map_err(|_| format!("\"{text}\" is not a time\n{SPAN_FORM}"))
}

/// Reads a size; the error is what is wrong, and after a line break what to do.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    if trimmed.parse::<f64>().is_ok() {
        return Err(bare_size(trimmed));
    }
    let parsed: Result<bytesize::ByteSize, _> = trimmed.parse();
    parsed
        .map(|size| size.0)
        .map_err(|_| format!("\"{text}\" is not a size\n{SIZE_FORM}"))
}

fn bare_span(number: &str) -> String {
    format!("{number} has no unit\nwrite \"{number}s\" for seconds or \"{number}ms\" for milliseconds")
}

fn bare_size(number: &str) -> String {
    format!("{number} has no unit\nwrite \"{number} B\" for bytes or \"{number} MiB\" for mebibytes")
}

/// A time as it would be written in TOML.
pub(super) fn show_span(span: Duration) -> String {
    let mut left = span.as_millis();
    let mut parts = Vec::new();
    for (unit, name) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ] {
        if left >= unit {
            parts.push(format!("{}{name}", left / unit));
            left %= unit;
        }
    }
    if parts.is_empty() {
        "0s".into()
    } else {
        parts.join(" ")
    }
}

/// A size as it would be written in TOML.
pub(super) fn show_size(bytes: u64) -> String {
    [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ]
    .into_iter()
    .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    .map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{} {name}", bytes / unit),
    )
}

/// The texts and bare numbers of a unit type.
macro_rules! with_unit {
    ($name:ident, $parse:ident, $bare:ident, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map($name).map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$name, E> {
                        Err(E::custom($bare(&number.to_string())))
                    }

                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$name, E> {
                        Err(E::custom($bare(&number.to_string())))
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }
    };
}

with_unit!(Span, span, bare_span, "a time such as \"5m\"");
with_unit!(Size, size, bare_size, "a size such as \"8 MiB\"");

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, without quotes")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
                u64::try_from(number).map(Count).map_err(|_| {
                    E::custom(format!(
                        "{number} is below zero\nwrite a whole number, zero or more"
                    ))
                })
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count(number))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, without quotes")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Rate, E> {
                i32::try_from(number)
                    .map(|number| Rate(number.into()))
                    .map_err(|_| E::custom("out of range"))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Rate, E> {
                Ok(Rate(number))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// A list of texts, with what one text alone means.
macro_rules! texts {
    ($name:ident, $one:expr, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl<'de> Visitor<'de> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        let one: fn(&str) -> Result<Vec<String>, String> = $one;
                        one(text).map($name).map_err(E::custom)
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<$name, A::Error> {
                        let mut texts = Vec::new();
                        while let Some(text) = items.next_element()? {
                            texts.push(text);
                        }
                        Ok($name(texts))
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }
    };
}

texts!(List, |text| Ok(vec![text.to_owned()]), "a list of texts");
texts!(Words, words, "a command: a list of texts, or one text");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit_that_says_one_thing() {
        assert_eq!(span("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        for text in ["5", "1.5", "5M", "8 MiB", "2 years", "soon", "", "-5m"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(span("5").is_err_and(|error| error.contains("\"5s\"") && error.contains("\"5ms\"")));
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(size("8 MiB"), Ok(8 << 20));
        assert_eq!(size("8MB"), Ok(8_000_000));
        for text in ["8", "8 minutes", "", "-8 MiB", "big"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1_000, 65_536, 8 << 20, 1 << 30, 3 << 40] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        for seconds in [0, 1, 90, 86_400 * 7, 86_400 * 400 + 61] {
            let time = Duration::from_secs(seconds);
            assert_eq!(span(&show_span(time)), Ok(time));
        }
    }
}
