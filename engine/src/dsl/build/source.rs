//! Judges `[source.*]`.

use std::path::PathBuf;
use std::time::Duration;

use globset::GlobBuilder;
use roundtrip_core::job::LaneKind;

use super::below;
use super::value::{At, TICK};
use crate::dsl::document::Part;
use crate::dsl::raw;
use crate::dsl::read::shown;
use crate::dsl::spec::{
    DirectorySource, ForeignSource, JobsSource, LanesSource, ObjectsSource, ResultsSource, Schedule, Watch,
};
use crate::dsl::units::{List, Span};
use crate::schedule::{Cron, ScheduleError};

pub(super) fn directory(mut at: At<'_, '_>, raw: raw::DirectorySource) -> DirectorySource {
    at.ordered(("settle", raw.settle), ("settle-max", raw.settle_max));
    DirectorySource {
        path: path(&mut at, raw.path, "\"inbox\""),
        include: globs(&mut at, "include", raw.include),
        exclude: globs(&mut at, "exclude", raw.exclude),
        hidden: raw.hidden.unwrap_or_default(),
        settle: at.span("settle", raw.settle, Duration::ZERO),
        settle_max: at.span("settle-max", raw.settle_max, Duration::ZERO),
        rescan: at.span("rescan", raw.rescan, TICK),
        watch: at
            .word(
                "watch",
                raw.watch,
                &[("notify", Watch::Notify), ("poll", Watch::Poll)],
            )
            .unwrap_or(Watch::Poll),
        files_max: at.number("files-max", raw.files_max, 1..=1_024),
        waiting_max: at.number("waiting-max", raw.waiting_max, 1..=10_000_000),
    }
}

/// A folder's path.
pub(super) fn path(at: &mut At<'_, '_>, path: Option<String>, example: &str) -> PathBuf {
    match path.as_deref().map(str::trim) {
        None => at.missing("path", example),
        Some("") => at.value_wrong(
            "path",
            "the path is empty",
            &format!("name a folder: path = {example}"),
        ),
        Some(_) => {}
    }
    PathBuf::from(path.unwrap_or_default())
}

fn globs(at: &mut At<'_, '_>, key: &str, globs: Option<List>) -> Vec<String> {
    let List(globs) = globs.unwrap_or(List(Vec::new()));
    for (index, glob) in globs.iter().enumerate() {
        if let Err(error) = GlobBuilder::new(glob).literal_separator(true).build() {
            let help =
                "globs are matched with paths below the folder: \"*.tif\", \"scans/**\", \"run-?.{csv,txt}\"";
            let name = shown(&below(&at.path, &[key]));
            let what = format!("`{name}`: {glob:?} is not a glob: {}", error.kind());
            at.bench.wrong(
                below(&at.path, &[key, &index.to_string()]),
                Part::Value,
                what,
                help,
            );
        }
    }
    globs
}

pub(super) fn jobs(mut at: At<'_, '_>, raw: raw::JobsSource) -> Option<JobsSource> {
    let lanes = [
        ("ready", LaneKind::Ready),
        ("leased", LaneKind::Leased),
        ("done", LaneKind::Done),
    ];
    if raw.lane.is_none() {
        at.value_wrong(
            "lane",
            "it is not set",
            "write lane = \"ready\", \"leased\" or \"done\"",
        );
    }
    if raw.every.is_some() && (raw.interval.is_some() || raw.interval_max.is_some()) {
        let help = "`every` is both intervals at once: keep it, or `interval` and `interval-max`";
        at.value_wrong("every", "it stands beside `interval` or `interval-max`", help);
    } else if raw.cron.is_some() && (raw.interval.is_some() || raw.interval_max.is_some()) {
        let help = "`cron` says when to look: keep it, or `interval` and `interval-max`";
        at.value_wrong("cron", "it stands beside `interval` or `interval-max`", help);
    } else {
        at.ordered(("interval", raw.interval), ("interval-max", raw.interval_max));
    }
    let stream = raw.stream.unwrap_or_default();
    match raw.lane.as_deref() {
        Some("leased") if stream => at.value_wrong(
            "stream",
            "no stream tells that a lease has ended: nothing is written at that moment",
            "leave it out: `every` says how soon lost jobs are found",
        ),
        Some("ready") if stream => at.value_wrong(
            "stream",
            "no more than two processes may read a stream, and any number may take jobs",
            "leave it out: `interval` says how soon jobs are found",
        ),
        Some(_) | None => {}
    }
    let every = raw.every.map(|_| at.span("every", raw.every, TICK));
    let cron = cron(&mut at, raw.every, raw.cron, raw.timezone);
    if cron.is_some() && raw.lane.as_deref() == Some("ready") {
        let help = "whoever takes jobs looks all the time: write `interval` and `interval-max`, or `every`";
        at.value_wrong(
            "cron",
            "jobs of lane \"ready\" are not taken by the calendar",
            help,
        );
    }
    Some(JobsSource {
        cron,
        interval: every.unwrap_or_else(|| at.span("interval", raw.interval, TICK)),
        interval_max: every.unwrap_or_else(|| at.span("interval-max", raw.interval_max, TICK)),
        batch_max: at.number32("batch-max", raw.batch_max, 1..=1_000),
        stream,
        lane: at.word("lane", raw.lane, &lanes)?,
    })
}

