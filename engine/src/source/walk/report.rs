//! Sightings on their way from a walk to who asked for it.

use std::io;
use std::path::PathBuf;

use roundtrip_core::file::Sight;
use tokio::sync::mpsc::Sender;

use crate::source::directory::{Batch, SIGHTINGS_MAX, Sighting};

/// Why a walk ended before its end.
pub(super) enum Ended {
    /// Nobody wants to hear of it any more.
    Unwanted,
    /// The folder itself is not there.
    Away(io::Error),
}

/// Sightings on their way out, a batch at a time.
pub(super) struct Report<'a> {
    pub(super) batches: &'a Sender<Batch>,
    pub(super) sightings: Vec<Sighting>,
}

impl<'a> Report<'a> {
    pub(super) fn new(batches: &'a Sender<Batch>) -> Self {
        Self {
            batches,
            sightings: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, path: PathBuf, sight: Sight) -> Result<(), Ended> {
        if self.sightings.len() == SIGHTINGS_MAX {
            let sightings = std::mem::take(&mut self.sightings);
            self.send(Batch {
                sightings,
                scan_complete: false,
            })?;
        }
        self.sightings.push(Sighting { path, sight });
        Ok(())
    }

    pub(super) fn flush(self, scan_complete: bool) {
        // Nobody there to hear it is no fault of ours.
        let _: Result<(), Ended> = self.send(Batch {
            sightings: self.sightings.clone(),
            scan_complete,
        });
    }

    fn send(&self, batch: Batch) -> Result<(), Ended> {
        self.batches.blocking_send(batch).map_err(|_| Ended::Unwanted)
    }
}
