//! `roundtrip simulate`: the core against a model of the services, with faults.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use roundtrip_testkit::simulate::{
    Fault, Faults, Found, Outcome, Policies, Scenario, Story, run, seeds, shrink,
};
use serde::Serialize;

use super::Format;
use super::counting::Counting;
use super::output::{print, say};
use crate::dsl::Layers;
use crate::error::{Error, Exit, Result};
use crate::simulation::{Simulated, simulated};

mod fleet;

/// Seeds that are run where none is named.
const SEEDS_DEFAULT: u64 = 1_000;

/// Arguments of `roundtrip simulate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One history: what happens in it, line by line
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// So many histories, until a promise breaks
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The first of many seeds
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Clients, at most; each seed has some of them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Fetchers, at most
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50_000))]
    fetchers: u16,
    /// Watchers, at most
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=100))]
    watchers: u16,
    /// Files of each client, at most
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    files: u16,
    /// Nothing goes wrong, but for what --fault names
    #[arg(long)]
    calm: bool,
    /// How likely a kind of fault is where it may happen, from 0 to 1, for example crash=0.05; each seed leaves some kinds
    /// out, but none that is named
    #[arg(long, value_name = "KIND=RATE", value_parser = fault)]
    fault: Vec<(Fault, f64)>,
    /// A role whose pipelines are simulated, their waits as written: a TOML file, or a shipped one (client, fetcher,
    /// watcher); the shipped pipelines take the part of those that no role has
    #[arg(long)]
    role: Vec<String>,
    /// Sets a value over all files of the roles that have it, the shipped ones too, for example analyse.claim.lease=1m
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// The profile of the role files to use
    #[arg(long, value_name = "NAME", requires = "role")]
    profile: Option<String>,
    /// The waits of the shipped pipelines as written; without it, --role, --set and --jobs they are cut short, so that a
    /// history is over sooner
    #[arg(long)]
    shipped: bool,
    /// In place of seeds with faults: so many jobs for this fleet, all of it working, to see what it costs
    #[arg(long, conflicts_with_all = ["seeds", "files", "clients", "calm", "fault", "recording"],
        value_parser = clap::value_parser!(u64).range(1..))]
    jobs: Option<u64>,
    /// With --jobs: shards of each lane, in place of the roles' `store.shards`
    #[arg(long, requires = "jobs", conflicts_with = "seeds", value_parser = clap::value_parser!(u32).range(1..=1000))]
    shards: Option<u32>,
    /// With --jobs: how long an analysis takes, at most; half of it on average
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "jobs", value_parser = humantime::parse_duration)]
    analysis_max: Duration,
    /// With --jobs: bytes of a result before it is sealed, which lies in its record
    #[arg(long, value_name = "BYTES", default_value_t = 1_024, requires = "jobs",
        value_parser = clap::value_parser!(u32).range(..=160_000))]
    result_bytes: u32,
    /// Where the recording of the history goes, or of the one in which a promise broke: a file that is not there yet
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Many seeds as JSON tells them.
#[derive(Debug, Serialize)]
struct Report<'a> {
    seeds: u64,
    jobs: u64,
    faults: u64,
    events: u64,
    failed: Option<&'a Outcome>,
}

pub(super) fn simulate(arguments: &Arguments) -> Result<Exit> {
    // Told before the work, not after it.
    if let Some(file) = arguments.recording.as_ref().filter(|file| file.exists()) {
        return Err(Error::usage(format!("{} is there already", file.display()))
            .hint("name another file with --recording: a recording is never written over"));
    }
    let layers = Layers::of_process(arguments.profile.clone(), arguments.set.clone());
    let Simulated {
        policies,
        origin,
        left_out,
    } = simulated(&arguments.role, &layers)?;
    let waits = if arguments.cuts_short() {
        "cut short"
    } else {
        "as written"
    };
    say(&format!("policies: {origin}; waits {waits}"));
    for what in left_out {
        say(&format!("left out: {what}"));
    }
    match (arguments.jobs, arguments.seed) {
        (Some(jobs), _) => fleet::measure(arguments, jobs, policies),
        (None, Some(seed)) => arguments.one(&arguments.scenario(policies), seed),
        (None, None) => arguments.many(&arguments.scenario(policies)),
    }
}

impl Arguments {
    /// Whether long waits are cut short: nobody has said what they should be.
    const fn cuts_short(&self) -> bool {
        self.role.is_empty() && self.set.is_empty() && !self.shipped && self.jobs.is_none()
    }

    fn scenario(&self, policies: Policies) -> Scenario {
        let faults = if self.calm { Faults::none() } else { Faults::all() };
        let rates = self.fault.iter();
        let scenario = Scenario {
            clients: self.clients.into(),
            fetchers: self.fetchers.into(),
            watchers: self.watchers.into(),
            files: self.files.into(),
            faults: rates.fold(faults, |faults, (fault, rate)| faults.with(*fault, *rate)),
            ..Scenario::default()
        };
        if self.cuts_short() {
            Scenario {
                policies: policies.cut_short(),
                ..scenario
            }
        } else {
            scenario.under(policies)
        }
    }

