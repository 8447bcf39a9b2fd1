//! Moments as job records spell them: ISO 8601 in UTC with milliseconds.

use crate::at::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// Days from 0000-03-01, where the arithmetic of a calendar begins, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// Days of four centuries.
const ERA_DAYS: i64 = 146_097;

/// A moment as it stands in a record, `2025-09-25T11:21:51.690Z`. One outside of the years 0 to 9999, which no clock
/// shows, is written as 1970.
pub fn write(moment: Timestamp) -> String {
    let (days, ms) = (moment.0.div_euclid(DAY_MS), moment.0.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    if !(0..=9_999).contains(&year) {
        return write(Timestamp(0));
    }
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let fraction = ms % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// A moment that is spelled as [`write`] does; none where the text is none or spells it in another way.
pub fn read_as_written(text: &str) -> Option<Timestamp> {
    let is_shaped = |bytes: &[u8; 24]| {
        // A leap second reads as the one before it.
        bytes[10] == b'T' && bytes[17] < b'6' && bytes[19] == b'.' && bytes[23] == b'Z'
    };
    let bytes = <&[u8; 24]>::try_from(text.as_bytes()).ok()?;
    is_shaped(bytes).then(|| read(text)).flatten()
}

/// A moment from a record; none where the text is none. Seconds and their fraction may be missing, and in place of
/// `Z` there may be an offset. What is finer than a millisecond is cut off.
pub fn read(text: &str) -> Option<Timestamp> {
    let mut rest = Text(text.as_bytes());
    let year = rest.number(4)?;
    rest.one_of(b"-")?;
    let month = rest.number(2)?;
    rest.one_of(b"-")?;
    let day = rest.number(2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    rest.one_of(b"Tt ")?;
    let hour = rest.up_to(2, 23)?;
    rest.one_of(b":")?;
    let minute = rest.up_to(2, 59)?;
    let (mut second, mut nanos) = (0, 0);
    if rest.one_of(b":").is_some() {
        // A leap second is the last one of its minute.
        second = rest.up_to(2, 60)?.min(59);
        if rest.one_of(b".,").is_some() {
            nanos = rest.fraction()?;
        }
    }
    let offset_minutes = rest.offset()?;
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    let nanos = i128::from(minutes * 60 + second) * 1_000_000_000 + i128::from(nanos);
    let ms = i64::try_from(nanos / 1_000_000).ok()?;
    rest.0.is_empty().then_some(Timestamp(ms))
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        let number = head.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit()
                .then(|| number * 10 + i64::from(byte - b'0'))
        })?;
        self.0 = rest;
        Some(number)
    }

    fn up_to(&mut self, digits: usize, max: i64) -> Option<i64> {
        self.number(digits).filter(|number| *number <= max)
    }

    /// One to nine digits, as nanoseconds.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let number = self.number(digits)?;
        Some((digits..9).fold(number, |number, _| number * 10))
    }

    /// `Z`, `+02:00`, `+0200` or `+02`, in minutes.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.up_to(2, 25)?;
        let minutes = if self.0.is_empty() {
            0
        } else {
            let _ = self.one_of(b":");
            self.up_to(2, 59)?
        };
        Some(sign * (hours * 60 + minutes))
    }
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years begin in March here, so that a leap day is the last of its year.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS
}

/// Year, month and day of a day since 1970-01-01.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_written_as_javascript_does() {
        assert_eq!(write(Timestamp(1_758_799_311_690)), "2025-09-25T11:21:51.690Z");
        assert_eq!(write(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(write(Timestamp(951_782_400_000)), "2000-02-29T00:00:00.000Z");
        assert_eq!(write(Timestamp(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(write(Timestamp(i64::MAX)), write(Timestamp(0)));
    }

    #[test]
    fn a_leap_second_is_no_moment_as_written() {
        assert_eq!(read_as_written("2016-12-31T23:59:60.000Z"), None);
        assert!(read_as_written("2016-12-31T23:59:59.000Z").is_some());
    }

    #[test]
    fn other_spellings_of_a_moment_are_read() {
        for text in [
            "2025-09-25T11:21:51.690Z",
            "2025-09-25t11:21:51.690z",
            "2025-09-25 13:21:51,690999+02:00",
            "2025-09-25T06:21:51.69-0500",
            "2025-09-25T13:21:51.690+02",
        ] {
            assert_eq!(read(text), Some(Timestamp(1_758_799_311_690)), "{text}");
        }
        assert_eq!(read("1970-01-01T00:01Z"), Some(Timestamp(60_000)));
        assert_eq!(read("1970-01-01T00:00:60Z"), Some(Timestamp(59_000)));
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "now",
            "2025-09-25",
            "2025-09-25T11:21:51.690",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00.0123456789Z",
            "2025-01-01T00:00:00Z ",
            "+2025-01-01T00:00:00Z",
            "２025-01-01T00:00:00Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_reads_as_it_is_written(ms in -62_167_219_200_000_i64..253_402_300_800_000) {
            prop_assert_eq!(read(&write(Timestamp(ms))), Some(Timestamp(ms)));
        }

        #[test]
        fn what_is_read_as_written_is_written_so(
            ms in -62_167_219_200_000_i64..253_402_300_800_000,
            place in 0..24_usize,
            letter in "[-+0-9:.,TtZz ]",
        ) {
            let mut text = write(Timestamp(ms));
            prop_assert_eq!(read_as_written(&text), Some(Timestamp(ms)));
            text.replace_range(place..=place, &letter);
            let is_read = read_as_written(&text);
            prop_assert_eq!(is_read.is_some(), read(&text).is_some_and(|moment| write(moment) == text));
        }

        #[test]
        fn no_text_breaks_the_reading(text in ".{0,40}") {
            let _ = read(&text);
        }
    }
}
