//! `roundtrip jobs list`.

use roundtrip::run::driver::now;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle;

use crate::world::{LEASE, World, assert_said};

/// Six jobs: two ready, one of them a day old, one held, one failed, one completed, one cleaned.
async fn jobs(world: &World) {
    world.created(1, 60).await;
    world.created(2, 86_400).await;
    let held = world.claimed(3, "processor-3").await;
    assert_eq!(held.retries, 0);
    let failed = world.claimed(4, "processor-4").await;
    world
        .apply(&lifecycle::fail(
            &failed,
            "processor-4",
            now(),
            1,
            "not an\nimage\u{1b}[2J",
        ))
        .await;
    for number in [5, 6] {
        let held = world.claimed(number, "processor-5").await;
        let done = lifecycle::complete(&held, "processor-5", now(), "04:aa:bb:cc", None);
        let done = world.apply(&done).await;
        if number == 6 {
            world
                .apply(&lifecycle::cleaned(
                    &done,
                    now(),
                    std::time::Duration::from_hours(1),
                ))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_lane_by_lane() {
    let world = World::new().await;
    jobs(&world).await;
    assert_said!(world.run(&["jobs", "list"]).await, "list");
    assert_said!(world.run(&["jobs", "list", "--all"]).await, "list-all");
    assert_said!(
        world
            .run(&["jobs", "list", "--lane", "ready", "--older", "1h"])
            .await,
        "list-older"
    );
    assert_said!(
        world.run(&["jobs", "list", "--status", "completed"]).await,
        "list-completed"
    );
    assert_said!(world.run(&["jobs", "list", "--limit", "2"]).await, "list-limit");

    let client = world.key.client_id().as_str().to_owned();
    let of_client = world.run(&["jobs", "list", "--client", &client]).await;
    assert_eq!(of_client.out.lines().count(), 7, "{of_client:?}");
    let of_nobody = world.run(&["jobs", "list", "--client", "05"]).await;
    assert_eq!((of_nobody.code, of_nobody.out.lines().count()), (Some(0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reads_them_as_json() {
    let world = World::new().await;
    jobs(&world).await;
    let said = world
        .run(&["jobs", "list", "--status", "processing", "--format", "json"])
        .await;
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["more"], false);
    let [job] = json["jobs"].as_array().unwrap().as_slice() else {
        panic!("{json}")
    };
    assert_eq!(job["processor"], "processor-3");
    assert_eq!(job["lane"], "leased#3");
    assert_eq!(job["status"], "PROCESSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_jobs_stand_first_and_say_so() {
    let world = World::new().await;
    world.created(1, 600).await;
    let urgent = Job {
        priority: 8,
        ..world.job(2, 60)
    };
    let urgent = world.apply(&lifecycle::create(&urgent)).await;
    assert_eq!(urgent.priority, 8);
    assert_said!(world.run(&["jobs", "list"]).await, "list-urgent");
    let said = world.run(&["jobs", "show", "00000002"]).await;
    assert!(
        said.out.contains("\npriority   8 (its client says)\n"),
        "{said:?}"
    );
    // It keeps its place from lane to lane.
    let held = world
        .apply(&lifecycle::claim(&urgent, "processor-1", now(), LEASE))
        .await;
    assert_eq!((held.priority, held.due.is_some()), (8, true));
    let back = lifecycle::release(&held, "processor-1", now(), now(), 0, "why");
    let back = world.apply(&back).await;
    assert_eq!((back.priority, back.due.is_some()), (8, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_of_many_pages_is_listed_whole() {
    let world = World::new().await;
    for number in 0..450 {
        let job = world.job(number, 10);
        let lane = job
            .lane
            .map(|lane| roundtrip_core::job::Lane { shard: 0, ..lane });
        world
            .jobs
            .apply(&lifecycle::create(&Job { lane, ..job }))
            .await
            .unwrap();
    }
    let said = world.run(&["jobs", "list", "--limit", "1000"]).await;
    assert_eq!(said.out.lines().count(), 451, "{}", said.err);
    let said = world.run(&["jobs", "list", "--limit", "449"]).await;
    assert_eq!(said.out.lines().count(), 450);
    assert_eq!(said.err, "there are more: raise --limit, or ask for less\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there_is_told_of() {
    let world = World::new().await;
    let said = world.run(&["jobs", "list", "--table", "elsewhere"]).await;
    assert_eq!(said.code, Some(78));
    assert!(said.err.contains("roundtrip setup"), "{}", said.err);
}
