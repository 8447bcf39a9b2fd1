//! `roundtrip jobs`: looks at jobs and steers them.

use clap::{Args, Subcommand};
use roundtrip_core::at::Timestamp;

use super::{Format, process};
use crate::cloud::Clients;
use crate::cloud::jobs::Jobs;
use crate::cloud::objects::Objects;
use crate::error::{Exit, Result};

mod find;
mod list;
mod show;
mod steer;

/// Looks at jobs and steers them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists jobs: those in a lane, so all that are not finished and cleaned
    List(list::Arguments),
    /// Tells the whole story of a job, and what happens next
    Show {
        /// Which job
        #[command(flatten)]
        wanted: Wanted,
        /// Where jobs lie
        #[command(flatten)]
        place: Place,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Has a job taken again, now, with its failures forgotten: exit code 1 where that cannot be
    Requeue {
        /// Which job
        #[command(flatten)]
        wanted: Wanted,
        /// Where jobs lie
        #[command(flatten)]
        place: Place,
    },
    /// Ends a job as an error; a fetcher that has it stops with its next heartbeat
    Cancel {
        /// Which job
        #[command(flatten)]
        wanted: Wanted,
        /// Where jobs lie
        #[command(flatten)]
        place: Place,
        /// What the client reads as the reason
        #[arg(long, value_name = "TEXT", default_value = "")]
        why: String,
    },
}

/// Which job is meant.
#[derive(Debug, Args)]
pub struct Wanted {
    /// The file id, or the beginning of one that no other job has
    file: String,
    /// The client id, or its beginning; with the whole id one query finds the job
    #[arg(long, value_name = "PREFIX")]
    client: Option<String>,
}

/// Where jobs lie.
#[derive(Debug, Args)]
pub struct Place {
    /// The bucket for chunks and manifests
    #[arg(long, env = "ROUNDTRIP_BUCKET", default_value = super::setup::BUCKET)]
    bucket: String,
    /// The table of jobs
    #[arg(long, env = "ROUNDTRIP_TABLE", default_value = super::setup::TABLE)]
    table: String,
    /// Shards of each lane, as the roles have it (store.shards)
    #[arg(long, env = "ROUNDTRIP_STORE__SHARDS", default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    shards: u32,
}

/// The services.
struct Desk {
    jobs: Jobs,
    objects: Objects,
    table: String,
    shards: u32,
}

impl Desk {
    async fn open(place: Place) -> Result<Self> {
        let clients = Clients::from_environment().await?;
        Ok(Self {
            jobs: Jobs::new(clients.dynamodb, &place.table),
            objects: Objects::new(clients.s3, place.bucket),
            table: place.table,
            shards: place.shards,
        })
    }
}

pub(super) fn run(command: Command) -> Result<Exit> {
    process::block_on(async {
        match command {
            Command::List(arguments) => list::run(arguments).await,
            Command::Show {
                wanted,
                place,
                format,
            } => show::run(&Desk::open(place).await?, &wanted, format).await,
            Command::Requeue { wanted, place } => steer::requeue(&Desk::open(place).await?, &wanted).await,
            Command::Cancel { wanted, place, why } => {
                steer::cancel(&Desk::open(place).await?, &wanted, &why).await
            }
        }
    })
}

/// How far a moment lies from now: `12s ago`, `in 4m 10s`.
pub(super) fn distance(moment: Timestamp, now: Timestamp) -> String {
    if moment > now {
        format!("in {}", span(moment.since(now)))
    } else {
        format!("{} ago", span(now.since(moment)))
    }
}

/// A time in at most two units.
pub(super) fn span(time: std::time::Duration) -> String {
    if time.as_millis() < 1_000 {
        return format!("{}ms", time.as_millis());
    }
    let text = humantime::format_duration(std::time::Duration::from_secs(time.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A text of a record, which may hold line breaks and terminal codes, as it may be printed.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Rows in aligned columns, the first as the heading; none is padded at its end.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_two_units_at_most() {
        let spans = [0, 999, 1_000, 61_500, 3_600_000, 93_784_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["0ms", "999ms", "1s", "1m 1s", "1h", "1day 2h"]);
        let now = Timestamp(10_000);
        assert_eq!(distance(Timestamp(7_000), now), "3s ago");
        assert_eq!(distance(Timestamp(14_000), now), "in 4s");
    }

    #[test]
    fn a_record_cannot_steer_the_terminal() {
        assert_eq!(plain("ü\u{1b}[2J\n"), "ü\\u{1b}[2J\\n");
    }
}
