//! `roundtrip replay`: the decisions a role takes on a recorded history.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_testkit::replay::{Comparison, Line, Replay, Settings};
use serde_json::json;

use super::Format;
use super::output::say;
use crate::dsl::spec::RoleSpec;
use crate::dsl::{self, Layers};
use crate::error::{Error, Exit, Result};
use crate::recordings::{self, Recording, Source};
use crate::replay;

mod report;

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A recording: of `roundtrip record`, of `aws dynamodbstreams get-records`, or Lambda's events, also
    /// compressed (.zst); - for standard input
    recording: PathBuf,
    /// Puts the records in order first, up to a million: for those of several shards one after the other
    #[arg(long)]
    sort: bool,
    /// The role: a TOML file, or a shipped one (client, fetcher, watcher)
    #[arg(long)]
    role: String,
    /// Another role, or the same one before a change: prints only the decisions that differ
    #[arg(long, value_name = "OLD")]
    against: Option<String>,
    /// Sets a value over all files of the role, for example restart-stalled.retry.attempts-max=3
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// The profile of the role files to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Until when schedules are fired, for example 2026-01-31T12:00:00Z; else ten minutes after the last record
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Keeps the recorded course: what the role would write is told and not done
    #[arg(long)]
    strict: bool,
    /// What the jitter of waits is made from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Draws what became of the jobs, and what differs, as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// How decisions are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            strict: self.strict,
            until: self.until,
            seed: self.seed,
        }
    }

    /// What a report is called.
    fn title(&self) -> String {
        let recording = self.recording.display();
        match &self.against {
            None => format!("{recording} with {}", self.role),
            Some(old) => format!("{recording} with {} against {old}", self.role),
        }
    }

    /// A role; `set` lies over the one that is asked about, not over the one it is compared with.
    fn load(&self, role: &str, set: Vec<String>) -> Result<RoleSpec> {
        Ok(dsl::load_role(
            role,
            &Layers::of_process(self.profile.clone(), set),
        )?)
    }

    fn replay(&self, spec: &RoleSpec, source: &Source) -> Result<Replay> {
        replay::start(spec, self.settings(), source)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let spec = arguments.load(&arguments.role, arguments.set.clone())?;
    let source = Source::new(&arguments.recording).sorted(arguments.sort);
    let mut new = arguments.replay(&spec, &source)?;
    if arguments.report.is_some() {
        new = new.with_timeline();
    }
    match &arguments.against {
        None => tell(arguments, &source, new),
        Some(old) => {
            let old_spec = arguments.load(old, Vec::new())?;
            for key in replay::unjudged(&old_spec, &spec) {
                say(&format!(
                    "note: {key} differs; no recording tells what comes of that, and so no replay does"
                ));
            }
            let old_replay = arguments.replay(&old_spec, &source)?;
            compare(arguments, &source, (old, old_replay), new)
        }
    }
}

/// Prints the decisions.
fn tell(arguments: &Arguments, source: &Source, mut replay: Replay) -> Result<Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut print = |lines: Vec<Line>| {
        lines.iter().try_for_each(|line| match arguments.format {
            Format::Text => writeln!(out, "{}", line.text()),
            Format::Json => writeln!(out, "{}", line.json()),
        })
    };
    let mut recording = source.open()?;
    for happening in &mut recording {
        let happening = happening.map_err(|error| recordings::unreadable(&arguments.recording, error))?;
        replay.happen(happening);
        print(replay.lines()).map_err(unwritable)?;
    }
    replay.finish();
    print(replay.lines()).map_err(unwritable)?;
    out.flush().map_err(unwritable)?;
    note(&recording);
    if let (Some(file), Some(timeline)) = (&arguments.report, replay.timeline()) {
        report::write(file, &arguments.title(), timeline, None)?;
    }
    Ok(Exit::Done)
}

/// Prints the decisions that differ, and what that means.
fn compare(arguments: &Arguments, source: &Source, old: (&str, Replay), new: Replay) -> Result<Exit> {
    let (old_name, old) = old;
    let mut comparison = Comparison::new(old, new);
    let mut recording = source.open()?;
    for happening in &mut recording {
        comparison.happen(happening.map_err(|error| recordings::unreadable(&arguments.recording, error))?);
    }
    let (differences, effects) = comparison.finish();
    let differs = !differences.is_empty();
    if let (Some(file), Some(timeline)) = (&arguments.report, comparison.timeline()) {
        let difference = report::difference(&differences, &effects);
        report::write(file, &arguments.title(), timeline, Some(&difference))?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut print = || -> io::Result<()> {
        match arguments.format {
            Format::Text if !differs => writeln!(out, "no decision differs")?,
            Format::Text => {
                writeln!(out, "--- {old_name}")?;
                writeln!(out, "+++ {}", arguments.role)?;
                for difference in &differences {
                    writeln!(out, "@@ {} @@", difference.subject)?;
                    for (side, line) in &difference.lines {
                        writeln!(out, "{}{}", side.sign(), line.text())?;
                    }
                }
                writeln!(out)?;
                for effect in &effects {
                    writeln!(out, "{}", effect.text)?;
                }
            }
            Format::Json => {
                for (side, line) in differences.iter().flat_map(|difference| &difference.lines) {
                    writeln!(
                        out,
                        "{{\"side\":\"{}\",\"decision\":{}}}",
                        side.sign(),
                        line.json()
                    )?;
                }
                let effects: Vec<_> = effects
                    .iter()
                    .map(|effect| json!({"count": effect.count, "text": effect.text}))
                    .collect();
                writeln!(out, "{}", json!({"differs": differs, "effects": effects}))?;
            }
        }
        out.flush()
    };
    print().map_err(unwritable)?;
    note(&recording);
    Ok(if differs { Exit::Failed } else { Exit::Done })
}

/// Says what is to be known about the recording.
fn note(recording: &Recording) {
    for note in recording.notes() {
        say(&format!("note: {note}"));
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::failed("could not write to standard output").because(error)
}

/// A moment of the command line.
fn moment(text: &str) -> Result<Timestamp, String> {
    iso::read(text).ok_or_else(|| "an ISO 8601 time with its offset, such as 2026-01-31T12:00:00Z".to_owned())
}
