//! Jobs by the thousand, and what they cost: the world when it is measured rather than judged.

use std::collections::BTreeMap;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Job, Lane, LaneKind, Signed, Status};
use roundtrip_core::lifecycle::{self, Change, RecordKey, Write};
use roundtrip_core::names::{ClientId, FileId, JobKey};
use roundtrip_core::plan::{Codec, FORMAT, Outline};
use roundtrip_core::record::INLINE_RESULT_BYTES_MAX;
use roundtrip_core::shard;

use super::beginning::{BUCKET, VERSION};
use super::{START, Step, World};
use crate::model::bucket::Object;
use crate::model::names;
use crate::model::network::{Reply, Request};
use crate::model::services::{Caller, Measuring};
use crate::simulate::Scenario;
use crate::simulate::scale::{Measured, Prices, Scale};

/// How long after the fleet the first job comes, in milliseconds.
const FIRST_MS: u64 = 10_000;

/// Milliseconds until a throttled request of a client is made again.
const AGAIN_MS: i64 = 100;

/// What is counted while jobs come by the thousand.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// Jobs that wait for their outcome, by client.
    waiting: Vec<u64>,
    /// Jobs that are still to come.
    left: u64,
    per_second: f64,
    /// When the next one comes, since the beginning.
    next: Duration,
    pub(super) requests: BTreeMap<&'static str, u64>,
    pub(super) claims_tried: u64,
    claims_won: u64,
}

/// Runs jobs by the thousand and says what they cost; `ended` hears how many have ended, each time that more have.
pub(in crate::simulate) fn measure(
    what: &Scale,
    prices: Prices,
    seed: u64,
    mut ended: impl FnMut(u64),
) -> Measured {
    let scenario = what.scenario();
    let mut world = begin(&scenario, what, seed);
    let mut finished = 0;
    world.go(|world| {
        if world.judge.finished > finished {
            finished = world.judge.finished;
            ended(finished);
        }
    });
    world.measured(what, prices)
}

/// The fleet before its first job.
fn begin<'a>(scenario: &'a Scenario, what: &Scale, seed: u64) -> World<'a> {
    let mut world = World::new(scenario, seed, false);
    world.coming = 1;
    world.judge.forgets();
    world.services.measure(Measuring {
        result_bytes: what.result_bytes.min(INLINE_RESULT_BYTES_MAX),
    });
    world.events_max = u64::MAX;
    world.bulk = Some(Bulk {
        waiting: vec![0; what.clients.max(1)],
        left: what.jobs,
        per_second: what.jobs_per_second(),
        next: Duration::from_millis(FIRST_MS),
        ..Bulk::default()
    });
    world.plan_bulk();
    world
}

