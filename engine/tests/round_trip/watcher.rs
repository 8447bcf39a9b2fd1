//! What the watcher does for jobs of lost fetchers and of strangers.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip::cloud::item;
use roundtrip::cloud::jobs::{Answer, Jobs};
use roundtrip::cloud::objects::Objects;
use roundtrip::run::driver::now;
use roundtrip::source::foreign::Foreign;
use roundtrip::wire::keys::ClientKey;
use roundtrip_core::job::Signed;
use roundtrip_core::lifecycle;

use crate::world::{BUCKET, Item, TABLE, World, assert_fingerprint, history, noise, text, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_lost_fetcher_goes_to_another() {
    let world = World::new().await;
    world.write("inbox/a.txt", "claimed twice");
    let client = world.start(&world.role("client", &[]), "client").await;
    until("the file is sent", async || {
        world.objects().await.iter().any(|key| key.ends_with("/manifest"))
    })
    .await;
    // A fetcher takes it and is never heard of again.
    let job = item::read(&world.record().await).unwrap();
    let lost = "processor-00000000-0000-4000-8000-000000000000";
    let claim = lifecycle::claim(&job, lost, now(), Duration::from_millis(300));
    let jobs = Jobs::new(world.clients.dynamodb.clone(), TABLE);
    assert!(matches!(jobs.apply(&claim).await.unwrap(), Answer::Done(_)));

    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let watcher = world.start(&world.role("watcher", &[]), "watcher").await;
    let counts = client.finish().await;
    fetcher.finish().await;
    watcher.finish().await;
    assert_eq!((counts.done, counts.failed), (1, 0));
    world.assert_fingerprint("results/a.txt.json", b"claimed twice");
    world.assert_cleaned(1, "COMPLETED").await;
    let record = world.record().await;
    assert_eq!(history(&record), ["requeue", "complete"]);
    assert_ne!(text(&record, "processor"), lost);
    // Its late write changes nothing any more.
    let late = lifecycle::complete(&job, lost, now(), "too late", None);
    assert!(matches!(jobs.apply(&late).await.unwrap(), Answer::Lost(_)));
    assert_eq!(world.record().await, record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_loses_every_fetcher_is_given_up() {
    let world = World::new().await;
    world.write("inbox/a.txt", "poison");
    let client = world.start(&world.role("client", &[]), "client").await;
    let set = &["restart-stalled.retry.attempts-max=2"];
    let watcher = world.start(&world.role("watcher", set), "watcher").await;
    let jobs = Jobs::new(world.clients.dynamodb.clone(), TABLE);
    for round in 1..=2 {
        until("the job may be taken", async || {
            world.records().await.values().any(|record| {
                text(record, "status") == "QUEUED" && text(record, "lane").starts_with("ready#")
            })
        })
        .await;
        let job = item::read(&world.record().await).unwrap();
        let claim = lifecycle::claim(&job, &format!("processor-{round}"), now(), Duration::ZERO);
        assert!(matches!(jobs.apply(&claim).await.unwrap(), Answer::Done(_)));
    }
    let counts = client.finish().await;
    assert_eq!((counts.done, counts.failed), (0, 1));
    let error = world.read("results/a.txt.error.txt");
    assert!(
        error.contains("2 fetchers were lost on this job, the last was processor-2"),
        "{error}"
    );
    until("it is cleaned up", async || {
        world.record().await.contains_key("cleaned")
    })
    .await;
    watcher.finish().await;
    world.assert_cleaned(1, "ERROR").await;
    assert_eq!(history(&world.record().await), ["requeue", "give-up"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_for_a_job_that_has_ended_does_not_stay() {
    let world = World::new().await;
    world.write("inbox/a.raw", noise(1, 3_000_000));
    let slow = &[
        "upload.chunker.fixed.size=64 KiB",
        "upload.transport.s3.concurrency-max=1",
    ];
    let client = world.start(&world.role("client", slow), "client").await;
    until("the upload is under way", async || {
        !world.objects().await.is_empty()
    })
    .await;
    let job = item::read(&world.record().await).unwrap();
    let jobs = Jobs::new(world.clients.dynamodb.clone(), TABLE);
    let claim = lifecycle::claim(&job, "processor-lost", now(), Duration::ZERO);
    assert!(matches!(jobs.apply(&claim).await.unwrap(), Answer::Done(_)));
    let set = &["restart-stalled.retry.attempts-max=1"];
    let watcher = world.start(&world.role("watcher", set), "watcher").await;
    until("it is cleaned up", async || {
        world.record().await.contains_key("cleaned")
    })
    .await;
    let counts = client.finish().await;
    watcher.finish().await;
    assert_eq!((counts.done, counts.failed), (0, 1));
    world.assert_cleaned(1, "ERROR").await;
}

/// A job as a client makes it that knows the wire format alone: one chunk, no manifest, no lane.
pub(crate) async fn foreign_job(
    world: &World,
    key: &ClientKey,
    signed_by: &ClientKey,
    content: &[u8],
) -> String {
    let file = format!("file-{}", uuid::Uuid::new_v4());
    let client = key.client_id().as_str();
    let properties = Signed {
        version: "2.5.21",
        created: "2026-01-02T03:04:05.678Z",
        bucket: BUCKET,
        file: &file,
        chunks: 1,
        client,
    };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = Item::from([
        ("status".to_owned(), text("QUEUED")),
        ("version".to_owned(), text(properties.version)),
        ("created".to_owned(), text(properties.created)),
        ("bucket".to_owned(), text(BUCKET)),
        ("file".to_owned(), text(&file)),
        ("chunks".to_owned(), AttributeValue::N("1".to_owned())),
        ("client".to_owned(), text(client)),
        ("signature".to_owned(), text(&signed_by.sign(&properties.text()))),
    ]);
    let chunk = zstd::encode_all(content, 3).unwrap();
    world.put_object(&format!("{client}/{file}/0"), chunk).await;
    world.put_record(item).await;
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_jobs_are_found_though_the_bucket_does_not_say_what_is_there() {
    let world = World::new().await;
    let key = ClientKey::generate().unwrap();
    let mut files = Vec::new();
    for content in ["one", "two"] {
        files.push(foreign_job(&world, &key, &key, content.as_bytes()).await);
    }
    files.sort();
    // One of them is not whole.
    let chunk = world.clients.s3.delete_object().bucket(BUCKET);
    let chunk = chunk.key(format!("{}/{}/0", key.client_id(), files[0]));
    chunk.send().await.unwrap();
    for (s3, wanted) in [
        (world.refused().await.s3, [true, true]),
        (world.clients.s3.clone(), [false, true]),
    ] {
        let jobs = Jobs::new(world.clients.dynamodb.clone(), TABLE);
        let foreign = Foreign::new(jobs, Objects::new(s3, BUCKET), 1, 10, Duration::from_hours(1));
        let mut offers = foreign.look().await.unwrap().offers;
        offers.sort_by(|one, two| one.job.key.cmp(&two.job.key));
        let found: Vec<_> = offers
            .iter()
            .map(|offer| (offer.job.key.file.as_str(), offer.uploaded))
            .collect();
        let wanted: Vec<_> = files.iter().map(String::as_str).zip(wanted).collect();
        assert_eq!(found, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_jobs_are_let_in_and_false_ones_refused() {
    let world = World::new().await;
    let (key, other) = (ClientKey::generate().unwrap(), ClientKey::generate().unwrap());
    let good = foreign_job(&world, &key, &key, b"from afar").await;
    let forged = foreign_job(&world, &key, &other, b"forged").await;
    let client = key.client_id().as_str();
    let said = |text: &str| AttributeValue::S(text.to_owned());
    let malformed = |file: &str, chunks: AttributeValue| {
        Item::from([
            ("client".to_owned(), said(client)),
            ("file".to_owned(), said(file)),
            ("status".to_owned(), said("QUEUED")),
            ("chunks".to_owned(), chunks),
        ])
    };
    // One whose name leads out of its prefix, one that is no job at all, and one that already waits in a lane.
    let (outside, nonsense) = ("file-../../victim", "file-00000000-0000-4000-8000-000000000000");
    world
        .put_record(malformed(outside, AttributeValue::N("1".to_owned())))
        .await;
    world.put_record(malformed(nonsense, said("several"))).await;
    let mut in_lane = malformed("file-in-lane", said("1"));
    in_lane.insert("lane".to_owned(), said("ready#0"));
    in_lane.insert("due".to_owned(), said("2026-01-02T03:04:05.678Z"));
    world.put_record(in_lane).await;
    world.put_object("victim", b"not theirs".to_vec()).await;

    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let watcher = world.start(&world.role("watcher", &[]), "watcher").await;
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
    assert_eq!(records.len(), 5);
    let done = &records[&good];
    assert_eq!(text(done, "status"), "COMPLETED", "{done:?}");
    let result = String::from_utf8(key.open(text(done, "results")).unwrap()).unwrap();
    assert_fingerprint("foreign", &result, b"from afar");
    assert!(other.open(text(done, "results")).is_err());
    let refused: BTreeSet<(&str, &str)> = [forged.as_str(), outside, nonsense, "file-in-lane"]
        .into_iter()
        .map(|file| {
            let record = &records[file];
            assert_eq!(text(record, "status"), "ERROR", "{record:?}");
            (
                if file == forged { "forged" } else { file },
                text(record, "error"),
            )
        })
        .collect();
    let refused: Vec<String> = refused
        .into_iter()
        .map(|(file, error)| format!("{file}: {error}"))
        .collect();
    insta::assert_snapshot!(refused.join("\n"), @r"
    file-../../victim: the file id must be `file-` and a lower-case UUID
    file-00000000-0000-4000-8000-000000000000: `chunks` is missing or no whole number
    file-in-lane: the file id must be `file-` and a lower-case UUID
    forged: the record is not what its client signed: the signature was made with another key or over other values
    ");
    assert_eq!(world.objects().await, ["victim"]);
}
