//! The bytes of one file, read only as long as they are those of the state that was seen.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use roundtrip_core::file::Stamp;

use super::{place, stamp};

/// Why a file is not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not, or no longer, in the state that was seen: look again and start over.
    #[error("the file changed while it was read")]
    Changed,
    /// There is no such file any more.
    #[error("the file is gone")]
    Gone,
    /// The system refuses it.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

/// One file, open for reading from its start to its end.
///
/// Every call blocks; run it where that is allowed. What was read is the file's content only once
/// [`FileReader::finish`] says so.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    root: PathBuf,
    relative: PathBuf,
    opened: Metadata,
    position: u64,
}

impl FileReader {
    /// Opens `relative` beneath the folder `root`.
    ///
    /// A symbolic link in any component of `relative` is refused as [`ReadError::Changed`], and so is whatever does
    /// not have the content that `stamp` tells ([`Stamp::same_content`]).
    pub fn open(root: &Path, relative: &Path, stamp: &Stamp) -> Result<Self, ReadError> {
        let file = place::open(root, relative).map_err(|error| fault(root, error))?;
        let opened = file.metadata().map_err(|error| fault(root, error))?;
        if !opened.is_file() || !stamp.same_content(&stamp::stamp(&opened)) {
            return Err(ReadError::Changed);
        }
        Ok(Self {
            file,
            root: root.to_owned(),
            relative: relative.to_owned(),
            opened,
            position: 0,
        })
    }

    /// The size in bytes, as it was when the file was opened.
    pub fn size(&self) -> u64 {
        self.opened.len()
    }

    /// Reads the next `length` bytes, which is also what they take in memory.
    ///
    /// A file that ends before is [`ReadError::Changed`]; ask for no more than the rest.
    pub fn read_piece(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut piece = Vec::new();
        piece
            .try_reserve_exact(length)
            .map_err(|error| ReadError::Unreadable(io::Error::other(error)))?;
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        let count = (&self.file)
            .take(limit)
            .read_to_end(&mut piece)
            .map_err(|error| fault(&self.root, error))?;
        self.position = self
            .position
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if count == length {
            Ok(piece)
        } else {
            Err(ReadError::Changed)
        }
    }

    /// Confirms that everything was read and that it is one state of the file: nothing was written since it was
    /// opened, there are no bytes left, and its path still names it.
    ///
    /// A new mode or a new hard link counts as a change here, though the content is the same: the system does not
    /// tell them from a write whose time was set back.
    pub fn finish(&self) -> Result<(), ReadError> {
        let end = (&self.file)
            .read(&mut [0])
            .map_err(|error| fault(&self.root, error))?;
        let now = self.file.metadata().map_err(|error| fault(&self.root, error))?;
        if end != 0 || self.position != self.opened.len() || !is_untouched(&self.opened, &now) {
            return Err(ReadError::Changed);
        }
        let named = place::open(&self.root, &self.relative).and_then(|file| file.metadata());
        let named = named.map_err(|error| fault(&self.root, error))?;
        if stamp::identity(&named) == stamp::identity(&now) {
            Ok(())
        } else {
            Err(ReadError::Changed)
        }
    }
}

#[cfg(unix)]
fn is_untouched(before: &Metadata, now: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    let state = |metadata: &Metadata| {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        (metadata.len(), modified, metadata.ctime(), metadata.ctime_nsec())
    };
    state(before) == state(now)
}

#[cfg(not(unix))]
fn is_untouched(before: &Metadata, now: &Metadata) -> bool {
    before.len() == now.len() && before.modified().ok() == now.modified().ok()
}

fn fault(root: &Path, error: io::Error) -> ReadError {
    use io::ErrorKind::{NotADirectory, NotFound, StaleNetworkFileHandle};

    let kind = error.kind();
    if matches!(kind, NotFound | NotADirectory) && !root.is_dir() {
        // A share that was unmounted takes its files out of sight, not out of the world.
        ReadError::Unreadable(error)
    } else if kind == NotFound {
        ReadError::Gone
    } else if matches!(kind, NotADirectory | StaleNetworkFileHandle) || is_link(&error) {
        // A component became a link or a file, or the server lost the handle.
        ReadError::Changed
    } else {
        ReadError::Unreadable(error)
    }
}

#[cfg(unix)]
fn is_link(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    // FreeBSD says MLINK for what others call LOOP.
    code == Some(rustix::io::Errno::LOOP.raw_os_error())
        || code == Some(rustix::io::Errno::MLINK.raw_os_error())
}

#[cfg(not(unix))]
fn is_link(_error: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests;
