//! Others who write to the same table: clients and fetchers that know no lanes, operators, forgers.

use std::rc::Rc;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Signed, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Term, Value, Write, attribute as a, operator};
use roundtrip_core::names::{ClientId, JobKey};

use super::beginning::{BUCKET, VERSION};
use super::{Step, World};
use crate::actors::outbox::Fact;
use crate::model::bucket::Object;
use crate::model::names;
use crate::model::table::Applied;
use crate::promises::Writer;

/// What somebody else does.
#[derive(Clone, Debug)]
pub(super) enum Other {
    /// Makes a job that is not to be believed, or makes one of a genuine one.
    Forge,
    /// Makes a job that knows no lanes.
    Create,
    /// Sends the next chunk of such a job.
    Send { key: JobKey, index: u64, chunks: u64 },
    /// Takes a job, and leaves it in whatever lane it lies.
    Take,
    /// Ends a job it took.
    End { key: RecordKey, by: String, well: bool },
    /// An operator ends a job.
    Cancel,
    /// An operator has a job taken again: this one, or any.
    Requeue(Option<RecordKey>),
}

/// The number of the client whose program is another than ours.
pub(super) const FOREIGN_CLIENT: usize = 9_999;

/// A text as a record holds it.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The eight attributes of a job that was created then and signed by this client.
pub(super) fn record_of(
    key: &JobKey,
    chunks: u64,
    created: Timestamp,
    signer: &ClientId,
) -> Vec<(&'static str, Value)> {
    let created = names::iso(created);
    let record = Signed {
        version: VERSION,
        created: &created,
        bucket: BUCKET,
        file: key.file.as_str(),
        chunks,
        client: key.client.as_str(),
    };
    let signature = names::sign(signer, &record.text());
    vec![
        (a::STATUS, text(Status::Queued.as_str())),
        (a::VERSION, text(VERSION)),
        (a::CREATED, Value::Text(created)),
        (a::BUCKET, text(BUCKET)),
        (a::CHUNKS, Value::Number(chunks)),
        (a::SIGNATURE, Value::Text(signature)),
    ]
}

