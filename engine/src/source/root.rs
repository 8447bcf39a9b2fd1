//! The watched folder itself: whether it is there, and whether it is still the one it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::stamp::{self, Identity};

/// The watched folder.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    last: Mutex<Identity>,
}

impl Root {
    /// Resolves the links of its path once and for all; fails where there is no folder that can be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let identity = stamp::identity(&fs::metadata(&path)?);
        fs::read_dir(&path)?;
        Ok(Self {
            path,
            last: Mutex::new(identity),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Which folder is there now, or why there is none.
    ///
    /// An empty folder on another device is a mount point whose share is away; anything else that came in its place is
    /// the folder from now on.
    pub(super) fn look(&self) -> io::Result<Identity> {
        let now = stamp::identity(&fs::symlink_metadata(&self.path)?);
        let first = fs::read_dir(&self.path)?.next().transpose()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.device != last.device && first.is_none() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the folder is empty: its share is not mounted",
            ));
        }
        *last = now;
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_made_anew_is_the_folder_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("inbox");
        fs::create_dir(&path).unwrap();
        let root = Root::open(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        assert_eq!(root.look().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&path).unwrap();
        root.look().unwrap();
    }

    #[test]
    fn an_empty_mount_point_is_not_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let root = Root::open(parent.path()).unwrap();
        root.last.lock().unwrap().device += 1;
        assert_eq!(root.look().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(parent.path().join("a"), "").unwrap();
        root.look().unwrap();
        fs::remove_file(parent.path().join("a")).unwrap();
        root.look().unwrap();
    }
}
