//! `roundtrip fleet`, and that its rows are no jobs.

use std::time::Duration;

use roundtrip::cloud::fleet::{Fleet, Identity};
use roundtrip::run::driver::now;
use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet::Report;

use crate::world::{TABLE, World, assert_said};

fn identity(number: u32) -> Identity {
    Identity {
        processor: format!("processor-{number}"),
        pipeline: "analyse".to_owned(),
        role: "fetcher".to_owned(),
        host: format!("node-{number}"),
        started: Timestamp(now().0 - 7_200_000),
        report: Duration::from_secs(30),
    }
}

fn report(world: &World) -> Report {
    Report {
        held: vec![(world.job(1, 60).key, Some(Timestamp(now().0 - 90_000)))],
        held_count: 1,
        done: 12,
        failed: 3,
        resting_until: None,
    }
}

/// Three fetchers: one at work, one that rests, one that was not seen for two minutes.
async fn fleet(world: &World) -> Fleet {
    let fleet = Fleet::new(world.clients.dynamodb.clone(), TABLE);
    let idle = Report {
        held: Vec::new(),
        held_count: 0,
        ..report(world)
    };
    let resting = Report {
        resting_until: Some(now() + Duration::from_mins(4)),
        ..idle.clone()
    };
    let gone = Timestamp(now().0 - 120_000);
    fleet.report(&identity(1), &report(world), now()).await.unwrap();
    fleet.report(&identity(2), &resting, now()).await.unwrap();
    fleet.report(&identity(3), &idle, gone).await.unwrap();
    fleet
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_shown_as_it_was_seen() {
    let world = World::new().await;
    assert_said!(world.run(&["fleet"]).await, "fleet-empty");
    fleet(&world).await;
    assert_said!(world.run(&["fleet"]).await, "fleet");
    assert_said!(world.run(&["fleet", "--all"]).await, "fleet-all");
    let said = world.run(&["fleet", "--all", "--format", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let states: Vec<_> = json.as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["alive", "resting", "gone"]);
    assert_eq!(json[0]["held"].as_array().unwrap().len(), 1);
    assert_eq!(json[0]["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_is_there_if_it_is_alive_and_claims() {
    let world = World::new().await;
    let fleet = fleet(&world).await;
    assert!(!fleet.has_others(&identity(1), now()).await.unwrap());
    assert!(fleet.has_others(&identity(2), now()).await.unwrap());
    let sibling = Identity {
        pipeline: "another".to_owned(),
        ..identity(1)
    };
    assert!(
        !fleet.has_others(&sibling, now()).await.unwrap(),
        "it is the same process"
    );
    fleet.report(&identity(4), &report(&world), now()).await.unwrap();
    assert!(fleet.has_others(&identity(1), now()).await.unwrap());
    fleet.leave(&identity(4)).await.unwrap();
    assert!(!fleet.has_others(&identity(1), now()).await.unwrap());
}

/// In a fleet of many dead rows the neighbours are read page by page, around the end.
#[tokio::test(flavor = "multi_thread")]
async fn another_is_found_among_many_that_are_gone() {
    let world = World::new().await;
    let fleet = Fleet::new(world.clients.dynamodb.clone(), TABLE);
    for number in 100..160 {
        let gone = Timestamp(now().0 - 120_000);
        fleet
            .report(&identity(number), &report(&world), gone)
            .await
            .unwrap();
    }
    fleet
        .report(&identity(101), &report(&world), now())
        .await
        .unwrap();
    assert!(fleet.has_others(&identity(150), now()).await.unwrap());
    assert!(!fleet.has_others(&identity(101), now()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_fleet_are_no_jobs() {
    let world = World::new().await;
    fleet(&world).await;
    let foreign = world.jobs.without_lane(None).await.unwrap();
    assert!(foreign.records.is_empty(), "{foreign:?}");
    let said = world.run(&["jobs", "list", "--all"]).await;
    assert_eq!(said.out.lines().count(), 1, "{said:?}");
}
