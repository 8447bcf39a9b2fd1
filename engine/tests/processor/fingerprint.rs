//! The built-in processor.

use bytes::Bytes;
use roundtrip::dsl::spec::ProcessorKind;
use roundtrip::sink::processor::Answer;

use crate::world::{World, analyse, reason, result, spec};

#[tokio::test]
async fn it_names_size_digest_and_kind() {
    let world = World::new();
    let fingerprint = spec(ProcessorKind::Fingerprint);
    let empty = analyse(&fingerprint, world.file(b"").await).await;
    assert!(
        matches!(&empty, Answer::Result { content_type, .. } if content_type.as_deref() == Some("application/json"))
    );
    let mut lines = result(empty);
    let large: Vec<u8> = b"II*\0"
        .iter()
        .copied()
        .chain((0..=255).cycle().take(1_000_000))
        .collect();
    for content in [&b"abc"[..], b"\x89PNG\r\n\x1a\n", &large] {
        lines.push_str(&result(analyse(&fingerprint, world.file(content).await).await));
    }
    insta::assert_snapshot!(lines, @r#"
    {"size":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","kind":"application/x-empty"}
    {"size":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","kind":"text/plain"}
    {"size":8,"sha256":"4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6","kind":"image/png"}
    {"size":1000004,"sha256":"c2de1f27c4ef08bc9ab658e72c8914356d1fade1b544e34229808c2d48e82c35","kind":"image/tiff"}
    "#);
}

#[tokio::test]
async fn an_unproven_file_has_no_fingerprint() {
    let world = World::new();
    let (mut writer, reader) = world.growing(Some(3));
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    writer.fail("chunk 0 is not what its client signed");
    let answer = analyse(&spec(ProcessorKind::Fingerprint), reader).await;
    assert_eq!(reason(answer), "unproven: chunk 0 is not what its client signed");
}
