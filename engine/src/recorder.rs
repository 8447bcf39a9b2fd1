//! A reader of the table's stream beside the watcher: it takes no lease and writes nothing anywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::RESERVED_PREFIX;
use roundtrip_core::stream::{From, Shard};
use roundtrip_testkit::recording::{Entry, Kind, Own, Verdict};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::cloud::Fault;
use crate::cloud::streams::{Entries, Refusal, Streams};
use crate::error::{Error, Result};
use crate::run::driver::now;
use crate::source::lanes::verified;
use merge::Merge;

mod ending;
mod merge;

/// Time between two reads of a shard: the service allows five a second, and others read it too.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Time between two looks for new shards.
const SURVEY_EVERY: Duration = Duration::from_secs(10);

/// The wait after a read that was refused; it doubles with each further one, up to the longest.
const REFUSED_WAIT: Duration = Duration::from_secs(1);
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(30);

/// Time between two lines that tell of refused reads: the stream keeps its records for a day, and until then nothing is
/// lost.
const REFUSED_TOLD_EVERY: Duration = Duration::from_mins(1);

/// A shard whose last record is not older than this has come to the present.
const PRESENT_MS: i64 = 5_000;

/// A read that brings no more time than this goes with the present: the stream tells moments to the second, and one that
/// lies behind brings a page at a time.
const PACE_MS: i64 = 2_000;

/// How far the clocks of this machine and of the stream may be apart: more, and no request would be taken.
const SKEW_MS: i64 = 300_000;

/// Pages of the list of shards that are read, at most.
const PAGES_MAX: usize = 1_000;

