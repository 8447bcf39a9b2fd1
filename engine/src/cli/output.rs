//! Standard output and standard error, which may be closed or full, or a terminal with a progress bar on it.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
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
        .map_err(unwritable)?;
    Ok(Exit::Done)
}

/// Many lines on standard output, each as it comes.
pub(super) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    /// Whether they are told beside something else, such as a report: that is made whatever becomes of them.
    beside: bool,
    failed: Option<io::Error>,
}

impl Lines {
    pub(super) fn new(beside: bool) -> Self {
        Self {
            out: BufWriter::new(io::stdout().lock()),
            beside,
            failed: None,
        }
    }

    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        if self.failed.is_some() {
            return Ok(());
        }
        match writeln!(self.out, "{line}") {
            Err(error) if self.beside || error.kind() == ErrorKind::BrokenPipe => self.failed = Some(error),
            Err(error) => return Err(unwritable(error)),
            Ok(()) => {}
        }
        Ok(())
    }

    /// What was told is to be seen before more is.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.failed.is_none()
            && let Err(error) = self.out.flush()
        {
            if !self.beside && error.kind() != ErrorKind::BrokenPipe {
                return Err(unwritable(error));
            }
            self.failed = Some(error);
        }
        Ok(())
    }

    /// Whether nobody reads on.
    pub(super) fn is_left(&self) -> bool {
        let failed = self.failed.as_ref();
        failed.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    }

    /// Nothing follows. What could not be written is told here, where it was not at once.
    pub(super) fn end(mut self) -> Result<()> {
        match self.failed.take().map_or_else(|| self.out.flush(), Err) {
            // Who leaves has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            ended => ended.map_err(unwritable),
        }
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::unwritable("could not write to standard output").because(error)
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
