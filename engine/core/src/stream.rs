//! One reader of the table's stream: which shards it reads, from where, and when.
//!
//! Readers share the shards through leases kept beside the jobs: a shard is read by who holds its lease, and by
//! nobody else. What was read is told to the pipelines at least once, parents before their children. The stream
//! makes them fast; the lanes stay the truth, so each time something may have been missed they look once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::machine::{Decision, Machine, Reason};

mod exchange;
mod hold;
mod policy;
mod shard;
mod share;
mod survey;
mod want;

pub use exchange::{Action, Event};
use hold::Hold;
pub use policy::{Start, StreamPolicy};
pub use shard::{BadRecord, Batch, From, Lease, Place, Shard};
use share::Known;
use survey::Survey;

/// The decisions of one reader.
#[derive(Debug)]
pub struct Reader {
    policy: StreamPolicy,
    survey: Survey,
    shards: BTreeMap<String, Known>,
    /// Shards of a stream that nobody had read, to be begun at their end.
    at_newest: BTreeSet<String>,
    stopping: bool,
    actions: VecDeque<Decision<Action>>,
}

impl Reader {
    /// A reader that knows of nothing.
    pub fn new(policy: StreamPolicy) -> Self {
        let survey = Survey::new(policy.lease);
        Self {
            policy,
            survey,
            shards: BTreeMap::new(),
            at_newest: BTreeSet::new(),
            stopping: false,
            actions: VecDeque::new(),
        }
    }

    fn decide(&mut self, action: Action, reason: Reason) {
        self.actions.push_back(Decision { action, reason });
    }

    fn reconcile(&mut self, why: &str) {
        self.decide(Action::Reconcile, Reason::rule(why));
    }

    /// Shards held, or about to be.
    fn held(&self) -> usize {
        let ours = |known: &&Known| known.hold.is_some() || known.taking.is_some();
        self.shards.values().filter(ours).count()
    }

    fn hold(&mut self, shard: &str) -> Option<&mut Hold> {
        self.shards.get_mut(shard)?.hold.as_mut()
    }

    /// A write was refused, or the last one was made: the shard is somebody else's.
    fn let_go(&mut self, at: At, id: &str) {
        if let Some(known) = self.shards.get_mut(id) {
            known.taking = None;
            if let Some(hold) = &mut known.hold {
                hold.leave();
            }
            self.survey.soon(at);
        }
    }

    fn read(&mut self, at: At, id: &str, batch: Batch) {
        for bad in &batch.bad {
            let action = Action::Report {
                shard: id.to_owned(),
                bad: bad.clone(),
            };
            self.decide(
                action,
                Reason::rule("the record cannot be understood: it is stepped over"),
            );
        }
        let closed = self
            .shards
            .values()
            .any(|known| known.parent.as_deref() == Some(id));
        let policy = self.policy.clone();
        if let Some(hold) = self.hold(id) {
            hold.read(&policy, at, batch, closed);
        }
    }

    /// Decides what each shard of ours needs.
    fn work(&mut self, at: At) {
        let (policy, stopping) = (self.policy.clone(), self.stopping);
        let mut wants = Vec::new();
        for (id, known) in &mut self.shards {
            let Some(hold) = &mut known.hold else { continue };
            if hold.is_over() {
                known.hold = None;
                continue;
            }
            while let Some(want) = hold.want(&policy, at, stopping) {
                wants.push((id.clone(), want));
            }
        }
        for (shard, want) in wants {
            let (action, reason) = want.action(shard);
            self.decide(action, reason);
        }
    }
}

impl Machine for Reader {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, at: At, event: Event) {
        let policy = self.policy.clone();
        match event {
            Event::Described { shards, next } => {
                if let Some(action) = self.survey.described(shards, next) {
                    self.decide(action, Reason::rule("the survey goes on"));
                }
            }
            Event::Listed(rows) => {
                let listed = self.survey.listed();
                self.surveyed(at, listed, rows);
            }
            Event::SurveyFailed(_) => self.survey.ended(at),
            Event::Taken(id, place) => self.taken(at, &id, place),
            Event::Kept(id) => {
                if let Some(hold) = self.hold(&id) {
                    hold.kept(at);
                }
            }
            Event::Released(id) => {
                let place = self.hold(&id).and_then(|hold| hold.written());
                if let Some(known) = self.shards.get_mut(&id) {
                    // Until the next survey, this is what we know: its children may begin.
                    known.row = Some(Lease {
                        shard: id.clone(),
                        holder: None,
                        until: at.now,
                        place,
                    });
                }
                self.let_go(at, &id);
                self.survey.quicken(at);
            }
            Event::Lost(id) => self.let_go(at, &id),
            Event::WriteFailed(id, _) => {
                let stopping = self.stopping;
                if let Some(known) = self.shards.get_mut(&id) {
                    known.taking = None;
                }
                match self.hold(&id) {
                    Some(hold) => hold.write_failed(&policy, at, stopping),
                    // It may be ours: the next survey tells.
                    None => self.survey.soon(at),
                }
            }
            Event::Located(id, iterator) => {
                if self.hold(&id).is_some_and(|hold| hold.located(iterator)) {
                    self.reconcile("reading begins: what happened before may not have been acted on");
                }
            }
            Event::Read(id, batch) => self.read(at, &id, batch),
            Event::Trimmed(id) => {
                if let Some(hold) = self.hold(&id) {
                    hold.trimmed(&policy, at);
                }
            }
            Event::Gone(id) => {
                if let Some(hold) = self.hold(&id) {
                    hold.gone();
                    self.reconcile("a shard is gone before it was read to its end");
                }
            }
            Event::Throttled(id) => {
                if let Some(hold) = self.hold(&id) {
                    hold.failed(&policy, at, false);
                }
            }
            Event::Expired(id) | Event::Failed(id, _) => {
                if let Some(hold) = self.hold(&id) {
                    hold.failed(&policy, at, true);
                }
            }
        }
        self.tick(at);
    }

    fn tick(&mut self, at: At) {
        if !self.stopping && self.survey.begins(at.now) {
            self.decide(
                Action::Describe { after: None },
                Reason::key("a survey of the shards is due", "stream.lease"),
            );
        }
        self.work(at);
    }

    /// A full round is one over the lanes: the stream makes it faster, not more complete.
    fn finish(&mut self, at: At) {
        self.drain(at);
    }

    fn drain(&mut self, at: At) {
        self.stopping = true;
        self.tick(at);
    }

    fn set_back(&mut self, at: At, by: Duration) {
        self.survey.set_back(at, by);
        for known in self.shards.values_mut() {
            known.set_back(by);
        }
    }

    fn poll_action(&mut self) -> Option<Decision<Action>> {
        self.actions.pop_front()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let holds = self.shards.values().filter_map(|known| known.hold.as_ref());
        let held = holds.filter_map(|hold| hold.wake_at(&self.policy, self.stopping));
        let survey = (!self.stopping).then(|| self.survey.wake_at()).flatten();
        held.chain(survey).min()
    }

    fn is_idle(&self) -> bool {
        self.stopping && self.held() == 0 && !self.survey.is_under_way() && self.actions.is_empty()
    }
}

#[cfg(test)]
mod tests;
