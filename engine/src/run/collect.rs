//! The world of a pipeline that collects results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roundtrip_core::collect::{Action, Collect, Event, Standing};
use roundtrip_core::job::Job;
use roundtrip_core::machine::Decision;
use roundtrip_core::names::{FileId, JobKey};
use tracing::{debug, info, warn};

use super::driver::{Work, World, now};
use super::parts::Parts;
use super::progress::OUTCOME;
use crate::cloud::jobs::BATCH_GET_MAX;
use crate::cloud::objects::Found;
use crate::ledger::{Ledger, Outcome, Outstanding};
use crate::sink::directory::{ResultsDirectory, error_text};
use crate::wire::keys::ClientKey;
use crate::wire::seal::SEALED_BYTES_MAX;

/// The world of a pipeline that collects results.
pub(super) struct CollectWorld {
    pub(super) shared: Arc<Shared>,
}

/// What every delivery uses.
pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) key: Arc<ClientKey>,
    pub(super) ledger: Ledger,
    /// The upload pipelines whose results are collected.
    pub(super) of: Vec<String>,
    pub(super) folder: ResultsDirectory,
}

/// Why a look or a delivery did not succeed now.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl World<Collect> for CollectWorld {
    async fn next(&mut self) -> Event {
        std::future::pending().await
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        let shared = Arc::clone(&self.shared);
        match action {
            Action::Look { after } => Work::task(async move {
                match shared.look(after).await {
                    Ok(event) => event,
                    Err(error) => {
                        warn!(%error, "cannot ask for results");
                        Event::LookFailed(error.to_string())
                    }
                }
            }),
            Action::DeliverResult(job) => Work::task(async move {
                debug!(file = %job.key.file, why = reason.rule, "delivers a result");
                let delivered = shared.deliver_result(&job).await;
                told(job.key, delivered)
            }),
            Action::DeliverError(key, why) => Work::task(async move {
                let delivered = shared.deliver_error(&key, &why).await;
                told(key, delivered)
            }),
        }
    }
}

fn told(key: JobKey, delivered: Result<(), Failure>) -> Event {
    match delivered {
        Ok(()) => Event::Delivered(key),
        Err(error) => {
            warn!(file = %key.file, %error, "cannot deliver; tries again");
            Event::DeliveryFailed(key, error.to_string())
        }
    }
}

impl Shared {
    async fn look(&self, after: Option<FileId>) -> Result<Event, Failure> {
        let page = self
            .ledger
            .outstanding(&self.of, after.as_ref(), BATCH_GET_MAX)
            .await?;
        let next = (page.len() == BATCH_GET_MAX)
            .then(|| page.last().map(|last| last.key.file.clone()))
            .flatten();
        let keys: Vec<JobKey> = page.into_iter().map(|outstanding| outstanding.key).collect();
        let (records, left) = self.parts.jobs.get_many(&keys).await?;
        let mut jobs: BTreeMap<JobKey, Job> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for record in records {
            match record {
                Ok(job) => drop(jobs.insert(job.key.clone(), job)),
                Err(malformed) => unreadable.push(malformed.key),
            }
        }
        let answered = |key: &JobKey| {
            let key = key.into();
            !left.contains(&key) && !unreadable.contains(&key)
        };
        let standings = keys.into_iter().filter(answered).map(|key| Standing {
            job: jobs.remove(&key),
            key,
        });
        let unanswered = !left.is_empty() || !unreadable.is_empty();
        Ok(Event::Found {
            standings: standings.collect(),
            unanswered,
            next,
        })
    }

    /// Where the outcome of a job goes, by what the ledger knows of it.
    async fn outstanding(&self, key: &JobKey) -> Result<Option<Outstanding>, Failure> {
        Ok(self.ledger.find(key).await?)
    }

    /// The file's name in the results folder: results of several folders do not share names.
    fn target(&self, outstanding: &Outstanding) -> PathBuf {
        if self.of.len() > 1 {
            Path::new(&outstanding.pipeline).join(&outstanding.path)
        } else {
            outstanding.path.clone()
        }
    }

    async fn deliver_result(&self, job: &Job) -> Result<(), Failure> {
        let key = &job.key;
        let Some(outstanding) = self.outstanding(key).await? else {
            return Ok(());
        };
        let object = job.results_object();
        let sealed = match &object {
            None => job.results.clone().unwrap_or_default(),
            Some(object) => match self.parts.objects.get(object, SEALED_BYTES_MAX as u64).await? {
                Found::Object(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Found::Nothing => {
                    return self
                        .lost(key, &outstanding, "the result is not in the bucket any more")
                        .await;
                }
                Found::TooLarge(size) => {
                    return self
                        .lost(
                            key,
                            &outstanding,
                            &format!("the result is too large: {size} bytes"),
                        )
                        .await;
                }
            },
        };
        if outstanding.superseded {
            info!(file = %key.file, path = %outstanding.path.display(), "a newer version was sent since: its result counts");
        } else {
            let (client, folder, target) = (
                Arc::clone(&self.key),
                self.folder.clone(),
                self.target(&outstanding),
            );
            let results_type = job.results_type.clone();
            let delivered = blocking(move || match client.open(&sealed) {
                Ok(plain) => Ok(Ok(folder.write_result(
                    &target,
                    results_type.as_deref(),
                    &plain,
                )?)),
                Err(error) => {
                    let kept = folder.keep_sealed(&target, &sealed)?;
                    let why = format!(
                        "the result does not open with this client's key: {error}\nIt is kept, sealed, as {}",
                        kept.display()
                    );
                    Ok(Err(why))
                }
            })
            .await?;
            match delivered {
                Ok(written) => {
                    info!(file = %key.file, result = %written.display(), "result is here");
                    self.parts.progress.done(&key.file, &outstanding.path, written);
                }
                Err(why) => return self.lost(key, &outstanding, &why).await,
            }
        }
        self.ledger.finished(key, Outcome::Result).await?;
        if let Some(object) = object
            && let Err(fault) = self.parts.objects.delete(&object).await
        {
            debug!(file = %key.file, %fault, "the sealed result stays until the watcher deletes it");
        }
        Ok(())
    }

    async fn deliver_error(&self, key: &JobKey, why: &str) -> Result<(), Failure> {
        let Some(outstanding) = self.outstanding(key).await? else {
            return Ok(());
        };
        self.report(key, &outstanding, why).await?;
        self.ledger.finished(key, Outcome::Error(why.to_owned())).await?;
        Ok(())
    }

    async fn lost(&self, key: &JobKey, outstanding: &Outstanding, why: &str) -> Result<(), Failure> {
        self.report(key, outstanding, why).await?;
        self.ledger.finished(key, Outcome::Lost(why.to_owned())).await?;
        Ok(())
    }

    /// Writes the error file and says so.
    async fn report(&self, key: &JobKey, outstanding: &Outstanding, why: &str) -> Result<(), Failure> {
        if outstanding.superseded {
            return Ok(());
        }
        let (folder, target) = (self.folder.clone(), self.target(outstanding));
        let text = error_text(&outstanding.path, why, now(), key.file.as_str());
        let written = blocking(move || Ok(folder.write_error(&target, &text)?)).await?;
        warn!(
            target: OUTCOME,
            file = %key.file,
            path = %outstanding.path.display(),
            error_file = %written.display(),
            why,
            "no result"
        );
        self.parts
            .progress
            .failed(&key.file, &outstanding.path, written, why);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?
}
