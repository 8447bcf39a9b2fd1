//! The ledger: which files were shipped, as which jobs, and what became of them; it outlives the process.
//!
//! One `SQLite` database in the state folder, used by one process at a time. What a call wrote is on the disk when it
//! returns. A call that is dropped before it returns may or may not have happened, as with a crash.

mod lock;
mod paths;
mod rows;
mod schema;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use roundtrip_core::at::Timestamp;
use roundtrip_core::file::{Known, Stamp};
use roundtrip_core::names::{FileId, JobKey};
use rusqlite::Connection;

use crate::error::{Exit, Result as EdgeResult};

/// Finished rows that one call of [`Ledger::prune`] removes, at most.
pub const PRUNED_MAX: usize = 10_000;

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database failed: the disk is full, was taken away, or is damaged.
    #[error("the ledger {} failed", file.display())]
    Database {
        /// The ledger's file.
        file: PathBuf,
        /// What the database says.
        source: rusqlite::Error,
    },
    /// A path that cannot be kept on this system.
    #[error("the name {0:?} cannot be kept in the ledger")]
    Path(PathBuf),
    /// The job belongs to another file, or has gone too far to be announced again.
    #[error("{0} is in the ledger already")]
    Taken(FileId),
    /// The program is stopping.
    #[error("the ledger was closed")]
    Closed,
}

impl From<LedgerError> for crate::error::Error {
    fn from(error: LedgerError) -> Self {
        let away = crate::error::Error::new(Exit::TryAgain, error.to_string());
        match error {
            LedgerError::Database { source, .. } => away
                .because(source)
                .hint("check the free space and the health of the disk with the state folder"),
            LedgerError::Path(_) | LedgerError::Taken(_) => crate::error::Error::failed(away.what),
            LedgerError::Closed => away,
        }
    }
}

/// How a job ended, as far as the ledger is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its result is here.
    Result,
    /// It failed, and why.
    Error(String),
    /// Its record vanished, or its result does not open, and what is known of it.
    Lost(String),
}

/// A job that was sent and whose outcome is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// The job.
    pub key: JobKey,
    /// The pipeline that sent it.
    pub pipeline: String,
    /// The file, relative to its inbox.
    pub path: PathBuf,
    /// Whether a newer version of the file was wholly sent since: its outcome counts, and not this job's. One that is
    /// still on its way may be given up, so it takes nothing away.
    pub superseded: bool,
}

/// How many jobs the ledger holds, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not completely sent.
    pub announced: u64,
    /// Sent, outcome awaited.
    pub sent: u64,
    /// Ended with a result.
    pub finished_with_result: u64,
    /// Ended with an error.
    pub finished_with_error: u64,
    /// Ended without either.
    pub lost: u64,
}

/// A handle on the ledger; clones share it, and the last one closes it.
#[derive(Clone, Debug)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Mutex<Connection>,
    file: PathBuf,
    /// Held, not used: the system lets go of the lock when the process ends, however it ends.
    _lock: File,
}

