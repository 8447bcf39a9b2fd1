//! Urgent jobs are found first, by lanes that hold all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip::cloud::item::{Item, attribute, iso};
use roundtrip::cloud::jobs::Jobs;
use roundtrip::cloud::objects::Objects;
use roundtrip::run::driver::now;
use roundtrip::source::lanes::Lanes;
use roundtrip_core::at::Timestamp;
use roundtrip_core::claim::{ClaimPolicy, Feed, Start};
use roundtrip_core::job::{Lane, LaneKind, PRIORITY_MAX};
use roundtrip_core::lifecycle::Value;
use roundtrip_core::names::{ClientId, FileId, JobKey};
use roundtrip_core::search::Findings;
use roundtrip_core::shard;

use crate::world::{BUCKET, TABLE, World, text, until};

const ONE_SHARD: &str = "store.shards=1";

fn policy() -> ClaimPolicy {
    ClaimPolicy {
        versions: None,
        start: Start::Announced,
        feed: Feed::Complete,
        in_flight_max: 1,
        downloads_max: 1,
        analyses_max: 1,
        lease: Duration::from_secs(60),
        heartbeat: Duration::from_secs(20),
        stall: Duration::from_secs(60),
        upload_max: Duration::from_secs(3_600),
        drain: Duration::ZERO,
    }
}

/// Sends what lies in the inbox with this priority.
async fn send(world: &World, priority: u8, count: usize) {
    let sent = async || {
        let objects = world.objects().await;
        objects.iter().filter(|key| key.ends_with("/manifest")).count()
    };
    let known = sent().await;
    let priority = format!("upload.sink.jobs.priority={priority}");
    let client = world.role("client", &[ONE_SHARD, &priority]);
    let client = world.start(&client, "client").await;
    until("they are sent", async || sent().await == known + count).await;
    client.stop().await;
}