/// What a stream has to tell: jobs are followed from one image to the next.
const IMAGES: &str = "NEW_AND_OLD_IMAGES";

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
    /// What is older is left out.
    since: Option<Timestamp>,
    /// When it was read last.
    read: Timestamp,
    /// The moment of its last record.
    last: Option<Timestamp>,
    /// How much later that is than the last one of the read before.
    advance_ms: Option<i64>,
    next: Instant,
    refused: u32,
    /// Whether it was said that it cannot be read.
    is_told: bool,
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
    /// Whether a shard has ended since: others may follow it that are not known yet.
    is_unsure: bool,
    merge: Merge,
    /// When it was last said that something cannot be read.
    told: Option<Instant>,
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
            is_unsure: false,
            merge: Merge::default(),
            told: None,
        };
        let view = recorder.streams.view().await.map_err(|refusal| away(&refusal))?;
        if view.as_deref().is_some_and(|view| view != IMAGES) {
            return Err(without_images(&view.unwrap_or_default()));
        }
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

    /// What comes next, from whatever shard, in the order of the stream's moments. Cancel-safe: what was not given is
    /// given by the next call.
    pub async fn next(&mut self) -> Result<Vec<Entry<'static>>> {
        let due = self.reading.iter();
        let due = due.filter(|(shard, _)| self.merge.wants(shard));
        let due = due.map(|(_, reading)| reading.next).chain([self.survey]).min();
        tokio::time::sleep_until(due.unwrap_or(self.survey)).await;
        if self.survey <= Instant::now() {
            self.look_for_shards().await?;
        }
        let now = Instant::now();
        let due = self.reading.iter().filter(|(_, reading)| reading.next <= now);
        let due: Vec<String> = due.map(|(shard, _)| shard.clone()).collect();
        let due = due.into_iter().filter(|shard| self.merge.wants(shard)).collect();
        self.read_shards(due).await;
        Ok(self.release())
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
        let is_new = |shard: &Shard| !self.merge.knows(&shard.id) && !self.ended.contains(&shard.id);
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

    /// Looks for new shards; it fails where there is nothing to read any more, and never will be.
    async fn look_for_shards(&mut self) -> Result<()> {
        let shards = self.shards().await;
        self.survey = Instant::now() + SURVEY_EVERY;
        match shards {
            Ok(shards) => {
                self.is_unsure = false;
                self.found(shards);
            }
            Err(refusal) => {
                if self.reading.is_empty() && is_gone(&refusal) {
                    return Err(gone(&refusal));
                }
                if self.is_to_be_told() {
                    let why = refusal.to_string();
                    warn!(why, "new shards of the stream cannot be looked for now");
                }
            }
        }
        Ok(())
    }

    /// Whether trouble is to be told again.
    fn is_to_be_told(&mut self) -> bool {
        let is_due = self.told.is_none_or(|told| told.elapsed() >= REFUSED_TOLD_EVERY);
        if is_due {
            self.told = Some(Instant::now());
        }
        is_due
    }

    fn read(&mut self, shard: String, from: From) {
        self.merge.begin(&shard, from == From::Newest);
        let reading = Reading {
            iterator: None,
            from,
            since: None,
            read: now(),
            last: None,
            advance_ms: None,
            next: Instant::now(),
            refused: 0,
            is_told: false,
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

    /// Reads these shards once, and gives those that answered, and whether they brought anything.
    async fn read_shards(&mut self, due: Vec<String>) -> Vec<(String, bool)> {
        let begun = now();
        let due = due.into_iter().filter_map(|shard| {
            let reading = self.reading.get(&shard)?;
            Some((shard, reading.iterator.clone(), reading.from.clone()))
        });
        let reads = due.map(|(shard, iterator, from)| {
            let streams = self.streams.clone();
            async move {
                let answer = read_once(&streams, &shard, iterator, &from).await;
                (shard, answer)
            }
        });
        let mut read = Vec::new();
        for (shard, answer) in join_all(reads).await {
            match answer {
                Ok(answer) => {
                    let has_news = !answer.entries.is_empty() || !answer.bad.is_empty();
                    self.answered(&shard, answer, begun);
                    read.push((shard, has_news));
                }
                Err(refusal) => self.refused(&shard, &refusal),
            }
        }
        read
    }

    /// What can be given on in order.
    fn release(&mut self) -> Vec<Entry<'static>> {
        if self.is_unsure {
            return Vec::new();
        }
        let (entries, ended) = self.merge.release();
        if !ended.is_empty() {
            self.ended.extend(ended);
            // What follows them is found by a survey.
            self.is_unsure = true;
            self.survey = Instant::now();
        }
        entries
    }

    fn answered(&mut self, shard: &str, answer: Entries, begun: Timestamp) {
        for bad in &answer.bad {
            warn!(
                shard,
                sequence = bad.sequence,
                why = bad.why,
                "a record is left out"
            );
        }
        let Some(reading) = self.reading.get_mut(shard) else {
            return;
        };
        if std::mem::take(&mut reading.is_told) {
            info!(shard, "the shard is read again");
        }
        reading.refused = 0;
        reading.read = begun;
        reading.next = Instant::now() + READ_EVERY;
        if let Some(last) = answer.entries.last() {
            let moment = last.moment().or(reading.last);
            reading.advance_ms = moment.zip(reading.last).map(|(now, then)| now.0 - then.0);
            reading.last = moment;
            if let Some(sequence) = last.body.sequence.clone() {
                reading.from = From::After(sequence);
            }
        }
        let since = reading.since;
        reading.iterator = answer.next;
        let is_closed = reading.iterator.is_none();
        let is_empty = answer.entries.is_empty() && answer.bad.is_empty();
        let is_wanted =
            |entry: &Entry<'static>| since.is_none_or(|since| entry.moment().is_none_or(|at| at >= since));
        let arrived = iso::write(now());
        let entries = answer.entries.into_iter().filter(is_wanted);
        let entries = entries.map(|entry| tagged(entry, shard, &arrived)).collect();
        self.merge.take(shard, entries, is_empty);
        if is_closed {
            self.close(shard);
        }
    }

    fn close(&mut self, shard: &str) {
        self.reading.remove(shard);
        self.merge.end(shard);
    }

    /// A read was refused: it is tried again for as long as the stream keeps what was not read.
    fn refused(&mut self, shard: &str, refusal: &Refusal) {
        let Some(reading) = self.reading.get_mut(shard) else {
            return;
        };
        reading.refused = reading.refused.saturating_add(1);
        let wait = REFUSED_WAIT * 2_u32.saturating_pow(reading.refused.min(10) - 1);
        reading.next = Instant::now() + wait.min(REFUSED_WAIT_MAX);
        match refusal {
            Refusal::Expired => {
                reading.iterator = None;
                reading.next = Instant::now();
                if reading.from == From::Newest {
                    // Nothing of it was read yet: what came since the last read lies somewhere in what the stream keeps.
                    // By which clock, nobody knows: rather too much of it than a gap.
                    reading.from = From::Oldest;
                    reading.since = Some(Timestamp(reading.read.0 - PRESENT_MS - SKEW_MS));
                }
            }
            Refusal::Trimmed => {
                warn!(
                    shard,
                    "records were dropped before they were read: the recording has a gap"
                );
                reading.iterator = None;
                reading.from = From::Oldest;
            }
            Refusal::Gone => {
                warn!(shard, "the shard is gone: what was not read of it is lost");
                self.close(shard);
            }
            Refusal::Throttled | Refusal::Fault(_) => {
                // The iterator stays: it knows its place also where nothing was read yet.
                if self.is_to_be_told() {
                    if let Some(reading) = self.reading.get_mut(shard) {
                        reading.is_told = true;
                    }
                    let why = refusal.to_string();
                    warn!(
                        shard,
                        why, "the shard cannot be read now; it is tried again, nothing is lost for a day"
                    );
                }
            }
        }
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

/// Whether there is no stream to be read.
fn is_gone(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Gone | Refusal::Fault(Fault::Missing(_)) => true,
        Refusal::Expired | Refusal::Trimmed | Refusal::Throttled | Refusal::Fault(_) => false,
    }
}

fn gone(refusal: &Refusal) -> Error {
    Error::failed(format!("the stream is gone: {refusal}"))
        .hint("what came until then is in the recording; `roundtrip setup` makes the table with its stream")
}

fn without_images(view: &str) -> Error {
    Error::config(format!("the table's stream tells {view}; a recording needs {IMAGES}"))
        .hint("DynamoDB never changes that: switch the table's stream off and on with the other view, or record another table")
}

fn away(refusal: &Refusal) -> Error {
    let what = format!("the stream cannot be read: {refusal}");
    match refusal {
        Refusal::Gone | Refusal::Fault(Fault::Missing(_)) => Error::config(what)
            .hint("`roundtrip setup` makes the table with its stream; --table names another"),
        Refusal::Fault(fault) => fault.clone().during("the stream cannot be read"),
        Refusal::Expired | Refusal::Trimmed | Refusal::Throttled => Error::away(what),
    }
}