impl Ledger {
    /// Opens the ledger in `file`, which is made where there is none; its folder must exist. Blocks.
    ///
    /// Refuses a ledger that another process has open (exit 75), and one that is damaged, was written by a newer
    /// version or is not a ledger at all (exit 78); none of them is touched.
    pub fn open(file: &Path) -> EdgeResult<Self> {
        let lock = lock::take(file)?;
        let connection = schema::open(file)?;
        let inner = Inner {
            connection: Mutex::new(connection),
            file: file.to_owned(),
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The latest job of each path, in the order of `paths`.
    pub async fn known(
        &self,
        pipeline: &str,
        root: &Path,
        paths: &[PathBuf],
    ) -> Result<Vec<Option<Known>>, LedgerError> {
        let (pipeline, root, paths) = (pipeline.to_owned(), root.to_owned(), paths.to_vec());
        self.call(move |connection| rows::known(connection, &pipeline, &root, &paths))
            .await
    }

    /// Remembers that a file goes out as the job `key`, with the state it is in.
    ///
    /// Announcing the same job again for the same file replaces the stamp and `created`, until it is sent; otherwise
    /// it is [`LedgerError::Taken`].
    pub async fn announce(
        &self,
        pipeline: &str,
        root: &Path,
        path: &Path,
        stamp: &Stamp,
        key: &JobKey,
        created: &str,
    ) -> Result<(), LedgerError> {
        let row = rows::Announcement {
            pipeline: pipeline.to_owned(),
            root: paths::bytes(root)?,
            path: paths::bytes(path)?,
            stamp: stamp.clone(),
            key: key.clone(),
            created: created.to_owned(),
        };
        self.call(move |connection| rows::announce(connection, &row, now()))
            .await
    }

    /// Remembers that everything of a job is sent; whether the ledger knows the job. One that was sent stays so.
    pub async fn sent(&self, key: &JobKey) -> Result<bool, LedgerError> {
        let key = key.clone();
        self.call(move |connection| rows::sent(connection, &key, now()))
            .await
    }

    /// Remembers how a job ended; whether the ledger knows the job. The first outcome stands, but a result or an
    /// error takes the place of [`Outcome::Lost`].
    pub async fn finished(&self, key: &JobKey, outcome: Outcome) -> Result<bool, LedgerError> {
        let key = key.clone();
        self.call(move |connection| rows::finished(connection, &key, &outcome, now()))
            .await
    }

    /// Forgets a job, so that its file is new again unless an earlier job of it is known; whether it was there.
    pub async fn forget(&self, key: &JobKey) -> Result<bool, LedgerError> {
        let key = key.clone();
        self.call(move |connection| rows::forget(connection, &key)).await
    }

    /// The jobs of a folder that are announced and not sent, oldest first: what a crash left half-done. A path may
    /// come more than once; the later one is the latest.
    pub async fn unfinished(
        &self,
        pipeline: &str,
        root: &Path,
    ) -> Result<Vec<(PathBuf, Known)>, LedgerError> {
        let (pipeline, root) = (pipeline.to_owned(), root.to_owned());
        self.call(move |connection| rows::unfinished(connection, &pipeline, &root))
            .await
    }

    /// The jobs of these pipelines whose outcome is awaited, oldest first: a page of `limit`, from the one that
    /// follows `after`. A job in `after` that was forgotten meanwhile ends the round with an empty page.
    pub async fn outstanding(
        &self,
        pipelines: &[String],
        after: Option<&FileId>,
        limit: usize,
    ) -> Result<Vec<Outstanding>, LedgerError> {
        let (pipelines, after) = (pipelines.to_vec(), after.cloned());
        self.call(move |connection| rows::outstanding(connection, &pipelines, after.as_ref(), limit))
            .await
    }

    /// A job whose outcome is awaited; none where the ledger does not await one.
    pub async fn find(&self, key: &JobKey) -> Result<Option<Outstanding>, LedgerError> {
        let key = key.clone();
        self.call(move |connection| rows::find(connection, &key)).await
    }

    /// How many jobs that were announced before this one still await their outcome, counted up to `max`.
    pub async fn ahead(&self, key: &JobKey, max: u64) -> Result<u64, LedgerError> {
        let file = key.file.clone();
        self.call(move |connection| rows::ahead(connection, &file, max))
            .await
    }

    /// How many jobs of these pipelines there are, by state.
    pub async fn counts(&self, pipelines: &[String]) -> Result<Counts, LedgerError> {
        let pipelines = pipelines.to_vec();
        self.call(move |connection| rows::counts(connection, &pipelines))
            .await
    }

    /// Drops jobs that finished before `older_than` and whose file was wholly sent again since; how many, at most
    /// [`PRUNED_MAX`]. The latest job of each file stays, whatever its age.
    pub async fn prune(&self, older_than: Timestamp) -> Result<usize, LedgerError> {
        self.call(move |connection| rows::prune(connection, older_than, PRUNED_MAX))
            .await
    }

    async fn call<T, F>(&self, query: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, rows::Fault> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let answer = tokio::task::spawn_blocking(move || {
            // A query that panicked has rolled its transaction back: the connection is still good.
            let mut connection = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            query(&mut connection).map_err(|fault| fault.at(&inner.file))
        });
        answer.await.unwrap_or(Err(LedgerError::Closed))
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