impl World<'_> {
    pub(super) fn other(&mut self, other: Other) {
        match other {
            Other::Forge => self.forge(),
            Other::Create => self.create(),
            Other::Send { key, index, chunks } => self.send_chunk(key, index, chunks),
            Other::Take => self.take(),
            Other::End { key, by, well } => self.end(&key, &by, well),
            Other::Cancel => self.steer(false, None),
            Other::Requeue(key) => self.steer(true, key),
        }
    }

    pub(super) fn key(&mut self, client: usize) -> JobKey {
        JobKey {
            client: names::client(client),
            file: names::file(self.chance.bits(), self.chance.bits()),
        }
    }

    /// The eight attributes of a job.
    pub(super) fn record(&self, key: &JobKey, chunks: u64) -> Vec<(&'static str, Value)> {
        record_of(key, chunks, Timestamp(self.now), &key.client)
    }

    pub(super) fn write_over(&mut self, key: RecordKey, attributes: Vec<(&'static str, Value)>) {
        let (before, after) = self.services.table.overwrite(self.now, key.clone(), attributes);
        self.services
            .stream
            .tell(self.now, Rc::new(key), before, Some(after));
    }

    fn create(&mut self) {
        let key = self.key(FOREIGN_CLIENT);
        let chunks = 1 + self.chance.below(3) as u64;
        let attributes = self.record(&key, chunks);
        let record = RecordKey::from(&key);
        self.judge.made(record.clone());
        self.write_over(record, attributes);
        self.say(|| format!("a foreign client makes {key} of {chunks} chunks"));
        self.send_chunk(key, 0, chunks);
    }

    fn send_chunk(&mut self, key: JobKey, index: u64, chunks: u64) {
        // Now and then it dies in between, and nobody goes on.
        if index == chunks || self.chance.hits(0.1) {
            self.coming -= 1;
            return;
        }
        let state = names::hash(&[key.file.as_str()]);
        let fact = Fact::Announced {
            key: key.clone(),
            state,
        };
        self.judge.told(self.now, usize::MAX, 0, fact);
        let object = key.chunk(index);
        self.services
            .bucket
            .put(self.now, object.clone(), Object::Chunk(state));
        self.judge.put(self.now, &object, &self.services);
        let when = self.now + self.chance.between(100, 5_000);
        let next = Other::Send {
            key,
            index: index + 1,
            chunks,
        };
        self.agenda.plan(when, Step::Other(Box::new(next)));
    }

    /// A job that satisfies this, by chance.
    pub(super) fn any(&mut self, fits: impl Fn(&RecordKey, Status) -> bool) -> Option<RecordKey> {
        let records = self.services.table.records();
        let fitting = records.filter(|(key, record)| record.status().is_some_and(|status| fits(key, status)));
        let fitting: Vec<RecordKey> = fitting.map(|(key, _)| (**key).clone()).collect();
        if fitting.is_empty() {
            return None;
        }
        let chosen = self.chance.below(fitting.len());
        fitting.into_iter().nth(chosen)
    }

    fn change(write: Write, key: RecordKey, only_if: Vec<Term>, set: Vec<(&'static str, Value)>) -> Change {
        Change {
            write,
            key,
            only_if,
            set,
            remove: Vec::new(),
        }
    }

    /// Makes a conditional write without any of our machines.
    fn made(&mut self, change: &Change) -> bool {
        match self.services.table.apply(self.now, 0, change) {
            Applied::Made { before, after } => {
                let key = Rc::new(change.key.clone());
                self.services.stream.tell(self.now, key, before, Some(after));
                true
            }
            Applied::Refused(_) | Applied::Throttled => false,
        }
    }

    fn take(&mut self) {
        self.coming -= 1;
        let Some(key) = self.any(|_, status| status == Status::Queued) else {
            return;
        };
        // What is no job, no fetcher takes.
        if self
            .services
            .table
            .get(&key)
            .is_none_or(|record| record.job().is_err())
        {
            return;
        }
        let by = format!("foreign-{}", self.events);
        let only_if = vec![
            Term::Missing(a::PROCESSOR),
            Term::Is(a::STATUS, text(Status::Queued.as_str())),
        ];
        let set = vec![
            (a::STATUS, text(Status::Processing.as_str())),
            (a::PROCESSOR, Value::Text(by.clone())),
            (a::ASSIGNED, Value::Time(Timestamp(self.now))),
        ];
        if self.made(&Self::change(Write::Claim, key.clone(), only_if, set)) {
            self.say(|| format!("a foreign fetcher takes {}", key.file));
            // One in three is never heard of again.
            if self.chance.hits(0.67) {
                self.coming += 1;
                let when = self.now + self.chance.between(1_000, 60_000);
                let well = self.chance.hits(0.7);
                self.agenda
                    .plan(when, Step::Other(Box::new(Other::End { key, by, well })));
            }
        }
    }

    fn end(&mut self, key: &RecordKey, by: &str, well: bool) {
        self.coming -= 1;
        let chunk = format!("{}/{}/0", key.client, key.file);
        let state = match self.services.bucket.get(&chunk) {
            Some(Object::Chunk(state)) => Some(*state),
            Some(Object::Manifest { .. } | Object::Results(_)) | None => None,
        };
        let only_if = vec![
            Term::Is(a::STATUS, text(Status::Processing.as_str())),
            Term::Is(a::PROCESSOR, text(by)),
        ];
        let mut set = vec![(a::PROCESSED, Value::Time(Timestamp(self.now)))];
        if let Some(state) = state.filter(|_| well) {
            set.push((a::STATUS, text(Status::Completed.as_str())));
            set.push((a::RESULTS, Value::Text(format!("{state:016x}"))));
        } else {
            set.push((a::STATUS, text(Status::Error.as_str())));
            set.push((a::ERROR, text("a foreign fetcher failed")));
        }
        if self.made(&Self::change(Write::Complete, key.clone(), only_if, set)) {
            self.say(|| format!("a foreign fetcher ends {}", key.file));
        }
    }

    /// An operator cancels a job, or has it taken again: also one that failed, while its chunks are there.
    fn steer(&mut self, again: bool, wanted: Option<RecordKey>) {
        self.coming -= 1;
        let Some(key) = wanted.or_else(|| {
            self.any(|_, status| match status {
                Status::Queued | Status::Processing => true,
                Status::Error => again,
                Status::Completed => false,
            })
        }) else {
            return;
        };
        let Some(job) = self.services.table.get(&key).and_then(|record| record.job().ok()) else {
            return;
        };
        let mut is_there = |index| self.services.bucket.get(&job.key.chunk(index)).is_some();
        if job.status == Status::Error && !(is_there(0) && is_there(job.chunks.saturating_sub(1))) {
            return;
        }
        let now = Timestamp(self.now);
        if again {
            let before = self.services.table.get(&key).cloned().unwrap_or_default();
            if let Ok(change) = operator::requeue(&job, now)
                && self.made(&change)
            {
                if let Some(after) = self.services.table.get(&key) {
                    self.judge.taken_again(self.now, &change, &before, after);
                }
                self.say(|| format!("an operator requeues {}", key.file));
            }
            return;
        }
        let Ok(change) = operator::cancel(&job, now, "") else {
            return;
        };
        let before = self.services.table.get(&key).cloned();
        if self.made(&change) {
            self.say(|| format!("an operator cancels {}", key.file));
            let writer = Writer {
                process: usize::MAX,
                incarnation: 0,
                name: "operator",
                sent: self.now,
            };
            if let Some(after) = self.services.table.get(&key) {
                self.judge
                    .wrote(self.now, writer, &change, before.as_deref(), after);
            }
        }
    }
}