pub(super) fn results(mut at: At<'_, '_>, raw: raw::ResultsSource) -> ResultsSource {
    at.ordered(("interval", raw.interval), ("interval-max", raw.interval_max));
    ResultsSource {
        interval: at.span("interval", raw.interval, TICK),
        interval_max: at.span("interval-max", raw.interval_max, TICK),
        of: raw.of.map(|List(of)| of).unwrap_or_default(),
    }
}

pub(super) fn foreign(mut at: At<'_, '_>, raw: raw::ForeignSource) -> ForeignSource {
    ForeignSource {
        schedule: schedule(&mut at, raw.every, raw.cron, raw.timezone),
        pages_max: at.number32("pages-max", raw.pages_max, 1..=10_000),
        stream: raw.stream.unwrap_or_default(),
    }
}

pub(super) fn lanes(mut at: At<'_, '_>, raw: raw::LanesSource) -> LanesSource {
    LanesSource {
        schedule: schedule(&mut at, raw.every, raw.cron, raw.timezone),
        pages_max: at.number32("pages-max", raw.pages_max, 1..=10_000),
    }
}

pub(super) fn objects(mut at: At<'_, '_>, raw: raw::ObjectsSource) -> ObjectsSource {
    ObjectsSource {
        schedule: schedule(&mut at, raw.every, raw.cron, raw.timezone),
        age_min: at.span("age-min", raw.age_min, Duration::ZERO),
        pages_max: at.number32("pages-max", raw.pages_max, 1..=100_000),
    }
}

fn schedule(
    at: &mut At<'_, '_>,
    every: Option<Span>,
    expression: Option<String>,
    zone: Option<String>,
) -> Schedule {
    match cron(at, every, expression, zone) {
        Some(cron) => Schedule::Cron(cron),
        None => Schedule::Every(at.span("every", every, TICK)),
    }
}

/// The calendar, where there is one; it excludes `every`.
fn cron(
    at: &mut At<'_, '_>,
    every: Option<Span>,
    expression: Option<String>,
    zone: Option<String>,
) -> Option<Cron> {
    let Some(expression) = expression else {
        if zone.is_some() {
            let help = "add `cron`, such as cron = \"0 9 * * *\", or take `timezone` out";
            at.value_wrong("timezone", "without `cron` it is of no use", help);
        }
        return None;
    };
    if every.is_some() {
        at.value_wrong("cron", "it stands beside `every`", "keep one of the two");
    }
    let zone = zone.unwrap_or_else(|| "UTC".to_owned());
    match Cron::parse(&expression, &zone) {
        Ok(cron) => return Some(cron),
        Err(ScheduleError::Zone) => {
            let help = "write a name of the time zone database: \"UTC\", \"Europe/Berlin\"";
            at.value_wrong("timezone", &format!("there is no time zone {zone:?}"), help);
        }
        Err(error @ (ScheduleError::Expression(_) | ScheduleError::Never)) => {
            let help = "five fields: minute, hour, day of month, month, day of week, such as \"*/5 * * * *\"";
            at.value_wrong("cron", &format!("{expression:?} is no schedule: {error}"), help);
        }
    }
    None
}
