//! Standard output, which may be closed or full.

use std::io::{self, Write};

use crate::error::{Error, Exit, Result};

/// Writes a command's whole result; one that could not be written is a failure.
pub(super) fn print(bytes: &[u8]) -> Result<Exit> {
    let mut output = io::stdout().lock();
    output
        .write_all(bytes)
        .and_then(|()| output.flush())
        .map_err(|error| Error::failed("could not write to standard output").because(error))?;
    Ok(Exit::Done)
}
