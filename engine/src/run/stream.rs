//! The world of the stream's reader: reads shards under leases and tells the pipelines that follow.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_core::machine::Decision;
use roundtrip_core::names::JobKey;
use roundtrip_core::stream::{Action, Batch, Event, From, Reader, StreamPolicy};
use tracing::{debug, info, warn};

use super::driver::{Work, World, now};
use super::feed::Follower;
use crate::cloud::Fault;
use crate::cloud::jobs::Jobs;
use crate::cloud::leases::{Answer, Leases};
use crate::cloud::streams::{Records, Refusal, Streams};
use crate::source::news;

/// The world of the stream's reader.
#[derive(Clone)]
pub(super) struct StreamWorld {
    pub(super) streams: Streams,
    pub(super) leases: Leases,
    pub(super) jobs: Jobs,
    pub(super) followers: Arc<Vec<Follower>>,
    /// How long a request may take.
    pub(super) request_max: Duration,
}

/// The reader and its world.
pub(super) fn reader(
    policy: StreamPolicy,
    streams: Streams,
    leases: Leases,
    jobs: Jobs,
    followers: Vec<Follower>,
) -> (Reader, StreamWorld) {
    let world = StreamWorld {
        streams,
        leases,
        jobs,
        followers: Arc::new(followers),
        request_max: policy.request_max(),
    };
    (Reader::new(policy), world)
}

impl World<Reader> for StreamWorld {
    async fn next(&mut self) -> Event {
        std::future::pending().await
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        let world = self.clone();
        match action {
            Action::Describe { after } => Work::task(async move {
                match world.timely(world.streams.shards(after)).await {
                    Ok(page) => Event::Described {
                        shards: page.shards,
                        next: page.next,
                    },
                    Err(refusal) => survey_failed(&refusal),
                }
            }),
            Action::ListLeases => Work::task(async move {
                match world.leases.list().await {
                    Ok(rows) => Event::Listed(rows),
                    Err(fault) => survey_failed(&Refusal::Fault(fault)),
                }
            }),
            Action::Take { shard, seen, until } => Work::task(async move {
                let answer = world.leases.take(&shard, seen.as_ref(), now(), until).await;
                if matches!(answer, Ok(Answer::Done(_))) {
                    info!(shard, why = reason.rule, "takes up a shard of the stream");
                }
                written(shard, answer, Event::Taken)
            }),
            Action::Renew {
                shard,
                until,
                place,
                bad,
            } => Work::task(async move {
                let answer = world
                    .leases
                    .renew(&shard, now(), until, place.as_ref(), bad.as_ref());
                let answer = answer.await;
                written(shard, answer, |shard, _| Event::Kept(shard))
            }),
            Action::Release { shard, place, bad } => Work::task(async move {
                let answer = world.leases.release(&shard, now(), place.as_ref(), bad.as_ref());
                let answer = answer.await;
                info!(shard, why = reason.rule, "lets go of a shard of the stream");
                written(shard, answer, |shard, _| Event::Released(shard))
            }),
            Action::Locate { shard, from } => Work::task(async move {
                debug!(shard, ?from, why = reason.rule, "asks for an iterator");
                match world.timely(world.streams.iterator(&shard, &from)).await {
                    Ok(iterator) => Event::Located(shard, iterator),
                    Err(refusal) => refused(shard, &refusal, matches!(from, From::After(_))),
                }
            }),
            Action::Read { shard, iterator } => Work::task(async move {
                match world.timely(world.streams.records(&iterator)).await {
                    Ok(records) => world.tell(shard, records).await,
                    Err(refusal) => refused(shard, &refusal, false),
                }
            }),
            Action::Report { shard, bad } => {
                let (sequence, why) = (bad.sequence, bad.why);
                warn!(shard, sequence, why, "a record of the stream is stepped over");
                Work::None
            }
            Action::Reconcile => {
                debug!(why = reason.rule, "the pipelines look once");
                self.followers.iter().for_each(Follower::missed);
                Work::None
            }
        }
    }
}

impl StreamWorld {
    /// The answer, if it comes while the lease is certain.
    async fn timely<T>(&self, request: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let late = |_| Refusal::Fault(Fault::Transient("the stream did not answer in time".to_owned()));
        tokio::time::timeout(self.request_max, request)
            .await
            .map_err(late)?
    }

    /// Tells the pipelines of the jobs among these records.
    async fn tell(&self, shard: String, records: Records) -> Event {
        let mut batch = Batch {
            news: 0,
            last: records.last,
            bad: records.bad,
            next: records.next,
        };
        let mut keys: Vec<BTreeSet<JobKey>> = vec![BTreeSet::new(); self.followers.len()];
        for news in records.changes.iter().filter_map(news::news) {
            batch.news += 1;
            match news {
                Ok(news) => {
                    for (follower, keys) in self.followers.iter().zip(&mut keys) {
                        if follower.interest.hears(&news) {
                            keys.insert(news.after.key.clone());
                        }
                    }
                }
                Err(bad) => batch.bad.push(bad),
            }
        }
        for (follower, keys) in self.followers.iter().zip(&keys) {
            match news::offers(&self.jobs, keys, follower.interest).await {
                Ok(offers) => follower.offer(offers),
                Err(fault) => {
                    warn!(shard, %fault, "jobs in the stream cannot be read: they are read again");
                    return Event::Failed(shard, fault.to_string());
                }
            }
        }
        Event::Read(shard, batch)
    }
}

fn written(
    shard: String,
    answer: Result<Answer, Fault>,
    done: impl FnOnce(String, Option<roundtrip_core::stream::Place>) -> Event,
) -> Event {
    match answer {
        Ok(Answer::Done(place)) => done(shard, place),
        Ok(Answer::Lost) => {
            info!(shard, "another reader has the shard");
            Event::Lost(shard)
        }
        Err(fault) => {
            warn!(shard, %fault, "the lease on a shard cannot be written");
            Event::WriteFailed(shard, fault.to_string())
        }
    }
}

fn survey_failed(refusal: &Refusal) -> Event {
    let why = refusal.to_string();
    warn!(
        why,
        "the stream cannot be read; the lanes are looked through on schedule"
    );
    Event::SurveyFailed(why)
}

/// A refused request. A place that the stream does not know, whatever it calls that, is one it does not keep.
fn refused(shard: String, refusal: &Refusal, at_a_place: bool) -> Event {
    let why = refusal.to_string();
    match refusal {
        Refusal::Expired => Event::Expired(shard),
        Refusal::Throttled => {
            debug!(shard, "the stream asks to be read less");
            Event::Throttled(shard)
        }
        Refusal::Gone => {
            warn!(shard, "the shard is gone");
            Event::Gone(shard)
        }
        Refusal::Trimmed => {
            warn!(
                shard,
                "records were dropped before they were read: the lanes tell"
            );
            Event::Trimmed(shard)
        }
        Refusal::Fault(Fault::Permanent(_) | Fault::Unacceptable(_)) if at_a_place => {
            warn!(
                shard,
                why, "the place is refused: reading begins with the oldest record"
            );
            Event::Trimmed(shard)
        }
        Refusal::Fault(_) => {
            warn!(shard, why, "the shard cannot be read now");
            Event::Failed(shard, why)
        }
    }
}
