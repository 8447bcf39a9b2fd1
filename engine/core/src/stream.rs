//! One reader of the table's stream: which shards it reads, from where, and when.
//!
//! Readers share the shards through leases kept beside the jobs: a shard is read by who holds its lease, and by
//! nobody else. What was read is told to the pipelines at least once, parents before their children. The stream
//! makes them fast; the lanes stay the truth, so each time something may have been missed they look once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::machine::{Decision, Machine, Reason};

mod hold;
mod survey;

use hold::{Hold, Want};
use survey::Survey;

/// How the stream is read: `[stream]` in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPolicy {
    /// Who reads: one name a process.
    pub reader: String,
    /// How long a lease on a shard holds without renewal. It is renewed after a third of it, and nothing is read
    /// in its last third: a request under way ends before the next reader may begin.
    pub lease: Duration,
    /// Time between two reads of a shard while records come.
    pub interval: Duration,
    /// Time between two reads of a shard while none come.
    pub interval_max: Duration,
    /// Shards read at once by this process.
    pub shards_max: usize,
    /// Where a stream that nobody has read yet is begun.
    pub start: Start,
}

impl StreamPolicy {
    /// The longest a request about a shard may take: a third of the lease. One that takes longer is to be
    /// dropped and reported as failed, or two readers might meet.
    pub fn request_max(&self) -> Duration {
        self.lease / 3
    }

    /// How long to wait after this many failures in a row.
    fn backoff(&self, at: At, failures: u32) -> Duration {
        let wait = self.interval.saturating_mul(1 << failures.min(16));
        wait.min(self.lease.max(self.interval))
            .mul_f64(1.0 + at.jitter / 4.0)
    }
}

/// Where a stream that nobody has read yet is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest records there are.
    Oldest,
    /// With what comes from now on.
    Newest,
}

/// A shard as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shard it continues.
    pub parent: Option<String>,
}

/// How far a shard has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This record, given by its sequence number, was the last.
    After(String),
    /// To its end: it was closed, and its children come next.
    End,
}

/// The row about a shard as it stood when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: String,
    /// Who holds it; none where it was given back.
    pub holder: Option<String>,
    /// When the lease ends; at that moment it still holds.
    pub until: Timestamp,
    /// How far the shard has been read; none before the first record.
    pub place: Option<Place>,
}

/// A record that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its sequence number, where it has one.
    pub sequence: String,
    /// What is wrong with it.
    pub why: String,
}

/// Where an iterator begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// After the record with this sequence number.
    After(String),
    /// At the oldest record there is.
    Oldest,
    /// After the newest record there is.
    Newest,
}

/// What one read brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records about jobs; they have been told to the pipelines.
    pub news: usize,
    /// The sequence number of the last record, also of one that is no news.
    pub last: Option<String>,
    /// Records that were stepped over.
    pub bad: Vec<BadRecord>,
    /// Where the next read begins; none at the end of a closed shard.
    pub next: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A page of the list of shards.
    Described {
        /// The shards of the page.
        shards: Vec<Shard>,
        /// Where the next page begins; none at the end.
        next: Option<String>,
    },
    /// The rows about shards, read consistently.
    Listed(Vec<Lease>),
    /// Shards or rows could not be read.
    SurveyFailed(String),
    /// The lease is ours; how far the shard had been read.
    Taken(String, Option<Place>),
    /// The lease was renewed and the place written.
    Kept(String),
    /// The lease was given back.
    Released(String),
    /// A write was refused: somebody else has the lease.
    Lost(String),
    /// A write was not answered; it may have been made.
    WriteFailed(String, String),
    /// An iterator.
    Located(String, String),
    /// A read ended.
    Read(String, Batch),
    /// The iterator is too old.
    Expired(String),
    /// The records at this place are not kept any more.
    Trimmed(String),
    /// The shard is not kept any more.
    Gone(String),
    /// The service asks to be asked less.
    Throttled(String),
    /// A request about the shard failed.
    Failed(String, String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for a page of the list of shards.
    Describe {
        /// After this shard.
        after: Option<String>,
    },
    /// Read the rows about shards, consistently.
    ListLeases,
    /// Take the lease of a shard, only if its row is as it was seen.
    Take {
        /// The shard.
        shard: String,
        /// Its row; none where there was none.
        seen: Option<Lease>,
        /// Until when.
        until: Timestamp,
    },
    /// Renew the lease and write the place, only if the lease is still ours.
    Renew {
        /// The shard.
        shard: String,
        /// Until when.
        until: Timestamp,
        /// How far it has been read; none leaves what is written.
        place: Option<Place>,
        /// The last record that was stepped over since the last write.
        bad: Option<BadRecord>,
    },
    /// Give the lease back and write the place, only if the lease is still ours.
    Release {
        /// The shard.
        shard: String,
        /// How far it has been read; none leaves what is written.
        place: Option<Place>,
        /// The last record that was stepped over since the last write.
        bad: Option<BadRecord>,
    },
    /// Ask for an iterator.
    Locate {
        /// The shard.
        shard: String,
        /// Where it begins.
        from: From,
    },
    /// Read records and tell the pipelines.
    Read {
        /// The shard.
        shard: String,
        /// Where.
        iterator: String,
    },
    /// Record that something in the stream could not be understood.
    Report {
        /// The shard.
        shard: String,
        /// Which record, and why.
        bad: BadRecord,
    },
    /// Let every pipeline that follows the stream look once: something may have been missed.
    Reconcile,
}

