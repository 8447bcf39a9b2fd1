//! Standard output and standard error, which may be closed or full, or a terminal with a progress bar on it.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::error::{Error, Exit, Result};

/// The bar that is on the terminal now: whoever writes there clears it first.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a command's whole result; one that could not be written is a failure.
pub(super) fn print(bytes: &[u8]) -> Result<Exit> {
    let mut output = io::stdout().lock();
    output
        .write_all(bytes)
        .and_then(|()| output.flush())
        .map_err(|error| Error::failed("could not write to standard output").because(error))?;
    Ok(Exit::Done)
}

/// Writes a line to standard output that is told beside the work: nobody may be reading any more.
pub(super) fn tell(line: &str) {
    without_bar(|| {
        let _ = writeln!(io::stdout(), "{line}");
    });
}

/// Writes a line to standard error, which may be closed.
pub(super) fn say(line: &str) {
    without_bar(|| {
        let _ = writeln!(io::stderr(), "{line}");
    });
}

/// From now on this bar is on the terminal, or none.
pub(super) fn show_bar(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn without_bar(write: impl FnOnce()) {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Standard error for the log, which neither breaks the bar nor fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        without_bar(|| {
            let _ = io::stderr().write_all(bytes);
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
