//! `roundtrip jobs list`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Job, LaneKind, Status};
use roundtrip_core::names::ClientId;
use serde::Serialize;

use super::find::{Catch, LANES, begins};
use super::{Desk, Place, columns, distance, plain, span};
use crate::cli::Format;
use crate::cli::output::{print, say};
use crate::cloud::item::iso;
use crate::error::{Error, Exit, Result};
use crate::run::driver::now;

/// Characters of an error that a line shows.
const ERROR_CHARS_MAX: usize = 60;

/// Arguments of `roundtrip jobs list`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only jobs of this status
    #[arg(long, value_enum)]
    status: Option<StatusName>,
    /// Only jobs of this lane
    #[arg(long, value_enum)]
    lane: Option<LaneName>,
    /// Only jobs of clients whose id begins so; with the whole id also finished ones, without a scan
    #[arg(long, value_name = "PREFIX")]
    client: Option<String>,
    /// Only jobs that were created longer ago than this, such as 1h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older: Option<Duration>,
    /// Jobs listed, at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Every job, also those in no lane: scans the whole table
    #[arg(long, conflicts_with = "lane")]
    all: bool,
    /// Where jobs lie
    #[command(flatten)]
    place: Place,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A status on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StatusName {
    /// Waiting to be taken.
    Queued,
    /// Claimed by a fetcher.
    Processing,
    /// Has its result.
    Completed,
    /// Has its error.
    Error,
}

/// A lane on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LaneName {
    /// To be taken.
    Ready,
    /// Claimed.
    Leased,
    /// Finished, not cleaned yet.
    Done,
}

impl StatusName {
    const fn status(self) -> Status {
        match self {
            Self::Queued => Status::Queued,
            Self::Processing => Status::Processing,
            Self::Completed => Status::Completed,
            Self::Error => Status::Error,
        }
    }
}

impl LaneName {
    const fn kind(self) -> LaneKind {
        match self {
            Self::Ready => LaneKind::Ready,
            Self::Leased => LaneKind::Leased,
            Self::Done => LaneKind::Done,
        }
    }
}

/// A job as JSON lists it.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    file: &'a str,
    client: &'a str,
    status: Status,
    lane: Option<String>,
    due: Option<String>,
    priority: u8,
    created: &'a str,
    version: &'a str,
    chunks: u64,
    failures: u32,
    retries: u32,
    processor: Option<&'a str>,
    assigned: Option<String>,
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Listing<'a> {
    jobs: Vec<Entry<'a>>,
    more: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments {
        status,
        lane,
        client,
        older,
        limit,
        all,
        place,
        format,
    } = arguments;
    let (desk, now) = (Desk::open(place).await?, now());
    let status = status.map(StatusName::status);
    let kind = lane.map(LaneName::kind);
    let client = client.unwrap_or_default();
    let fits = |job: &Job| {
        status.is_none_or(|status| status == job.status)
            && kind.is_none_or(|kind| job.lane.is_some_and(|lane| lane.kind == kind))
            && begins(job.key.client.as_str(), &client)
            && older.is_none_or(|older| job.created_at.is_some_and(|created| now.since(created) > older))
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Catch::default();
    let mut in_lanes = false;
    if all {
        found = desk.scanned(limit, &fits).await?;
    } else if let Ok(client) = ClientId::parse(&client) {
        found = desk.of_client(&client, "file-", limit, &fits).await?;
    } else {
        in_lanes = true;
        for kind in LANES
            .into_iter()
            .filter(|each| kind.is_none_or(|kind| kind == *each))
        {
            let mut part = desk.in_lane(kind, limit, &fits).await?;
            found.more |= part.more;
            found.jobs.append(&mut part.jobs);
        }
    }
    found.jobs.sort_by_cached_key(|job| {
        (
            job.lane.map_or(u8::MAX, |lane| rank(lane.kind)),
            std::cmp::Reverse(waiting_priority(job)),
            job.due,
            job.key.clone(),
        )
    });
    found.more |= found.jobs.len() > limit;
    found.jobs.truncate(limit);
    let printed = match format {
        Format::Text => print(table(&found.jobs, now).as_bytes())?,
        Format::Json => print(json(&found)?.as_bytes())?,
    };
    if found.more {
        say("there are more: raise --limit, or ask for less");
    }
    if in_lanes && status.is_some_and(Status::is_finished) {
        say("finished jobs that were cleaned are in no lane: --all finds them too");
    }
    Ok(printed)
}

/// The priority of a job that waits to be taken: in no other lane does it decide what comes first.
fn waiting_priority(job: &Job) -> u8 {
    match job.lane.map(|lane| lane.kind) {
        Some(LaneKind::Ready) => job.priority,
        Some(LaneKind::Leased | LaneKind::Done) | None => 0,
    }
}

const fn rank(kind: LaneKind) -> u8 {
    match kind {
        LaneKind::Ready => 0,
        LaneKind::Leased => 1,
        LaneKind::Done => 2,
    }
}

fn table(jobs: &[Job], now: Timestamp) -> String {
    let heading = [
        "FILE", "CLIENT", "STATUS", "LANE", "PRIORITY", "AGE", "DUE", "FAILED", "LOST", "NOTE",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    for job in jobs {
        let dash = || "-".to_owned();
        rows.push([
            job.key.file.to_string(),
            job.key.client.short().to_owned(),
            job.status.as_str().to_owned(),
            job.lane.map_or_else(dash, |lane| lane.to_string()),
            job.priority.to_string(),
            job.created_at
                .map_or_else(dash, |created| span(now.since(created))),
            job.due.map_or_else(dash, |due| distance(due, now)),
            job.failures.to_string(),
            job.retries.to_string(),
            note(job),
        ]);
    }
    columns(&rows)
}

fn note(job: &Job) -> String {
    match (job.status, &job.processor, &job.error) {
        (Status::Processing, Some(processor), _) => plain(processor),
        (Status::Error, _, Some(error)) => plain(error).chars().take(ERROR_CHARS_MAX).collect(),
        (Status::Queued | Status::Processing | Status::Completed | Status::Error, _, _) => String::new(),
    }
}

fn json(found: &Catch) -> Result<String> {
    let entry = |job| {
        let Job {
            key,
            status,
            version,
            created,
            chunks,
            processor,
            assigned,
            error,
            lane,
            due,
            priority,
            retries,
            failures,
            ..
        }: &Job = job;
        Entry {
            file: key.file.as_str(),
            client: key.client.as_str(),
            status: *status,
            lane: lane.map(|lane| lane.to_string()),
            due: due.map(iso),
            priority: *priority,
            created,
            version,
            chunks: *chunks,
            failures: *failures,
            retries: *retries,
            processor: processor.as_deref(),
            assigned: assigned.map(iso),
            error: error.as_deref(),
        }
    };
    let listing = Listing {
        jobs: found.jobs.iter().map(entry).collect(),
        more: found.more,
    };
    let text = serde_json::to_string_pretty(&listing)
        .map_err(|error| Error::failed("the list could not be written as JSON").because(error))?;
    Ok(text + "\n")
}