impl World<'_> {
    fn plan_bulk(&mut self) {
        match &self.bulk {
            Some(Bulk { left: 1.., next, .. }) => {
                let ms = i64::try_from(next.as_millis()).unwrap_or(i64::MAX);
                self.agenda.plan(START.saturating_add(ms), Step::Bulk);
            }
            Some(_) | None => self.coming -= 1,
        }
    }

    /// A job comes. How long until the next one does is drawn: many clients that know nothing of each other.
    pub(super) fn bulk(&mut self) {
        let Some(bulk) = &mut self.bulk else { return };
        if !bulk.requests.contains_key("create") {
            // The moment the whole fleet starts is no measure of a day.
            self.services.table.load.forget_peaks();
        }
        bulk.left -= 1;
        let seconds = -(1.0 - self.chance.fraction()).ln() / bulk.per_second;
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        bulk.next = bulk.next.saturating_add(wait);
        let client = self.chance.below(bulk.waiting.len());
        let ahead = bulk.waiting[client];
        bulk.waiting[client] += 1;
        self.bulk_job(client, ahead);
        self.plan_bulk();
    }

    fn bulk_job(&mut self, client: usize, ahead: u64) {
        let key = JobKey {
            client: names::client(client),
            file: names::file(self.chance.bits(), self.chance.bits()),
        };
        let policies = &self.scenario.policies;
        let now = Timestamp(self.now);
        let created = names::iso(now);
        let outline = Outline {
            format: FORMAT,
            client: key.client.clone(),
            file: key.file.clone(),
            size: policies.upload.chunk_size,
            chunk_size: policies.upload.chunk_size,
            codec: Codec::Zstd,
            name: None,
        };
        let signed = Signed {
            version: VERSION,
            created: &created,
            bucket: BUCKET,
            file: key.file.as_str(),
            chunks: 1,
            client: key.client.as_str(),
        };
        let signature = names::sign(&key.client, &signed.text());
        let outline = outline.text();
        let lane = Lane {
            kind: LaneKind::Ready,
            shard: shard::of(&key, policies.shards, ahead),
        };
        let job = Job {
            key: key.clone(),
            status: Status::Queued,
            version: VERSION.to_owned(),
            created_at: Some(now),
            created,
            bucket: BUCKET.to_owned(),
            chunks: 1,
            signature,
            processor: None,
            assigned: None,
            downloaded: None,
            processed: None,
            results: None,
            results_type: None,
            error: None,
            outline_signature: Some(names::sign(&key.client, &outline)),
            outline: Some(outline),
            lane: Some(lane),
            due: Some(now),
            priority: 0,
            retries: 0,
            failures: 0,
            history: Vec::new(),
            cleaning: None,
            cleaned: None,
        };
        let state = names::hash(&[key.file.as_str()]);
        let manifest = Object::Manifest {
            state,
            abandoned: false,
        };
        self.ask(Request::Put(key.chunk(0), Object::Chunk(state)));
        self.ask(Request::Put(key.manifest(), manifest));
        self.ask(Request::Apply(Box::new(lifecycle::create(&job))));
    }

    /// A client's request that was throttled is made again, as an SDK does; a job waits from when it was first made.
    pub(super) fn again(&mut self, request: Request) {
        self.coming -= 1;
        self.ask(request);
    }

    fn ask(&mut self, request: Request) {
        self.counted(&request);
        let caller = Caller {
            name: "",
            now: Timestamp(self.now),
        };
        let (reply, effect) = self.services.serve(self.now, caller, request.clone(), 20, 0);
        if matches!(reply, Reply::Throttled) {
            self.coming += 1;
            let again = Step::Again(Box::new(request));
            self.agenda.plan(self.now + AGAIN_MS, again);
        }
        if let Some(effect) = effect {
            let writer = crate::promises::Writer {
                process: usize::MAX,
                incarnation: 0,
                name: "client-",
                sent: self.now,
            };
            self.judged(writer, "", &effect);
        }
    }

    /// Counts what was made of a job.
    pub(super) fn made_bulk(&mut self, change: &Change) {
        let Some(bulk) = &mut self.bulk else { return };
        bulk.claims_won += u64::from(change.write == Write::Claim);
        if matches!(change.write, Write::Complete | Write::Fail) {
            let digits = change.key.client.get(121..).unwrap_or_default();
            let client = usize::from_str_radix(digits, 16).unwrap_or(0);
            if let Some(waiting) = bulk.waiting.get_mut(client) {
                *waiting = waiting.saturating_sub(1);
            }
            self.collected(&change.key);
        }
    }

    /// The client reads the finished record once.
    fn collected(&mut self, key: &RecordKey) {
        if let (Ok(client), Ok(file)) = (ClientId::parse(&key.client), FileId::parse(&key.file)) {
            self.ask(Request::Get(vec![JobKey { client, file }]));
        }
    }

    /// Counts a request where that is asked for.
    pub(super) fn counted(&mut self, request: &Request) {
        if let Some(bulk) = &mut self.bulk {
            *bulk.requests.entry(request.name()).or_default() += 1;
            if request.name() == "claim" {
                bulk.claims_tried += 1;
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn measured(mut self, what: &Scale, prices: Prices) -> Measured {
        // Of a run that was cut short it is known that something is left.
        if self.judge.finished == what.jobs {
            self.judge_end();
        }
        let bulk = self.bulk.take().unwrap_or_default();
        let jobs = self.judge.created.max(1) as f64;
        let mut waits = std::mem::take(&mut self.judge.claim_waits);
        waits.sort_unstable();
        let at = |hundredths: usize| {
            let index = waits.len().saturating_sub(1) * hundredths / 100;
            waits.get(index).copied().unwrap_or_default()
        };
        let load = &self.services.table.load;
        let (writes, reads) = (load.writes as f64, load.reads_halves as f64 / 2.0);
        let asked = |names: &[&str]| -> f64 {
            names
                .iter()
                .filter_map(|name| bulk.requests.get(name))
                .map(|count| *count as f64)
                .sum()
        };
        let dollars = writes * prices.writes / 1e6
            + reads * prices.reads / 1e6
            + asked(&["put-object", "list-objects"]) * prices.puts / 1e3
            + asked(&["get-object"]) * prices.gets / 1e3
            + asked(&["get-records"]) * prices.streams / 1e5;
        let requests = bulk.requests.iter();
        Measured {
            fetchers: what.fetchers,
            shards: what.policies.shards,
            jobs: what.jobs,
            created: self.judge.created,
            finished: self.judge.finished,
            jobs_per_second: what.jobs_per_second(),
            span_seconds: (self.now - START) / 1_000,
            claim_p50_ms: at(50),
            claim_p99_ms: at(99),
            claims_tried_per_won: bulk.claims_tried as f64 / (bulk.claims_won.max(1)) as f64,
            writes_peak: load.writes_peak,
            writes_hottest: load
                .writes_hottest
                .map_or_else(String::new, |hottest| hottest.to_string()),
            reads_peak: load.reads_peak,
            reads_hottest: load
                .reads_hottest
                .map_or_else(String::new, |hottest| hottest.to_string()),
            throttled: load.throttled,
            requests_per_job: requests
                .map(|(name, count)| (*name, *count as f64 / jobs))
                .collect(),
            writes_per_job: writes / jobs,
            reads_per_job: reads / jobs,
            dollars_per_million: dollars / jobs * 1e6,
            events: self.events,
            breaches: std::mem::take(&mut self.judge.breaches),
        }
    }
}

#[cfg(test)]
mod tests;
