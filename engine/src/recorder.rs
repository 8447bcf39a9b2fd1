//! A reader of the table's stream beside the watcher: it takes no lease and writes nothing anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use roundtrip_core::iso;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::RESERVED_PREFIX;
use roundtrip_core::stream::{From, Shard};
use roundtrip_testkit::recording::{Entry, Kind, Own, Verdict};
use tokio::time::Instant;
use tracing::warn;

use crate::cloud::Fault;
use crate::cloud::streams::{Entries, Refusal, Streams};
use crate::error::{Error, Result};
use crate::run::driver::now;
use crate::source::lanes::verified;

/// Time between two reads of a shard: the service allows five a second, and others read it too.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Time between two looks for new shards.
const SURVEY_EVERY: Duration = Duration::from_secs(10);

/// The wait after a read that was refused; it doubles with each further one.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// Reads refused in a row before the recorder gives up: about four minutes.
const REFUSED_MAX: u32 = 8;

/// Pages of the list of shards that are read, at most.
const PAGES_MAX: usize = 1_000;

/// What the client signed, and what changes with it.
const SIGNED: [&str; 8] = [
    a::VERSION,
    a::CREATED,
    a::BUCKET,
    a::CHUNKS,
    a::SIGNATURE,
    a::OUTLINE,
    a::OUTLINE_SIGNATURE,
    a::LANE,
];

/// Where a recording begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Newest,
    /// With the oldest record the stream still has.
    Oldest,
}

/// A shard that is read.
#[derive(Debug)]
struct Reading {
    iterator: Option<String>,
    /// Where to go on with a new iterator.
    from: From,
    next: Instant,
    refused: u32,
}

/// Reads every shard of a stream.
#[derive(Debug)]
pub struct Recorder {
    streams: Streams,
    reading: BTreeMap<String, Reading>,
    /// Shards that were read to their end, and those that wait for their parent.
    ended: Vec<String>,
    waiting: Vec<Shard>,
    survey: Instant,
}

impl Recorder {
    /// Finds the shards, and where to begin in each: from here on nothing is missed.
    pub async fn begin(streams: Streams, start: Start) -> Result<Self> {
        let mut recorder = Self {
            streams,
            reading: BTreeMap::new(),
            ended: Vec::new(),
            waiting: Vec::new(),
            survey: Instant::now() + SURVEY_EVERY,
        };
        let shards = recorder.shards().await.map_err(|refusal| away(&refusal))?;
        match start {
            Start::Oldest => recorder.found(shards),
            Start::Newest => {
                for shard in shards {
                    recorder.read(shard.id, From::Newest);
                }
                recorder.locate().await.map_err(|refusal| away(&refusal))?;
            }
        }
        Ok(recorder)
    }

