//! The stream of the embedded services: at once, and with two watchers.

use super::*;

async fn holder(world: &World) -> (String, String) {
    let (_, rows) = world.rows().await;
    let row = rows.into_values().next().unwrap_or_default();
    (text(&row, "holder").to_owned(), text(&row, "after").to_owned())
}

async fn until_read(world: &World) -> String {
    until("a watcher has read records", async || {
        !holder(world).await.1.is_empty()
    })
    .await;
    holder(world).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_job_is_cleaned_long_before_the_next_look() {
    let world = World::new().await;
    let watcher = world.start(&world.role("watcher", STREAM_ALONE), "watcher").await;
    // What happened before the watcher came is in the stream as well, and the first look is over then.
    finished(&world, 0).await;
    until_cleaned(&world, 1).await;
    until_read(&world).await;
    let began = Instant::now();
    finished(&world, 1).await;
    until_cleaned(&world, 2).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    watcher.stop().await;
    assert_eq!(holder(&world).await.0, "", "the shard was given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_job_is_let_in_at_once() {
    let world = World::new().await;
    let watcher = world.start(&world.role("watcher", STREAM_ALONE), "watcher").await;
    finished(&world, 0).await;
    until_read(&world).await;
    let key = roundtrip::wire::keys::ClientKey::generate().unwrap();
    let file = crate::watcher::foreign_job(&world, &key, &key, b"from afar").await;
    until("it has a lane", async || {
        text(&world.records().await[&file], "lane").starts_with("ready#")
    })
    .await;
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_watcher_dies_another_goes_on_from_its_place() {
    let world = World::new().await;
    let role = world.role("watcher", STREAM_ALONE);
    let first = world.start(&role, "watcher").await;
    for number in 0..3 {
        finished(&world, number).await;
    }
    until_cleaned(&world, 3).await;
    let reader = until_read(&world).await;
    let second = world.start(&role, "second").await;
    // It dies with the lease in its hands, and jobs end while nobody reads.
    drop(first);
    let place = holder(&world).await.1;
    for number in 3..8 {
        finished(&world, number).await;
    }
    until("another watcher has the shard", async || {
        let (holder, _) = holder(&world).await;
        !holder.is_empty() && holder != reader
    })
    .await;
    until_cleaned(&world, 8).await;
    finished(&world, 8).await;
    until_cleaned(&world, 9).await;
    until("the place moves on", async || holder(&world).await.1 > place).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_about_the_stream_are_no_jobs() {
    let world = World::new().await;
    // It scans the table all the time.
    let set = &["stream.lease=3s", "admit.source.foreign.every=20ms"];
    let watcher = world.start(&world.role("watcher", set), "watcher").await;
    finished(&world, 0).await;
    until_read(&world).await;
    until_cleaned(&world, 1).await;
    watcher.stop().await;
    let (_, rows) = world.rows().await;
    assert_eq!(rows.len(), 1);
    for row in rows.values() {
        assert_eq!(text(row, "client"), "roundtrip#stream");
        assert!(
            !row.contains_key("status") && !row.contains_key("error"),
            "{row:?}"
        );
    }
}
