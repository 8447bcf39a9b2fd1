//! Asking for results and delivering them, request by request.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a reply of another kind than was asked for is none: the request failed"
)]

use std::collections::BTreeMap;

use roundtrip_core::collect::{Event, Standing};
use roundtrip_core::job::Job;
use roundtrip_core::names::{FileId, JobKey};

use super::Settings;
use super::disk::Disk;
use crate::actors::outbox::{Fact, Outbox, Task};
use crate::model::bucket::Object;
use crate::model::network::{Reply, Request};

/// Records one request asks for.
const PAGE: usize = 100;

/// A page of what is outstanding.
#[derive(Debug)]
pub(super) struct Look {
    after: Option<FileId>,
    keys: Option<Vec<JobKey>>,
}

impl Look {
    pub(super) fn new(after: Option<FileId>) -> Self {
        Self { after, keys: None }
    }

    pub(super) fn go(
        &mut self,
        _: &Settings,
        disk: &Disk,
        out: &mut Outbox,
        task: Task,
        reply: Reply,
    ) -> Option<Event> {
        let Some(keys) = &self.keys else {
            let keys = disk.outstanding(self.after.as_ref(), PAGE);
            if keys.is_empty() {
                return Some(Event::Found {
                    standings: Vec::new(),
                    unanswered: false,
                    next: None,
                });
            }
            out.ask(task, Request::Get(keys.clone()));
            self.keys = Some(keys);
            return None;
        };
        let Reply::Records(records) = reply else {
            return Some(Event::LookFailed("the service did not answer".to_owned()));
        };
        let jobs = records.iter().filter_map(|record| record.job().ok());
        let mut jobs: BTreeMap<JobKey, Job> = jobs.map(|job| (job.key.clone(), job)).collect();
        let next = (keys.len() == PAGE)
            .then(|| keys.last().map(|key| key.file.clone()))
            .flatten();
        let standings = keys.iter().map(|key| Standing {
            key: key.clone(),
            job: jobs.remove(key),
        });
        Some(Event::Found {
            standings: standings.collect(),
            unanswered: false,
            next,
        })
    }
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// The sealed result was asked for.
    Getting,
    /// The result is in the folder; the ledger does not know yet.
    Written {
        object: bool,
    },
    /// The ledger knows; the object is being deleted.
    Deleting,
}

/// One outcome on its way into the results folder.
#[derive(Debug)]
pub(super) struct Delivery {
    key: JobKey,
    job: Option<Job>,
    stage: Stage,
}

impl Delivery {
    pub(super) fn result(job: Job) -> Self {
        Self {
            key: job.key.clone(),
            job: Some(job),
            stage: Stage::Begin,
        }
    }

    pub(super) fn error(key: JobKey) -> Self {
        Self {
            key,
            job: None,
            stage: Stage::Begin,
        }
    }

    pub(super) fn go(
        &mut self,
        disk: &mut Disk,
        out: &mut Outbox,
        task: Task,
        reply: &Reply,
    ) -> Option<Event> {
        match self.stage {
            Stage::Begin => {
                if disk.awaits(&self.key.file).is_none() {
                    return Some(Event::Delivered(self.key.clone()));
                }
                let Some(job) = &self.job else {
                    return self.write(disk, out, task, None, false);
                };
                if let Some(object) = job.results_object() {
                    self.stage = Stage::Getting;
                    out.ask(task, Request::GetObject(object));
                    return None;
                }
                let state = job
                    .results
                    .as_deref()
                    .and_then(|sealed| u64::from_str_radix(sealed, 16).ok());
                self.write(disk, out, task, state, false)
            }
            Stage::Getting => match reply {
                Reply::Object(Some(Object::Results(state))) => {
                    self.write(disk, out, task, Some(*state), true)
                }
                Reply::Object(_) => self.write(disk, out, task, None, false),
                _ => Some(Event::DeliveryFailed(
                    self.key.clone(),
                    "the service did not answer".to_owned(),
                )),
            },
            Stage::Written { object } => {
                disk.finished(&self.key.file);
                if object {
                    self.stage = Stage::Deleting;
                    out.ask(task, Request::Delete(vec![self.key.results()]));
                    return None;
                }
                Some(Event::Delivered(self.key.clone()))
            }
            Stage::Deleting => Some(Event::Delivered(self.key.clone())),
        }
    }

    /// Writes the outcome into the folder; a moment later the ledger learns of it.
    fn write(
        &mut self,
        disk: &Disk,
        out: &mut Outbox,
        task: Task,
        state: Option<u64>,
        object: bool,
    ) -> Option<Event> {
        // A newer version of the file was sent since: its outcome counts.
        let key = self.key.clone();
        out.facts.push(match disk.awaits(&self.key.file) {
            Some(false) => Fact::Delivered { key, state },
            Some(true) | None => Fact::Forgot(key),
        });
        self.stage = Stage::Written { object };
        out.sleep(task, 1);
        None
    }
}
