//! `roundtrip fleet`: who is alive, with which version, holding what.

use std::fmt::Write as _;

use clap::Args;
use roundtrip_core::at::Timestamp;
use serde::Serialize;

use super::jobs::{columns, distance, plain, span};
use super::output::{print, say};
use super::{Format, process};
use crate::cloud::Clients;
use crate::cloud::fleet::{Fetcher, Fleet, Held};
use crate::cloud::item::iso;
use crate::error::{Error, Exit, Result};
use crate::run::driver::now;

/// Arguments of `roundtrip fleet`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The table of jobs
    #[arg(long, env = "ROUNDTRIP_TABLE", default_value = super::setup::TABLE)]
    table: String,
    /// Also those that ended without a word within the last day
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A fetcher as JSON shows it.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    processor: &'a str,
    role: &'a str,
    pipeline: &'a str,
    host: &'a str,
    version: &'a str,
    state: &'static str,
    started: Option<String>,
    seen: Option<String>,
    resting_until: Option<String>,
    held: Vec<HeldEntry<'a>>,
    held_count: u64,
    done: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct HeldEntry<'a> {
    file: &'a str,
    since: Option<String>,
}

impl<'a> Entry<'a> {
    fn of(fetcher: &'a Fetcher, now: Timestamp) -> Self {
        let held = |held: &'a Held| HeldEntry {
            file: &held.file,
            since: held.since.map(iso),
        };
        Self {
            processor: &fetcher.processor,
            role: &fetcher.role,
            pipeline: &fetcher.pipeline,
            host: &fetcher.host,
            version: &fetcher.version,
            state: state(fetcher, now),
            started: fetcher.started.map(iso),
            seen: fetcher.seen.map(iso),
            resting_until: fetcher.resting_until.map(iso),
            held: fetcher.held.iter().map(held).collect(),
            held_count: fetcher.held_count,
            done: fetcher.done,
            failed: fetcher.failed,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let fetchers = process::block_on(async {
        let clients = Clients::from_environment().await?;
        let fleet = Fleet::new(clients.dynamodb, &arguments.table);
        let listed = fleet.list().await;
        listed.map_err(|fault| fault.during(format!("cannot read the table `{}`", arguments.table)))
    })?;
    let now = now();
    let (alive, gone): (Vec<_>, Vec<_>) = fetchers.iter().partition(|fetcher| fetcher.is_alive(now));
    let mut shown = alive;
    if arguments.all {
        shown.extend(&gone);
    }
    let text = match arguments.format {
        Format::Text => table(&shown, now),
        Format::Json => {
            let entries = shown.into_iter().map(|fetcher| Entry::of(fetcher, now));
            let entries: Vec<Entry<'_>> = entries.collect();
            let text = serde_json::to_string_pretty(&entries)
                .map_err(|error| Error::failed("the fleet could not be written as JSON").because(error))?;
            text + "\n"
        }
    };
    let exit = print(text.as_bytes())?;
    if !arguments.all && !gone.is_empty() {
        say(&format!(
            "{} more ended without a word: --all shows them",
            gone.len()
        ));
    }
    Ok(exit)
}

fn state(fetcher: &Fetcher, now: Timestamp) -> &'static str {
    if !fetcher.is_alive(now) {
        "gone"
    } else if fetcher.is_resting(now) {
        "resting"
    } else {
        "alive"
    }
}

fn table(fetchers: &[&Fetcher], now: Timestamp) -> String {
    if fetchers.is_empty() {
        return "no fetcher is alive\n".to_owned();
    }
    let heading = [
        "PROCESSOR",
        "ROLE",
        "PIPELINE",
        "HOST",
        "VERSION",
        "STATE",
        "SEEN",
        "UP",
        "HOLDS",
        "DONE",
        "FAILED",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    for fetcher in fetchers {
        let dash = || "-".to_owned();
        let state = match fetcher.resting_until.filter(|until| *until > now) {
            Some(until) if fetcher.is_alive(now) => format!("resting, ends {}", distance(until, now)),
            Some(_) | None => state(fetcher, now).to_owned(),
        };
        rows.push([
            plain(&fetcher.processor),
            plain(&fetcher.role),
            plain(&fetcher.pipeline),
            plain(&fetcher.host),
            plain(&fetcher.version),
            state,
            fetcher.seen.map_or_else(dash, |seen| distance(seen, now)),
            fetcher
                .started
                .map_or_else(dash, |started| span(now.since(started))),
            fetcher.held_count.to_string(),
            fetcher.done.to_string(),
            fetcher.failed.to_string(),
        ]);
    }
    let mut text = columns(&rows);
    for fetcher in fetchers {
        for Held { file, since } in &fetcher.held {
            let since = since.map_or_else(String::new, |since| format!(" since {}", span(now.since(since))));
            // Writing to a text does not fail.
            let _ = writeln!(text, "{} holds {}{since}", plain(&fetcher.processor), plain(file));
        }
    }
    text
}
