//! The error a person reads at the edge: what went wrong, what to do, and the exit code.

use std::error::Error as StdError;
use std::fmt;

/// How the program ended, as a number scripts can rely on (sysexits where one fits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Done,
    /// It ended, but a job or a check failed.
    Failed,
    /// The command line was wrong.
    Usage,
    /// What it tells could not be written: a full disk, a file that may not be.
    Unwritable,
    /// A service is away: the same command may work later.
    TryAgain,
    /// The configuration is wrong: the same command will fail again.
    Config,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Unwritable => 74,
            Self::TryAgain => 75,
            Self::Config => 78,
        }
    }
}

/// A failure at the edge of the program.
#[derive(Debug)]
pub struct Error {
    /// How to exit.
    pub exit: Exit,
    /// What went wrong, as a lower-case fragment without a full stop; may span lines when rendered source follows.
    pub what: String,
    /// What the reader can do about it.
    pub hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the edge returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure with this exit and text.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            hint: None,
            source: None,
        }
    }

    /// Wrong configuration.
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(Exit::Config, what)
    }

    /// A service that is away.
    pub fn away(what: impl Into<String>) -> Self {
        Self::new(Exit::TryAgain, what)
    }

    /// Wrong usage.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Output that could not be written.
    pub fn unwritable(what: impl Into<String>) -> Self {
        Self::new(Exit::Unwritable, what)
    }

    /// A job or a check that failed.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what)
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The text a person sees: `Error:`, then each cause that adds something, then the hint.
pub fn render(error: &Error) -> String {
    let mut text = format!("Error: {}", error.what);
    let mut seen = error.what.clone();
    let mut cause = StdError::source(error);
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !seen.contains(&line) {
            text.push_str("\nCaused by: ");
            text.push_str(&line);
            seen = line;
        }
        cause = inner.source();
    }
    if let Some(hint) = &error.hint {
        text.push_str("\nHint: ");
        text.push_str(hint);
    }
    text
}
