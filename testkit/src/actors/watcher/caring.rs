//! Looks and deletions of a watcher, request by request.

use std::collections::BTreeMap;
use std::rc::Rc;

use roundtrip_core::caretaker::{Event, Extent, Swept};
use roundtrip_core::claim::{Malformed, Offer};
use roundtrip_core::job::{Job, Lane, LaneKind, PRIORITY_MAX, Status};
use roundtrip_core::lifecycle::{RecordKey, attribute as a};
use roundtrip_core::names::JobKey;
use roundtrip_core::news::{Interest, Stand};
use roundtrip_core::sweep::{self, Standing};

use super::{Settings, Which};
use crate::actors::outbox::{Clock, Outbox, Task};
use crate::model::bucket::swept;
use crate::model::names;
use crate::model::network::{Reply, Request};
use crate::model::record::Record;
use crate::model::table::{Cursor as Place, Key};

/// Where a scan goes on.
pub(super) type Cursor = Option<Key>;

/// How a record stands; none where it is no job.
pub(super) fn stand(record: &Record) -> Option<Stand> {
    Some(Stand {
        status: record.status()?,
        lane: record.lane().map(|lane| lane.kind),
        is_cleaned: record.get(a::CLEANED).is_some(),
    })
}

pub(super) fn offer(interest: Interest, job: Job) -> Offer {
    let signature = if interest.is_unjudged() {
        names::verify(&job)
    } else {
        Ok(())
    };
    Offer {
        job,
        signature,
        uploaded: true,
    }
}

/// Where the pages of a lane begin, by shard.
pub(super) type Pages = BTreeMap<usize, Place>;

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    which: Which,
    cursor: Cursor,
    /// Where the pages of a lane begin, by shard, and where the next ones do.
    from: Pages,
    next: Pages,
    /// Requests answered so far.
    step: usize,
    /// Pages of the scan read.
    scanned: usize,
    scanning: bool,
    offers: Vec<Offer>,
    malformed: Vec<Malformed>,
    more: bool,
    /// Old jobs of which it is still to be asked whether everything of them is there.
    unasked: Vec<Job>,
    asking: Option<Job>,
}

impl Look {
    pub(super) fn new(which: Which, cursor: Cursor, from: Pages) -> Self {
        Self {
            scanning: which == Which::Admit,
            which,
            cursor,
            from,
            next: Pages::new(),
            step: 0,
            scanned: 0,
            offers: Vec::new(),
            malformed: Vec::new(),
            more: false,
            unasked: Vec::new(),
            asking: None,
        }
    }

    pub(super) fn go(
        &mut self,
        settings: &Settings,
        clock: &Clock,
        out: &mut Outbox,
        task: Task,
        reply: Option<Reply>,
    ) -> Option<(Event, Cursor, Pages)> {
        match reply {
            None => {}
            Some(Reply::Page(records, next)) => {
                self.more |= next.is_some();
                self.next.extend(next.map(|next| (self.step, next)));
                self.take(settings, clock, &records);
                self.step += 1;
            }
            Some(Reply::Scanned(records, next)) => {
                self.take(settings, clock, &records);
                self.scanned += 1;
                self.scanning =
                    next.is_some() && self.scanned < settings.care[Which::Admit as usize].batch_max;
                self.more = next.is_some();
                self.cursor = next;
            }
            Some(Reply::Records(records)) => {
                self.take(settings, clock, &records);
                self.step += 1;
            }
            Some(Reply::Keys(keys)) => {
                if let Some(job) = self.asking.take() {
                    let uploaded = has_all_of(&job, &keys);
                    // One that waits in its lane and has everything is in good hands.
                    if !uploaded || job.lane.is_none() {
                        self.offers.push(Offer {
                            uploaded,
                            ..offer(Interest::Foreign, job)
                        });
                    }
                }
            }
            Some(_) => {
                let event = Event::LookFailed("the service did not answer".to_owned());
                return Some((event, None, Pages::new()));
            }
        }
        if let Some(job) = self.unasked.pop() {
            out.ask(task, Request::List(job.key.prefix()));
            self.asking = Some(job);
            return None;
        }
        if let Some(request) = self.request(settings, clock) {
            out.ask(task, request);
            return None;
        }
        let event = Event::Found {
            offers: std::mem::take(&mut self.offers),
            malformed: std::mem::take(&mut self.malformed),
            more: self.more,
        };
        Some((event, self.cursor.take(), std::mem::take(&mut self.next)))
    }

