//! `roundtrip record`: writes the records of the table's stream into a file as they come.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use p256::elliptic_curve::Generate as _;
use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_testkit::recording::{Entry, Redaction, Writer};
use tokio::time::Instant;

use super::output::say;
use super::process;
use crate::cloud::Clients;
use crate::cloud::streams::Streams;
use crate::error::{Error, Exit, Result};
use crate::recorder::{Recorder, Start};
use crate::recordings;
use sheet::Sheet;

mod sheet;

/// Time between two lines that tell how far the recording is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How long the last reads of the stream may take.
const LAST_READS_WAIT: Duration = Duration::from_secs(15);

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file, which must not exist yet; one that ends in .zst is compressed, - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long to record, for example 15m or 24h; until it is stopped where not said
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Replaces clients, files, results, errors and signatures, the same ones always by the same
    #[arg(long)]
    redact: bool,
    /// Begins with the oldest record the stream still has, up to a day old
    #[arg(long)]
    from_start: bool,
    /// The table of jobs
    #[arg(long, env = "ROUNDTRIP_TABLE", default_value = super::setup::TABLE)]
    table: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    process::log("roundtrip=info,warn,aws_config=error", false)?;
    process::block_on(async {
        let signals = process::signals()?;
        let clients = Clients::from_environment().await?;
        let streams = Streams::new(
            clients.streams.clone(),
            clients.dynamodb.clone(),
            &arguments.table,
        );
        let start = if arguments.from_start {
            Start::Oldest
        } else {
            Start::Newest
        };
        let recorder = Recorder::begin(streams, start).await?;
        let mut tape = Tape::begin(arguments)?;
        let table = &arguments.table;
        let written_to = if recordings::is_standard_input(&arguments.out) {
            "standard output".to_owned()
        } else {
            arguments.out.display().to_string()
        };
        say(&format!(
            "records the stream of {table} into {written_to}; stop it with Ctrl-C"
        ));
        let ending = tape.record(recorder, arguments.duration, &signals).await;
        tape.finish()?;
        let is_all = ending?;
        say(&format!("{} records in {written_to}", tape.count));
        Ok(if is_all { Exit::Done } else { Exit::TryAgain })
    })
}

/// The file that is written.
struct Tape<'a> {
    path: &'a Path,
    writer: Writer<Sheet>,
    redaction: Option<Redaction>,
    count: u64,
    /// The moment of the last record.
    latest: Option<Timestamp>,
}

impl<'a> Tape<'a> {
    fn begin(arguments: &'a Arguments) -> Result<Self> {
        let path = arguments.out.as_path();
        let redaction = arguments.redact.then(redaction).transpose()?;
        let mut writer = Writer::new(Sheet::create(path)?);
        let origin = format!("recorded by roundtrip {}", env!("CARGO_PKG_VERSION"));
        let origin = if arguments.redact {
            format!("{origin}, redacted")
        } else {
            origin
        };
        let begun = writer.header(None, Some(&origin)).and_then(|()| writer.flush());
        begun.map_err(|error| unwritable(path, error))?;
        Ok(Self {
            path,
            writer,
            redaction,
            count: 0,
            latest: None,
        })
    }

    /// Records until it is to end; whether the recording then has all that the stream told until its end.
    async fn record(
        &mut self,
        mut recorder: Recorder,
        duration: Option<Duration>,
        signals: &process::Signals,
    ) -> Result<bool> {
        // A moment that no clock tells never comes.
        let end = duration.and_then(|duration| Instant::now().checked_add(duration));
        let ended = async || match end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        };
        let (mut told_at, mut told) = (Instant::now(), 0);
        let ended = loop {
            let entries = tokio::select! {
                biased;
                () = signals.stop.cancelled() => break Ok(()),
                () = ended() => break Ok(()),
                entries = recorder.next() => entries,
            };
            match entries {
                Ok(entries) => self.write(entries)?,
                Err(error) => break Err(error),
            }
            if told_at.elapsed() >= PROGRESS_EVERY && told != self.count {
                (told_at, told) = (Instant::now(), self.count);
                say(&format!("{} records", self.count));
            }
        };
        let mut last = Vec::new();
        let is_all = tokio::select! {
            biased;
            () = signals.at_once.cancelled() => false,
            is_all = recorder.finish(LAST_READS_WAIT, &mut last) => is_all,
        };
        let latest = last.last().and_then(Entry::moment).or(self.latest);
        self.write(last)?;
        if !is_all {
            let until = latest.map_or_else(String::new, |latest| {
                format!(": the recording goes until {}", iso::write(latest))
            });
            say(&format!(
                "the stream has more, which was not read{until}; `--from-start` within a day reads it"
            ));
        }
        ended.map(|()| is_all)
    }

    fn finish(&mut self) -> Result<()> {
        let finished = self.writer.get_mut().finish();
        finished.map_err(|error| unwritable(self.path, error))
    }

    fn write(&mut self, entries: Vec<Entry<'static>>) -> Result<()> {
        let written = || -> io::Result<()> {
            for entry in entries {
                let entry = match &self.redaction {
                    Some(redaction) => redaction.redact(entry),
                    None => entry,
                };
                self.writer.entry(&entry)?;
                self.count += 1;
                self.latest = entry.moment().or(self.latest);
            }
            self.writer.flush()
        };
        written().map_err(|error| unwritable(self.path, error))
    }
}

/// A redaction under a key that nothing else has seen.
fn redaction() -> Result<Redaction> {
    let key = <[u8; 32]>::try_generate().map_err(|error| {
        Error::failed("the system gave no random numbers for the redaction").because(error)
    })?;
    Ok(Redaction::new(key))
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let hint = if full {
        "make room and record anew: what came until then is in the file, its last line may be cut off"
    } else {
        "what came until then is in the file, its last line may be cut off"
    };
    if recordings::is_standard_input(path) {
        return Error::unwritable("the recording cannot be written on to standard output").because(error);
    }
    Error::unwritable(format!("the recording {} cannot be written on", path.display()))
        .because(error)
        .hint(hint)
}
