//! DynamoDB and its Streams: dynoxide over SQLite, on threads of its own.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::STOP_WAIT_MAX;
use crate::error::{Error, Result};

mod journal;

/// How often items past their TTL and stream records past theirs are deleted. DynamoDB promises days for items; a
/// test need not wait that long.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Serves until the stack stops.
#[derive(Debug)]
pub(super) struct Server {
    ended: oneshot::Receiver<()>,
}

impl Server {
    /// Opens the database and serves it.
    ///
    /// dynoxide answers each request with synchronous SQLite calls, so it gets a runtime of its own: a slow
    /// disk holds up DynamoDB requests only, never the tasks of the caller's runtime.
    pub(super) fn start(path: &Path, listener: TcpListener, stop: CancellationToken) -> Result<Self> {
        let listener = listener
            .into_std()
            .map_err(|error| Error::away("the listener of DynamoDB cannot be handed over").because(error))?;
        let text = path.to_str().ok_or_else(|| {
            Error::config(format!("the path {} is not UTF-8", path.display()))
                .hint("give --state another folder")
        })?;
        let database = Database::new(text).map_err(|error| {
            Error::config(format!("cannot open {}: {error}", path.display()))
                .hint("its disk needs free space, and the file must be this user's and made by this or an older version")
        })?;
        if let Err(error) = journal::index(path) {
            tracing::warn!(%error, "the stream records have no index: writes get slower as they grow");
        }
        let file = path.to_path_buf();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dynamodb")
            .enable_all()
            .build()
            .map_err(|error| Error::away("cannot start the threads of DynamoDB").because(error))?;
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, database, file, stop));
                // Drops what did not end in time, and with it the last handle of the database.
                runtime.shutdown_timeout(STOP_WAIT_MAX);
                // Nobody waits for it when the stack was dropped.
                let _ = end.send(());
            })
            .map_err(|error| Error::away("cannot start the thread of DynamoDB").because(error))?;
        Ok(Self { ended })
    }

    /// Waits until the database is closed.
    pub(super) async fn stopped(self) {
        // The sender drops with its thread, so this ends in every case.
        let _ = self.ended.await;
    }
}

async fn serve(listener: std::net::TcpListener, database: Database, file: PathBuf, stop: CancellationToken) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "DynamoDB cannot serve its listener");
            return;
        }
    };
    let sweep = tokio::spawn(sweep(database.clone(), file, stop.clone()));
    let server = dynoxide::server::serve_with_shutdown(listener, database, stop.clone().cancelled_owned());
    tokio::select! {
        result = server => {
            if let Err(error) = result {
                tracing::error!(%error, "DynamoDB ended");
            }
        }
        () = late(&stop) => tracing::warn!("DynamoDB requests still under way are dropped"),
    }
    // It watches the same signal.
    let _ = sweep.await;
}

async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_WAIT_MAX).await;
}

async fn sweep(database: Database, file: PathBuf, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        let (database, file) = (database.clone(), file.clone());
        let swept = tokio::task::spawn_blocking(move || {
            let now = jiff::Timestamp::now().as_second();
            (database.sweep_ttl(), journal::trim(&file, now))
        });
        match swept.await {
            Ok((items, records)) => {
                told("items past their TTL", items);
                told("stream records past their day", records);
            }
            Err(error) => tracing::warn!(%error, "the sweep ended early"),
        }
    }
}

fn told<E: std::fmt::Display>(what: &str, deleted: std::result::Result<usize, E>) {
    match deleted {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "deleted {what}"),
        Err(error) => tracing::warn!(%error, "{what} could not be deleted"),
    }
}
