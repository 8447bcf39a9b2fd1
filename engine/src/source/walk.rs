//! Walking through the folder and looking at single paths; all of it blocks.

mod report;

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use report::{Ended, Report};
use roundtrip_core::file::Sight;
use tokio::sync::mpsc::Sender;
use walkdir::WalkDir;

use super::directory::Batch;
use super::filter::Filter;
use super::notices::{Noticed, Notices, WatchedFolder};
use super::open_files::OpenFiles;
use super::place;
use super::root::Root;
use super::stamp::{self, Identity};

/// Links of which it is remembered that their being skipped was said.
const LINKS_MAX: usize = 1_000;

/// Looks at what is in the folder.
pub(super) struct Walker {
    pub(super) root: Root,
    filter: Filter,
    open_files: OpenFiles,
    notices: Arc<Notices>,
    watch: Mutex<WatchState>,
    links_said: Mutex<HashSet<PathBuf>>,
}

/// What became of the wish to be notified.
pub(super) enum WatchState {
    /// Nobody asked for it.
    Unwanted,
    /// It is set up with the next scan.
    Wanted,
    /// It is.
    Set(WatchedFolder),
    /// The system does not do it for this folder.
    Refused(Identity),
}

impl Walker {
    pub(super) fn new(root: Root, filter: Filter, watch: WatchState, notices: Arc<Notices>) -> Self {
        let (open_files, links_said) = (OpenFiles::default(), Mutex::default());
        Self {
            root,
            filter,
            open_files,
            notices,
            watch: Mutex::new(watch),
            links_said,
        }
    }

    /// Reports everything there is; the last batch is marked, unless the folder was not there all the time.
    pub(super) fn scan(&self, batches: &Sender<Batch>) {
        let mut report = Report::new(batches);
        let outcome = self.root.look().map_err(Ended::Away).and_then(|identity| {
            // First the watch, then the walk: what comes in between is told by one of them.
            self.watch(identity);
            self.open_files.refresh();
            self.walk(self.root.path(), &mut report)?;
            // A share that went away meanwhile looks like a folder that was emptied.
            self.root.look().map_err(Ended::Away)
        });
        match outcome {
            Ok(_) => report.flush(true),
            Err(Ended::Away(error)) => {
                let folder = self.root.path().display();
                let sight = Sight::Unreadable(format!("the folder {folder} is not there: {error}"));
                if report.add(PathBuf::new(), sight).is_ok() {
                    report.flush(false);
                }
            }
            Err(Ended::Unwanted) => {}
        }
    }

    /// Reports what is under the paths that changed.
    pub(super) fn visit(&self, noticed: &Noticed, batches: &Sender<Batch>) {
        let mut report = Report::new(batches);
        self.open_files.refresh();
        match self.visit_each(noticed, &mut report) {
            Ok(()) if report.sightings.is_empty() => {}
            Ok(()) => report.flush(false),
            Err(Ended::Away(_)) => self.notices.ask_for_scan(),
            Err(Ended::Unwanted) => {}
        }
    }

    /// What is under one path now.
    pub(super) fn look(&self, relative: &Path) -> Sight {
        if !place::is_beneath(relative) || !self.filter.takes_file(relative) {
            return Sight::Gone;
        }
        match self.metadata(relative) {
            Ok(Some(metadata)) if metadata.is_file() => self.file(relative, &metadata),
            Ok(_) => self
                .root
                .look()
                .map_or_else(|error| Sight::Unreadable(error.to_string()), |_| Sight::Gone),
            Err(error) => Sight::Unreadable(error.to_string()),
        }
    }

    fn visit_each(&self, noticed: &Noticed, report: &mut Report<'_>) -> Result<(), Ended> {
        self.root.look().map_err(Ended::Away)?;
        let mut walked: Option<&Path> = None;
        for path in &noticed.paths {
            let Ok(relative) = path.strip_prefix(self.root.path()) else {
                continue;
            };
            if !place::is_beneath(relative) || walked.is_some_and(|folder| path.starts_with(folder)) {
                continue;
            }
            if !relative
                .parent()
                .is_none_or(|folder| self.filter.enters_folder(folder))
            {
                continue;
            }
            match self.metadata(relative) {
                Ok(Some(metadata)) if metadata.is_dir() => {
                    if self.filter.enters_folder(relative) {
                        self.walk(path, report)?;
                    }
                    walked = Some(path);
                }
                Ok(Some(metadata)) if metadata.is_file() => {
                    if self.filter.takes_entry(relative) {
                        report.add(relative.to_owned(), self.file(relative, &metadata))?;
                    }
                }
                Ok(Some(_)) => {
                    self.skip(relative);
                    if self.filter.takes_entry(relative) {
                        report.add(relative.to_owned(), Sight::Gone)?;
                    }
                }
                // It may have been a folder: what a glob for files leaves counts as well.
                Ok(None) if self.filter.enters_folder(relative) => {
                    self.root.look().map_err(Ended::Away)?;
                    report.add(relative.to_owned(), Sight::Gone)?;
                }
                Ok(None) => {}
                Err(error) => report.add(relative.to_owned(), Sight::Unreadable(error.to_string()))?,
            }
        }
        Ok(())
    }

