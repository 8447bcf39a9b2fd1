//! The system's notifications of changes, gathered until somebody asks.
//!
//! They only say where to look: some are lost, some come twice, and a network share gives none. So they are kept as a
//! set of paths with a bound, and where they cannot be kept the answer is a full scan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::stamp::Identity;

/// Paths that are kept; beyond it all are dropped for a full scan.
const PATHS_MAX: usize = 10_000;

/// What the system told since it was last asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    /// Absolute paths, folders before what is in them.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Whether there was more than was kept.
    pub(super) overflow: bool,
}

impl Noticed {
    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.overflow
    }
}

/// Where notifications gather.
#[derive(Debug, Default)]
pub(super) struct Notices {
    noticed: Mutex<Noticed>,
    arrived: Notify,
}

impl Notices {
    /// Waits until there is something; dropping the wait loses nothing.
    pub(super) async fn arrived(&self) {
        while self.locked().is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Takes what there is.
    pub(super) fn take(&self) -> Noticed {
        std::mem::take(&mut *self.locked())
    }

    /// Asks for a full scan.
    pub(super) fn ask_for_scan(&self) {
        *self.locked() = Noticed {
            paths: BTreeSet::new(),
            overflow: true,
        };
        self.arrived.notify_one();
    }

    fn note(&self, event: notify::Result<Event>, root: &Path) {
        let mut noticed = self.locked();
        match event {
            Ok(event) if event.need_rescan() => noticed.overflow = true,
            Ok(event) if tells_nothing(event.kind) => return,
            Ok(event) if event.paths.iter().any(|path| path == root) => noticed.overflow = true,
            Ok(event) => noticed.paths.extend(event.paths),
            Err(error) => {
                tracing::warn!(folder = %root.display(), %error, "some changes are only found by scanning");
                noticed.overflow = true;
            }
        }
        if noticed.overflow || noticed.paths.len() > PATHS_MAX {
            *noticed = Noticed {
                paths: BTreeSet::new(),
                overflow: true,
            };
        }
        drop(noticed);
        self.arrived.notify_one();
    }

    fn locked(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reading is no change, least of all our own; the close of a writer is one.
fn tells_nothing(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The system's watch on one folder and all that is in it.
pub(super) struct WatchedFolder {
    _watcher: RecommendedWatcher,
    identity: Identity,
}

impl WatchedFolder {
    /// Starts watching; takes as long as it takes to walk through all folders.
    pub(super) fn new(root: &Path, identity: Identity, notices: &Arc<Notices>) -> notify::Result<Self> {
        let (notices, folder) = (Arc::clone(notices), root.to_owned());
        let handler = move |event| notices.note(event, &folder);
        let mut watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))?;
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(Self {
            _watcher: watcher,
            identity,
        })
    }

    /// Whether it is this folder that is watched, and not one that had its name before.
    pub(super) fn is_of(&self, identity: Identity) -> bool {
        self.identity == identity
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, Flag, ModifyKind};

    use super::*;

    fn told(events: impl IntoIterator<Item = Event>) -> Noticed {
        let notices = Notices::default();
        for event in events {
            notices.note(Ok(event), Path::new("/in"));
        }
        notices.take()
    }

    fn created(path: &str) -> Event {
        Event::new(EventKind::Create(CreateKind::File)).add_path(path.into())
    }

    #[test]
    fn a_path_is_kept_once() {
        let changed = Event::new(EventKind::Modify(ModifyKind::Any)).add_path("/in/a".into());
        let noticed = told([created("/in/a"), changed, created("/in/b")]);
        assert_eq!(
            noticed.paths.into_iter().collect::<Vec<_>>(),
            [Path::new("/in/a"), Path::new("/in/b")]
        );
        assert!(!noticed.overflow);
    }

    #[test]
    fn a_read_is_no_change() {
        let opened =
            Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any))).add_path("/in/a".into());
        assert!(told([opened]).is_empty());
    }

    #[test]
    fn too_many_paths_ask_for_a_scan() {
        let exactly = told((0..PATHS_MAX).map(|number| created(&format!("/in/{number}"))));
        assert!(!exactly.overflow);
        let more = told((0..=PATHS_MAX).map(|number| created(&format!("/in/{number}"))));
        assert_eq!(
            more,
            Noticed {
                paths: BTreeSet::new(),
                overflow: true
            }
        );
    }

    #[test]
    fn the_folder_itself_and_lost_events_ask_for_a_scan() {
        assert!(told([created("/in")]).overflow);
        assert!(told([Event::new(EventKind::Other).set_flag(Flag::Rescan)]).overflow);
        let notices = Notices::default();
        notices.note(Err(notify::Error::generic("no more watches")), Path::new("/in"));
        assert!(notices.take().overflow);
    }
}
