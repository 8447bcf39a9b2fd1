//! `roundtrip replay`: the decisions a role takes on a recorded history.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_testkit::recording::{ReadError, Reader};
use roundtrip_testkit::replay::{Line, Replay, Settings, Survey};

use super::{Format, output};
use crate::dsl::{self, Layers};
use crate::error::{Error, Exit, Result};
use crate::replay;

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A recording: of `roundtrip record`, of `aws dynamodbstreams get-records`, or Lambda's events; - for standard
    /// input
    recording: PathBuf,
    /// The role: a TOML file, or a shipped one (client, fetcher, watcher)
    #[arg(long)]
    role: String,
    /// Sets a value over all files, for example restart-stalled.retry.attempts-max=3
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// The profile of the role file to use
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
    /// How decisions are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    let layers = Layers::of_process(arguments.profile.clone(), arguments.set.clone());
    let spec = dsl::load_role(&arguments.role, &layers)?;
    let (role, left) = replay::role(&spec)?;
    for name in left {
        output::say(&format!("replay plays no part for the pipeline `{name}`"));
    }
    let settings = Settings {
        strict: arguments.strict,
        until: arguments.until,
        seed: arguments.seed,
    };
    let needs_survey = role.needs_survey();
    let mut replay = Replay::new(role, settings, replay::verify);
    if needs_survey {
        replay = replay.with(survey(&arguments.recording)?);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut print = |lines: Vec<Line>| -> Result<()> {
        let printed = lines.iter().try_for_each(|line| match arguments.format {
            Format::Text => writeln!(out, "{}", line.text()),
            Format::Json => writeln!(out, "{}", line.json()),
        });
        printed.map_err(|error| Error::failed("could not write to standard output").because(error))
    };
    for entry in open(&arguments.recording)? {
        let entry = entry.map_err(|error| unreadable(&arguments.recording, error))?;
        replay.feed(&entry);
        print(replay.lines())?;
    }
    replay.finish();
    print(replay.lines())?;
    out.flush()
        .map_err(|error| Error::failed("could not write to standard output").because(error))?;
    Ok(Exit::Done)
}

/// Reads a recording for what it tells of its fetchers.
fn survey(path: &Path) -> Result<Survey> {
    if path == Path::new("-") {
        return Err(
            Error::usage("this role is replayed in two readings of the recording")
                .hint("name a file in place of standard input"),
        );
    }
    let mut survey = Survey::new();
    for entry in open(path)? {
        survey.take(&entry.map_err(|error| unreadable(path, error))?);
    }
    Ok(survey)
}

/// Opens a recording.
pub(super) fn open(path: &Path) -> Result<Reader<Box<dyn BufRead>>> {
    if path == Path::new("-") {
        return Ok(Reader::new(Box::new(BufReader::new(io::stdin()))));
    }
    let file = File::open(path).map_err(|error| {
        Error::usage(format!("the recording {} cannot be opened", path.display())).because(error)
    })?;
    Ok(Reader::new(Box::new(BufReader::with_capacity(1 << 20, file))))
}

/// A recording that cannot be read on, with what to do about it.
pub(super) fn unreadable(path: &Path, error: ReadError) -> Error {
    let hint = error.hint();
    Error::failed(format!("the recording {} cannot be read", path.display()))
        .because(error)
        .hint(hint)
}

/// A moment of the command line.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    iso::read(text).ok_or_else(|| "an ISO 8601 time with its offset, such as 2026-01-31T12:00:00Z".to_owned())
}