    /// What comes next, from whatever shard. Cancel-safe: what was not given is read again.
    pub async fn next(&mut self) -> Result<Vec<Entry<'static>>> {
        let due = self.reading.values().map(|reading| reading.next);
        tokio::time::sleep_until(due.chain([self.survey]).min().unwrap_or(self.survey)).await;
        if self.survey <= Instant::now() {
            let shards = self.shards().await;
            self.survey = Instant::now() + SURVEY_EVERY;
            match shards {
                Ok(shards) => self.found(shards),
                Err(refusal) => warn!(
                    why = refusal.to_string(),
                    "new shards of the stream cannot be looked for now"
                ),
            }
        }
        self.read_due().await
    }

    async fn shards(&self) -> Result<Vec<Shard>, Refusal> {
        let (mut shards, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.streams.shards(after).await?;
            shards.extend(page.shards);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(shards)
    }

    /// Takes up shards that are not known yet: a child only after its parent, so that the changes of one job keep their
    /// order.
    fn found(&mut self, shards: Vec<Shard>) {
        let listed: Vec<String> = shards.iter().map(|shard| shard.id.clone()).collect();
        self.ended.retain(|shard| listed.contains(shard));
        let is_new = |shard: &Shard| !self.reading.contains_key(&shard.id) && !self.ended.contains(&shard.id);
        self.waiting = shards.into_iter().filter(is_new).collect();
        self.begin_waiting(&listed);
    }

    fn begin_waiting(&mut self, listed: &[String]) {
        let waiting = std::mem::take(&mut self.waiting);
        let (mut free, mut bound) = (Vec::new(), Vec::new());
        for shard in waiting {
            let blocks = |parent: &String| listed.contains(parent) && !self.ended.contains(parent);
            if shard.parent.as_ref().is_some_and(blocks) {
                bound.push(shard);
            } else {
                free.push(shard);
            }
        }
        self.waiting = bound;
        for shard in free {
            self.read(shard.id, From::Oldest);
        }
    }

    fn read(&mut self, shard: String, from: From) {
        let reading = Reading {
            iterator: None,
            from,
            next: Instant::now(),
            refused: 0,
        };
        self.reading.insert(shard, reading);
    }

    /// Gets an iterator for each shard that has none.
    async fn locate(&mut self) -> Result<(), Refusal> {
        for (shard, reading) in &mut self.reading {
            if reading.iterator.is_none() {
                reading.iterator = Some(self.streams.iterator(shard, &reading.from).await?);
            }
        }
        Ok(())
    }

    async fn read_due(&mut self) -> Result<Vec<Entry<'static>>> {
        let now = Instant::now();
        let due = self.reading.iter().filter(|(_, reading)| reading.next <= now);
        let reads = due.map(|(shard, reading)| {
            let (streams, shard) = (self.streams.clone(), shard.clone());
            let (iterator, from) = (reading.iterator.clone(), reading.from.clone());
            async move {
                let answer = read_once(&streams, &shard, iterator, &from).await;
                (shard, answer)
            }
        });
        let mut entries = Vec::new();
        for (shard, answer) in join_all(reads).await {
            match answer {
                Ok(answer) => entries.extend(self.answered(&shard, answer)),
                Err(refusal) => self.refused(&shard, &refusal)?,
            }
        }
        Ok(entries)
    }

    fn answered(&mut self, shard: &str, answer: Entries) -> Vec<Entry<'static>> {
        for bad in &answer.bad {
            warn!(
                shard,
                sequence = bad.sequence,
                why = bad.why,
                "a record is left out"
            );
        }
        if let Some(reading) = self.reading.get_mut(shard) {
            reading.refused = 0;
            reading.next = Instant::now() + READ_EVERY;
            if let Some(last) = answer
                .entries
                .last()
                .and_then(|entry| entry.body.sequence.clone())
            {
                reading.from = From::After(last);
            }
            reading.iterator = answer.next;
            if reading.iterator.is_none() {
                self.reading.remove(shard);
                self.ended.push(shard.to_owned());
                // Its children are found by a survey.
                self.survey = Instant::now();
            }
        }
        let arrived = iso::write(now());
        answer
            .entries
            .into_iter()
            .map(|entry| tagged(entry, shard, &arrived))
            .collect()
    }

    fn refused(&mut self, shard: &str, refusal: &Refusal) -> Result<()> {
        let Some(reading) = self.reading.get_mut(shard) else {
            return Ok(());
        };
        let why = refusal.to_string();
        reading.iterator = None;
        reading.refused += 1;
        reading.next =
            Instant::now() + REFUSED_WAIT * 2_u32.saturating_pow(reading.refused.min(REFUSED_MAX) - 1);
        match refusal {
            Refusal::Expired => reading.next = Instant::now(),
            Refusal::Trimmed => {
                warn!(
                    shard,
                    "records were dropped before they were read: the recording has a gap"
                );
                reading.from = From::Oldest;
            }
            Refusal::Gone => {
                warn!(shard, "the shard is gone");
                self.reading.remove(shard);
            }
            Refusal::Throttled | Refusal::Fault(_) => {
                if reading.refused > REFUSED_MAX {
                    return Err(away(refusal));
                }
                warn!(shard, why, "the shard cannot be read now");
            }
        }
        Ok(())
    }
}

async fn read_once(
    streams: &Streams,
    shard: &str,
    iterator: Option<String>,
    from: &From,
) -> Result<Entries, Refusal> {
    let iterator = match iterator {
        Some(iterator) => iterator,
        None => streams.iterator(shard, from).await?,
    };
    streams.entries(&iterator).await
}

/// Adds what only the recorder knows; the verdict on a signature where it may have changed.
fn tagged(mut entry: Entry<'static>, shard: &str, arrived: &str) -> Entry<'static> {
    let after = entry.body.after.as_ref();
    let before = entry.body.before.as_ref();
    let is_new = |name: &str| {
        let (was, is) = (
            before.and_then(|image| image.get(name)),
            after.and_then(|image| image.get(name)),
        );
        was != is
    };
    let is_job = !entry.key().client.starts_with(RESERVED_PREFIX);
    let may_differ = entry.kind == Kind::Insert || SIGNED.iter().any(|name| is_new(name));
    let job = after.filter(|_| is_job && may_differ).map(Job::read);
    let signature = job.and_then(Result::ok).map(|job| Verdict(verified(&job)));
    entry.own = Some(Own {
        arrived: Some(arrived.to_owned()),
        shard: Some(shard.to_owned()),
        signature,
    });
    entry
}

fn away(refusal: &Refusal) -> Error {
    let what = Error::away(format!("the stream cannot be read: {refusal}"));
    match refusal {
        Refusal::Gone | Refusal::Fault(Fault::Missing(_)) => {
            what.hint("`roundtrip setup` makes the table with its stream; --table names another")
        }
        Refusal::Expired | Refusal::Trimmed | Refusal::Throttled | Refusal::Fault(_) => what,
    }
}
