//! What becomes of a claim: won or lost, worked on, kept by heartbeats, ended by one last write.

use std::time::Duration;

use super::held::{Held, Stage, Told};
use super::{Action, Ending, Outcome, Worker, WorkerPolicy};
use crate::at::{At, Timestamp};
use crate::claim::ClaimPolicy;
use crate::job::{Job, Status};
use crate::lifecycle;
use crate::machine::{Decision, Reason};
use crate::names::JobKey;

impl Worker {
    pub(super) fn claim_answered(&mut self, at: At, key: &JobKey, outcome: Outcome) {
        let Some(Stage::Claiming { since }) = self.held.get(key).map(|held| &held.stage) else {
            return;
        };
        let since = *since;
        match outcome {
            Outcome::Done(Some(job)) => self.claimed(at, key, *job),
            // A claim that was repeated after a lost answer finds itself.
            Outcome::Lost(Some(job)) if self.is_ours(&job, since) => self.claimed(at, key, *job),
            // Whoever was first has it. To look again at once would be to chase the next one with all the others who
            // had nothing to do.
            // One that the table does not take will not be taken at the next look either.
            Outcome::Done(None) | Outcome::Lost(_) | Outcome::Refused(_) => {
                self.held.remove(key);
                self.pace.looked(at, false);
            }
            // If it was made after all, nobody works on it: the watcher gives it back when the lease ends.
            Outcome::Failed(_) => {
                self.held.remove(key);
            }
        }
    }

    /// Whether the record is under the claim that we made at this moment. One that we finished is not, nor is an earlier
    /// one, nor one that another pipeline of this process made.
    fn is_ours(&self, job: &Job, since: Timestamp) -> bool {
        job.status == Status::Processing
            && job.processor.as_deref() == Some(&self.policy.processor)
            && job.assigned == Some(since)
    }

