//! `roundtrip jobs show`.

use std::time::Duration;

use roundtrip::run::driver::now;
use roundtrip_core::lifecycle::{self, RecordKey};

use crate::world::{LEASE, World, assert_said, file};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_claimed_lost_requeued_failed_once_and_completed_tells_that() {
    let world = World::new().await;
    let job = world.created(1, 600).await;
    world.upload(&job).await;
    let take = |job, by: &'static str| {
        let world = &world;
        async move { world.apply(&lifecycle::claim(&job, by, now(), LEASE)).await }
    };
    let held = take(job, "processor-1").await;
    let why = "processor-1 sent no heartbeat before its lease ended";
    let requeued = world.apply(&lifecycle::requeue(&held, now(), now(), why)).await;
    let held = take(requeued, "processor-2").await;
    let later = now() + Duration::from_mins(1);
    let failed = lifecycle::release(&held, "processor-2", now(), later, 1, "HTTP 500: out of memory");
    let waiting = world.apply(&failed).await;
    assert_said!(world.run(&["jobs", "show", "00000001"]).await, "show-waiting");
    let held = take(waiting, "processor-3").await;
    assert_said!(world.run(&["jobs", "show", &file(1)]).await, "show-held");
    let held = world
        .apply(&lifecycle::downloaded(&held, "processor-3", now()))
        .await;
    let done = lifecycle::complete(&held, "processor-3", now(), "04:aa:bb:cc", None);
    let done = world.apply(&done).await;
    assert_said!(
        world.run(&["jobs", "show", "file-00000001"]).await,
        "show-completed"
    );
    world
        .apply(&lifecycle::cleaned(&done, now(), Duration::from_hours(1)))
        .await;
    // It is in no lane any more, and found all the same.
    assert_said!(world.run(&["jobs", "show", &file(1)]).await, "show-cleaned");

    let said = world.run(&["jobs", "show", &file(1), "--format", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["signed"], &json["size"]), (&true.into(), &5.into()));
    let story = json["story"].as_array().unwrap();
    let last = story.last().unwrap();
    assert_eq!(last["tense"], "next");
    assert_eq!(last["keys"][0], "cleanup.sink.delete.retention");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_job_is_shown_as_one() {
    let world = World::new().await;
    let mut job = world.job(1, 60);
    job.bucket = "another".to_owned();
    world.jobs.apply(&lifecycle::create(&job)).await.unwrap();
    let said = world.run(&["jobs", "show", "1"]).await;
    assert_eq!(said.code, Some(64), "the id does not begin with 1");
    assert_said!(world.run(&["jobs", "show", "00000001"]).await, "show-forged");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_such_job_and_several_are_bad_usage() {
    let world = World::new().await;
    for number in [11, 12] {
        world.created(number, 60).await;
    }
    assert_said!(world.run(&["jobs", "show", "000000"]).await, "show-several");
    assert_said!(world.run(&["jobs", "show", &file(99)]).await, "show-none");
    let client = world.key.client_id().as_str().to_owned();
    let said = world
        .run(&["jobs", "show", "00000011", "--client", &client])
        .await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = world.run(&["jobs", "show", "00000011", "--client", "05"]).await;
    assert_eq!(said.code, Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_job_is_not_found() {
    let world = World::new().await;
    let job = world.created(1, 60).await;
    let refused = lifecycle::refuse_malformed(RecordKey::from(&job.key), Vec::new(), now(), "no bucket");
    world.apply(&refused).await;
    let said = world.run(&["jobs", "show", &file(1)]).await;
    assert!(said.out.contains("no bucket"), "{said:?}");
}
