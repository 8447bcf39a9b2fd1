//! Urgent jobs are found first, by lanes that hold all of them.

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_begins_with_the_priority_it_is_told() {
    let world = World::new().await;
    world.write("inbox/a", "a");
    send(&world, 0, 1).await;
    let genuine = world.record().await;
    let lanes = Lanes {
        jobs: Jobs::new(world.clients.dynamodb.clone(), TABLE),
        kind: LaneKind::Ready,
        shards: 1,
        batch_max: 2,
    };
    let put = async |number: u32, priority: u8, due: Timestamp| {
        let mut record = genuine.clone();
        let file = format!("file-00000000-0000-0000-0000-{number:012}");
        record.insert("file".to_owned(), AttributeValue::S(file));
        record.insert("due".to_owned(), attribute(&Value::Turn { priority, due }));
        world.put_record(record).await;
    };
    let (past, future) = (Timestamp(now().0 - 60_000), Timestamp(now().0 + 600_000));
    put(1, 3, past).await;
    put(2, 5, past).await;
    // More than a look reads, all of them in their backoff.
    for number in 100..130 {
        put(number, 9, future).await;
    }
    let objects = Objects::new(world.clients.s3.clone(), BUCKET);
    let first = async |wanted, priority_max| {
        let look = lanes
            .claimable(wanted, priority_max, &policy(), &objects)
            .await
            .unwrap();
        let mut priorities: Vec<u8> = look.offers.iter().map(|offer| offer.job.priority).collect();
        priorities.truncate(wanted);
        priorities
    };
    assert_eq!(first(1, PRIORITY_MAX).await, [5]);
    assert_eq!(first(1, 4).await, [3]);
    assert_eq!(first(1, 0).await, [0]);
    assert_eq!(
        first(3, PRIORITY_MAX).await,
        [5, 3, 0],
        "what waits hides nothing"
    );
    let lane = Lane {
        kind: LaneKind::Ready,
        shard: 0,
    };
    let oldest = lanes.jobs.oldest(lane, now()).await.unwrap();
    assert_eq!(oldest.map(iso), Some(iso(past)));
}
