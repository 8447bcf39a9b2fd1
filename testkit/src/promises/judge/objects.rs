//! Objects that are put and deleted, against the promises.

use roundtrip_core::job::Status;
use roundtrip_core::lifecycle::{RecordKey, attribute as a};

use super::{Judge, Writer, ms};
use crate::model::record::Record;
use crate::model::services::Services;
use crate::promises::Promise;

impl Judge {
    /// An object was put, and lies in the bucket. One that comes after its job completed, or after it was swept, is a put that was repeated
    /// or came late.
    pub(crate) fn put(&mut self, now: i64, key: &str, services: &Services) {
        let Some(job) = job_of(key) else { return };
        let status = services.table.get(&job).and_then(|record| record.status());
        let known = self.jobs.get(&job);
        if status == Some(Status::Completed) || known.is_some_and(|known| known.cleaned || known.swept) {
            self.strays += 1;
        }
        if key.ends_with("/results") {
            return;
        }
        let record = services.table.get(&job);
        let is_ours = record.is_none_or(|record| record.get(a::OUTLINE).is_some());
        let is_whole = if is_ours {
            key.ends_with("/manifest")
        } else {
            let chunks = record.map_or(0, |record| record.number(a::CHUNKS));
            services
                .bucket
                .under(&format!("{}/{}/", job.client, job.file))
                .len() as u64
                >= chunks
        };
        if is_whole && let Some(known) = self.jobs.get_mut(&job) {
            known.whole.get_or_insert(now);
        }
    }

    /// A record went, since its time had ended.
    pub(crate) fn expired(&mut self, now: i64, key: &RecordKey, record: &Record) {
        self.expired += 1;
        if !record.is_finished() {
            let what = format!("the record of {} went, which was not finished", key.file);
            self.breach(now, Promise::Outcome, what);
        } else if record.get(a::CLEANED).is_none() {
            let what = format!("the record of {} went, which was not cleaned", key.file);
            self.breach(now, Promise::NothingLeft, what);
        }
    }

    /// Objects were deleted, by a client or a watcher.
    pub(crate) fn deleted(&mut self, now: i64, writer: Writer<'_>, keys: &[String], services: &Services) {
        let by_client = writer.name.starts_with("client-");
        for key in keys {
            let Some(job) = job_of(key) else { continue };
            if let Some(known) = self.jobs.get_mut(&job) {
                known.swept |= !by_client;
                known.whole = None;
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
                    let keep_until = processed.saturating_add(ms(self.rules.results_keep));
                    in_object && self.furthest(writer.process, now) < keep_until
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
