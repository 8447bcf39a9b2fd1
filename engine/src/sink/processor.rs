//! The processor: the user's own analysis, reached over HTTP or as a command, or the built-in fingerprint.

use std::time::Duration;

use crate::dsl::spec::{ProcessorKind, ProcessorSink};
use crate::error::Result;
use crate::spool::{SpoolError, SpoolReader};

mod alive;
mod command;
mod excerpt;
mod fingerprint;
mod http;

pub use alive::{Alive, Gone, alive};
use command::Command;
pub(super) use command::withheld;
pub(super) use excerpt::end;
use http::Http;
pub(super) use http::client;

/// One file to analyse.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its content, which may still be on its way.
    pub file: SpoolReader,
    /// Its name at the client, where the client sent it.
    pub name: Option<String>,
}

/// What became of an analysis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The result.
    Result {
        /// Its content type, where the processor said or its content shows one.
        content_type: Option<String>,
        /// The result as it came.
        body: Vec<u8>,
    },
    /// The job's own fault: another attempt would end the same way.
    JobFault(String),
    /// It may go better another time, and may be the job's fault.
    Failed {
        /// What happened.
        why: String,
        /// How long the processor asked to be left alone.
        after: Option<Duration>,
    },
    /// Nobody answered, or the processor asked to come back later: not the job's fault.
    Away {
        /// What happened.
        why: String,
        /// How long the processor asked to be left alone.
        after: Option<Duration>,
    },
    /// It did not take the request: that may be wrong for every file, or it is this one.
    TurnedAway {
        /// What happened.
        why: String,
        /// How long the processor asked to be left alone.
        after: Option<Duration>,
    },
    /// The file did not arrive whole or right.
    Unproven(String),
    /// This machine cannot give it the file: its disk fails.
    Unfit(String),
}

impl Answer {
    fn failed(why: impl Into<String>) -> Self {
        Self::Failed {
            why: why.into(),
            after: None,
        }
    }

    fn away(why: impl Into<String>) -> Self {
        Self::Away {
            why: why.into(),
            after: None,
        }
    }

    /// What a failed spool means: a failing disk is this machine's matter, everything else the file's.
    fn from_spool(error: &SpoolError) -> Self {
        match error {
            SpoolError::Disk(_) => Self::Unfit(error.to_string()),
            SpoolError::Failed(_)
            | SpoolError::Abandoned
            | SpoolError::Interrupted
            | SpoolError::TooLong { .. }
            | SpoolError::TooShort { .. }
            | SpoolError::Name(_) => Self::Unproven(error.to_string()),
        }
    }
}

/// A processor, ready to be handed files; shared by all analyses.
#[derive(Debug)]
pub struct Processor {
    kind: Kind,
    timeout: Duration,
}

#[derive(Debug)]
enum Kind {
    Http(Http),
    Command(Command),
    Fingerprint,
}

impl Processor {
    /// Makes the processor a pipeline asks for; nothing is reached yet.
    pub fn new(spec: &ProcessorSink) -> Result<Self> {
        let kind = match &spec.kind {
            ProcessorKind::Http { url } => Kind::Http(Http::new(url, spec)?),
            ProcessorKind::Command { command } => Kind::Command(Command::new(command, spec.result_max)?),
            ProcessorKind::Fingerprint => Kind::Fingerprint,
        };
        Ok(Self {
            kind,
            timeout: spec.timeout,
        })
    }

    /// Waits until the processor is there, for as long as `ready` allows.
    pub async fn ready(&self) -> Result<()> {
        match &self.kind {
            Kind::Http(http) => http.ready().await,
            Kind::Command(command) => command.ready(),
            Kind::Fingerprint => Ok(()),
        }
    }

    /// Hands a file to the processor and waits for what becomes of it.
    ///
    /// The processor is engaged at once where it can follow the file, else when the file is whole; the timeout
    /// runs from then. A result or a fault stands only once the file is proven. When the future is dropped, the
    /// request is dropped or the child told to end; `alive` is held until that has happened.
    pub async fn analyse(&self, input: Input, alive: Alive) -> Answer {
        tokio::select! {
            biased;
            error = failure(&input.file) => Answer::from_spool(&error),
            answer = self.judge(&input, &alive) => answer,
        }
    }

    /// The answer once the file is proven. If it fails instead, [`Processor::analyse`] sees that first.
    async fn judge(&self, input: &Input, alive: &Alive) -> Answer {
        if self.needs_whole(&input.file)
            && let Err(error) = input.file.proven().await
        {
            return Answer::from_spool(&error);
        }
        let answer = tokio::time::timeout(self.timeout, self.engage(input, alive))
            .await
            .unwrap_or_else(|_| {
                let timeout = humantime::format_duration(self.timeout);
                Answer::failed(format!(
                    "the analysis took longer than {timeout} (sink.processor.timeout)"
                ))
            });
        match answer {
            Answer::Result { .. } | Answer::JobFault(_) => match input.file.proven().await {
                Ok(()) => answer,
                Err(error) => Answer::from_spool(&error),
            },
            Answer::Failed { .. } | Answer::Away { .. } | Answer::TurnedAway { .. } => {
                match input.file.failure() {
                    None => answer,
                    Some(error) => Answer::from_spool(&error),
                }
            }
            Answer::Unproven(_) | Answer::Unfit(_) => answer,
        }
    }

    async fn engage(&self, input: &Input, alive: &Alive) -> Answer {
        match &self.kind {
            Kind::Http(http) => http.analyse(input).await,
            Kind::Command(command) => command.analyse(&input.file, alive.clone()).await,
            Kind::Fingerprint => fingerprint::analyse(&input.file).await,
        }
    }

    /// Whether the processor cannot begin before the file is whole.
    fn needs_whole(&self, file: &SpoolReader) -> bool {
        match &self.kind {
            // The request says its length first; an empty body is complete as soon as that is said.
            Kind::Http(_) => file.size().is_none_or(|size| size == 0),
            Kind::Command(command) => command.takes_path(),
            Kind::Fingerprint => false,
        }
    }
}

/// Waits until the file failed; for ever, if it does not.
async fn failure(file: &SpoolReader) -> SpoolError {
    match file.proven().await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}
