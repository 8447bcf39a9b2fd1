//! One process per ledger.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Takes the lock beside the ledger, or says who is in the way. It is let go when the file is closed.
pub(super) fn take(ledger: &Path) -> Result<File> {
    let path = lock_path(ledger);
    let file = private(&path).map_err(|error| {
        Error::config(format!("the lock file {} cannot be written", path.display()))
            .because(error)
            .hint("the state folder must exist and be writable; choose another one with --state")
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::away(format!(
            "another roundtrip uses the state folder of {}",
            ledger.display()
        ))
        .hint("wait until it has ended, or choose another folder with --state")),
        Err(TryLockError::Error(error)) => Err(Error::config(format!(
            "the file system cannot lock {}",
            path.display()
        ))
        .because(error)
        .hint("choose a state folder on a local disk with --state")),
    }
}

/// Opens a file for writing; a new one is its owner's alone, since the names of files may tell much.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock_path(ledger: &Path) -> PathBuf {
    let mut name = OsString::from(ledger);
    name.push(".lock");
    name.into()
}
