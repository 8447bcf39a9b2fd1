//! The checkers: told of every effect and fact, they say which promise it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::lifecycle::{RecordKey, attribute as a};
use roundtrip_core::names::JobKey;

use super::{Breach, Promise};
use crate::actors::outbox::{Fact, How};
use crate::model::services::Services;

mod endings;
mod objects;
mod writes;

use objects::job_of;
pub(crate) use writes::Writer;

/// The policies that promises are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long a claim holds without a heartbeat.
    pub(crate) lease: Duration,
    /// How often a job may fail.
    pub(crate) attempts_max: u32,
    /// How many fetchers may be lost on a job.
    pub(crate) losses_max: u32,
    /// How long a result in the bucket is kept for its client.
    pub(crate) results_keep: Duration,
    /// How long after its creation a job's upload may end.
    pub(crate) upload_max: Duration,
}

/// A claim, while a job is held.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// When it was made: what its holder writes under it is sent later.
    at: i64,
    /// When the claim was sent, or the heartbeat that kept it last.
    kept: i64,
    /// Until when it keeps the job, by the clock of its holder.
    until: i64,
}

/// What the checkers remember of a job.
#[derive(Debug, Default)]
struct Known {
    /// The claim of ours that holds it.
    claim: Option<Claim>,
    /// Since when it waits as it does.
    waits: i64,
    /// When everything of it was in the bucket first.
    whole: Option<i64>,
    /// The content its client announced.
    state: Option<u64>,
    delivered: Option<(u32, Option<u64>)>,
    cleaned: bool,
    /// It was given a result that lies in its record.
    is_completed: bool,
    /// A watcher deleted objects of it.
    swept: bool,
    first_offered: Option<i64>,
    /// Work on it that ended in a failure of the job.
    failed: BTreeSet<(usize, u32, Option<Timestamp>)>,
}

/// Work of a process on a job.
#[derive(Clone, Copy, Debug)]
struct Work {
    /// When the claim was made that it works under.
    assigned: Option<Timestamp>,
    /// How it ended; none while it goes on.
    ended: Option<How>,
}

/// The checkers.
#[derive(Debug)]
pub(crate) struct Judge {
    start: i64,
    rules: Rules,
    /// What the clock of who writes said when the write was sent.
    reading: i64,
    /// How far the clock of each process was ahead, at most.
    ahead: BTreeMap<usize, i64>,
    jobs: BTreeMap<RecordKey, Known>,
    /// Under which claim a process works on a job, and whether that work ended in a failure of the job.
    work: BTreeMap<(usize, u32, RecordKey), Work>,
    forged: BTreeSet<RecordKey>,
    /// Claims of jobs that somebody had altered, by the moment they tell.
    tainted: BTreeSet<(RecordKey, Option<Timestamp>)>,
    /// Jobs among the forged that were genuine once.
    altered: BTreeSet<RecordKey>,
    /// Objects that came after their job was swept: puts that were repeated, or came late.
    pub(crate) strays: u64,
    /// Jobs that were created and not cleaned yet.
    open: usize,
    /// What is done with is forgotten, since there is too much of it.
    forgets: bool,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) claim_waits: Vec<i64>,
    pub(crate) created: u64,
    pub(crate) finished: u64,
    pub(crate) completed: u64,
    pub(crate) deliveries: u64,
    /// Records that went when their time had ended.
    pub(crate) expired: u64,
    pub(crate) requeues: u64,
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Breaches one run tells of, at most.
const BREACHES_MAX: usize = 20;

impl Judge {
    pub(crate) fn new(start: i64, rules: Rules) -> Self {
        Self {
            start,
            rules,
            reading: start,
            ahead: BTreeMap::new(),
            jobs: BTreeMap::new(),
            work: BTreeMap::new(),
            forged: BTreeSet::new(),
            tainted: BTreeSet::new(),
            altered: BTreeSet::new(),
            strays: 0,
            open: 0,
            forgets: false,
            breaches: Vec::new(),
            claim_waits: Vec::new(),
            created: 0,
            finished: 0,
            completed: 0,
            deliveries: 0,
            expired: 0,
            requeues: 0,
        }
    }

    /// Whether every job that was created is cleaned.
    pub(crate) fn is_quiet(&self) -> bool {
        self.open == 0
    }

    /// From now on jobs are forgotten when they are cleaned: memory follows those that are open.
    pub(crate) fn forgets(&mut self) {
        self.forgets = true;
    }

    /// The clock of a process is this far ahead from now on, or behind where it is negative.
    pub(crate) fn clock_set(&mut self, process: usize, ahead: i64) {
        let most = self.ahead.entry(process).or_insert(ahead);
        *most = ahead.max(*most);
    }

