//! Objects that are put and deleted, against the promises.

use roundtrip_core::job::Status;
use roundtrip_core::lifecycle::{RecordKey, attribute as a};

use super::Judge;
use crate::model::services::Services;
use crate::promises::Promise;

impl Judge {
    /// An object was put. One that comes after its job completed, or after it was swept, is a put that was repeated
    /// or came late.
    pub(crate) fn put(&mut self, key: &str, services: &Services) {
        let Some(job) = job_of(key) else { return };
        let status = services.table.get(&job).and_then(|record| record.status());
        let known = self.jobs.get(&job);
        if status == Some(Status::Completed) || known.is_some_and(|known| known.cleaned || known.swept) {
            self.strays += 1;
        }
    }

    /// Objects were deleted, by a client or a watcher.
    pub(crate) fn deleted(&mut self, now: i64, by_client: bool, keys: &[String], services: &Services) {
        for key in keys {
            let Some(job) = job_of(key) else { continue };
            if let Some(known) = self.jobs.get_mut(&job) {
                known.swept |= !by_client;
            }
            let record = services.table.get(&job);
            let is_result = key.ends_with("/results");
            let known = self.jobs.get(&job);
            let delivered = known.is_some_and(|known| known.delivered.is_some());
            let needed = match record.map(|record| record.status()) {
                // A client gives a job up before it deletes: there is no record, or it will end as an error.
                Some(_) if by_client => {
                    is_result && !delivered && known.is_some_and(|known| known.state.is_some())
                }
                Some(Some(Status::Queued | Status::Processing) | None) => true,
                Some(Some(Status::Completed)) if is_result && !delivered => {
                    let in_object = record.and_then(|record| record.text(a::RESULTS)) == Some(key);
                    let processed = record
                        .and_then(|record| record.time(a::PROCESSED))
                        .map_or(0, |at| at.0);
                    in_object && now + self.skew * 2 < processed + self.results_keep
                }
                None | Some(Some(Status::Completed | Status::Error)) => false,
            };
            if needed {
                let what = key.rsplit('/').next().unwrap_or_default();
                self.breach(
                    now,
                    Promise::ChunksKept,
                    format!("{what} of {} was deleted", job.file),
                );
            }
        }
    }
}

/// The job an object belongs to.
pub(super) fn job_of(object: &str) -> Option<RecordKey> {
    let mut parts = object.split('/');
    Some(RecordKey {
        client: parts.next()?.to_owned(),
        file: parts.next()?.to_owned(),
    })
}
