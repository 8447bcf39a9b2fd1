//! The recorder on a scripted stream: shards that end, split and refuse.

use std::time::Duration;

use roundtrip::cloud::streams::Streams;
use roundtrip::recorder::{Recorder, Start};
use roundtrip::run::driver::now;
use roundtrip_testkit::recording::Entry;
use serde_json::json;

use super::script::Script;
use super::{Bench, one_shard};
use crate::world::TABLE;

/// Longer than any test takes.
const WAIT: Duration = Duration::from_mins(1);

/// Appends changes of these seconds to a shard.
fn tell(script: &mut Script, shard: &str, seconds: impl IntoIterator<Item = i64>) {
    for second in seconds {
        let keys = json!({"client": {"S": format!("c{second}")}, "file": {"S": "f"}});
        let image = keys.clone();
        script.record(
            shard,
            json!({"Keys": keys, "NewImage": image, "ApproximateCreationDateTime": second}),
        );
    }
}

async fn recorder(bench: &Bench, start: Start) -> Recorder {
    let clients = &bench.world.clients;
    let streams = Streams::new(clients.streams.clone(), clients.dynamodb.clone(), TABLE);
    Recorder::begin(streams, start).await.unwrap()
}

fn seconds(entries: &[Entry<'static>]) -> Vec<i64> {
    let moments = entries.iter().filter_map(Entry::moment);
    moments.map(|moment| moment.0 / 1_000).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_from_the_start_has_all_shards_in_the_order_of_their_moments() {
    let mut script = one_shard();
    tell(&mut script, "s", [1, 4, 5, 6]);
    script.close("s");
    for child in ["left", "right"] {
        script.shard(child, Some("s"));
    }
    tell(&mut script, "left", [7, 12]);
    tell(&mut script, "right", [8, 9, 10, 11, 13]);
    script.shard("other", None);
    tell(&mut script, "other", [2, 3, 14]);
    let bench = Bench::new(script).await;
    let mut entries = Vec::new();
    assert!(
        recorder(&bench, Start::Oldest)
            .await
            .finish(WAIT, &mut entries)
            .await
    );
    assert_eq!(seconds(&entries), (1..=14).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_shard_that_ends_with_the_recording_is_in_it() {
    let bench = Bench::new(one_shard()).await;
    tell(&mut bench.server.script(), "s", [1]);
    let mut recorder = recorder(&bench, Start::Newest).await;
    {
        let mut script = bench.server.script();
        tell(&mut script, "s", [2, 3]);
        script.close("s");
        script.shard("child", Some("s"));
        tell(&mut script, "child", [4, 5]);
        script.close("child");
        script.shard("grandchild", Some("child"));
        tell(&mut script, "grandchild", [6]);
    }
    let mut entries = Vec::new();
    assert!(recorder.finish(WAIT, &mut entries).await);
    assert_eq!(seconds(&entries), [2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_last_read_is_made_again() {
    for error in [
        "LimitExceededException",
        "ExpiredIteratorException",
        "InternalServerError",
    ] {
        let bench = Bench::new(one_shard()).await;
        let mut recorder = recorder(&bench, Start::Oldest).await;
        {
            let mut script = bench.server.script();
            tell(&mut script, "s", [1, 2]);
            script.refuse("GetRecords", error);
        }
        let mut entries = Vec::new();
        assert!(recorder.finish(WAIT, &mut entries).await, "{error}");
        assert_eq!(seconds(&entries), [1, 2], "{error}");
    }
}

/// The service takes requests whose time is up to five minutes off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_clock_is_ahead_is_read_to_its_end() {
    let ahead = now().0 / 1_000 + 100;
    let mut script = one_shard();
    tell(&mut script, "s", ahead..ahead + 12);
    let bench = Bench::new(script).await;
    let mut entries = Vec::new();
    let mut recorder = recorder(&bench, Start::Oldest).await;
    assert!(recorder.finish(WAIT, &mut entries).await);
    assert_eq!(seconds(&entries), (ahead..ahead + 12).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_iterator_misses_nothing_of_a_stream_whose_clock_is_behind() {
    let bench = Bench::new(one_shard()).await;
    let mut recorder = recorder(&bench, Start::Newest).await;
    let behind = now().0 / 1_000 - 200;
    {
        let mut script = bench.server.script();
        tell(&mut script, "s", [behind - 3_600, behind]);
        script.refuse("GetRecords", "ExpiredIteratorException");
    }
    let mut entries = Vec::new();
    assert!(recorder.finish(WAIT, &mut entries).await);
    assert_eq!(seconds(&entries), [behind]);
}

/// A page is three records, and there is time for a few of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_ends_before_the_present_says_so() {
    let mut script = one_shard();
    tell(&mut script, "s", 1..=3_000);
    let bench = Bench::new(script).await;
    let mut entries = Vec::new();
    let mut recorder = recorder(&bench, Start::Oldest).await;
    assert!(!recorder.finish(Duration::from_secs(1), &mut entries).await);
    let read = seconds(&entries);
    assert!(read.len() < 3_000);
    assert_eq!(read, (1..).take(read.len()).collect::<Vec<_>>());
}

/// The service lists a day of closed shards: one look tells of all that follows them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_closed_shards_are_one_look() {
    let mut script = Script::default();
    for number in 0..20 {
        let id = format!("s{number}");
        script.shard(&id, None);
        script.close(&id);
    }
    let bench = Bench::new(script).await;
    let mut recorder = recorder(&bench, Start::Newest).await;
    let mut entries = Vec::new();
    assert!(recorder.finish(WAIT, &mut entries).await);
    // Ten pages each: at the start, and once when all have ended.
    let looks = bench.server.script().asked("shards").len();
    assert!(looks <= 1 + 2 * 10, "{looks}");
}