    /// What comes next was sent when its sender's clock said this.
    pub(crate) fn sent_at(&mut self, reading: Timestamp) {
        self.reading = reading.0;
    }

    /// The most that a process's clock may have said until now: what was decided by it may be done later.
    fn furthest(&self, process: usize, now: i64) -> i64 {
        now + self.ahead.get(&process).copied().unwrap_or(0)
    }

    /// A record that nobody signed lies in the table.
    pub(crate) fn forged(&mut self, key: RecordKey) {
        self.forged.insert(key.clone());
        self.made(key);
    }

    /// A waiting job is not any more what its client signed.
    pub(crate) fn altered(&mut self, key: RecordKey) {
        self.forged.insert(key.clone());
        self.altered.insert(key);
    }

    /// A job lies in the table that none of our machines made.
    pub(crate) fn made(&mut self, key: RecordKey) {
        self.open += 1;
        self.created += 1;
        self.jobs.entry(key).or_default();
    }

    fn breach(&mut self, now: i64, promise: Promise, what: String) {
        if self.breaches.len() < BREACHES_MAX {
            let since = Timestamp(now - self.start);
            self.breaches.push(Breach::new(promise, since, what));
        }
    }

    /// A process told what it does.
    pub(crate) fn told(&mut self, now: i64, process: usize, incarnation: u32, fact: Fact) {
        match fact {
            Fact::Began { key, assigned } => {
                let record = RecordKey::from(&key);
                if !self.tainted.is_empty() && self.tainted.contains(&(record, assigned)) {
                    let what = format!("work began on {key}, which was altered");
                    self.breach(now, Promise::Genuine, what);
                }
                self.work.insert(
                    (process, incarnation, RecordKey::from(&key)),
                    Work {
                        assigned,
                        ended: None,
                    },
                );
            }
            Fact::Ended { key, how } => {
                if let Some(work) = self.work.get_mut(&(process, incarnation, RecordKey::from(&key))) {
                    work.ended = Some(how);
                }
            }
            Fact::Announced { key, state } => {
                self.jobs.entry(RecordKey::from(&key)).or_default().state = Some(state);
            }
            Fact::Forgot(key) => {
                self.jobs.entry(RecordKey::from(&key)).or_default().state = None;
            }
            Fact::Delivered { key, state } => self.delivered(now, incarnation, &key, state),
        }
    }

    fn delivered(&mut self, now: i64, incarnation: u32, key: &JobKey, state: Option<u64>) {
        self.deliveries += 1;
        let known = self.jobs.entry(RecordKey::from(key)).or_default();
        let before = known.delivered.replace((incarnation, state));
        let (announced, is_completed) = (known.state, known.is_completed);
        if let Some((by, what)) = before
            // A process that dies between the folder and the ledger writes the same file again.
            && (by == incarnation || what != state)
        {
            self.breach(now, Promise::DeliveredOnce, format!("{key} came twice"));
        }
        if state.is_some() && announced.is_some() && state != announced {
            self.breach(
                now,
                Promise::RightResult,
                format!("{key} has another file's result"),
            );
        }
        // A result in the bucket goes when it has waited for too long; one in the record is there as long as that.
        if state.is_none() && is_completed {
            self.breach(
                now,
                Promise::RightResult,
                format!("{key} has a result, and its client was told of an error"),
            );
        }
    }

    /// At the end: what is not finished, and what was left behind.
    pub(crate) fn conclude(&mut self, now: i64, services: &Services) {
        let mut open = Vec::new();
        for (key, record) in services.table.records() {
            if self.jobs.contains_key(&**key) && !record.is_finished() {
                let status = record.text(a::STATUS).unwrap_or_default().to_owned();
                open.push(format!("{} is still {status}", key.file));
            } else if record.is_finished() && record.get(a::CLEANED).is_none() {
                self.breach(now, Promise::NothingLeft, format!("{} was not cleaned", key.file));
            }
        }
        for what in open {
            self.breach(now, Promise::Outcome, what);
        }
        let left: Vec<String> = services
            .bucket
            .keys()
            .filter(|key| {
                let record = job_of(key).and_then(|job| services.table.get(&job));
                record.is_none_or(|record| record.get(a::CLEANED).is_some())
            })
            .map(ToOwned::to_owned)
            .collect();
        for key in left {
            let what = key.get(138..).unwrap_or(&key).to_owned();
            self.breach(now, Promise::NothingLeft, format!("{what} lies in the bucket"));
        }
    }

    /// A breach that is seen from elsewhere.
    pub(crate) fn add(&mut self, now: i64, promise: Promise, what: String) {
        self.breach(now, promise, what);
    }
}
