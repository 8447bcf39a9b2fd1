//! The world of a pipeline that ships files of a folder.

mod sightings;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::file::{Known, Shipping, Sight, Stamp};
use roundtrip_core::machine::Decision;
use roundtrip_core::upload::{Action, Event, Fault, Step, Upload};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::driver::{Work, World, now};
use super::parts::Parts;
use super::progress::OUTCOME;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::source::directory::{Directory, Sighting};
use crate::wire::keys::ClientKey;

use sightings::{Answered, Sightings};
pub(super) use steps::Cargo;
use steps::Shipment;

/// How long the ledger keeps jobs of files that were shipped again since: 30 days, in milliseconds.
const SUPERSEDED_KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// The world of a pipeline that ships files.
pub(super) struct Ship {
    shared: Arc<Shared>,
    sightings: Sightings,
    events: VecDeque<Event>,
    under_way: BTreeMap<PathBuf, UnderWay>,
}

/// What every step of every file uses.
pub(super) struct Shared {
    pub(super) pipeline: String,
    pub(super) root: PathBuf,
    pub(super) parts: Parts,
    pub(super) key: Arc<ClientKey>,
    pub(super) ledger: Ledger,
    pub(super) cargo: Cargo,
}

/// A file with a step under way.
#[derive(Clone)]
struct UnderWay {
    shipment: Arc<tokio::sync::Mutex<Option<Shipment>>>,
    stop: CancellationToken,
}

impl Ship {
    pub(super) async fn new(
        pipeline: &str,
        directory: Directory,
        parts: Parts,
        key: Arc<ClientKey>,
        ledger: Ledger,
        cargo: Cargo,
    ) -> Result<Self> {
        let root = directory.root().to_owned();
        ledger.prune(Timestamp(now().0 - SUPERSEDED_KEPT_MS)).await?;
        let unfinished = ledger.unfinished(pipeline, &root).await?;
        let shared = Shared {
            pipeline: pipeline.to_owned(),
            root,
            parts,
            key,
            ledger,
            cargo,
        };
        let mut events = VecDeque::new();
        // What a crash left half-done is gone on with or given up, also where the file is gone by now.
        for (path, known) in unfinished {
            let sight = directory.look(&path).await;
            events.push_back(Event::Sighted {
                path,
                sight,
                known: Some(known),
            });
        }
        Ok(Self {
            shared: Arc::new(shared),
            sightings: Sightings::new(directory),
            events,
            under_way: BTreeMap::new(),
        })
    }

    fn show(&self, path: &Path, sight: &Sight, known: Option<&Known>) {
        let progress = &self.shared.parts.progress;
        match sight {
            Sight::File { stamp, .. } => {
                let shipped = known.is_some_and(|known| {
                    known.shipping != Shipping::Announced && known.stamp.same_content(stamp)
                });
                if !shipped && !self.under_way.contains_key(path) {
                    progress.waiting(path);
                }
            }
            Sight::Gone => progress.not_waiting(path),
            Sight::Unreadable(_) => {}
        }
    }

    fn step(&mut self, path: PathBuf, step: Step, stamp: Stamp, resume: Option<Known>) -> Work<Event> {
        let shared = Arc::clone(&self.shared);
        let under_way = self.under_way.entry(path.clone()).or_insert_with(|| UnderWay {
            shipment: Arc::default(),
            stop: CancellationToken::new(),
        });
        let UnderWay { shipment, stop } = under_way.clone();
        Work::task(async move {
            let mut slot = shipment.lock().await;
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => Err(Fault::Transient("stopped".to_owned())),
                done = steps::perform(&shared, &path, &step, &stamp, resume, &mut slot) => done,
            };
            match done {
                Ok(()) => Event::Done(path, step),
                Err(fault) => {
                    debug!(path = %path.display(), ?step, ?fault, "a step failed");
                    Event::Failed(path, step, fault)
                }
            }
        })
    }

    fn look(&self, path: PathBuf) -> Work<Event> {
        let (shared, looking) = (Arc::clone(&self.shared), self.sightings.looking(&path));
        Work::task(async move {
            let sight = looking.await;
            let paths = [path.clone()];
            match shared.ledger.known(&shared.pipeline, &shared.root, &paths).await {
                Ok(mut known) => Event::Sighted {
                    path,
                    sight,
                    known: known.pop().flatten(),
                },
                Err(error) => Event::Sighted {
                    path,
                    sight: Sight::Unreadable(error.to_string()),
                    known: None,
                },
            }
        })
    }
}

impl World<Upload> for Ship {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let Shared {
                ledger,
                pipeline,
                root,
                ..
            } = &*self.shared;
            let Answered {
                sightings,
                scan_complete,
            } = self.sightings.next(ledger, pipeline, root).await;
            for (Sighting { path, sight }, known) in sightings {
                self.show(&path, &sight, known.as_ref());
                self.events.push_back(Event::Sighted { path, sight, known });
            }
            if scan_complete {
                self.events.push_back(Event::Scanned);
            }
        }
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        match action {
            Action::Look(path) => self.look(path),
            Action::Scan => {
                self.sightings.scan_now();
                Work::None
            }
            Action::Do {
                path,
                step,
                stamp,
                resume,
            } => {
                debug!(path = %path.display(), ?step, why = reason.rule, key = reason.key, "does");
                self.step(path, step, stamp, resume)
            }
            Action::Stop(path) => {
                if let Some(under_way) = self.under_way.get(&path) {
                    under_way.stop.cancel();
                }
                Work::None
            }
            Action::Report(path, what) => {
                warn!(target: OUTCOME, path = %path.display(), why = what, "not sent");
                self.shared.parts.progress.left(&path, &what);
                Work::None
            }
            Action::Release(path) => {
                debug!(path = %path.display(), why = reason.rule, "released");
                self.under_way.remove(&path);
                Work::None
            }
        }
    }
}
