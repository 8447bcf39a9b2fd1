//! What no open job knows does not stay, and a job whose upload never completes ends.

use futures_util::StreamExt as _;
use roundtrip::cloud::setup;
use roundtrip::wire::keys::ClientKey;
use roundtrip_core::names::OWNER;

use crate::watcher::foreign_job;
use crate::world::{BUCKET, TABLE, World, history, noise, text, until};

/// The watcher, which sweeps what is older than this.
fn sweeping(age_min: &str) -> [String; 1] {
    [format!("sweep.source.objects.age-min={age_min}")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_objects_that_no_open_job_knows_disappear() {
    let world = World::new().await;
    // A job that is over, whose manifest was put once more since, and one that nobody has taken yet.
    world.write("inbox/a.txt", "done with");
    world.round_trip(&[]).await;
    world.assert_cleaned(1, "COMPLETED").await;
    let record = world.record().await;
    let (client, finished) = (
        text(&record, "client").to_owned(),
        text(&record, "file").to_owned(),
    );
    let late = format!("{client}/{finished}/manifest");
    world.put_object(&late, b"late".to_vec()).await;
    world.write("inbox/b.txt", "still waits");
    let uploading = world.start(&world.role("client", &[]), "client").await;
    until("the second file is sent", async || {
        let sent = |key: &String| key.ends_with("/manifest") && *key != late;
        world.objects().await.iter().any(sent)
    })
    .await;
    uploading.stop().await;
    let open: Vec<String> = world
        .objects()
        .await
        .into_iter()
        .filter(|key| *key != late)
        .collect();
    assert_eq!(open.len(), 2, "{open:?}");
    // Chunks of no job, and what is not ours at all.
    let orphan = format!("{client}/file-{}", uuid::Uuid::new_v4());
    let orphans = ["0", "1", "manifest", "results"].map(|name| format!("{orphan}/{name}"));
    let strange = ["backup/0", "notes.txt"].map(ToOwned::to_owned);
    let strange = [strange.as_slice(), &[format!("{orphan}/0.bak")]].concat();
    for key in orphans.iter().chain(&strange) {
        world.put_object(key, b"x".to_vec()).await;
    }
    let sorted = |parts: &[&[String]]| {
        let mut keys = parts.concat();
        keys.sort();
        keys
    };
    let everything = sorted(&[&open, &orphans, &strange, std::slice::from_ref(&late)]);

    for (age_min, left) in [("1h", everything), ("0s", sorted(&[&open, &strange]))] {
        let set = sweeping(age_min);
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        world.once(&world.role("watcher", &set), "watcher").await;
        assert_eq!(world.objects().await, left, "age-min {age_min}");
    }
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let counts = world.once(&world.role("client", &[]), "client").await;
    fetcher.finish().await;
    assert_eq!(counts.failed, 0);
    world.assert_fingerprint("results/b.txt.json", b"still waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_whose_upload_never_completes_end_as_errors() {
    let world = World::new().await;
    let key = ClientKey::generate().unwrap();
    // Two foreign jobs, long since created: one is whole, of the other only something else is there.
    let whole = foreign_job(&world, &key, &key, b"all of it").await;
    let torn = foreign_job(&world, &key, &key, b"nothing of it").await;
    let client = key.client_id().as_str();
    let chunk = world.clients.s3.delete_object().bucket(BUCKET);
    chunk.key(format!("{client}/{torn}/0")).send().await.unwrap();
    world
        .put_object(&format!("{client}/{torn}/1"), b"too much".to_vec())
        .await;
    // One of ours, whose client dies in the middle.
    world.write("inbox/a.raw", noise(1, 3_000_000));
    let slow = &[
        "upload.chunker.fixed.size=64 KiB",
        "upload.transport.s3.concurrency-max=1",
    ];
    let uploading = world.start(&world.role("client", slow), "client").await;
    until("the upload is under way", async || {
        world.records().await.len() == 3 && world.objects().await.iter().any(|key| !key.starts_with(client))
    })
    .await;
    drop(uploading);
    let records = world.records().await;
    let ours = records
        .keys()
        .find(|file| **file != whole && **file != torn)
        .unwrap()
        .clone();

    // This fetcher never takes what is not whole.
    let fetcher = world
        .start(
            &world.role("fetcher", &["analyse.claim.start=uploaded"]),
            "fetcher",
        )
        .await;
    let set = &[
        "admit.sink.admit.upload-max=1ms",
        "cleanup.sink.delete.upload-max=1ms",
    ];
    let watcher = world.start(&world.role("watcher", set), "watcher").await;
    until("all of them are dealt with", async || {
        world
            .records()
            .await
            .values()
            .all(|record| record.contains_key("cleaned"))
    })
    .await;
    fetcher.finish().await;
    watcher.finish().await;
    let records = world.records().await;
    assert_eq!(text(&records[&whole], "status"), "COMPLETED");
    for file in [&torn, &ours] {
        let record = &records[file];
        assert_eq!(text(record, "status"), "ERROR", "{record:?}");
        assert_eq!(
            text(record, "error"),
            "the upload was never completed: not within 1ms of its creation (sink.admit.upload-max)"
        );
        assert_eq!(history(record), ["give-up"]);
    }
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_table_that_the_bucket_names_deletes_what_it_does_not_know() {
    let world = World::new().await;
    let key = ClientKey::generate().unwrap();
    let orphan = format!("{}/file-{}/0", key.client_id(), uuid::Uuid::new_v4());
    world.put_object(&orphan, b"another table's".to_vec()).await;
    let set = sweeping("0s");
    let role = world.role("watcher", &[&set[0]]);
    world.put_object(OWNER, b"another-table".to_vec()).await;
    world.once(&role, "watcher").await;
    assert_eq!(world.objects().await, [orphan.as_str()]);
    let name = world.clients.s3.delete_object().bucket(BUCKET).key(OWNER);
    name.send().await.unwrap();
    world.once(&role, "watcher").await;
    assert_eq!(world.objects().await, [orphan.as_str()]);
    setup::ensure(&world.clients, BUCKET, TABLE).await.unwrap();
    world.once(&role, "watcher").await;
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_more_than_one_page_is_swept_whole() {
    let world = World::new().await;
    let key = ClientKey::generate().unwrap();
    let orphan = format!("{}/file-{}", key.client_id(), uuid::Uuid::new_v4());
    // S3 lists a thousand at once; what is not ours lies before and behind.
    futures_util::stream::iter(0..1_001)
        .map(|index| format!("{orphan}/{index}"))
        .for_each_concurrent(32, |key| {
            let world = &world;
            async move { world.put_object(&key, Vec::new()).await }
        })
        .await;
    let strange = ["a", "z"];
    for key in strange {
        world.put_object(key, Vec::new()).await;
    }
    let set = sweeping("0s");
    let set: Vec<&str> = set
        .iter()
        .map(String::as_str)
        .chain(["sweep.source.objects.pages-max=1"])
        .collect();
    world.once(&world.role("watcher", &set), "watcher").await;
    assert_eq!(world.objects().await, strange);
}
