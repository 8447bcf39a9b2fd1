//! `roundtrip results`: handles sealed results.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::output::print;
use crate::error::{Error, Exit, Result};
use crate::wire::keys::{ClientKey, KeyError};
use crate::wire::seal::SEALED_BYTES_MAX;

/// White space that may stand around the sealed text, in bytes.
const MARGIN_BYTES: usize = 4 << 10;

/// Handles sealed results.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Opens a sealed result: sealed text on standard input, the result on standard output
    Open {
        /// The client's key: PKCS#8 PEM
        #[arg(long, value_name = "PEM")]
        key: PathBuf,
    },
}

pub(super) fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Open { key } => open(&key),
    }
}

fn open(path: &Path) -> Result<Exit> {
    let key = match ClientKey::load(path) {
        // Refusing would protect nothing here: the person asks for this once, with this very key.
        Err(exposed @ KeyError::Exposed { .. }) => {
            let hint = exposed.hint().unwrap_or_default();
            // A closed standard error is no reason to fail.
            let _ = writeln!(io::stderr(), "Warning: {exposed}\nHint: {hint}");
            ClientKey::load_exposed(path)?
        }
        Err(missing @ KeyError::Missing { .. }) => {
            let hint = "name the key of the client the result was sealed for: no other opens it";
            return Err(Error::from(missing).hint(hint));
        }
        loaded => loaded?,
    };
    let refused = |why: String| Error::failed(format!("the result does not open: {why}"));
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take((SEALED_BYTES_MAX + MARGIN_BYTES) as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::failed("could not read standard input").because(error))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| refused("it is not text".to_owned()))?
        .trim();
    if text.is_empty() {
        return Err(refused("standard input is empty".to_owned()));
    }
    print(&key.open(text).map_err(|error| refused(error.to_string()))?)
}
