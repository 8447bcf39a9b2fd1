//! A look into the ready lanes: shard by shard in random order, the urgent first, each record judged.

use std::collections::VecDeque;

use roundtrip_core::claim::{Malformed, Offer, Start};
use roundtrip_core::job::{Job, Lane, LaneKind, PRIORITY_MAX};
use roundtrip_core::worker::{Event, WorkerPolicy};

use super::Settings;
use crate::actors::outbox::{Clock, Outbox, Task};
use crate::model::names;
use crate::model::network::{Reply, Request};
use crate::model::record::Record;
use crate::model::table::Cursor;

/// Pages of one shard a look reads, at most.
const PAGES_MAX: usize = 10;

/// Where the next request begins: a shard, and the priorities up to this one.
#[derive(Clone, Copy, Debug)]
struct Pass {
    shard: u32,
    below: u8,
}

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    wanted: usize,
    /// What is still to be asked, in order.
    passes: VecDeque<Pass>,
    from: Option<Cursor>,
    pages: usize,
    /// Accepted jobs of the page that are still to be judged, the next one first.
    accepted: VecDeque<Job>,
    /// The job whose manifest was asked for.
    asking: Option<Job>,
    offers: Vec<Offer>,
    malformed: Vec<Malformed>,
    priority_seen: u8,
}

impl Look {
    pub(super) fn new(wanted: usize, priority_max: u8, shards: u32, clock: &mut Clock) -> Self {
        let mut shards: Vec<u32> = (0..shards).collect();
        clock.chance.shuffle(&mut shards);
        let passes = shards.into_iter().flat_map(|shard| {
            let rest = (priority_max < PRIORITY_MAX).then_some(PRIORITY_MAX);
            let belows = [Some(priority_max), rest].into_iter().flatten();
            belows.map(move |below| Pass { shard, below })
        });
        Self {
            wanted,
            passes: passes.collect(),
            from: None,
            pages: 0,
            accepted: VecDeque::new(),
            asking: None,
            offers: Vec::new(),
            malformed: Vec::new(),
            priority_seen: 0,
        }
    }

    pub(super) fn go(
        &mut self,
        settings: &Settings,
        clock: &mut Clock,
        out: &mut Outbox,
        task: Task,
        reply: Option<Reply>,
    ) -> Option<Event> {
        match reply {
            None => {}
            Some(Reply::Page(records, next)) => self.page(settings, clock, &records, next),
            Some(Reply::Object(found)) => {
                if let (Some(job), Some(_)) = (self.asking.take(), found) {
                    self.offer(job, Ok(()));
                }
            }
            Some(_) => return Some(Event::LookFailed("the service did not answer".to_owned())),
        }
        // Judging costs: no more than are wanted.
        while self.offers.len() < self.wanted
            && let Some(job) = self.accepted.pop_front()
        {
            let signature = names::verify(&job);
            if settings.analyse.worker.claim.start == Start::Uploaded && signature.is_ok() {
                // Our clients put the manifest last.
                out.ask(task, Request::GetObject(job.key.manifest()));
                self.asking = Some(job);
                return None;
            }
            self.offer(job, signature);
        }
        self.accepted.clear();
        match self.passes.front() {
            Some(&Pass { shard, below }) if self.offers.len() < self.wanted => {
                let lane = Lane {
                    kind: LaneKind::Ready,
                    shard,
                };
                let request = Request::Due {
                    lane,
                    below,
                    until: clock.now,
                    limit: settings.analyse.batch_max,
                    from: self.from.clone(),
                };
                out.ask(task, request);
                None
            }
            Some(_) | None => Some(Event::Found {
                offers: std::mem::take(&mut self.offers),
                malformed: std::mem::take(&mut self.malformed),
                priority_seen: self.priority_seen,
            }),
        }
    }

    fn offer(&mut self, job: Job, signature: Result<(), String>) {
        self.offers.push(Offer {
            job,
            signature,
            uploaded: true,
        });
    }

    fn page(
        &mut self,
        settings: &Settings,
        clock: &mut Clock,
        records: &[std::rc::Rc<Record>],
        next: Option<Cursor>,
    ) {
        // Of those with its priority, all behind one that is not due yet are not due either.
        let mut passed = None;
        for record in records {
            let job = match record.job() {
                Ok(job) => job,
                Err(malformed) => {
                    if !self.malformed.contains(&malformed) {
                        self.malformed.push(malformed);
                    }
                    continue;
                }
            };
            self.priority_seen = self.priority_seen.max(job.priority);
            if passed == Some(job.priority) {
                continue;
            }
            let waits = job.priority > 0 && job.due.is_some_and(|due| due > clock.now);
            passed = waits.then_some(job.priority);
            let WorkerPolicy { claim, bucket, .. } = &settings.analyse.worker;
            let known = self.offers.iter().any(|offer| offer.job.key == job.key);
            if claim.accepts(&job, bucket, clock.now) && !known {
                self.accepted.push_back(job);
            }
        }
        self.begin_anywhere(clock);
        self.pages += 1;
        let Some(pass) = self.passes.front_mut() else {
            return;
        };
        if next.is_none() || self.pages >= PAGES_MAX {
            self.passes.pop_front();
            (self.from, self.pages) = (None, 0);
            return;
        }
        self.from = next;
        if let Some(priority) = passed {
            (pass.below, self.from) = (priority.saturating_sub(1), None);
        }
    }

    /// Turns the most urgent jobs, so that they begin with any of them: many fetchers do not chase one.
    fn begin_anywhere(&mut self, clock: &mut Clock) {
        let Some(first) = self.accepted.front() else {
            return;
        };
        let priority = first.priority;
        let jobs = self.accepted.make_contiguous();
        let urgent = jobs.partition_point(|job| job.priority == priority);
        jobs[..urgent].rotate_left(clock.chance.below(urgent));
    }
}
