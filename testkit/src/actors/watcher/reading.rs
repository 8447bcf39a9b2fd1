//! Requests of the stream's reader, and how the pipelines are told of what it read.

use std::collections::BTreeSet;

use roundtrip_core::claim::Offer;
use roundtrip_core::names::{ClientId, FileId, JobKey, RESERVED_PREFIX};
use roundtrip_core::news::Interest;
use roundtrip_core::stream::{Action, Batch, Event};

use super::caring::{offer, stand};
use crate::actors::outbox::{Outbox, Task};
use crate::model::network::{Reply, Request};
use crate::model::stream::{Missing, Read};
use crate::model::table::Key;

/// What was asked, as far as the answer's meaning depends on it.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Survey,
    Take(String),
    Renew(String),
    Release(String),
    Locate(String),
    Read(String),
}

/// The request an action asks for; none where the pipelines are to look for themselves.
pub(super) fn request(action: Action) -> Option<(Asked, Request)> {
    Some(match action {
        Action::Describe { .. } => (Asked::Survey, Request::Shards),
        Action::ListLeases => (Asked::Survey, Request::Rows),
        Action::Take { shard, seen, until } => {
            (Asked::Take(shard.clone()), Request::Take { shard, seen, until })
        }
        Action::Renew {
            shard, until, place, ..
        } => {
            let until = Some(until);
            (Asked::Renew(shard.clone()), Request::Hold { shard, until, place })
        }
        Action::Release { shard, place, .. } => (
            Asked::Release(shard.clone()),
            Request::Hold {
                shard,
                until: None,
                place,
            },
        ),
        Action::Locate { shard, from } => (Asked::Locate(shard.clone()), Request::Locate(shard, from)),
        Action::Read { shard, iterator } => (Asked::Read(shard.clone()), Request::Read(shard, iterator)),
        Action::Report { .. } | Action::Reconcile => return None,
    })
}

impl Asked {
    fn shard(self) -> String {
        match self {
            Self::Survey => String::new(),
            Self::Take(shard)
            | Self::Renew(shard)
            | Self::Release(shard)
            | Self::Locate(shard)
            | Self::Read(shard) => shard,
        }
    }

    /// What a reply means.
    pub(super) fn answered(self, reply: Option<Reply>) -> Event {
        match (self, reply) {
            (Self::Survey, Some(Reply::Shards(shards))) => Event::Described { shards, next: None },
            (Self::Survey, Some(Reply::Rows(rows))) => Event::Listed(rows),
            (Self::Survey, _) => Event::SurveyFailed("the stream did not answer".to_owned()),
            (Self::Take(shard), Some(Reply::Taken(place))) => Event::Taken(shard, place),
            (Self::Renew(shard), Some(Reply::Held)) => Event::Kept(shard),
            (Self::Release(shard), Some(Reply::Held)) => Event::Released(shard),
            (Self::Take(shard) | Self::Renew(shard) | Self::Release(shard), Some(Reply::NotHeld)) => {
                Event::Lost(shard)
            }
            (Self::Take(shard) | Self::Renew(shard) | Self::Release(shard), _) => {
                Event::WriteFailed(shard, "the table did not answer".to_owned())
            }
            (Self::Locate(shard), Some(Reply::Located(iterator))) => Event::Located(shard, iterator),
            (asked, Some(Reply::Missing(Missing::Trimmed))) => Event::Trimmed(asked.shard()),
            (asked, Some(Reply::Missing(Missing::Gone))) => Event::Gone(asked.shard()),
            (asked, Some(Reply::Missing(Missing::Expired))) => Event::Expired(asked.shard()),
            (asked, Some(Reply::Throttled)) => Event::Throttled(asked.shard()),
            (asked, _) => Event::Failed(asked.shard(), "the stream did not answer".to_owned()),
        }
    }
}

/// Records that were read, and the jobs they tell of, which are read anew.
#[derive(Debug)]
pub(super) struct Telling {
    shard: String,
    batch: Batch,
    /// Keys still to be read, by who wants to hear of them.
    unread: Vec<(Interest, Vec<JobKey>)>,
    asking: Option<Interest>,
    pub(super) offers: Vec<(Interest, Vec<Offer>)>,
}

impl Telling {
    /// Tells those who hear of the stream.
    pub(super) fn new(asked: Asked, read: Read, wanted: impl Fn(Interest) -> bool) -> Self {
        let mut batch = Batch {
            news: 0,
            last: read.last,
            bad: Vec::new(),
            next: read.next,
        };
        let mut heard = [
            (Interest::Finished, BTreeSet::new()),
            (Interest::Foreign, BTreeSet::new()),
        ];
        for news in read.news {
            let Some(after) = &news.after else { continue };
            if news.key.client.starts_with(RESERVED_PREFIX) {
                continue;
            }
            batch.news += 1;
            let Some(after) = stand(after) else { continue };
            let before = news.before.as_deref().and_then(stand);
            for (interest, keys) in &mut heard {
                if wanted(*interest) && interest.tells(before, after) {
                    keys.extend(job_key(&news.key));
                }
            }
        }
        let unread = heard.into_iter().filter(|(_, keys)| !keys.is_empty());
        Self {
            shard: asked.shard(),
            batch,
            unread: unread
                .map(|(interest, keys)| (interest, keys.into_iter().collect()))
                .collect(),
            asking: None,
            offers: Vec::new(),
        }
    }

    pub(super) fn go(&mut self, out: &mut Outbox, task: Task, reply: Option<Reply>) -> Option<Event> {
        if let Some(interest) = self.asking.take() {
            let Some(Reply::Records(records)) = reply else {
                // Nobody was told: these records are read again.
                self.offers.clear();
                let why = "jobs could not be read".to_owned();
                return Some(Event::Failed(std::mem::take(&mut self.shard), why));
            };
            let current = records
                .iter()
                .filter(|record| stand(record).is_some_and(|stand| interest.wants(stand)));
            let offers = current
                .filter_map(|record| record.job().ok())
                .map(|job| offer(interest, job));
            self.offers.push((interest, offers.collect()));
        }
        match self.unread.pop() {
            Some((interest, keys)) => {
                self.asking = Some(interest);
                out.ask(task, Request::Get(keys));
                None
            }
            None => Some(Event::Read(
                std::mem::take(&mut self.shard),
                std::mem::take(&mut self.batch),
            )),
        }
    }
}

fn job_key(key: &Key) -> Option<JobKey> {
    Some(JobKey {
        client: ClientId::parse(&key.client).ok()?,
        file: FileId::parse(&key.file).ok()?,
    })
}
