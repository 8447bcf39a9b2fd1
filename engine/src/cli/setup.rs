//! `roundtrip setup`: makes what the roles need at the configured endpoints.

use std::io::{self, Write};

use clap::Args;

use super::Format;
use crate::cloud::{Clients, setup};
use crate::error::{Error, Exit, Result};

/// The bucket when none is named.
pub(super) const BUCKET: &str = "roundtrip";

/// The table when none is named.
pub(super) const TABLE: &str = "roundtrip-jobs";

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The bucket for chunks and manifests
    #[arg(long, env = "ROUNDTRIP_BUCKET", default_value = BUCKET)]
    bucket: String,
    /// The table of jobs
    #[arg(long, env = "ROUNDTRIP_TABLE", default_value = TABLE)]
    table: String,
    /// How to print what was made or found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments {
        bucket,
        table,
        format,
    } = arguments;
    let report = tokio::runtime::Runtime::new()
        .map_err(|error| Error::away("cannot start the program's threads").because(error))?
        .block_on(async { setup::ensure(&Clients::from_environment().await?, &bucket, &table).await })?;
    let text = match format {
        Format::Text => report.to_string(),
        Format::Json => {
            let json = serde_json::to_string_pretty(&report);
            json.map_err(|error| Error::failed("the report could not be written as JSON").because(error))?
                + "\n"
        }
    };
    // What was to be made is made, whether or not anybody reads about it.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}