    fn request(&self, settings: &Settings, clock: &Clock) -> Option<Request> {
        let shards = settings.shards as usize;
        let lane = |kind: LaneKind, number: usize| Lane {
            kind,
            shard: u32::try_from(number).unwrap_or(0),
        };
        let due = |kind: LaneKind| {
            (self.step < shards).then(|| Request::Due {
                lane: lane(kind, self.step),
                below: PRIORITY_MAX,
                until: clock.now,
                limit: settings.care[self.which as usize].batch_max,
                from: self.from.get(&self.step).cloned(),
            })
        };
        match self.which {
            Which::Clean => due(LaneKind::Done),
            Which::Requeue => due(LaneKind::Leased),
            Which::Admit if self.scanning => Some(Request::Scan(self.cursor.clone())),
            Which::Admit if self.step < shards => Some(Request::Astray(
                lane(LaneKind::Ready, self.step),
                Status::Queued,
                Some(settings.old(clock)),
            )),
            Which::Admit if self.step < 2 * shards => Some(Request::Astray(
                lane(LaneKind::Leased, self.step - shards),
                Status::Processing,
                None,
            )),
            Which::Admit => None,
        }
    }

    fn take(&mut self, settings: &Settings, clock: &Clock, records: &[Rc<Record>]) {
        for record in records {
            match record.job() {
                Ok(job) if self.which == Which::Admit && is_old(settings, clock, &job) => {
                    self.unasked.push(job);
                }
                Ok(job) => {
                    let interest = if self.which == Which::Admit {
                        Interest::Foreign
                    } else {
                        Interest::Finished
                    };
                    self.offers.push(offer(interest, job));
                }
                Err(malformed) => self.malformed.push(malformed),
            }
        }
    }
}

/// Whether a waiting job is so old that its upload should be complete.
fn is_old(settings: &Settings, clock: &Clock, job: &Job) -> bool {
    let old = job
        .created_at
        .is_some_and(|created| created <= settings.old(clock));
    job.status == Status::Queued && old
}

/// Its manifest, which our clients put last, or every chunk.
fn has_all_of(job: &Job, keys: &[String]) -> bool {
    let chunks = || (0..job.chunks).all(|index| keys.contains(&job.key.chunk(index)));
    keys.contains(&job.key.manifest()) || (job.outline.is_none() && chunks())
}

/// A deletion under way: listed, then deleted.
#[derive(Debug)]
pub(super) struct Deletion {
    key: JobKey,
    extent: Extent,
    swept: Option<Swept>,
}

impl Deletion {
    pub(super) fn new(key: JobKey, extent: Extent) -> Self {
        Self {
            key,
            extent,
            swept: None,
        }
    }

    pub(super) fn go(&mut self, out: &mut Outbox, task: Task, reply: Option<Reply>) -> Option<Event> {
        let key = RecordKey::from(&self.key);
        match (reply, self.swept) {
            (Some(Reply::Keys(keys)), None) => {
                let (keys, found) = swept(&self.key, self.extent, keys);
                if keys.is_empty() {
                    return Some(Event::Deleted(key, found));
                }
                self.swept = Some(found);
                out.ask(task, Request::Delete(keys));
                None
            }
            (Some(Reply::Done), Some(found)) => Some(Event::Deleted(key, found)),
            _ => Some(Event::Failed(key, "the service did not answer".to_owned())),
        }
    }
}

/// What the table says of the jobs behind objects of the bucket.
pub(super) fn standings(keys: Vec<JobKey>, reply: Option<Reply>) -> sweep::Event {
    let Some(Reply::Records(records)) = reply else {
        return sweep::Event::AskFailed("the service did not answer".to_owned());
    };
    let known = |record: &Rc<Record>| match record.job() {
        Ok(job) => (RecordKey::from(&job.key), Standing::Known(Box::new(job))),
        Err(malformed) => (malformed.key, Standing::Unreadable),
    };
    let mut answers: BTreeMap<RecordKey, Standing> = records.iter().map(known).collect();
    let standing = |key: JobKey| {
        let standing = answers.remove(&RecordKey::from(&key));
        (key, standing.unwrap_or(Standing::Missing))
    };
    sweep::Event::Answered(keys.into_iter().map(standing).collect())
}
