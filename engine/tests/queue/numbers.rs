//! What is counted and published.

use tokio_util::sync::CancellationToken;

use crate::cloudwatch::lines;
use crate::world::{World, ago};

const PIPELINES: &str = "pipelines = [\"queue-length\"]";

#[tokio::test]
async fn an_empty_queue_is_published_as_zeros_in_one_request() {
    let world = World::new().await;
    world.round(PIPELINES).await;
    let seen = world.cloudwatch.take();
    assert_eq!(seen.len(), 1);
    insta::assert_snapshot!(lines(&seen[0]));
}

#[tokio::test]
async fn jobs_are_counted_over_all_shards_and_fetchers_by_when_they_were_seen() {
    let world = World::new().await;
    // Ages half a second from the next, so that a slow test reads the same.
    world.job("1", "ready#0", 100).await;
    world.job("2", "ready#7", 3_600).await;
    world.job("3", "ready#7", -3_600).await;
    world.job("4", "leased#3", -60).await;
    world.job("5", "done#1", 1).await;
    world.job("6", "done#1", -86_400).await;
    world.fetcher("processor-1", 0, 30_000).await;
    world.fetcher("processor-2", 100, 30_000).await;
    world.fetcher("processor-3", 800, 300_000).await;
    // Of a version that does not tell how often it reports.
    let seen = ago(80);
    world
        .put(&[
            ("client", "roundtrip#fleet"),
            ("file", "processor-4"),
            ("seen", &seen),
        ])
        .await;
    world.round(PIPELINES).await;
    let text = lines(&world.cloudwatch.take()[0]);
    // Publishing takes less than a minute.
    let oldest = text
        .lines()
        .find(|line| line.contains("OldestReadySeconds"))
        .unwrap();
    let age: f64 = oldest.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((3_600.0..3_660.0).contains(&age), "{age}");
    insta::assert_snapshot!(text.replace(oldest, "the oldest: an hour"));
}

#[tokio::test]
async fn more_than_the_pages_hold_is_a_lower_bound_and_no_fault() {
    let world = World::new().await;
    let filler = "x".repeat(300_000);
    for file in ["1", "2", "3", "4", "5", "6", "7"] {
        let due = ago(0);
        let job = [
            ("client", "somebody"),
            ("file", file),
            ("lane", "ready#0"),
            ("due", &due),
            ("filler", &filler),
        ];
        world.put(&job).await;
    }
    let all = "[pipelines.queue-length]";
    world.round(all).await;
    let first_page = "[pipelines.queue-length]\nsource.lanes.pages-max = 1";
    world.round(first_page).await;
    let counts: Vec<String> = world.cloudwatch.take().iter().map(ready).collect();
    assert_eq!(counts[0], "7");
    assert!(counts[1].parse::<u64>().unwrap() < 7, "{counts:?}");
}

fn ready(seen: &crate::world::Seen) -> String {
    let text = lines(seen);
    let line = text.lines().find(|line| line.contains("JobsReady")).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_cannot_be_published_does_not_end_the_watcher() {
    let world = World::new().await;
    world.cloudwatch.answers(&[403, 500]);
    for _ in 0..3 {
        world.round(PIPELINES).await;
    }
    assert_eq!(world.cloudwatch.take().len(), 3);
}

#[tokio::test]
async fn to_the_log_nothing_is_sent() {
    let world = World::new().await;
    world
        .round("[pipelines.queue-length]\nsink.metrics.to = \"log\"")
        .await;
    assert!(world.cloudwatch.take().is_empty());
}

#[tokio::test]
async fn rounds_come_by_the_calendar() {
    let world = World::new().await;
    let role = world
        .prepare("[pipelines.queue-length]\nsource.lanes.cron = \"* * * * * *\"")
        .await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(role.run(CancellationToken::new(), stop.clone()));
    for _ in 0..2 {
        world.cloudwatch.arrival().await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}
