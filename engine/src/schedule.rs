//! Cron expressions in a time zone: which moment comes after which.
//!
//! The crate croner reads and searches the expressions; its trait is implemented here for jiff, whose zones the
//! rest of the program uses. What comes out depends on the question alone, never on a clock.
//!
//! Where clocks go forward, a time of day that falls into the gap is moved to its end; what repeats within the
//! hour leaves the gap out. Where they go back, a time of day fires once, at its first passing; what repeats goes
//! on through both.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp as Moment, ZonedDateTime};
use roundtrip_core::at::Timestamp;
use roundtrip_core::calendar::Calendar;

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be read.
    #[error("{0}")]
    Expression(String),
    /// Such a date never comes.
    #[error("such a date never comes")]
    Never,
    /// There is no such zone.
    #[error("there is no such time zone")]
    Zone,
}

/// A cron expression in a zone.
#[derive(Clone)]
pub struct Cron {
    expression: String,
    parsed: Arc<croner::Cron>,
    zone: TimeZone,
}

impl Cron {
    /// Reads an expression of five fields (minute, hour, day of month, month, day of week), or six with the second
    /// first, in a zone of the IANA time zone database.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let fields = expression.split_whitespace().count();
        if !matches!(fields, 0 | 5 | 6) && !expression.trim_start().starts_with('@') {
            let what = format!("it has {fields} fields, not five, or six with the second first");
            return Err(ScheduleError::Expression(what));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let parsed = parser
            .parse(expression)
            .map_err(|error| ScheduleError::Expression(plain(&error)))?;
        let cron = Self {
            expression: expression.to_owned(),
            parsed: Arc::new(parsed),
            zone: TimeZone::get(zone).map_err(|_| ScheduleError::Zone)?,
        };
        // A leap day that is a certain day of the week may be 28 years, and around 2100 40 years, away.
        match cron.next_after(Timestamp(0)) {
            Some(_) => Ok(cron),
            None => Err(ScheduleError::Never),
        }
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The name of the zone.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }
}

impl Calendar for Cron {
    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = Moment::from_millisecond(after.0)
            .ok()?
            .to_zoned_datetime(self.zone.clone());
        let next = self.parsed.find_next_occurrence(&Local(after), false).ok()?;
        Some(Timestamp(next.0.timestamp().as_millisecond()))
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?} in {})", self.expression, self.zone())
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.zone() == other.zone()
    }
}

impl Eq for Cron {}

/// What is wrong, as a fragment.
fn plain(error: &CronError) -> String {
    match error {
        CronError::EmptyPattern => "it is empty".to_owned(),
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => {
            let text = text.replacen("CronPattern", "it", 1);
            let mut letters = text.trim_end_matches('.').chars();
            letters
                .next()
                .map(|first| first.to_lowercase().chain(letters).collect())
                .unwrap_or_default()
        }
        CronError::InvalidDate | CronError::InvalidTime | CronError::TimeSearchLimitExceeded => {
            ScheduleError::Never.to_string()
        }
    }
}

/// jiff's moments in a zone, as croner wants to see them.
#[derive(Clone)]
struct Local(ZonedDateTime);

fn small<T: TryFrom<u32>>(value: u32) -> Result<T, CronError> {
    T::try_from(value).map_err(|_| CronError::InvalidDate)
}

fn field(value: i8) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn jiff_civil(civil: CivilDateTime) -> Result<jiff::civil::DateTime, CronError> {
    let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
    let (month, day) = (small(civil.month())?, small(civil.day())?);
    let (hour, minute, second) = (
        small(civil.hour())?,
        small(civil.minute())?,
        small(civil.second())?,
    );
    jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).map_err(|_| CronError::InvalidDate)
}

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let time = self.0.datetime();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(time.year().into(), field(time.month()), field(time.day())),
            CivilTime::from_parts_unchecked(field(time.hour()), field(time.minute()), field(time.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(field(self.0.weekday().to_sunday_zero_offset()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(jiff_civil(civil)?);
        let local =
            |zoned: Result<ZonedDateTime, jiff::Error>| zoned.map(Local).map_err(|_| CronError::InvalidTime);
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(local(ambiguous.unambiguous())?),
            AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(local(ambiguous.clone().earlier())?, local(ambiguous.later())?)
            }
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()
            .map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests;
