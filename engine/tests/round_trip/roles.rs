//! What a role does is written in TOML: other role files, other policies, no other code.

use crate::world::{World, files_below, history, noise, statuses, text, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_role_uploads_receives_and_cleans_up() {
    let world = World::new().await;
    let role = world.write(
        "roles/desk.toml",
        r#"
        name = "desk"
        [pipelines.upload]
        source.directory.settle = "20ms"
        [pipelines.receive]
        source.results.interval = "20ms"
        source.results.interval-max = "100ms"
        [pipelines.cleanup]
        source.jobs.every = "50ms"
        "#,
    );
    let folder = |key: &str, name: &str| format!("{key}=\"{}\"", world.path(name).display());
    let set = [
        folder("upload.source.directory.path", "inbox"),
        folder("receive.sink.directory.path", "results"),
    ];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    world.write("inbox/a.txt", "in one role");
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let desk = world
        .start(&world.role(role.to_str().unwrap(), &set), "desk")
        .await;
    until("it is cleaned up", async || {
        world
            .records()
            .await
            .values()
            .any(|record| record.contains_key("cleaned"))
    })
    .await;
    desk.finish().await;
    fetcher.finish().await;
    world.assert_fingerprint("results/a.txt.json", b"in one role");
    world.assert_cleaned(1, "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_folders_with_equal_names_do_not_collide() {
    let world = World::new().await;
    for (name, content) in [
        ("scans/a.txt", "a scan"),
        ("logs/a.txt", "a log"),
        ("logs/b.txt", "another"),
    ] {
        world.write(name, content);
    }
    let role = world.write(
        "roles/two.toml",
        format!(
            r#"
            name = "two"
            [pipelines.scans]
            use = "upload"
            source.directory.path = "{scans}"
            source.directory.settle = "20ms"
            [pipelines.logs]
            use = "upload"
            source.directory.path = "{logs}"
            source.directory.settle = "20ms"
            codec.zstd.level = 9
            [pipelines.receive]
            source.results.interval = "20ms"
            sink.directory.path = "{results}"
            "#,
            scans = world.path("scans").display(),
            logs = world.path("logs").display(),
            results = world.path("results").display(),
        ),
    );
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let counts = world
        .once(&world.role(role.to_str().unwrap(), &[]), "client")
        .await;
    fetcher.finish().await;
    assert_eq!((counts.done, counts.failed), (3, 0));
    world.assert_fingerprint("results/scans/a.txt.json", b"a scan");
    world.assert_fingerprint("results/logs/a.txt.json", b"a log");
    world.assert_fingerprint("results/logs/b.txt.json", b"another");
    assert_eq!(files_below(&world.path("results")).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_policy_brings_the_same_results() {
    let policies: &[&[&str]] = &[
        &["upload.sink.jobs.announce=last"],
        &["analyse.claim.start=uploaded"],
        &["analyse.claim.feed=complete"],
        &["upload.codec.none={}"],
        &[
            "upload.sink.jobs.announce=last",
            "analyse.claim.start=uploaded",
            "upload.source.directory.watch=poll",
        ],
        &[
            "analyse.claim.manifest=required",
            "upload.sink.jobs.send-name=true",
        ],
    ];
    let content = noise(1, 300_000);
    for policy in policies {
        let world = World::new().await;
        world.write("inbox/a.raw", &content);
        world.write("inbox/empty", "");
        let set = [&["upload.chunker.fixed.size=64 KiB"], *policy].concat();
        let counts = world.round_trip(&set).await;
        assert_eq!((counts.done, counts.failed, counts.left), (2, 0, 0), "{policy:?}");
        world.assert_fingerprint("results/a.raw.json", &content);
        world.assert_fingerprint("results/empty.json", b"");
        world.assert_cleaned(2, "COMPLETED").await;
        for record in world.records().await.values() {
            assert_eq!(history(record), ["complete"], "{policy:?}: {record:?}");
        }
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetcher_that_wants_everything_first_waits_for_it() {
    let world = World::new().await;
    let content = noise(1, 2_000_000);
    world.write("inbox/a.raw", &content);
    let slow = &[
        "upload.chunker.fixed.size=64 KiB",
        "upload.transport.s3.concurrency-max=1",
    ];
    let client = world.start(&world.role("client", slow), "client").await;
    until("the upload is under way", async || {
        !world.objects().await.is_empty()
    })
    .await;
    // Nothing is wholly there yet, or it is: a look never claims the one and always the other.
    let fetcher = world.role("fetcher", &["analyse.claim.start=uploaded"]);
    let fetcher = world.start(&fetcher, "fetcher").await;
    until("it is claimed", async || {
        !text(&world.record().await, "assigned").is_empty()
    })
    .await;
    let key = world.record().await;
    let manifest = format!("{}/{}/manifest", text(&key, "client"), text(&key, "file"));
    assert!(world.objects().await.contains(&manifest));
    client.finish().await;
    fetcher.finish().await;
    world.assert_fingerprint("results/a.raw.json", &content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_come_back_with_other_chunks() {
    let world = World::new().await;
    let content = noise(1, 3_000_000);
    world.write("inbox/a.raw", &content);
    let slow = &[
        "upload.chunker.fixed.size=64 KiB",
        "upload.transport.s3.concurrency-max=1",
    ];
    let client = world.start(&world.role("client", slow), "client").await;
    until("the upload is under way", async || {
        world.objects().await.len() >= 3
    })
    .await;
    client.stop().await;
    let before = world.record().await;
    assert_eq!(text(&before, "status"), "QUEUED");

    let counts = world.round_trip(&["upload.chunker.fixed.size=128 KiB"]).await;
    assert_eq!((counts.done, counts.failed), (1, 0));
    world.assert_fingerprint("results/a.raw.json", &content);
    assert_eq!(files_below(&world.path("results")).len(), 1);
    let records = world.records().await;
    let mut statuses = statuses(&records);
    statuses.sort_unstable();
    assert_eq!(statuses, ["COMPLETED", "ERROR"]);
    assert_eq!(text(&records[text(&before, "file")], "status"), "ERROR");
    assert!(records.values().all(|record| record.contains_key("cleaned")));
    assert_eq!(world.objects().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_goes_on_with_its_job() {
    let world = World::new().await;
    let content = noise(1, 3_000_000);
    world.write("inbox/a.raw", &content);
    let slow = &[
        "upload.chunker.fixed.size=64 KiB",
        "upload.transport.s3.concurrency-max=1",
    ];
    let client = world.start(&world.role("client", slow), "client").await;
    until("the upload is under way", async || {
        world.objects().await.len() >= 3
    })
    .await;
    client.stop().await;
    let counts = world.round_trip(slow).await;
    assert_eq!((counts.done, counts.failed), (1, 0));
    world.assert_fingerprint("results/a.raw.json", &content);
    world.assert_cleaned(1, "COMPLETED").await;
}
