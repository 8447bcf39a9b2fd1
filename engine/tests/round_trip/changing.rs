//! Files that change or go away while they are on their way: nothing torn is ever taken for a file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::world::{BUCKET, World, files_below, noise, statuses, text, until};

/// Slow enough to be met in the middle: one small chunk after the other.
const SLOW: &[&str] = &[
    "upload.source.directory.settle=1ms",
    "upload.chunker.fixed.size=64 KiB",
    "upload.transport.s3.concurrency-max=1",
];

/// Appends as programs do that open and close a file for each line.
fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_state_of_a_file_that_keeps_changing_has_a_result() {
    let world = World::new().await;
    let path = world.write("inbox/grows.log", noise(1, 2_000_000));
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let watcher = world.start(&world.role("watcher", &[]), "watcher").await;
    let client = world.start(&world.role("client", SLOW), "client").await;
    until("two states of the file were given up", async || {
        append(&path, "one more line\n");
        let records = world.records().await;
        statuses(&records)
            .into_iter()
            .filter(|&status| status == "ERROR")
            .count()
            >= 2
    })
    .await;
    let content = std::fs::read(&path).unwrap();
    let counts = client.finish().await;
    fetcher.finish().await;
    watcher.finish().await;

    assert_eq!((counts.done, counts.failed, counts.left), (1, 0, 0));
    world.assert_fingerprint("results/grows.log.json", &content);
    assert_eq!(
        files_below(&world.path("results")).len(),
        1,
        "no error of a state that is gone"
    );
    let records = world.records().await;
    let (completed, given_up): (Vec<_>, Vec<_>) = records
        .values()
        .partition(|record| text(record, "status") == "COMPLETED");
    assert_eq!(completed.len(), 1);
    for record in given_up {
        assert_eq!(text(record, "status"), "ERROR");
        assert!(
            text(record, "error").starts_with("the client gave the job up: the file changed"),
            "{record:?}"
        );
    }
    assert!(records.values().all(|record| record.contains_key("cleaned")));
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_chunks_are_swept_before_its_job_is_made_is_sent_anew() {
    let world = World::new().await;
    let content = noise(1, 12_000_000);
    world.write("inbox/late.raw", &content);
    let last = [SLOW, &["upload.sink.jobs.announce=last"]].concat();
    let client = world.start(&world.role("client", &last), "client").await;
    until("some chunks are there", async || world.objects().await.len() >= 2).await;
    let first = world.objects().await.swap_remove(0);
    let sweep = world.clients.s3.delete_object().bucket(BUCKET).key(&first);
    sweep.send().await.unwrap();
    assert!(
        world.records().await.is_empty(),
        "the upload was not met in the middle"
    );
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let counts = client.finish().await;
    fetcher.finish().await;
    assert_eq!((counts.done, counts.failed, counts.left), (1, 0, 0));
    world.assert_fingerprint("results/late.raw.json", &content);
    let record = world.record().await;
    assert!(
        !first.contains(text(&record, "file")),
        "the job is that of the second upload"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_version_that_is_given_up_takes_no_result_away() {
    let world = World::new().await;
    let path = world.write("inbox/scan.raw", "the first version");
    let client = world.start(&world.role("client", SLOW), "client").await;
    until("the first version is sent", async || {
        let objects = world.objects().await;
        objects.iter().any(|object| object.ends_with("/manifest"))
    })
    .await;
    std::fs::write(&path, noise(1, 24_000_000)).unwrap();
    until("the second is under way", async || {
        world.records().await.len() == 2
    })
    .await;
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    until("a result is there", async || {
        world.path("results/scan.raw.json").exists()
    })
    .await;
    world.assert_fingerprint("results/scan.raw.json", b"the first version");
    std::fs::remove_file(&path).unwrap();
    client.finish().await;
    fetcher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_of_a_file_that_goes_away_is_ended() {
    let world = World::new().await;
    let path = world.write("inbox/gone.raw", noise(1, 3_000_000));
    let client = world.start(&world.role("client", SLOW), "client").await;
    until("some chunks are there", async || world.objects().await.len() >= 2).await;
    std::fs::remove_file(&path).unwrap();
    // A file that is open may be read to its end after it was deleted; then it was there, and has its result.
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let watcher = world.start(&world.role("watcher", &[]), "watcher").await;
    client.finish().await;
    fetcher.finish().await;
    watcher.finish().await;

    let record = world.record().await;
    assert!(record.contains_key("cleaned"), "{record:?}");
    assert_eq!(world.objects().await, Vec::<String>::new());
    let results = files_below(&world.path("results"));
    match text(&record, "status") {
        "COMPLETED" => assert_eq!(results, [Path::new("gone.raw.json")]),
        status => {
            assert_eq!(status, "ERROR");
            let error = text(&record, "error");
            assert!(
                error.starts_with("the client gave the job up: the file "),
                "{error}"
            );
            assert_eq!(results, Vec::<std::path::PathBuf>::new());
        }
    }
}
