//! `roundtrip jobs requeue` and `cancel`, also on a job that a fetcher works on.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use roundtrip::cloud::jobs::Answer;
use roundtrip::dsl::{self, Layers};
use roundtrip::run::driver::now;
use roundtrip::run::progress::Progress;
use roundtrip::run::role::Role;
use roundtrip_core::job::{LaneKind, Status};
use roundtrip_core::lifecycle;
use rustix::fs::{CWD, FileType, Mode};
use tokio_util::sync::CancellationToken;

use crate::world::{World, assert_said, file};

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_is_taken_at_once() {
    let world = World::new().await;
    let held = world.claimed(1, "processor-1").await;
    let later = now() + Duration::from_hours(1);
    let failed = lifecycle::release(&held, "processor-1", now(), later, 2, "HTTP 500");
    let waiting = world.apply(&failed).await;
    assert_said!(world.run(&["jobs", "requeue", &file(1)]).await, "requeue-waiting");
    let job = world.jobs.get(&waiting.key).await.unwrap().unwrap();
    assert!(job.due.unwrap() <= now());
    assert_eq!((job.failures, job.history.len()), (0, 2));
    assert_said!(world.run(&["jobs", "requeue", &file(1)]).await, "requeue-ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_is_taken_from_its_fetcher() {
    let world = World::new().await;
    let held = world.claimed(1, "processor-1").await;
    assert_said!(world.run(&["jobs", "requeue", &file(1)]).await, "requeue-held");
    let beat = lifecycle::heartbeat(&held, "processor-1", now(), Duration::from_mins(1));
    assert!(matches!(world.jobs.apply(&beat).await.unwrap(), Answer::Lost(_)));
    let job = world.jobs.get(&held.key).await.unwrap().unwrap();
    assert_eq!((job.status, job.retries), (Status::Queued, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_begins_anew_while_its_chunks_are_there() {
    let world = World::new().await;
    let held = world.claimed(1, "processor-1").await;
    let failed = world
        .apply(&lifecycle::fail(&held, "processor-1", now(), 3, "out of memory"))
        .await;
    assert_said!(
        world.run(&["jobs", "requeue", &file(1)]).await,
        "requeue-without-chunks"
    );
    world.upload(&held).await;
    assert_said!(world.run(&["jobs", "requeue", &file(1)]).await, "requeue-failed");
    let job = world.jobs.get(&held.key).await.unwrap().unwrap();
    assert_eq!((job.status, job.error, job.failures), (Status::Queued, None, 0));
    // What the watcher decided before does not reach it any more.
    let mark = lifecycle::cleaning(&failed, now());
    assert!(matches!(world.jobs.apply(&mark).await.unwrap(), Answer::Lost(_)));
    let cleaned = lifecycle::cleaned(&failed, now(), Duration::from_hours(1));
    assert!(matches!(
        world.jobs.apply(&cleaned).await.unwrap(),
        Answer::Lost(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_that_is_being_cleaned_is_not_taken_again() {
    let world = World::new().await;
    let held = world.claimed(1, "processor-1").await;
    world.upload(&held).await;
    let failed = world
        .apply(&lifecycle::fail(&held, "processor-1", now(), 3, "out of memory"))
        .await;
    world.apply(&lifecycle::cleaning(&failed, now())).await;
    assert_said!(
        world.run(&["jobs", "requeue", &file(1)]).await,
        "requeue-being-cleaned"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_is_cancelled_once() {
    let world = World::new().await;
    world.created(1, 60).await;
    let said = world
        .run(&["jobs", "cancel", "00000001", "--why", "wrong file"])
        .await;
    assert_said!(said, "cancel-queued");
    assert_said!(world.run(&["jobs", "show", "00000001"]).await, "cancel-shown");
    assert_said!(world.run(&["jobs", "cancel", "00000001"]).await, "cancel-again");
    assert_said!(world.run(&["jobs", "cancel", "00000002"]).await, "cancel-none");
}

/// A pipe in the file system: who opens it waits for the other side, so that nobody has to sleep.
fn pipe(path: &std::path::Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_reaches_a_running_fetcher_with_its_next_heartbeat() {
    let world = World::new().await;
    let folder = world.folder.path();
    let (alive, never) = (folder.join("alive"), folder.join("never"));
    pipe(&alive);
    pipe(&never);
    // Says that it runs, then waits for ever; `alive` ends for its reader when the command is gone.
    let script = format!(
        "exec 3>{}; echo runs >&3; read line <{}",
        alive.display(),
        never.display()
    );
    let command = toml_edit::Value::from_iter(["sh", "-c", script.as_str()]);
    let layers = Layers {
        set: vec![
            format!("analyse.sink.processor.command={command}"),
            "analyse.claim.lease=10s".to_owned(),
            "analyse.claim.heartbeat=100ms".to_owned(),
            "analyse.claim.report=100ms".to_owned(),
            "analyse.source.jobs.interval=20ms".to_owned(),
        ],
        ..Layers::default()
    };
    let spec = dsl::load_role("fetcher", &layers).unwrap_or_else(|faults| panic!("{faults}"));
    let job = world.job(1, 60);
    world.upload(&job).await;
    world.apply(&lifecycle::create(&job)).await;
    let role = Role::prepare(&spec, &world.clients, &folder.join("state"), Progress::default())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let fetcher = tokio::spawn(role.run(CancellationToken::new(), stop.clone()));

    let reader = tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::new(std::fs::File::open(alive).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        (reader, line)
    });
    let (mut reader, line) = reader.await.unwrap();
    assert_eq!(line, "runs\n");
    assert_said!(
        world
            .run(&["jobs", "cancel", "00000001", "--why", "wrong file"])
            .await,
        "cancel-running"
    );
    // The end of the command is the end of the pipe.
    let rest = tokio::task::spawn_blocking(move || {
        let mut rest = String::new();
        reader.read_to_string(&mut rest).map(|_| rest)
    });
    assert_eq!(rest.await.unwrap().unwrap(), "");

    stop.cancel();
    fetcher.await.unwrap().unwrap();
    let job = world.jobs.get(&job.key).await.unwrap().unwrap();
    assert_eq!(job.status, Status::Error);
    assert_eq!(job.error.as_deref(), Some("cancelled by an operator: wrong file"));
    assert_eq!((job.processor, job.failures), (None, 0));
    assert_eq!(job.lane.map(|lane| lane.kind), Some(LaneKind::Done));
    let told: Vec<_> = job.history.iter().map(|attempt| attempt.what.as_str()).collect();
    assert_eq!(told, ["cancel"], "the fetcher reports nothing");
    let said = world.run(&["fleet", "--all"]).await;
    assert_eq!(said.out, "no fetcher is alive\n", "its row goes with it");
}
