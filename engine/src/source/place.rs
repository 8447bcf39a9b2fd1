//! A path beneath a folder, opened without following a link anywhere on the way.

use std::fs::File;
use std::io;
use std::path::{Component, Path};

/// Whether a path stays beneath the folder it is relative to, and names something there.
pub(super) fn is_beneath(relative: &Path) -> bool {
    let mut components = relative.components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

/// Opens a file for reading. A link in any component is refused; a special file does not block the caller.
pub(super) fn open(root: &Path, relative: &Path) -> io::Result<File> {
    if !is_beneath(relative) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path leads out of the folder",
        ));
    }
    system::open(root, relative)
}

#[cfg(unix)]
mod system {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fd::OwnedFd;
    use rustix::fs::{Mode, OFlags};

    pub(super) fn open(root: &Path, relative: &Path) -> io::Result<File> {
        let (folder, name) = folder_of(root, relative)?;
        // Without NONBLOCK, a pipe that took the file's place would hold us until somebody writes to it.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(File::from(rustix::fs::openat(
            &folder,
            name,
            flags,
            Mode::empty(),
        )?))
    }

    fn folder_of<'a>(root: &Path, relative: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = relative.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let root = rustix::fs::open(root, FOLDER, Mode::empty())?;
        let folder = relative.parent().unwrap_or(Path::new(""));
        if folder.as_os_str().is_empty() {
            return Ok((root, name));
        }
        #[cfg(target_os = "linux")]
        if let Some(opened) = at_once(&root, folder) {
            return opened.map(|folder| (folder, name));
        }
        Ok((step_by_step(root, folder)?, name))
    }

    const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

    /// One call that the kernel guards; none where the kernel or a sandbox does not offer it.
    #[cfg(target_os = "linux")]
    fn at_once(root: &OwnedFd, folder: &Path) -> Option<io::Result<OwnedFd>> {
        use rustix::fs::ResolveFlags;
        use rustix::io::Errno;

        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        match rustix::fs::openat2(root, folder, FOLDER, Mode::empty(), resolve) {
            Ok(opened) => Some(Ok(opened)),
            // AGAIN: something was renamed meanwhile and the kernel cannot vouch for the path.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    pub(super) fn step_by_step(root: OwnedFd, folder: &Path) -> io::Result<OwnedFd> {
        folder.components().try_fold(root, |parent, component| {
            let flags = FOLDER | OFlags::NOFOLLOW;
            Ok(rustix::fs::openat(
                &parent,
                component.as_os_str(),
                flags,
                Mode::empty(),
            )?)
        })
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(super) fn open(root: &Path, relative: &Path) -> io::Result<File> {
        refuse_links(root, relative)?;
        File::open(root.join(relative))
    }

    fn refuse_links(root: &Path, relative: &Path) -> io::Result<()> {
        let mut path = root.to_path_buf();
        for component in relative.components() {
            path.push(component);
            if path.symlink_metadata()?.is_symlink() {
                return Err(io::Error::other("a symbolic link on the way"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_stay_beneath() {
        for path in ["a", "a/b", "a//b", "a/./b"] {
            assert!(is_beneath(Path::new(path)), "{path}");
        }
        for path in ["", ".", "..", "a/../b", "/a", "../a"] {
            assert!(!is_beneath(Path::new(path)), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_walk_for_old_kernels_refuses_links_too() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("real/deep")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("link")).unwrap();
        let folder = || std::fs::File::open(root.path()).unwrap().into();
        assert!(system::step_by_step(folder(), Path::new("real/deep")).is_ok());
        assert!(system::step_by_step(folder(), Path::new("link/deep")).is_err());
        assert!(system::step_by_step(folder(), Path::new("link")).is_err());
    }
}
