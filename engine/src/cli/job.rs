//! `roundtrip job`: looks into one job record.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::output::print;
use crate::error::{Error, Exit, Result};
use crate::wire::record::{RECORD_BYTES_MAX, Record};

/// Looks into one job record.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks a record's signature: exit code 0 if it holds, 1 if not
    Verify {
        /// The record, as JSON or DynamoDB JSON; `-` is standard input
        file: PathBuf,
    },
}

pub(super) fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Verify { file } => verify(&file),
    }
}

fn verify(file: &Path) -> Result<Exit> {
    let record = Record::read(&read(file)?)
        .map_err(|error| Error::failed(format!("{} is not a job record: {error}", name(file))))?;
    record
        .verify()
        .map_err(|refusal| Error::failed(format!("the signature does not hold: {refusal}")))?;
    let Record {
        file,
        chunks,
        client,
        created,
        ..
    } = record;
    // Escaped, since a record's texts may hold line breaks and terminal codes.
    let (file, created) = (file.escape_debug(), created.escape_debug());
    let chunks = if chunks == 1 {
        "1 chunk".to_owned()
    } else {
        format!("{chunks} chunks")
    };
    let line = format!("the signature holds: {file}, {chunks}, created {created}, signed by {client}\n");
    print(line.as_bytes())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = RECORD_BYTES_MAX as u64 + 1;
    let outcome = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match outcome {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::usage(format!("there is no file {}", file.display()))
                .hint("name a file with a job record as JSON, or - for standard input"))
        }
        Err(error) => Err(Error::failed(format!("could not read {}", name(file))).because(error)),
    }
}

fn name(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}
