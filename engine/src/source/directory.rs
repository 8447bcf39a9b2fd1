//! The files of a folder, as a stream of sightings: full scans, and between them what the system notifies of.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use roundtrip_core::file::Sight;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::filter::Filter;
use super::looks::Looks;
use super::notices::{Noticed, Notices};
use super::root::Root;
use super::walk::{Walker, WatchState};
use crate::dsl::spec::{DirectorySource, Watch};
use crate::error::{Error, Result};

/// Sightings in one batch, at most.
pub const SIGHTINGS_MAX: usize = 1_000;

/// Batches that wait to be taken; the walk pauses when there are more.
const BATCHES_MAX: usize = 2;

/// How long notifications gather before they are looked into: a copy makes many.
const GATHER: Duration = Duration::from_millis(100);

/// Time between looks at a folder that is not there, unless its scans are more frequent.
const AWAY: Duration = Duration::from_secs(2);

/// Time between scans that lost notifications ask for, at least; a long scan is followed by a pause as long.
const SPACING: Duration = Duration::from_secs(1);

/// What was seen under one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Relative to the folder; empty for the folder itself.
    pub path: PathBuf,
    /// What was there.
    pub sight: Sight,
}

/// Sightings that come together. They tell states, not changes: an unchanged file comes again with every scan, an
/// unreadable one too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// At most [`SIGHTINGS_MAX`]; none at the end of the scan of an empty folder.
    pub sightings: Vec<Sighting>,
    /// Whether a full scan ends with this batch: everything there is was reported since it began, but for what lies in
    /// folders reported as unreadable. A scan that found the folder away does not end so.
    pub scan_complete: bool,
}

/// A watched folder.
///
/// Taken are regular files alone. Links are never followed, whether they lead out of the folder or not; pipes, sockets
/// and devices are never opened.
pub struct Directory {
    walker: Arc<Walker>,
    looks: Looks,
    notices: Arc<Notices>,
    rescan: Duration,
    work: Option<Work>,
    scan_due: Instant,
    /// Since notifications gather: when they are looked into.
    gathered: Option<Instant>,
    /// When lost notifications may ask for a scan again.
    spaced: Instant,
}

/// A walk that is under way on a thread of its own.
struct Work {
    batches: mpsc::Receiver<Batch>,
    kind: Kind,
}

enum Kind {
    Scan { began: Instant, complete: bool },
    Visit,
}

impl Directory {
    /// Opens the folder, which must exist and be readable. Nothing is scanned or watched before the first
    /// [`Directory::next`].
    pub fn open(spec: &DirectorySource) -> Result<Self> {
        let filter = Filter::new(spec)?;
        let root = Root::open(&spec.path).map_err(|error| {
            Error::config(format!("the folder {} cannot be read", spec.path.display()))
                .because(error)
                .hint("make it and allow reading, or name another one: `source.directory.path`, or --inbox of `roundtrip local`")
        })?;
        let watch = match spec.watch {
            Watch::Notify => WatchState::Wanted,
            Watch::Poll => WatchState::Unwanted,
        };
        let notices = Arc::new(Notices::default());
        let walker = Arc::new(Walker::new(root, filter, watch, Arc::clone(&notices)));
        let looks = Looks::start(&walker)
            .map_err(|error| Error::away("cannot start the threads that look at files").because(error))?;
        let now = Instant::now();
        Ok(Self {
            walker,
            looks,
            notices,
            rescan: spec.rescan,
            work: None,
            scan_due: now,
            gathered: None,
            spaced: now,
        })
    }

    /// The folder's path with all links resolved, as it was when it was opened.
    pub fn root(&self) -> &Path {
        self.walker.root.path()
    }

    /// Waits for the next sightings: those of a full scan at first and whenever one is due, those of paths that changed
    /// in between.
    ///
    /// [`Sight::Gone`] of a path that was a folder means all that was in it. A folder that is not there (an unmounted
    /// share) is a sighting of the empty path as [`Sight::Unreadable`], and says nothing about its files; it is looked
    /// for again and goes on when it is back.
    ///
    /// Cancel safe: dropping the wait loses no sighting, and a scan under way goes on with the next call.
    pub async fn next(&mut self) -> Batch {
        loop {
            if self.work.is_none() {
                self.wait().await;
            }
            let Some(work) = &mut self.work else { continue };
            let Some(batch) = work.batches.recv().await else {
                self.end();
                continue;
            };
            if let Kind::Scan { complete, .. } = &mut work.kind {
                *complete |= batch.scan_complete;
            }
            return batch;
        }
    }

    /// Scans the whole folder as soon as the walk under way has ended.
    pub fn scan_now(&mut self) {
        self.scan_due = Instant::now();
    }

    /// What is under one path now.
    pub async fn look(&self, path: &Path) -> Sight {
        self.looking(path).await
    }

    /// As [`Directory::look`], for a task of its own.
    pub fn looking(&self, path: &Path) -> impl Future<Output = Sight> + Send + 'static + use<> {
        self.looks.ask(path.to_owned())
    }

    /// Waits until there is work and starts it. Notices are taken and their work is started without a wait in between:
    /// that is what makes [`Directory::next`] cancel safe.
    async fn wait(&mut self) {
        while self.work.is_none() {
            let now = Instant::now();
            if now >= self.scan_due {
                self.start_scan(now);
            } else if let Some(ripe) = self.gathered {
                tokio::time::sleep_until(ripe.min(self.scan_due)).await;
                if Instant::now() >= ripe {
                    self.gathered = None;
                    self.start_visit(self.notices.take());
                }
            } else {
                tokio::select! {
                    () = self.notices.arrived() => self.gathered = Some(Instant::now() + GATHER),
                    () = tokio::time::sleep_until(self.scan_due) => {}
                }
            }
        }
    }

    fn start_scan(&mut self, now: Instant) {
        // The scan sees what they tell of.
        self.notices.take();
        self.gathered = None;
        self.start(
            Kind::Scan {
                began: now,
                complete: false,
            },
            Walker::scan,
        );
    }

    fn start_visit(&mut self, noticed: Noticed) {
        if noticed.overflow {
            self.scan_due = self.scan_due.min(self.spaced);
        } else if !noticed.is_empty() {
            self.start(Kind::Visit, move |walker, batches| {
                walker.visit(&noticed, batches);
            });
        }
    }

    fn start(&mut self, kind: Kind, walk: impl FnOnce(&Walker, &mpsc::Sender<Batch>) + Send + 'static) {
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let walker = Arc::clone(&self.walker);
        // Not one of the runtime's threads, which are few: a walk keeps its thread until everything it found is taken,
        // and what takes it needs one of them, too.
        let thread = std::thread::Builder::new().name("walk".to_owned());
        if let Err(error) = thread.spawn(move || walk(&walker, &sender)) {
            tracing::warn!(folder = %self.root().display(), %error, "the folder cannot be walked now; tries again");
            self.notices.ask_for_scan();
        }
        self.work = Some(Work { batches, kind });
    }

    fn end(&mut self) {
        let Some(Work {
            kind: Kind::Scan { began, complete },
            ..
        }) = self.work.take()
        else {
            return;
        };
        let now = Instant::now();
        self.scan_due = now
            + if complete {
                self.rescan
            } else {
                self.rescan.min(AWAY)
            };
        self.spaced = now + SPACING.max(now - began);
    }
}
