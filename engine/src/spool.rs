//! The spool: files on their way to the processor, written once and read by followers while they grow.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::error::{Error, Result};

mod error;
mod folder;
mod reader;
#[cfg(test)]
mod tests;

pub use error::SpoolError;
pub use reader::SpoolReader;

use folder::Folder;

/// This process's folder of spooled files, `<state>/spool/<processor id>/`, mode 0700.
///
/// A lock file in it is held for as long as this value or any file of it lives, so that another process on the
/// same state folder can tell a living fetcher's folder from one that a crash left behind. The folder goes when
/// the last file of it and this value are gone.
#[derive(Debug)]
pub struct SpoolDir {
    folder: Arc<Folder>,
}

impl SpoolDir {
    /// Makes the folder, locks it and removes the folders of processes that are no more.
    ///
    /// Several processes may do this on one state folder at once. A symbolic link where a folder is expected is
    /// refused, so that nobody can lead the sweep elsewhere.
    pub fn open(state: &Path, processor_id: &str) -> Result<Self> {
        let spool = state.join("spool");
        let folder = Folder::open(&spool, processor_id).map_err(|error| {
            let what = format!("cannot make the spool folder {}", spool.join(processor_id).display());
            Error::config(what)
                .hint("choose a state folder that this user may write, on a disk that supports file locks, with --state")
                .because(error)
        })?;
        Ok(Self {
            folder: Arc::new(folder),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an empty spooled file, mode 0600, with its one writer and a first reader.
    ///
    /// `size` is the file's size in bytes where it is known beforehand: no more can be appended, and no less
    /// can be proven. The file is deleted when the writer and all readers and streams are gone. A name that is
    /// still in use gets a number; one that is not a plain file name is refused.
    pub fn create(&self, name: &str, size: Option<u64>) -> Result<(SpoolWriter, SpoolReader), SpoolError> {
        let (path, handle) = self.folder.create(name)?;
        let file = Arc::new(SpoolFile {
            path,
            size,
            _folder: Arc::clone(&self.folder),
        });
        let (progress, watched) = watch::channel(Progress {
            written: 0,
            state: State::Writing,
        });
        let writer = SpoolWriter {
            handle: Arc::new(handle),
            progress,
            appending: false,
            file: Arc::clone(&file),
        };
        Ok((writer, SpoolReader::new(file, watched)))
    }
}

/// A spooled file: deleted with the last of its holders.
#[derive(Debug)]
struct SpoolFile {
    path: PathBuf,
    size: Option<u64>,
    _folder: Arc<Folder>,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a spooled file could not be deleted");
        }
    }
}

/// How far a file has come.
#[derive(Clone, Debug)]
struct Progress {
    written: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Writing,
    Proven,
    Failed(SpoolError),
}

/// The one who appends to a spooled file. Dropped without [`SpoolWriter::prove`], the file counts as failed.
#[derive(Debug)]
pub struct SpoolWriter {
    handle: Arc<std::fs::File>,
    progress: watch::Sender<Progress>,
    /// An append began; still set afterwards if it was dropped half-way or failed.
    appending: bool,
    file: Arc<SpoolFile>,
}

impl SpoolWriter {
    /// Bytes appended so far.
    pub fn written(&self) -> u64 {
        self.progress.borrow().written
    }

    /// Appends a piece; readers see it when this returns.
    ///
    /// After an error, or when the future was dropped before its end, no more can be appended: what is on the
    /// disk is no longer known.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), SpoolError> {
        if self.appending {
            return Err(SpoolError::Interrupted);
        }
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let written = self.written().saturating_add(length);
        if let Some(size) = self.file.size
            && written > size
        {
            return Err(SpoolError::TooLong { size });
        }
        self.appending = true;
        let handle = Arc::clone(&self.handle);
        if let Err(error) = blocking(move || std::io::Write::write_all(&mut &*handle, &piece)).await {
            self.progress
                .send_modify(|progress| progress.state = State::Failed(error.clone()));
            return Err(error);
        }
        self.appending = false;
        self.progress.send_modify(|progress| progress.written = written);
        Ok(())
    }

    /// States that everything is here and right: readers may see the end.
    ///
    /// Fails, and the file with it, if fewer bytes are here than were announced.
    pub fn prove(self) -> Result<(), SpoolError> {
        let Progress { written, state } = self.progress.borrow().clone();
        if let State::Failed(error) = state {
            return Err(error);
        }
        let outcome = match self.file.size {
            _ if self.appending => Err(SpoolError::Interrupted),
            Some(size) if size != written => Err(SpoolError::TooShort { written, size }),
            Some(_) | None => Ok(()),
        };
        let state = outcome.clone().map_or_else(State::Failed, |()| State::Proven);
        self.progress.send_modify(|progress| progress.state = state);
        outcome
    }

    /// States that the file will never be whole or right, and why.
    pub fn fail(self, why: impl Into<String>) {
        let why = why.into();
        self.progress
            .send_modify(|progress| progress.state = State::Failed(SpoolError::Failed(why)));
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        self.progress.send_if_modified(|progress| {
            let unfinished = matches!(progress.state, State::Writing);
            if unfinished {
                progress.state = State::Failed(SpoolError::Abandoned);
            }
            unfinished
        });
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SpoolError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(SpoolError::disk),
        Err(error) => Err(SpoolError::disk(std::io::Error::other(error))),
    }
}