    fn one(&self, scenario: &Scenario, seed: u64) -> Result<Exit> {
        let outcome = run(scenario, seed, true);
        self.record(&outcome)?;
        match self.format {
            Format::Json => json(&outcome)?,
            Format::Text => {
                let mut text = outcome.trace.join("\n");
                text.push('\n');
                print(text.as_bytes())?;
                for breach in &outcome.breaches {
                    say(&breach.to_string());
                }
                if outcome.given_up {
                    say(&given_up(&outcome));
                }
            }
        }
        Ok(verdict(outcome.holds()))
    }

    fn many(&self, scenario: &Scenario) -> Result<Exit> {
        let count = self.seeds.unwrap_or(SEEDS_DEFAULT);
        if self.first.checked_add(count).is_none() {
            let what = format!("there are no {count} seeds from {} on", self.first);
            return Err(Error::usage(what).hint("begin with a smaller one with --first"));
        }
        let mut counting = Counting::begin("seeds", count);
        let found = seeds(scenario, self.first, count, |run| {
            counting.at(run);
            true
        });
        drop(counting);
        let story = found
            .failed
            .as_ref()
            .and_then(|failed| shrink(scenario, failed.seed));
        if let Some(story) = &story {
            self.record(&story.outcome)?;
        }
        match self.format {
            Format::Json => json(&report(&found, story.as_ref()))?,
            Format::Text => {
                let Found {
                    seeds,
                    jobs,
                    faults,
                    events,
                    ..
                } = found;
                let failed = found.failed.as_deref();
                let held = match failed {
                    None => "every promise held",
                    Some(outcome) if outcome.breaches.is_empty() => {
                        "no promise broke, and one history was given up"
                    }
                    Some(_) => "a promise broke",
                };
                print(
                    format!("{held}: {seeds} seeds, {jobs} jobs, {faults} faults, {events} events\n")
                        .as_bytes(),
                )?;
                if let Some(story) = &story {
                    print(story.text().as_bytes())?;
                    say(&format!(
                        "`{}` tells all of it",
                        self.again(&format!("--seed {}", story.outcome.seed))
                    ));
                } else if let Some(outcome) = failed {
                    say(&given_up(outcome));
                }
            }
        }
        Ok(verdict(found.failed.is_none()))
    }

    /// The command line that simulates the same with other numbers.
    fn again(&self, numbers: &str) -> String {
        let mut command = format!("roundtrip simulate {numbers}");
        let mut add = |option: &str, value: &str| {
            let quote = if value.contains([' ', '"', '*', '{']) {
                "'"
            } else {
                ""
            };
            command.extend([" ", option, " ", quote, value, quote]);
        };
        for role in &self.role {
            add("--role", role);
        }
        for assignment in &self.set {
            add("--set", assignment);
        }
        if let Some(profile) = &self.profile {
            add("--profile", profile);
        }
        for (given, option) in [(self.shipped, " --shipped"), (self.calm, " --calm")] {
            if given {
                command.push_str(option);
            }
        }
        for (fault, rate) in &self.fault {
            let _ = write!(command, " --fault {fault}={rate}");
        }
        let defaults = Scenario::default();
        let numbers = [
            ("--clients", self.clients, defaults.clients),
            ("--fetchers", self.fetchers, defaults.fetchers),
            ("--watchers", self.watchers, defaults.watchers),
            ("--files", self.files, defaults.files),
        ];
        for (option, number, default) in numbers {
            if usize::from(number) != default {
                command.extend([" ", option, " ", &number.to_string()]);
            }
        }
        command
    }

    fn record(&self, outcome: &Outcome) -> Result<()> {
        let Some(file) = &self.recording else {
            return Ok(());
        };
        let mut text = outcome.recording.join("\n");
        text.push('\n');
        let write = || File::create_new(file)?.write_all(text.as_bytes());
        write()
            .map_err(|error| Error::unwritable(format!("could not write {}", file.display())).because(error))
    }
}

/// A kind of fault and its rate, of the command line.
fn fault(text: &str) -> Result<(Fault, f64), String> {
    let (kind, rate) = text
        .split_once('=')
        .ok_or("a kind and its rate, such as crash=0.05")?;
    let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    Ok((kind.parse()?, rate.ok_or("a rate lies between 0 and 1")?))
}

/// What is said of a history that has no end.
fn given_up(outcome: &Outcome) -> String {
    format!(
        "seed {} was given up after {} events: its looks come too often for so long a history",
        outcome.seed, outcome.statistics.events
    )
}

fn report<'a>(found: &'a Found, story: Option<&'a Story>) -> Report<'a> {
    Report {
        seeds: found.seeds,
        jobs: found.jobs,
        faults: found.faults,
        events: found.events,
        failed: story.map(|story| &story.outcome).or(found.failed.as_deref()),
    }
}

fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|error| Error::failed(error.to_string()))?;
    print(format!("{text}\n").as_bytes()).map(drop)
}

const fn verdict(holds: bool) -> Exit {
    if holds { Exit::Done } else { Exit::Failed }
}
