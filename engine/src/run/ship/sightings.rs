//! What was seen in the folder, with what the ledger knows of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use roundtrip_core::file::{Known, Sight};
use tokio::time::Instant;
use tracing::warn;

use crate::ledger::{Ledger, LedgerError};
use crate::source::directory::{Batch, Directory, Sighting};

/// How long a ledger that does not answer is left alone.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The sightings of a folder.
pub(super) struct Sightings {
    directory: Directory,
    /// What came and the ledger was not asked about, or did not answer.
    unasked: Option<Batch>,
    /// When it is asked again.
    again: Option<Instant>,
}

/// Sightings of which it is known what the ledger says.
pub(super) struct Answered {
    pub(super) sightings: Vec<(Sighting, Option<Known>)>,
    /// As [`Batch::scan_complete`].
    pub(super) scan_complete: bool,
}

impl Sightings {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            directory,
            unasked: None,
            again: None,
        }
    }

    /// Scans the whole folder as soon as the walk under way has ended.
    pub(super) fn scan_now(&mut self) {
        self.directory.scan_now();
    }

    /// What is under one path now.
    pub(super) fn looking(&self, path: &Path) -> impl Future<Output = Sight> + Send + 'static + use<> {
        self.directory.looking(path)
    }

    /// Waits for the next batch. Where the ledger does not answer, the batch is kept and asked about again: without its
    /// memory a file could be sent twice, and without the batch the scan would end as if its files were not there.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self, ledger: &Ledger, pipeline: &str, root: &Path) -> Answered {
        loop {
            if self.unasked.is_none() {
                self.unasked = Some(self.directory.next().await);
            }
            if let Some(again) = self.again {
                tokio::time::sleep_until(again).await;
            }
            let paths: Vec<PathBuf> = self
                .unasked
                .iter()
                .flat_map(|batch| &batch.sightings)
                .map(|sighting| sighting.path.clone())
                .collect();
            let known = ledger.known(pipeline, root, &paths).await;
            match (known, &mut self.unasked) {
                (Ok(known), unasked) => {
                    self.again = None;
                    let Batch {
                        sightings,
                        scan_complete,
                    } = unasked.take().unwrap_or_default();
                    return Answered {
                        sightings: sightings.into_iter().zip(known).collect(),
                        scan_complete,
                    };
                }
                // It never will.
                (Err(LedgerError::Path(path)), Some(batch)) => {
                    warn!(path = %path.display(), "not sent: a name that cannot be kept in the ledger");
                    batch.sightings.retain(|sighting| sighting.path != path);
                }
                (Err(error), _) => {
                    warn!(%error, "the ledger does not answer; asks again");
                    self.again = Some(Instant::now() + ASK_AGAIN);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use rusqlite::Connection;

    use super::*;
    use crate::dsl::spec::{DirectorySource, Watch};
    use crate::source::directory::SIGHTINGS_MAX;

    fn directory(path: &Path) -> Directory {
        let spec = DirectorySource {
            path: path.to_owned(),
            include: vec![],
            exclude: vec![],
            hidden: false,
            settle: Duration::ZERO,
            settle_max: Duration::ZERO,
            rescan: Duration::from_hours(24),
            watch: Watch::Poll,
            files_max: 1,
            waiting_max: 1,
        };
        Directory::open(&spec).unwrap()
    }

    #[tokio::test]
    async fn what_the_ledger_did_not_answer_is_asked_again_before_the_scan_ends() {
        let (inbox, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let count = SIGHTINGS_MAX + 10;
        for number in 0..count {
            fs::write(inbox.path().join(number.to_string()), "").unwrap();
        }
        let file = state.path().join("ledger.sqlite");
        let ledger = Ledger::open(&file).unwrap();
        let damage = Connection::open(&file).unwrap();
        damage.execute("ALTER TABLE jobs RENAME TO away", []).unwrap();

        let mut sightings = Sightings::new(directory(inbox.path()));
        while sightings.again.is_none() {
            let next = sightings.next(&ledger, "upload", inbox.path());
            let short = tokio::time::timeout(Duration::from_millis(20), next).await;
            assert!(short.is_err(), "the ledger cannot answer");
        }
        damage.execute("ALTER TABLE away RENAME TO jobs", []).unwrap();
        let mut seen = BTreeSet::new();
        loop {
            let answered = sightings.next(&ledger, "upload", inbox.path()).await;
            seen.extend(answered.sightings.into_iter().map(|(sighting, _)| sighting.path));
            if answered.scan_complete {
                break;
            }
        }
        assert_eq!(seen.len(), count);
    }
}
