//! Which files are open for writing on this machine, as far as the system tells.
//!
//! Linux lists every open file in `/proc`. The list is made of names alone, which asks no file system and so cannot
//! hang on one that is away; only a file with the name in question is looked at closely.

/// Tells whether a file is being written to.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    #[cfg(target_os = "linux")]
    listed: std::sync::Mutex<Option<linux::Listing>>,
}

impl OpenFiles {
    /// Makes a new list of what is open.
    #[cfg(target_os = "linux")]
    pub(super) fn refresh(&self) {
        *self.locked() = Some(linux::Listing::new());
    }

    /// Whether somebody has the file open for writing; false where the system does not tell. A file that was opened
    /// since the last list may be missed; one that was closed since is not.
    #[cfg(target_os = "linux")]
    pub(super) fn is_written(&self, name: &std::ffi::OsStr, metadata: &std::fs::Metadata) -> bool {
        let mut listed = self.locked();
        if listed.as_ref().is_none_or(linux::Listing::is_stale) {
            *listed = Some(linux::Listing::new());
        }
        listed
            .as_ref()
            .is_some_and(|listing| listing.is_written(name, super::stamp::identity(metadata)))
    }

    #[cfg(target_os = "linux")]
    fn locked(&self) -> std::sync::MutexGuard<'_, Option<linux::Listing>> {
        self.listed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn refresh(&self) {}

    #[cfg(not(target_os = "linux"))]
    pub(super) fn is_written(&self, _name: &std::ffi::OsStr, _metadata: &std::fs::Metadata) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;
    use std::ffi::{OsStr, OsString};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use crate::source::stamp::{self, Identity};

    /// Open files that are looked at; on a machine with more the rest counts as not open.
    const OPEN_MAX: usize = 200_000;

    /// A list is used for this many times as long as it took to make: a tenth of one core at most goes into lists.
    const PRICE: u32 = 10;

    /// A list is used for no longer than this.
    const AGE_MAX: Duration = Duration::from_secs(1);

    /// The open files by their last name, each as its entry in `/proc`.
    #[derive(Debug)]
    pub(super) struct Listing {
        open: HashMap<OsString, Vec<PathBuf>>,
        made: Instant,
        good_for: Duration,
    }

    impl Listing {
        pub(super) fn new() -> Self {
            let began = Instant::now();
            let mut open = HashMap::<_, Vec<_>>::new();
            for entry in descriptors().take(OPEN_MAX) {
                // Pipes and sockets read as `pipe:[7]`.
                let named = fs::read_link(&entry).ok().filter(|path| path.is_absolute());
                if let Some(name) = named.as_deref().and_then(Path::file_name) {
                    open.entry(name.to_owned()).or_default().push(entry);
                }
            }
            let made = Instant::now();
            Self {
                open,
                made,
                good_for: AGE_MAX.min((made - began) * PRICE),
            }
        }

        pub(super) fn is_stale(&self) -> bool {
            self.made.elapsed() > self.good_for
        }

        pub(super) fn is_written(&self, name: &OsStr, identity: Identity) -> bool {
            self.open.get(name).is_some_and(|entries| {
                entries.iter().any(|entry| {
                    let same =
                        fs::metadata(entry).is_ok_and(|metadata| stamp::identity(&metadata) == identity);
                    same && is_for_writing(entry)
                })
            })
        }
    }

    /// `/proc/<process>/fd/<number>` of all processes that let us look.
    fn descriptors() -> impl Iterator<Item = PathBuf> {
        let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        entries(PathBuf::from("/proc"))
            .filter(|process| {
                process
                    .file_name()
                    .as_encoded_bytes()
                    .iter()
                    .all(u8::is_ascii_digit)
            })
            .flat_map(move |process| entries(process.path().join("fd")))
            .map(|descriptor| descriptor.path())
    }

    /// `/proc/<process>/fdinfo/<number>` has a line `flags:`, in octal.
    fn is_for_writing(entry: &Path) -> bool {
        let (Some(number), Some(process)) = (entry.file_name(), entry.parent().and_then(Path::parent)) else {
            return false;
        };
        let info = fs::read_to_string(process.join("fdinfo").join(number)).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok());
        let access =
            flags.map(|flags| rustix::fs::OFlags::from_bits_retain(flags) & rustix::fs::OFlags::RWMODE);
        access.is_some_and(|access| access != rustix::fs::OFlags::RDONLY)
    }
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "a test may end with a panic")]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;

    fn is_written(path: &Path) -> bool {
        let open = OpenFiles::default();
        open.refresh();
        open.is_written(path.file_name().unwrap(), &path.symlink_metadata().unwrap())
    }

    #[test]
    fn a_file_is_written_from_open_to_close() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("with space\n.tif");
        let writer = File::create(&path).unwrap();
        assert!(is_written(&path));
        let open = OpenFiles::default();
        open.refresh();
        drop(writer);
        assert!(!open.is_written(path.file_name().unwrap(), &path.symlink_metadata().unwrap()));
    }

    #[test]
    fn a_reader_is_no_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        drop(File::create(&path).unwrap());
        let _reader = File::open(&path).unwrap();
        assert!(!is_written(&path));
    }

    #[test]
    fn a_namesake_that_is_written_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("x")).unwrap();
        let path = folder.path().join("a.tif");
        drop(File::create(&path).unwrap());
        let _writer = File::create(folder.path().join("x/a.tif")).unwrap();
        assert!(!is_written(&path));
    }

    #[test]
    fn another_process_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tif");
        let mut writer = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(File::create(&path).unwrap())
            .spawn()
            .unwrap();
        assert!(is_written(&path));
        drop(writer.stdin.take());
        writer.wait().unwrap();
        assert!(!is_written(&path));
    }
}
