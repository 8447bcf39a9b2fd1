//! The spool's folder on disk: one for each living process, and the sweep of those left by dead ones.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::SpoolError;

/// The lock in a process's folder; held while the process lives.
const LOCK: &str = ".lock";

/// How many spooled files may share a name before it is refused.
const SAME_NAME_MAX: u32 = 1_000;

/// One process's folder, locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes and locks `<spool>/<id>/`, and sweeps its neighbours.
    ///
    /// All of it happens under one lock on `spool` itself, so that nobody sweeps a folder that was made but is
    /// not locked yet.
    pub(super) fn open(spool: &Path, id: &str) -> io::Result<Self> {
        if !is_plain(id) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{id}` is not a plain name"),
            ));
        }
        if let Some(state) = spool.parent() {
            fs::create_dir_all(state)?;
        }
        make_private(spool)?;
        let gate = lock_file(&spool.join(LOCK))?;
        gate.lock()?;
        let path = spool.join(id);
        make_private(&path)?;
        let lock = lock_file(&path.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("another process uses {}", path.display()),
            ),
            TryLockError::Error(error) => error,
        })?;
        // A crashed process that had the same id.
        remove_files(&path)?;
        sweep(spool, id);
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file, mode 0600, of this name or this name with a number.
    pub(super) fn create(&self, name: &str) -> Result<(PathBuf, File), SpoolError> {
        if !is_plain(name) {
            return Err(SpoolError::Name(name.to_owned()));
        }
        for number in 1..=SAME_NAME_MAX {
            let path = match number {
                1 => self.path.join(name),
                _ => self.path.join(format!("{name}-{number}")),
            };
            match private().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(SpoolError::disk(error)),
            }
        }
        Err(SpoolError::Name(name.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The lock is still held here. What cannot be removed now, the next process's sweep finds.
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the spool folder could not be deleted");
        }
    }
}

/// Whether a name is one visible component of a path.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let one = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    );
    one && !name.starts_with('.') && !name.ends_with(['/', '\\'])
}

/// Makes a folder that only this user may enter. One that is there is taken if it is a real folder.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if !fs::symlink_metadata(path)?.is_dir() {
        let what = format!("{} is not a folder, or a symbolic link to one", path.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
    }
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// How every file here is opened: for this user alone, never through a symbolic link.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options
}

fn lock_file(path: &Path) -> io::Result<File> {
    private()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Removes what a crashed process with the same id left in the folder, except the lock.
fn remove_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the folders beside `own` whose lock nobody holds. What fails is left for the next process.
fn sweep(spool: &Path, own: &str) {
    let entries = match fs::read_dir(spool) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(path = %spool.display(), %error, "the spool could not be swept");
            return;
        }
    };
    for entry in entries.flatten() {
        // The type of the entry itself: a symbolic link is not a folder here, and stays.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || entry.file_name() == own {
            continue;
        }
        let path = entry.path();
        if let Err(error) = sweep_folder(&path) {
            tracing::warn!(path = %path.display(), %error, "a leftover spool folder could not be swept");
        }
    }
}

fn sweep_folder(path: &Path) -> io::Result<()> {
    let lock = match private().read(true).write(true).open(path.join(LOCK)) {
        Ok(lock) => Some(lock),
        // The process died before it had made the lock, or is just removing its folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match lock.as_ref().map_or(Ok(()), File::try_lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => {
            tracing::info!(path = %path.display(), "removed the spool folder of a process that is no more");
            Ok(())
        }
    }
}
