//! Chunks that are not what the client sent are refused, and other jobs go on.

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::record::ITEM_BYTES_MAX;

use crate::world::{Item, World, noise, text, until};

/// A file of four chunks is in the bucket, and nobody looks at it yet.
async fn uploaded(world: &World, content: &[u8]) -> Item {
    world.write("inbox/a.raw", content);
    let set = &["upload.chunker.fixed.size=64 KiB"];
    let client = world.start(&world.role("client", set), "client").await;
    until("the file is sent and that is remembered", async || {
        client.progress.counts().queued == 1
    })
    .await;
    client.stop().await;
    world.record().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_are_not_the_clients_are_refused() {
    let content = noise(1, 250_000);
    let frame = |content: &[u8]| zstd::encode_all(content, 3).unwrap();
    let cut = |mut frame: Vec<u8>| {
        frame.truncate(frame.len() / 2);
        frame
    };
    let cases = [
        ("another chunk in its place", frame(&content[1 << 16..2 << 16])),
        ("cut short", cut(frame(&content[..1 << 16]))),
        ("a shorter piece", frame(&content[..100])),
        ("a bomb", frame(&vec![0; 64 << 20])),
        ("no chunk at all", b"<html>".to_vec()),
        ("nothing", Vec::new()),
        ("far too large", noise(2, 1 << 20)),
    ];
    let mut told = Vec::new();
    for (what, chunk) in cases {
        let world = World::new().await;
        let record = uploaded(&world, &content).await;
        let key = format!("{}/{}/0", text(&record, "client"), text(&record, "file"));
        world.put_object(&key, chunk).await;
        world.write("inbox/other.txt", "goes on");
        let counts = world.round_trip(&[]).await;
        assert_eq!((counts.done, counts.failed), (1, 1), "{what}");
        world.assert_fingerprint("results/other.txt.json", b"goes on");
        let record = &world.records().await[text(&record, "file")];
        assert_eq!(text(record, "status"), "ERROR", "{what}");
        assert!(
            world
                .read("results/a.raw.error.txt")
                .contains(text(record, "error"))
        );
        assert_eq!(world.objects().await, Vec::<String>::new(), "{what}");
        told.push(format!("{what}: {}", text(record, "error")));
        world.stop().await;
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    another chunk in its place: chunk 0 is not what the client sent: its SHA-256 differs from the manifest
    cut short: chunk 0: it does not decode: incomplete frame
    a shorter piece: chunk 0: it decodes to 100 bytes, and 65536 were signed
    a bomb: chunk 0: it decodes to more than 65536 bytes
    no chunk at all: chunk 0: it does not decode: Unknown frame descriptor
    nothing: chunk 0: it does not decode: incomplete frame
    far too large: chunk 0 is 1048576 bytes, and at most 196864 were signed
    ");
}

/// Nothing may be written to such a record any more, its ending included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_its_client_padded_ends_before_it_is_claimed() {
    let world = World::new().await;
    let mut record = uploaded(&world, b"padded").await;
    let file = text(&record, "file").to_owned();
    let sizes = record.iter().map(|(name, value)| {
        let text = value.as_s().or_else(|_| value.as_n()).unwrap();
        name.len() + text.len()
    });
    let padding = ITEM_BYTES_MAX - sizes.sum::<usize>() - "padding".len() - 20;
    record.insert("padding".to_owned(), AttributeValue::S("x".repeat(padding)));
    world.put_record(record).await;
    world.write("inbox/other.txt", "goes on");
    let counts = world.round_trip(&[]).await;
    assert_eq!((counts.done, counts.failed), (1, 1));
    world.assert_fingerprint("results/other.txt.json", b"goes on");
    let told = world.read("results/a.raw.error.txt");
    assert!(told.contains("the record is too large: 409"), "{told}");
    let record = &world.records().await[&file];
    assert_eq!(text(record, "status"), "ERROR");
    assert!(!record.contains_key("processor"), "nobody had it");
}
