//! A look into the ready lanes, request by request.

use roundtrip_core::claim::{Malformed, Offer};
use roundtrip_core::job::Job;
use roundtrip_core::search::{Places, Search, Step};
use roundtrip_core::worker::{Event, WorkerPolicy};

use super::Settings;
use crate::actors::outbox::{Clock, Outbox, Task};
use crate::model::names;
use crate::model::network::{Reply, Request};
use crate::model::table::Cursor;

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    search: Search<Cursor>,
    /// The page read last.
    page: Vec<Result<Job, Malformed>>,
    /// The job whose manifest was asked for.
    asking: Option<Job>,
}

impl Look {
    /// One that goes on where an earlier one stopped.
    pub(super) fn new(
        wanted: usize,
        priority_max: u8,
        shards: u32,
        places: Places<Cursor>,
        clock: &mut Clock,
    ) -> Self {
        let mut shards: Vec<u32> = (0..shards).collect();
        clock.chance.shuffle(&mut shards);
        Self {
            search: Search::new(wanted, priority_max, shards).going_on(places),
            page: Vec::new(),
            asking: None,
        }
    }

    /// Where the next one may go on.
    pub(super) fn into_places(self) -> Places<Cursor> {
        self.search.into_places()
    }

    pub(super) fn go(
        &mut self,
        settings: &Settings,
        clock: &mut Clock,
        out: &mut Outbox,
        task: Task,
        reply: Option<Reply>,
    ) -> Option<Event> {
        let WorkerPolicy { claim, bucket, .. } = &settings.analyse.worker;
        match reply {
            None => {}
            Some(Reply::Page(records, next)) => {
                self.page = records.iter().map(|record| record.job()).collect();
                let page = self.page.iter().map(Result::as_ref);
                self.search.page(clock.at(), claim, bucket, page, next);
            }
            Some(Reply::Object(found)) => {
                if let Some(job) = self.asking.take() {
                    self.judged(job, Ok(()), found.is_some());
                }
            }
            Some(_) => return Some(Event::LookFailed("the service did not answer".to_owned())),
        }
        loop {
            match self.search.step() {
                Step::Read {
                    lane,
                    priority_max,
                    from,
                } => {
                    let request = Request::Due {
                        lane,
                        below: priority_max,
                        until: clock.now,
                        limit: settings.analyse.batch_max,
                        from,
                    };
                    out.ask(task, request);
                    return None;
                }
                Step::Judge(place) => {
                    let Some(Ok(job)) = self.page.get(place).cloned() else {
                        continue;
                    };
                    let signature = names::verify(&job);
                    if claim.waits_for_upload(&signature) {
                        // Our clients put the manifest last; of a foreign one the last chunk has to do.
                        let last = match &job.outline {
                            Some(_) => job.key.manifest(),
                            None => job.key.chunk(job.chunks.saturating_sub(1)),
                        };
                        out.ask(task, Request::GetObject(last));
                        self.asking = Some(job);
                        return None;
                    }
                    self.judged(job, signature, true);
                }
                Step::Over(findings) => return Some(Event::Found(findings)),
            }
        }
    }

    fn judged(&mut self, job: Job, signature: Result<(), String>, uploaded: bool) {
        self.search.judged(Offer {
            job,
            signature,
            uploaded,
        });
    }
}
