//! The watcher that follows the table's stream: a scripted one for what goes wrong, the embedded one for the rest.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip::cloud::item;
use roundtrip::run::driver::now;
use serde_json::json;

use crate::world::{BUCKET, Item, Running, World, text, until};

mod embedded;
mod recorded;
mod script;

use script::{Script, Server};

/// Looks so seldom that within a test only the stream can have told, and leases that end within one.
const STREAM_ALONE: &[&str] = &[
    "cleanup.source.jobs.every=1h",
    "admit.source.foreign.every=1h",
    "stream.lease=3s",
];

/// A finished job that lies in its lane with one object; nothing of it comes from a real client.
async fn finished(world: &World, number: u32) -> Item {
    let said = |text: String| AttributeValue::S(text);
    let client = format!("client-04{}", "ab".repeat(64));
    let file = format!("file-00000000-0000-4000-8000-{number:012}");
    world.put_object(&format!("{client}/{file}/0"), vec![0; 10]).await;
    let job = Item::from([
        ("status".to_owned(), said("COMPLETED".to_owned())),
        ("version".to_owned(), said("2.5.21".to_owned())),
        ("created".to_owned(), said(item::iso(now()))),
        ("processed".to_owned(), said(item::iso(now()))),
        ("bucket".to_owned(), said(BUCKET.to_owned())),
        ("file".to_owned(), said(file)),
        ("chunks".to_owned(), AttributeValue::N("1".to_owned())),
        ("client".to_owned(), said(client)),
        ("signature".to_owned(), said("30".to_owned())),
        ("lane".to_owned(), said("done#0".to_owned())),
        ("due".to_owned(), said(item::iso(now()))),
    ]);
    world.put_record(job.clone()).await;
    job
}

async fn until_cleaned(world: &World, jobs: usize) {
    until(&format!("{jobs} jobs are cleaned"), async || {
        let records = world.records().await;
        let cleaned = records.values().filter(|record| record.contains_key("cleaned"));
        cleaned.count() == jobs
    })
    .await;
    world.assert_cleaned(jobs, "COMPLETED").await;
}

/// The embedded services with a scripted stream beside them.
struct Bench {
    world: World,
    server: Server,
}

impl Bench {
    async fn new(script: Script) -> Self {
        let mut world = World::new().await;
        let server = Server::start(script).await;
        world.clients.streams = server.client.clone();
        Self { world, server }
    }

    /// Starts a watcher and waits until it has looked through the lanes and reads a shard.
    async fn watcher(&self, reads: &str) -> Running {
        let role = self.world.role("watcher", STREAM_ALONE);
        let watcher = self.world.start(&role, "watcher").await;
        self.until_asked(reads, 2).await;
        watcher
    }

    async fn until_asked(&self, what: &str, times: usize) {
        until(&format!("it is asked to {what}, {times} times"), async || {
            self.server.script().asked(what).len() >= times
        })
        .await;
    }

    /// A job that is finished now, as the stream tells of it.
    async fn finish(&self, shard: &str, number: u32) {
        let job = finished(&self.world, number).await;
        self.server.script().finished(shard, &job);
    }

    /// The row about a shard.
    async fn row(&self, shard: &str) -> Item {
        let (_, mut rows) = self.world.rows().await;
        rows.remove(shard).unwrap_or_default()
    }
}

