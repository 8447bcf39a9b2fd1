//! What every long-running command does with its process: threads, logging, signals.

use std::future::Future;
use std::io::IsTerminal;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::output::Log;
use crate::error::{Error, Exit, Result};

/// Threads for work that blocks, at most: each may keep a chunk's worth of memory for its next piece of work. Work that
/// lasts, or waits for other work, has threads of its own (walks and looks of a folder) or a limit (reading its files).
const BLOCKING_THREADS_MAX: usize = 16;

/// Runs a command on a runtime of its own.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(|error| Error::away("cannot start the program's threads").because(error))?
        .block_on(command)
}

/// Logs to standard error: what `ROUNDTRIP_LOG` asks for (`debug`, `roundtrip=trace,warn`, ...), else `default`.
pub(super) fn log(default: &str, json: bool) -> Result<()> {
    let wanted = std::env::var("ROUNDTRIP_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Error::config(format!("ROUNDTRIP_LOG={wanted} cannot be read"))
            .because(error)
            .hint("use a level such as `info`, or `roundtrip=debug,warn`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Log)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Set once a process; a second command in one process (a test) keeps the first.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    Ok(())
}

/// What the signals that ask a process to end have asked for so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    /// The first SIGINT or SIGTERM: bring what is under way to a safe end.
    pub(super) stop: CancellationToken,
    /// The second: the same, at once.
    pub(super) at_once: CancellationToken,
}

/// Listens for SIGINT and SIGTERM. The third ends the process: that is safe at any time, it only leaves more to be
/// done by the next start.
pub(super) fn signals() -> Result<Signals> {
    let listen =
        |kind| signal(kind).map_err(|error| Error::failed("cannot listen for signals").because(error));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let signals = Signals::default();
    let told = signals.clone();
    tokio::spawn(async move {
        for times in 1_u8..=3 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match times {
                1 => {
                    tracing::warn!(
                        "stopping: what is under way is brought to a safe end; once more to stop at once"
                    );
                    told.stop.cancel();
                }
                2 => {
                    tracing::warn!("stopping at once: what is held is given back");
                    told.at_once.cancel();
                }
                _ => std::process::exit(Exit::Failed.code().into()),
            }
        }
    });
    Ok(signals)
}