fn priority(record: &Item) -> u8 {
    record
        .get("priority")
        .map_or(0, |number| number.as_n().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_urgent_overtakes_what_waits() {
    let world = World::new().await;
    for number in 0..8 {
        world.write(&format!("inbox/bulk-{number}"), [number]);
    }
    send(&world, 0, 8).await;
    for number in 0..2 {
        world.write(&format!("inbox/urgent-{number}"), [100 + number]);
    }
    send(&world, 7, 2).await;
    for record in world.records().await.values() {
        assert_eq!(
            text(record, "due").starts_with("!2#"),
            priority(record) == 7,
            "{record:?}"
        );
    }
    let one = ["analyse.claim.in-flight-max=1", ONE_SHARD];
    world.once(&world.role("fetcher", &one), "fetcher").await;
    let records = world.records().await;
    let first = records
        .values()
        .min_by_key(|record| text(record, "assigned").to_owned());
    assert_eq!(priority(first.unwrap()), 7);
    let done = records
        .values()
        .all(|record| text(record, "status") == "COMPLETED");
    assert!(done, "nobody waits for ever");
    assert!(
        records
            .values()
            .all(|record| !text(record, "due").starts_with('!'))
    );
}

/// However few of its client wait: it overtakes what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_job_goes_to_the_shards_of_the_busy() {
    let world = World::new().await;
    world.write("inbox/urgent", "urgent");
    let client = world.role("client", &["upload.sink.jobs.priority=1"]);
    let client = world.start(&client, "client").await;
    until("it is there", async || !world.records().await.is_empty()).await;
    client.stop().await;
    let record = world.record().await;
    let key = JobKey {
        client: ClientId::parse(text(&record, "client")).unwrap(),
        file: FileId::parse(text(&record, "file")).unwrap(),
    };
    let shard = shard::of(&key, 8, shard::MANY);
    assert_eq!(text(&record, "lane"), format!("ready#{shard}"));
}

/// One shard, read two records at a time, with an ordinary job in it.
struct OneShard {
    world: World,
    lanes: Lanes,
    objects: Objects,
    genuine: Item,
}

impl OneShard {
    async fn new() -> Self {
        let world = World::new().await;
        world.write("inbox/a", "a");
        send(&world, 0, 1).await;
        let lanes = Lanes::new(
            Jobs::new(world.clients.dynamodb.clone(), TABLE),
            LaneKind::Ready,
            1,
            2,
        );
        Self {
            genuine: world.record().await,
            objects: Objects::new(world.clients.s3.clone(), BUCKET),
            lanes,
            world,
        }
    }

    /// Puts a copy of the job, in its place for this priority.
    async fn put(&self, number: u32, priority: u8, due: Timestamp, bucket: &str) {
        let mut record = self.genuine.clone();
        let file = format!("file-00000000-0000-0000-0000-{number:012}");
        record.insert("file".to_owned(), AttributeValue::S(file));
        record.insert("bucket".to_owned(), AttributeValue::S(bucket.to_owned()));
        record.insert("due".to_owned(), attribute(&Value::Turn { priority, due }));
        self.world.put_record(record).await;
    }

    async fn look(&self, wanted: usize, priority_max: u8) -> Findings {
        let policy = policy();
        let look = self.lanes.claimable(wanted, priority_max, &policy, &self.objects);
        look.await.unwrap()
    }

    /// The priorities of the first offers.
    async fn first(&self, wanted: usize, priority_max: u8) -> Vec<u8> {
        let look = self.look(wanted, priority_max).await;
        look.offers
            .iter()
            .map(|offer| offer.job.priority)
            .take(wanted)
            .collect()
    }
}

fn past() -> Timestamp {
    Timestamp(now().0 - 60_000)
}

fn future() -> Timestamp {
    Timestamp(now().0 + 600_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_begins_with_the_priority_it_is_told() {
    let shard = OneShard::new().await;
    let due = past();
    shard.put(1, 3, due, BUCKET).await;
    shard.put(2, 5, due, BUCKET).await;
    // More than a look reads, all of them in their backoff.
    for number in 100..130 {
        shard.put(number, 9, future(), BUCKET).await;
    }
    assert_eq!(shard.first(1, PRIORITY_MAX).await, [5]);
    assert_eq!(shard.first(1, 4).await, [3]);
    assert_eq!(shard.first(1, 0).await, [0]);
    assert_eq!(
        shard.first(3, PRIORITY_MAX).await,
        [5, 3, 0],
        "what waits hides nothing"
    );
    let lane = Lane {
        kind: LaneKind::Ready,
        shard: 0,
    };
    let oldest = shard.lanes.jobs.oldest(lane, now()).await.unwrap();
    assert_eq!(oldest.map(iso), Some(iso(due)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_jobs_for_others_are_told_of_and_hide_nobody() {
    let shard = OneShard::new().await;
    for number in 100..130 {
        shard.put(number, 9, past(), "another-bucket").await;
    }
    let look = shard.look(1, PRIORITY_MAX).await;
    assert_eq!((look.offers.len(), look.priority_seen), (0, 9));
    assert_eq!(shard.first(1, 8).await, [0]);
    // Nothing is offered to us that is another's, and the ordinary job is done.
    let one = [
        "analyse.claim.in-flight-max=1",
        ONE_SHARD,
        "analyse.source.jobs.batch-max=2",
    ];
    let fetcher = shard.world.role("fetcher", &one);
    let fetcher = shard.world.start(&fetcher, "fetcher").await;
    until("the ordinary job is done", async || {
        let records = shard.world.records().await;
        records
            .values()
            .any(|record| text(record, "status") == "COMPLETED")
    })
    .await;
    fetcher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_offered_once_in_a_look() {
    let shard = OneShard::new().await;
    shard.put(1, 9, future(), BUCKET).await;
    for number in 2..5 {
        shard.put(number, 5, past(), BUCKET).await;
    }
    for priority_max in [0, 5, PRIORITY_MAX] {
        let look = shard.look(10, priority_max).await;
        let files: BTreeSet<_> = look.offers.iter().map(|offer| &offer.job.key.file).collect();
        assert_eq!((look.offers.len(), files.len()), (4, 4), "{priority_max}");
        assert_eq!(look.priority_seen, 9);
    }
}

/// What stays at the beginning of a lane must not hide what is behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looks_at_what_is_due_go_on_where_they_are_told_to() {
    let shard = OneShard::new().await;
    for (number, age) in (1..=4).zip([400, 300, 200, 100]) {
        shard
            .put(number, 0, Timestamp(now().0 - age * 1_000), BUCKET)
            .await;
    }
    let files = async |on| {
        let look = shard.lanes.due(on).await.unwrap();
        let files = look.offers.iter().map(|offer| offer.job.key.file.to_string());
        let numbers = files.filter_map(|file| file.rsplit('-').next()?.parse::<u32>().ok());
        (
            numbers.filter(|number| *number < 10).collect::<Vec<_>>(),
            look.more,
        )
    };
    assert_eq!(files(false).await, (vec![1, 2], true));
    assert_eq!(files(false).await, (vec![1, 2], true), "from the beginning");
    assert_eq!(files(true).await, (vec![3, 4], true));
    assert!(!files(true).await.1);
    assert_eq!(
        files(true).await,
        (vec![1, 2], true),
        "behind the end it begins anew"
    );
}