fn one_shard() -> Script {
    let mut script = Script::default();
    script.shard("s", None);
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_is_followed_from_the_parent_to_its_children() {
    let bench = Bench::new(one_shard()).await;
    let watcher = bench.watcher("read s").await;
    for number in 0..4 {
        bench.finish("s", number).await;
    }
    {
        let mut script = bench.server.script();
        script.close("s");
        script.shard("left", Some("s"));
        script.shard("right", Some("s"));
    }
    bench.finish("left", 4).await;
    bench.finish("right", 5).await;
    until_cleaned(&bench.world, 6).await;
    until("the parent's end is written down", async || {
        bench.row("s").await.contains_key("finished")
    })
    .await;
    watcher.stop().await;
    let script = bench.server.script();
    let end = script.first("read s 3");
    assert!(end < script.first("from left TRIM_HORIZON"));
    assert!(end < script.first("from right TRIM_HORIZON"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_parent_is_not_read_again_by_the_next_watcher() {
    let mut script = one_shard();
    script.shard("child", Some("s"));
    script.close("s");
    let bench = Bench::new(script).await;
    bench.watcher("read child").await.stop().await;
    assert!(bench.row("s").await.contains_key("finished"));
    assert_eq!(bench.server.script().asked("from s"), ["from s TRIM_HORIZON"]);
    let watcher = bench.watcher("read child").await;
    bench.finish("child", 0).await;
    until_cleaned(&bench.world, 1).await;
    watcher.stop().await;
    assert_eq!(bench.server.script().asked("from s").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_iterator_is_replaced_where_reading_stopped() {
    let bench = Bench::new(one_shard()).await;
    let watcher = bench.watcher("read s").await;
    bench.finish("s", 0).await;
    until_cleaned(&bench.world, 1).await;
    bench
        .server
        .script()
        .refuse("GetRecords", "ExpiredIteratorException");
    bench.until_asked("from s AFTER_SEQUENCE_NUMBER 1", 1).await;
    bench.finish("s", 1).await;
    until_cleaned(&bench.world, 2).await;
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_trimmed_data_the_lanes_tell_what_was_missed() {
    let bench = Bench::new(one_shard()).await;
    let watcher = bench.watcher("read s").await;
    bench.finish("s", 0).await;
    until_cleaned(&bench.world, 1).await;
    watcher.stop().await;
    // While nobody reads, two jobs end, and their records are dropped before anybody is back.
    bench.finish("s", 1).await;
    bench.finish("s", 2).await;
    bench.server.script().trim("s", 3);
    let watcher = bench.watcher("from s").await;
    until_cleaned(&bench.world, 3).await;
    bench.finish("s", 3).await;
    until_cleaned(&bench.world, 4).await;
    watcher.stop().await;
    let script = bench.server.script();
    let from = script.asked("from s");
    assert_eq!(from.last(), Some(&"from s TRIM_HORIZON"), "{from:?}");
    assert!(from.contains(&"from s AFTER_SEQUENCE_NUMBER 1"), "{from:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisonous_record_is_noted_and_stepped_over() {
    let bench = Bench::new(one_shard()).await;
    let watcher = bench.watcher("read s").await;
    let (before, after) = (finished(&bench.world, 0).await, finished(&bench.world, 1).await);
    {
        let mut script = bench.server.script();
        script.finished("s", &before);
        // No answer with this record in it can be read as a whole.
        script.record("s", json!({"Keys": {"client": {"S": 5}}, "NewImage": ["?"]}));
        script.finished("s", &after);
        // And this one is well-formed, but no job.
        script.record(
            "s",
            json!({"Keys": {"client": {"S": "somebody"}, "file": {"S": "f"}}, "NewImage": {"client": {"S": "somebody"}}}),
        );
    }
    until_cleaned(&bench.world, 2).await;
    until("it is noted", async || {
        text(&bench.row("s").await, "bad").contains("it is no job: the client id must be")
    })
    .await;
    watcher.stop().await;
    let row = bench.row("s").await;
    assert_eq!(text(&row, "after").trim_start_matches('0'), "4");
    assert!(!row.contains_key("holder"), "it was given back: {row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_and_faults_slow_a_reader_down_and_do_not_stop_it() {
    let bench = Bench::new(one_shard()).await;
    let watcher = bench.watcher("read s").await;
    {
        let mut script = bench.server.script();
        for error in [
            "LimitExceededException",
            "InternalServerError",
            "LimitExceededException",
        ] {
            script.refuse("GetRecords", error);
        }
    }
    bench.finish("s", 0).await;
    until_cleaned(&bench.world, 1).await;
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_read_about_four_times_a_second_at_most() {
    let bench = Bench::new(one_shard()).await;
    let watcher = bench.watcher("read s").await;
    let (began, before) = (Instant::now(), bench.server.script().asked("read").len());
    // News with every read: it has no reason to slow down.
    for number in 0..30 {
        let keys = json!({"Keys": {"client": {"S": format!("c{number}")}}});
        bench.server.script().record("s", keys);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reads = bench.server.script().asked("read").len() - before;
    let most = began.elapsed().as_millis() / 250 + 1;
    assert!(reads as u128 <= most, "{reads} reads in {:?}", began.elapsed());
    watcher.stop().await;
}
