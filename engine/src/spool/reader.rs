//! The reading side of a spooled file: followers that never see an end that was not proven.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use tokio::sync::watch;

use super::{Progress, SpoolError, SpoolFile, State, blocking};

/// Bytes a read brings, at most.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of [`SpoolReader::head`], at most.
const HEAD_BYTES_MAX: u64 = 8 * 1024;

/// A view of a spooled file; clones share the file, and each stream reads it from its beginning.
#[derive(Clone, Debug)]
pub struct SpoolReader {
    file: Arc<SpoolFile>,
    progress: watch::Receiver<Progress>,
}

impl SpoolReader {
    pub(super) fn new(file: Arc<SpoolFile>, progress: watch::Receiver<Progress>) -> Self {
        Self { file, progress }
    }

    /// The file's size in bytes: as announced, or once it is proven.
    pub fn size(&self) -> Option<u64> {
        let progress = self.progress.borrow();
        match progress.state {
            State::Proven => Some(progress.written),
            State::Writing | State::Failed(_) => self.file.size,
        }
    }

    /// Bytes that are here so far.
    pub fn written(&self) -> u64 {
        self.progress.borrow().written
    }

    /// Where the file lies. It is whole only once it is proven, and there only as long as a reader is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Why the file will never be whole, if that is known already.
    pub fn failure(&self) -> Option<SpoolError> {
        match &self.progress.borrow().state {
            State::Failed(error) => Some(error.clone()),
            State::Writing | State::Proven => None,
        }
    }

    /// Waits until the whole file is here and right.
    pub async fn proven(&self) -> Result<(), SpoolError> {
        let mut progress = self.progress.clone();
        loop {
            match progress.borrow_and_update().state.clone() {
                State::Proven => return Ok(()),
                State::Failed(error) => return Err(error),
                State::Writing => {}
            }
            progress.changed().await.map_err(|_| SpoolError::Abandoned)?;
        }
    }

    /// The first 8 KiB, or all of a shorter file, as soon as they are here.
    ///
    /// They need not be proven: use them to tell the kind of a file, not as its content.
    pub async fn head(&self) -> Result<Bytes, SpoolError> {
        let enough = self
            .file
            .size
            .map_or(HEAD_BYTES_MAX, |size| size.min(HEAD_BYTES_MAX));
        let mut progress = self.progress.clone();
        let written = loop {
            let Progress { written, state } = progress.borrow_and_update().clone();
            match state {
                State::Failed(error) => return Err(error),
                State::Proven => break written,
                State::Writing if written >= enough => break written,
                State::Writing => {}
            }
            progress.changed().await.map_err(|_| SpoolError::Abandoned)?;
        };
        let reader = self.clone();
        let length = written.min(HEAD_BYTES_MAX);
        blocking(move || read(&File::open(reader.path())?, length)).await
    }

    /// The file's content from its beginning, following the writer.
    ///
    /// The last byte (of an empty file: the end) is held back until the file is proven, so that nobody who
    /// reads this stream takes a file for complete that was not proven. If it fails, the stream ends with the
    /// error.
    pub fn stream(&self) -> impl Stream<Item = Result<Bytes, SpoolError>> + Send + 'static + use<> {
        let follower = Follower {
            reader: self.clone(),
            handle: None,
            offset: 0,
        };
        stream::try_unfold(follower, |mut follower| async move {
            let piece = follower.next().await?;
            Ok(piece.map(|piece| (piece, follower)))
        })
    }
}

struct Follower {
    reader: SpoolReader,
    handle: Option<Arc<File>>,
    offset: u64,
}

impl Follower {
    /// The next piece; none when all of a proven file was read.
    async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        loop {
            let Progress { written, state } = self.reader.progress.borrow_and_update().clone();
            let (available, proven) = match state {
                State::Failed(error) => return Err(error),
                State::Proven => (written, true),
                State::Writing => (self.shown(written), false),
            };
            let ready = available.saturating_sub(self.offset);
            if ready > 0 {
                return self.read(ready.min(READ_BYTES_MAX)).await.map(Some);
            }
            if proven {
                return Ok(None);
            }
            self.reader
                .progress
                .changed()
                .await
                .map_err(|_| SpoolError::Abandoned)?;
        }
    }

    /// How much of the bytes written so far may be shown before the file is proven.
    fn shown(&self, written: u64) -> u64 {
        match self.reader.file.size {
            Some(size) => written.min(size.saturating_sub(1)),
            None => written.saturating_sub(1),
        }
    }

    async fn read(&mut self, length: u64) -> Result<Bytes, SpoolError> {
        let reader = self.reader.clone();
        let (handle, offset) = (self.handle.clone(), self.offset);
        let (handle, piece) = blocking(move || {
            let handle = match handle {
                Some(handle) => handle,
                None => Arc::new(File::open(reader.path())?),
            };
            // The position is set each time: a read that was dropped half-way may have moved it.
            (&mut &*handle).seek(SeekFrom::Start(offset))?;
            let piece = read(&handle, length)?;
            Ok((handle, piece))
        })
        .await?;
        self.handle = Some(handle);
        self.offset += length;
        Ok(piece)
    }
}

/// Exactly `length` bytes from where the handle stands.
fn read(mut handle: &File, length: u64) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    handle.by_ref().take(length).read_to_end(&mut piece)?;
    if u64::try_from(piece.len()).is_ok_and(|got| got == length) {
        return Ok(piece.into());
    }
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the spooled file was cut short by someone else",
    ))
}