    fn walk(&self, start: &Path, report: &mut Report<'_>) -> Result<(), Ended> {
        let relative = |path: &Path| path.strip_prefix(self.root.path()).unwrap_or(path).to_owned();
        let entries = WalkDir::new(start)
            .follow_links(false)
            .follow_root_links(false)
            .into_iter()
            .filter_entry(|entry| {
                !entry.file_type().is_dir() || self.filter.enters_folder(&relative(entry.path()))
            });
        for entry in entries {
            if report.batches.is_closed() {
                return Err(Ended::Unwanted);
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().map(relative).unwrap_or_default();
                    let error = cause(error);
                    if path.as_os_str().is_empty() {
                        return Err(Ended::Away(error));
                    }
                    // What vanished between listing and looking is no fault.
                    if error.kind() != io::ErrorKind::NotFound {
                        report.add(path, Sight::Unreadable(error.to_string()))?;
                    }
                    continue;
                }
            };
            let path = relative(entry.path());
            if entry.file_type().is_file() {
                if self.filter.takes_entry(&path) {
                    match entry.metadata() {
                        Ok(metadata) if metadata.is_file() => {
                            let sight = self.file(&path, &metadata);
                            report.add(path, sight)?;
                        }
                        // Replaced or gone since it was listed: a notification or the next scan tells.
                        Ok(_) => {}
                        Err(error) if is_nothing(error.io_error()) => {}
                        Err(error) => {
                            report.add(path, Sight::Unreadable(cause(error).to_string()))?;
                        }
                    }
                }
            } else if !entry.file_type().is_dir() {
                self.skip(&path);
            }
        }
        Ok(())
    }

    /// What is under a path, none of whose folders may be a link; none where there is nothing.
    fn metadata(&self, relative: &Path) -> io::Result<Option<Metadata>> {
        let mut path = self.root.path().to_path_buf();
        let mut folders = relative.components().peekable();
        while let Some(component) = folders.next() {
            path.push(component);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if folders.peek().is_none() => return Ok(Some(metadata)),
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Ok(None),
                Err(error) if is_nothing(Some(&error)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn file(&self, relative: &Path, metadata: &Metadata) -> Sight {
        if let Err(error) = is_readable(&self.root.path().join(relative)) {
            return Sight::Unreadable(error.to_string());
        }
        let busy = relative
            .file_name()
            .is_some_and(|name| self.open_files.is_written(name, metadata));
        Sight::File {
            stamp: stamp::stamp(metadata),
            busy,
        }
    }

    fn watch(&self, identity: Identity) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watch {
            WatchState::Unwanted => return,
            WatchState::Set(watched) if watched.is_of(identity) => return,
            WatchState::Refused(refused) if *refused == identity => return,
            WatchState::Wanted | WatchState::Set(_) | WatchState::Refused(_) => {}
        }
        *watch = match WatchedFolder::new(self.root.path(), identity, &self.notices) {
            Ok(watched) => WatchState::Set(watched),
            Err(error) => {
                let folder = self.root.path().display();
                tracing::warn!(%folder, %error, "no notifications for this folder: changes are found by scanning");
                WatchState::Refused(identity)
            }
        };
    }

    /// Says once that a link, a pipe, a socket or a device is not taken.
    fn skip(&self, relative: &Path) {
        let mut said = self.links_said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.filter.enters_folder(relative) && said.len() < LINKS_MAX && said.insert(relative.to_owned()) {
            tracing::warn!(path = %relative.display(), "skipped: a symbolic link or no regular file");
        }
    }
}

fn cause(error: walkdir::Error) -> io::Error {
    error
        .into_io_error()
        .unwrap_or_else(|| io::Error::other("a folder that contains itself"))
}

fn is_nothing(error: Option<&io::Error>) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};

    error.is_some_and(|error| matches!(error.kind(), NotFound | NotADirectory))
}

#[cfg(unix)]
fn is_readable(path: &Path) -> io::Result<()> {
    match rustix::fs::access(path, rustix::fs::Access::READ_OK) {
        Err(error @ (rustix::io::Errno::ACCESS | rustix::io::Errno::PERM)) => Err(error.into()),
        // Anything else is better said by the attempt to read.
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(not(unix))]
fn is_readable(_path: &Path) -> io::Result<()> {
    Ok(())
}