/// What is known of a shard.
#[derive(Debug)]
struct Known {
    parent: Option<String>,
    /// Its row in the last survey.
    row: Option<Lease>,
    /// Since when it is left to the others.
    left_since: Option<Timestamp>,
    /// A write that takes it is under way.
    taking: Option<Timestamp>,
    /// It is ours.
    hold: Option<Hold>,
}

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

    /// Every page and every row is here: forgets shards that are gone, takes those that are due to us.
    fn surveyed(&mut self, at: At, listed: Vec<Shard>, rows: Vec<Lease>) {
        self.survey.ended(at);
        let first = self.shards.is_empty() && rows.is_empty();
        let mut rows: BTreeMap<String, Lease> =
            rows.into_iter().map(|row| (row.shard.clone(), row)).collect();
        let ids: BTreeSet<String> = listed.iter().map(|shard| shard.id.clone()).collect();
        self.shards
            .retain(|id, known| ids.contains(id) || known.hold.is_some() || known.taking.is_some());
        for Shard { id, parent } in listed {
            let row = rows.remove(&id);
            if first && self.policy.start == Start::Newest {
                self.at_newest.insert(id.clone());
            }
            let known = self.shards.entry(id).or_insert(Known {
                parent: None,
                row: None,
                left_since: None,
                taking: None,
                hold: None,
            });
            known.parent = parent;
            known.row = row;
        }
        self.at_newest.retain(|id| ids.contains(id));
        if !self.stopping {
            self.share(at);
        }
    }

    /// Takes free shards up to our share; beyond it only those that the others left for the length of a lease.
    fn share(&mut self, at: At) {
        let open: Vec<String> = self
            .shards
            .keys()
            .filter(|id| self.is_open(id))
            .cloned()
            .collect();
        let mut readers = BTreeSet::from([self.policy.reader.clone()]);
        let mut free = Vec::new();
        let mut recheck: Option<Timestamp> = None;
        let mut again = |moment: Timestamp| {
            recheck = Some(recheck.map_or(moment, |known| known.min(moment)));
        };
        for id in &open {
            let Some(known) = self.shards.get_mut(id) else {
                continue;
            };
            if known.hold.is_some() || known.taking.is_some() {
                continue;
            }
            match &known.row {
                // At the end of its lease a reader still holds the shard; a millisecond later it does not.
                Some(Lease {
                    holder: Some(holder),
                    until,
                    ..
                }) if *holder != self.policy.reader && *until >= at.now => {
                    readers.insert(holder.clone());
                    known.left_since = None;
                    again(*until + Duration::from_millis(1));
                }
                Some(_) | None => free.push(id.clone()),
            }
        }
        let share = open.len().div_ceil(readers.len());
        // Readers that begin together do not all begin with the same shard.
        let turn = u32::try_from(free.len()).map_or(0.0, |len| f64::from(len) * at.jitter);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the number of shards"
        )]
        let turn = (turn as usize).min(free.len().saturating_sub(1));
        free.rotate_left(turn);
        for id in free {
            let held = self.held();
            let lease = self.policy.lease;
            let Some(known) = self.shards.get_mut(&id) else {
                continue;
            };
            let since = *known.left_since.get_or_insert(at.now);
            let left = at.now.since(since) > lease;
            if held >= self.policy.shards_max {
                continue;
            }
            if held < share || left {
                self.take(at, &id);
            } else {
                again(since + lease + Duration::from_millis(1));
            }
        }
        self.survey.recheck(if self.held() < self.policy.shards_max {
            recheck
        } else {
            None
        });
    }

    /// Whether a shard is there to be read: not read to its end, and no parent before it.
    fn is_open(&self, id: &str) -> bool {
        let is_read = |known: &Known| {
            let row = known.row.as_ref();
            row.is_some_and(|row| row.place == Some(Place::End))
        };
        let Some(known) = self.shards.get(id) else {
            return false;
        };
        let parent = known.parent.as_ref().and_then(|parent| self.shards.get(parent));
        !is_read(known) && parent.is_none_or(is_read)
    }

    fn take(&mut self, at: At, id: &str) {
        let until = at.now + self.policy.lease;
        let Some(known) = self.shards.get_mut(id) else {
            return;
        };
        known.left_since = None;
        known.taking = Some(until);
        let why = match &known.row {
            Some(Lease {
                holder: Some(holder), ..
            }) if *holder != self.policy.reader => {
                format!("the lease of {holder} has ended")
            }
            Some(_) | None => "nobody holds the shard".to_owned(),
        };
        let seen = known.row.clone();
        let action = Action::Take {
            shard: id.to_owned(),
            seen,
            until,
        };
        self.decide(action, Reason::key(why, "stream.lease"));
    }

    fn taken(&mut self, at: At, id: &str, place: Option<Place>) {
        let begin = if self.at_newest.remove(id) {
            From::Newest
        } else {
            From::Oldest
        };
        let Some(known) = self.shards.get_mut(id) else {
            return;
        };
        let Some(until) = known.taking.take() else { return };
        known.hold = Some(Hold::new(&self.policy, at, until, place, begin));
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

impl Want {
    fn action(self, shard: String) -> (Action, Reason) {
        match self {
            Self::Renew { until, place, bad } => (
                Action::Renew {
                    shard,
                    until,
                    place,
                    bad,
                },
                Reason::key("the shard is still read", "stream.lease"),
            ),
            Self::Release { place, bad } => {
                let why = if place == Some(Place::End) {
                    "the shard was read to its end"
                } else {
                    "the reader stops"
                };
                (Action::Release { shard, place, bad }, Reason::rule(why))
            }
            Self::Locate(from) => {
                let reason = match from {
                    From::After(_) => Reason::rule("goes on where reading stopped"),
                    From::Oldest | From::Newest => {
                        Reason::key("nobody has read the shard, or not far enough", "stream.start")
                    }
                };
                (Action::Locate { shard, from }, reason)
            }
            Self::Read(iterator) => (
                Action::Read { shard, iterator },
                Reason::key("a read is due", "stream.interval"),
            ),
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