    fn claimed(&mut self, at: At, key: &JobKey, job: Job) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        held.won(job, at.now, self.policy.claim.heartbeat);
        if self.drain.is_told() {
            self.commit(at, key, Ending::Stopped);
            return;
        }
        held.working = true;
        let fetch = Action::Fetch(Box::new(held.job.clone()));
        // Only a claim that was won shows that looking is worth it.
        self.pace.sooner(at);
        self.decide(fetch, Reason::rule("the claim was won"));
    }

    pub(super) fn progressed(&mut self, key: &JobKey, here: u64, size: Option<u64>) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        held.progress = Some((here, size));
    }

    pub(super) fn arrived(&mut self, at: At, key: &JobKey) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if !held.is_at_work() {
            return;
        }
        let change = lifecycle::downloaded(&held.job, &self.policy.processor, at.now);
        held.job.downloaded = Some(at.now);
        held.arrived = Some(at.now);
        self.decide(
            Action::Write(change),
            Reason::rule("every chunk and the whole file are proven"),
        );
    }

    pub(super) fn ended(&mut self, at: At, key: &JobKey, ending: Ending) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        held.working = false;
        if !held.is_at_work() {
            self.settle(key);
            return;
        }
        if matches!(ending, Ending::Result { .. } | Ending::JobFault(_)) {
            // An answer stands only for a proven file, even where the news of its arrival comes after it.
            held.job.downloaded.get_or_insert(at.now);
            self.answered = self.answered.max(held.job.assigned);
        }
        let ending = held.turned_away_alone(self.answered, ending);
        match &ending {
            Ending::Away { after, .. } | Ending::TurnedAway { after, .. } => {
                self.rest(at, after.unwrap_or_default());
            }
            // Its disk may be full, and the next file may not fit either.
            Ending::Unfit(_) => self.rest(at, Duration::ZERO),
            // One object may be refused. Where the same happens to one job after the other, it is the fetcher: it would
            // else take every job of the queue, only to put it off.
            Ending::Barred(_) => {
                let last = self.barred.replace(key.clone());
                if last.is_some_and(|last| last != *key) {
                    self.rest(at, Duration::ZERO);
                }
            }
            Ending::Result { .. } | Ending::JobFault(_) | Ending::Failed { .. } => {
                (self.rests, self.barred) = (0, None);
            }
            Ending::Refused(_) | Ending::Stalled(_) | Ending::Fault(_) | Ending::Stopped => {}
        }
        if let Some(member) = &mut self.member {
            member.ended(at.now, key, &ending);
        }
        self.commit(at, key, ending);
    }

    /// Claims nothing for a while, longer each time in a row.
    fn rest(&mut self, at: At, at_least: Duration) {
        self.rests = self.rests.saturating_add(1);
        let rest = self.policy.retry.delay_after(self.rests, at.jitter);
        self.pace.rest(at.now + rest.max(at_least));
    }

    /// Writes what an ending means; nothing more is done for the job until that is answered.
    fn commit(&mut self, at: At, key: &JobKey, ending: Ending) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let (change, reason) = held.verdict(&self.policy, self.member.as_ref(), self.drain, at, ending);
        held.stage = Stage::Committing {
            change: change.clone(),
            since: at.now,
            attempts: 1,
            next: None,
        };
        self.decide(Action::Write(change), reason);
    }

    pub(super) fn commit_answered(&mut self, at: At, key: &JobKey, outcome: &Outcome) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let Stage::Committing {
            change,
            since,
            attempts,
            next,
        } = &mut held.stage
        else {
            return;
        };
        match outcome {
            Outcome::Failed(_) if self.drain.is_over(at.now) => self.let_go(key, self.drain.reason()),
            Outcome::Failed(_) if at.now.since(*since) > self.policy.claim.lease => {
                let rule = "the last write did not get through for the length of a lease";
                self.let_go(key, Reason::key(rule, "claim.lease"));
            }
            Outcome::Failed(_) => {
                *next = Some(at.now + self.policy.retry.delay_after(*attempts, at.jitter));
                *attempts = attempts.saturating_add(1);
            }
            Outcome::Refused(_) => {
                let refused = change.clone();
                match held.shorter(&refused, &self.policy.processor, at.now) {
                    Some((shorter, reason)) => {
                        held.stage = Stage::Committing {
                            change: shorter.clone(),
                            since: at.now,
                            attempts: 1,
                            next: None,
                        };
                        self.decide(Action::Write(shorter), reason);
                    }
                    None => self.let_go(key, Reason::rule("the table does not take the last write")),
                }
            }
            Outcome::Done(_) | Outcome::Lost(_) => {
                held.stage = Stage::Dropped;
                self.settle(key);
            }
        }
    }

    pub(super) fn beat_answered(&mut self, at: At, key: &JobKey, outcome: &Outcome) {
        let ClaimPolicy { lease, heartbeat, .. } = self.policy.claim;
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        let Some(sent) = held.beating.take() else { return };
        held.next_beat = sent + heartbeat;
        let is_ours = |job: &Job| held.is_of(job, &self.policy.processor);
        match outcome {
            // A later one of this claim came first: the record's lease ends no earlier than this one would have it.
            Outcome::Lost(Some(job)) if is_ours(job) => {
                if job.due.is_none_or(|due| due >= sent + lease) {
                    held.lease_ends = held.lease_ends.max(sent + lease);
                }
            }
            Outcome::Done(_) => {
                held.lease_ends = sent + lease;
                if held.told == Told::Anew {
                    held.told = Told::Now;
                }
            }
            Outcome::Failed(_) | Outcome::Refused(_) => held.next_beat = at.now + heartbeat / 4,
            Outcome::Lost(_) => self.lost(key),
        }
    }

    /// The write that told of the download found the claim to be another's. Where this one has told of none, it was an
    /// earlier claim's, and comes late.
    pub(super) fn news_lost(&mut self, key: &JobKey) {
        if self.held.get(key).is_some_and(|held| held.arrived.is_some()) {
            self.lost(key);
        }
    }

    /// A write beside the work found the claim to be another's. Where the last write is under way, its own answer
    /// tells: that write may be what ended the claim.
    pub(super) fn lost(&mut self, key: &JobKey) {
        if self.held.get(key).is_some_and(Held::is_at_work) {
            let reason = Reason::rule("the claim is another's: what was done is discarded");
            self.drop_claim(key, reason);
        }
    }

    fn drop_claim(&mut self, key: &JobKey, reason: Reason) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        held.stage = Stage::Dropped;
        if held.working {
            self.decide(Action::Stop(key.clone()), reason);
        }
        self.settle(key);
    }

    /// A claim whose last write cannot be made is left to its lease: the watcher takes the job when that ends.
    pub(super) fn let_go(&mut self, key: &JobKey, reason: Reason) {
        if let Some(held) = self.held.get_mut(key) {
            held.stage = Stage::Dropped;
            self.decide(Action::Stop(key.clone()), reason);
            self.settle(key);
        }
    }

    /// A claim is over when its work has stopped and its last write was answered, or came too late.
    fn settle(&mut self, key: &JobKey) {
        let over = |held: &Held| !held.working && matches!(held.stage, Stage::Dropped);
        if self.held.get(key).is_some_and(over) {
            self.held.remove(key);
            // The lane may hold more.
            self.pace.hurry();
        }
    }

    pub(super) fn keep_leases(&mut self, at: At) {
        let keys: Vec<JobKey> = self.held.keys().cloned().collect();
        for key in keys {
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            if matches!(held.stage, Stage::Claiming { .. } | Stage::Dropped) {
                continue;
            }
            if at.now > held.lease_ends {
                self.drop_claim(
                    &key,
                    Reason::key("no heartbeat got through before the lease ended", "claim.lease"),
                );
                continue;
            }
            if let Stage::Committing { change, next, .. } = &mut held.stage
                && next.is_some_and(|due| due <= at.now)
            {
                *next = None;
                let change = change.clone();
                self.actions.push_back(Decision {
                    action: Action::Write(change),
                    reason: Reason::key("the write was not answered", "retry.interval"),
                });
            }
            if held.beating.is_none() && held.next_beat <= at.now {
                held.beating = Some(at.now);
                let WorkerPolicy { processor, claim, .. } = &self.policy;
                let write = match held.told {
                    Told::Now => lifecycle::heartbeat,
                    Told::Earlier | Told::Anew => {
                        held.told = Told::Anew;
                        lifecycle::heartbeat_anew
                    }
                };
                let change = write(&held.job, processor, at.now, claim.lease);
                self.decide(
                    Action::Write(change),
                    Reason::key("the lease is kept", "claim.heartbeat"),
                );
            }
        }
    }
}
