//! A look into the ready lanes: shard by shard in random order, each record judged.

use roundtrip_core::claim::{Malformed, Offer, Start};
use roundtrip_core::job::{Job, Lane, LaneKind};
use roundtrip_core::worker::Event;

use super::Settings;
use crate::actors::outbox::{Clock, Outbox, Task};
use crate::model::names;
use crate::model::network::{Reply, Request};
use crate::model::table::Cursor;

/// Pages of one shard a look reads, at most.
const PAGES_MAX: usize = 10;

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    wanted: usize,
    /// Shards still to be asked, the next one last.
    shards: Vec<u32>,
    from: Option<Cursor>,
    pages: usize,
    /// Jobs whose upload is still to be asked for.
    unasked: Vec<Job>,
    asking: Option<Job>,
    offers: Vec<Offer>,
    malformed: Vec<Malformed>,
}

impl Look {
    pub(super) fn new(wanted: usize, shards: u32, clock: &mut Clock) -> Self {
        let mut shards: Vec<u32> = (0..shards).collect();
        clock.chance.shuffle(&mut shards);
        Self {
            wanted,
            shards,
            from: None,
            pages: 0,
            unasked: Vec::new(),
            asking: None,
            offers: Vec::new(),
            malformed: Vec::new(),
        }
    }

    pub(super) fn go(
        &mut self,
        settings: &Settings,
        clock: &Clock,
        out: &mut Outbox,
        task: Task,
        reply: Option<Reply>,
    ) -> Option<Event> {
        match reply {
            None => {}
            Some(Reply::Page(records, next)) => {
                for record in records {
                    match record.job() {
                        Ok(job) => self.judge(settings, clock, job),
                        Err(malformed) => self.malformed.push(malformed),
                    }
                }
                self.pages += 1;
                self.from = next;
                if self.offers.len() >= self.wanted || self.from.is_none() || self.pages >= PAGES_MAX {
                    self.shards.pop();
                    self.from = None;
                    self.pages = 0;
                }
            }
            Some(Reply::Object(found)) => {
                if let (Some(job), Some(_)) = (self.asking.take(), found) {
                    self.offers.push(Offer {
                        job,
                        signature: Ok(()),
                        uploaded: true,
                    });
                }
            }
            Some(_) => return Some(Event::LookFailed("the service did not answer".to_owned())),
        }
        if let Some(job) = self.unasked.pop() {
            // Our clients put the manifest last.
            out.ask(task, Request::GetObject(job.key.manifest()));
            self.asking = Some(job);
            return None;
        }
        match self.shards.last() {
            Some(&shard) if self.offers.len() < self.wanted => {
                let lane = Lane {
                    kind: LaneKind::Ready,
                    shard,
                };
                let from = self.from.clone();
                out.ask(
                    task,
                    Request::Due {
                        lane,
                        until: clock.now,
                        limit: settings.batch_max,
                        from,
                    },
                );
                None
            }
            Some(_) | None => Some(Event::Found {
                offers: std::mem::take(&mut self.offers),
                malformed: std::mem::take(&mut self.malformed),
            }),
        }
    }

    fn judge(&mut self, settings: &Settings, clock: &Clock, job: Job) {
        let claim = &settings.policy.claim;
        if !claim.accepts(&job, &settings.policy.bucket, clock.now) {
            return;
        }
        let signature = names::verify(&job);
        match claim.start {
            Start::Uploaded if signature.is_ok() => self.unasked.push(job),
            Start::Uploaded | Start::Announced => self.offers.push(Offer {
                job,
                signature,
                uploaded: true,
            }),
        }
    }
}
