//! Results as files, beside names a person expects, each there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use roundtrip_core::at::Timestamp;
use tempfile::NamedTempFile;

use crate::dsl::spec::DirectorySink;
use crate::error::{Error, Result};

mod name;
#[cfg(test)]
mod tests;

use name::{Place, extension};

/// How our unfinished files are named: hidden, and never the name of a result.
const TEMPORARY: (&str, &str) = (".roundtrip-", ".tmp");

/// How often a write is begun again when another process swept its unfinished file.
const WRITES_MAX: u32 = 3;

/// Sealed results kept of one file, at most.
const SEALED_MAX: u32 = 1_000;

/// Files and folders a sweep looks at, at most.
pub const SWEPT_MAX: usize = 1_000_000;

/// A folder of results.
///
/// The file `a/b.tif` has its result in `a/b.tif.json`, `.txt` or `.bin`, an error in `a/b.tif.error.txt` and a
/// result that does not open in `a/b.tif.sealed`. No two files share a name: only the text result of one called
/// `b.error` would, and is `b.error~.txt`. Where such a name would be longer than 255 bytes, the end of
/// the file's own name is replaced by `~` and eight hex digits of the SHA-256 of the whole name.
#[derive(Clone, Debug)]
pub struct ResultsDirectory {
    root: PathBuf,
}

impl ResultsDirectory {
    /// Makes the folder where it is not there and proves that it can be written.
    pub fn open(spec: &DirectorySink) -> Result<Self> {
        let directory = Self {
            root: spec.path.clone(),
        };
        fs::create_dir_all(&directory.root)
            .and_then(|()| temporary(&directory.root))
            .map_err(|error| {
                Error::config(format!(
                    "results cannot be written to {}",
                    directory.root.display()
                ))
                .hint(
                    "name a folder that this user may write: `sink.directory.path`, or --results of `roundtrip local`",
                )
                .because(error)
            })?;
        Ok(directory)
    }

    /// Writes a result, in place of an earlier one of the same kind and of an earlier error of the same file.
    ///
    /// The extension is that of the content type; without one, of what the result looks like. An earlier result of
    /// another kind stays, and so does a file with the name of the error that does not begin as [`error_text`] does:
    /// either may be somebody's.
    pub fn write_result(&self, file: &Path, content_type: Option<&str>, body: &[u8]) -> io::Result<PathBuf> {
        let place = Place::of(file)?;
        let name = place.result(extension(content_type, body));
        let path = self.put(&place, &name, body)?;
        let error = self.path(&place, &place.name(name::ERROR));
        if is_error_text(&error)? {
            fs::remove_file(error)?;
        }
        Ok(path)
    }

    /// Writes why a file has no result, for a person to read (see [`error_text`]).
    pub fn write_error(&self, file: &Path, text: &str) -> io::Result<PathBuf> {
        let line_end = if text.ends_with('\n') { "" } else { "\n" };
        let place = Place::of(file)?;
        let name = place.name(name::ERROR);
        self.put(&place, &name, format!("{text}{line_end}").as_bytes())
    }

    /// Keeps a result that does not open, beside those kept before; the same one is kept once.
    pub fn keep_sealed(&self, file: &Path, sealed: &str) -> io::Result<PathBuf> {
        let place = Place::of(file)?;
        for number in 1..=SEALED_MAX {
            let path = self.path(&place, &place.name(&name::sealed(number)));
            if fs::read(&path).is_ok_and(|kept| kept == sealed.as_bytes()) {
                return Ok(path);
            }
            let made = self.make_folder(&place)?;
            let unfinished = unfinished(&made, sealed.as_bytes())?;
            match unfinished.persist_noclobber(&path) {
                Ok(_) => return sync_folder(&made).map(|()| path),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.error),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{SEALED_MAX} sealed results of this file are kept"),
        ))
    }

    fn path(&self, place: &Place, name: &OsStr) -> PathBuf {
        self.root.join(&place.folder).join(name)
    }

    fn put(&self, place: &Place, name: &OsStr, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(place, name);
        let folder = self.make_folder(place)?;
        for write in 1.. {
            match unfinished(&folder, content)?.persist(&path) {
                Ok(_) => break,
                // A process that just started may take our file for a dead one's before it is locked.
                Err(error) if write < WRITES_MAX && error.error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.error),
            }
        }
        sync_folder(&folder)?;
        Ok(path)
    }

    /// Makes the folder of a result; folders that are new are on the disk when this returns.
    fn make_folder(&self, place: &Place) -> io::Result<PathBuf> {
        let folder = self.root.join(&place.folder);
        if !folder.is_dir() {
            fs::create_dir_all(&folder)?;
            for parent in folder.ancestors().skip(1).take(place.folder.components().count()) {
                sync_folder(parent)?;
            }
        }
        Ok(folder)
    }

    /// Removes the unfinished files of processes that are no more, as far as it comes with [`SWEPT_MAX`] entries. What
    /// fails is no harm to results, and results may be written meanwhile.
    pub fn sweep(&self) {
        for entry in walkdir::WalkDir::new(&self.root)
            .into_iter()
            .take(SWEPT_MAX)
            .flatten()
        {
            let name = entry.file_name().to_string_lossy();
            let ours =
                entry.file_type().is_file() && name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1);
            if ours && let Err(error) = sweep_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "an unfinished result could not be removed");
            }
        }
    }
}

/// How an error file begins.
const ERROR_TEXT: &str = "There is no result for ";

/// Whether an error file of ours is there.
fn is_error_text(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut begin = Vec::new();
    let length = ERROR_TEXT.len() as u64;
    File::open(path)?.take(length).read_to_end(&mut begin)?;
    Ok(begin == ERROR_TEXT.as_bytes())
}

/// What an error file says.
pub fn error_text(file: &Path, what: &str, when: Timestamp, job: &str) -> String {
    let when =
        jiff::Timestamp::from_millisecond(when.0).map_or_else(|_| when.to_string(), |when| when.to_string());
    let file = file.display();
    format!(
        "{ERROR_TEXT}{file}.\n\nWhat happened: {what}\nWhen: {when}\nJob: {job}\n\nThe file is not sent \
         again by itself. To send it again, change it or copy it into its folder anew.\n"
    )
}

/// A hidden file in the folder, locked for as long as it is open so that no sweep takes it.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    // As any program would make a file for its user: what the umask leaves.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder)?;
    match file.as_file().try_lock() {
        // Without locks on this file system a sweep may take the file; the write is then begun again.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(file),
    }
}

fn temporary(folder: &Path) -> io::Result<()> {
    temporary_in(folder)?.close()
}

/// A hidden file with this content, on the disk.
fn unfinished(folder: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = temporary_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn sweep_file(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => fs::remove_file(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a rename in this folder last; network shares that cannot, say so and are believed.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
