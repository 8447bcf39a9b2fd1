//! Who is told, and how often.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::world::{Service, World, finished};

/// A watcher that tells a webhook of more than two ready jobs.
fn watcher(webhook: &str) -> String {
    format!(
        "[pipelines.queue-length]
         notify.ready-high = {{ metric = \"JobsReady\", above = 2, below = 2, webhook = \"{webhook}/alerts\" }}
         retry = {{ interval = \"10ms\", attempts-max = 3 }}
         [pipelines.admit]
         source.foreign.every = \"1s\""
    )
}

async fn webhook() -> Service {
    Service::start(&[], b"").await
}

fn told(service: &Service) -> Vec<Value> {
    let seen = service.take();
    assert!(seen.iter().all(|seen| seen.path == "/alerts"));
    seen.iter()
        .map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect()
}

/// The message without its moment.
fn shown(message: &Value) -> String {
    let mut message = message.clone();
    assert!(message["since"].as_str().unwrap().ends_with('Z'));
    message["since"] = "[moment]".into();
    serde_json::to_string_pretty(&message).unwrap()
}

#[tokio::test]
async fn two_watchers_tell_once_up_and_once_down() {
    let (world, service) = (World::new().await, webhook().await);
    let role = watcher(&service.url);
    let both = async || {
        let stop = CancellationToken::new;
        let (first, second) = (world.prepare(&role).await, world.prepare(&role).await);
        let (first, second) = tokio::join!(first.run(finished(), stop()), second.run(finished(), stop()));
        first.and(second).unwrap();
    };
    for file in ["1", "2", "3"] {
        world.job(file, "ready#0", 0).await;
    }
    both().await;
    both().await;
    let up = told(&service);
    assert_eq!(up.len(), 1, "{up:?}");
    insta::assert_snapshot!(shown(&up[0]));
    world.delete("somebody", "1").await;
    both().await;
    assert!(told(&service).is_empty(), "2 is not below 2");
    world.delete("somebody", "2").await;
    both().await;
    both().await;
    let down = told(&service);
    assert_eq!(down.len(), 1, "{down:?}");
    insta::assert_snapshot!(shown(&down[0]));
}

#[tokio::test]
async fn the_row_of_a_threshold_is_no_job() {
    let (world, service) = (World::new().await, webhook().await);
    for file in ["1", "2", "3"] {
        world.job(file, "ready#0", 0).await;
    }
    for _ in 0..2 {
        // `admit` looks at every record without a lane.
        world.round(&watcher(&service.url)).await;
    }
    let row = world.row("roundtrip#notify", "ready-high").await;
    let names: Vec<&str> = row.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client", "file", "since", "state"], "{row:?}");
    assert_eq!(row[3].1, "up");
}

#[tokio::test]
async fn a_webhook_that_fails_is_tried_again_as_the_policy_says() {
    let (world, service) = (World::new().await, webhook().await);
    for file in ["1", "2", "3"] {
        world.job(file, "ready#0", 0).await;
    }
    service.answers(&[500, 302]);
    world.round(&watcher(&service.url)).await;
    assert_eq!(told(&service).len(), 3);
    for file in ["1", "2"] {
        world.delete("somebody", file).await;
    }
    service.answers(&[500, 500, 500]);
    world.round(&watcher(&service.url)).await;
    world.round(&watcher(&service.url)).await;
    assert_eq!(told(&service).len(), 3, "and then it is left to a later round");
    let row = world.row("roundtrip#notify", "ready-high").await;
    assert!(row.iter().any(|(name, _)| name == "telling"), "{row:?}");
}

#[tokio::test]
async fn a_command_hears_of_it_on_its_standard_input() {
    let world = World::new().await;
    for file in ["1", "2", "3"] {
        world.job(file, "ready#0", 0).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told.json");
    let role = format!(
        "[pipelines.queue-length]
         notify.ready-high = {{ metric = \"JobsReady\", above = 2, command = [\"tee\", \"{}\"] }}",
        told.display()
    );
    world.round(&role).await;
    let message: Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    assert_eq!(message["state"], "up");
}
