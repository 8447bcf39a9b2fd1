//! S3: the operations Roundtrip and foreign clients use.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use futures_util::future::join_all;

use crate::{BUCKET, Bench, wire_key};

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let bench = Bench::new().await;
    let s3 = &bench.clients.s3;
    let key = wire_key("manifest");
    let body = vec![7; 300_000];
    let put = s3
        .put_object()
        .bucket(BUCKET)
        .key(&key)
        .body(body.clone().into())
        .content_type("application/zstd")
        .metadata("origin", "test")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .send()
        .await
        .unwrap();
    let head = s3.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
    assert_eq!(head.content_length(), Some(300_000));
    assert_eq!(head.content_type(), Some("application/zstd"));
    assert_eq!(head.e_tag(), put.e_tag());
    assert_eq!(head.metadata().unwrap()["origin"], "test");

    let part = s3
        .get_object()
        .bucket(BUCKET)
        .key(&key)
        .range("bytes=10-19")
        .send()
        .await
        .unwrap();
    assert_eq!(part.content_range(), Some("bytes 10-19/300000"));
    assert_eq!(part.body.collect().await.unwrap().into_bytes().len(), 10);
    let beyond = s3
        .get_object()
        .bucket(BUCKET)
        .key(&key)
        .range("bytes=300000-")
        .send()
        .await
        .unwrap_err();
    assert_eq!(beyond.code(), Some("InvalidRange"));
    assert_eq!(bench.get(&key).await.unwrap(), body);

    bench.put(&wire_key("empty"), "").await;
    assert_eq!(bench.get(&wire_key("empty")).await.unwrap(), b"");
    bench.stack.stop().await;
}

#[tokio::test]
async fn a_create_only_put_has_one_winner() {
    let bench = Bench::new().await;
    let key = wire_key("manifest");
    let attempts = (0..16_u8).map(|n| {
        let request = bench
            .clients
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(&key)
            .if_none_match("*");
        request.body(vec![n; 1000].into()).send()
    });
    let outcomes = join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(lost.code(), Some("PreconditionFailed"), "{lost:?}");
        assert_eq!(lost.raw_response().unwrap().status().as_u16(), 412);
    }
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(
        bench.get(&key).await.unwrap(),
        vec![u8::try_from(winner).unwrap(); 1000]
    );
    assert_eq!(bench.bodies(), 1);
}

#[tokio::test]
async fn listings_are_whole_over_pages() {
    let bench = Bench::new().await;
    let keys = [
        "a/1",
        "a/10",
        "a/2",
        "a/b/1",
        "a/b/2",
        "a/c/1",
        "b/1",
        "ä ö+%/1",
        "z",
    ];
    for key in keys {
        bench.put(key, key).await;
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(bench.list("").await, sorted);
    assert_eq!(bench.list("a/b").await, ["a/b/1", "a/b/2"]);
    assert_eq!(bench.list("ä").await, ["ä ö+%/1"]);
    assert!(bench.list("nothing").await.is_empty());

    let mut groups = Vec::new();
    let request = bench
        .clients
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("a/")
        .delimiter("/")
        .max_keys(1);
    let mut pages = request.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        groups.extend(
            page.contents()
                .iter()
                .map(|object| object.key().unwrap().to_owned()),
        );
        groups.extend(
            page.common_prefixes()
                .iter()
                .map(|group| group.prefix().unwrap().to_owned()),
        );
    }
    assert_eq!(groups, ["a/1", "a/10", "a/2", "a/b/", "a/c/"]);

    // The older listing, which goes on from the last key.
    let first = bench
        .clients
        .s3
        .list_objects()
        .bucket(BUCKET)
        .max_keys(4)
        .send()
        .await
        .unwrap();
    let last = first.contents().last().unwrap().key().unwrap();
    assert_eq!((first.is_truncated(), last), (Some(true), "a/b/1"));
    let rest = bench
        .clients
        .s3
        .list_objects()
        .bucket(BUCKET)
        .marker(last)
        .send()
        .await
        .unwrap();
    assert_eq!(rest.contents().len(), keys.len() - 4);
}

#[tokio::test]
async fn deletes_leave_nothing_behind() {
    let bench = Bench::new().await;
    let s3 = &bench.clients.s3;
    for n in 0..5 {
        bench.put(&wire_key(&n.to_string()), "x").await;
    }
    bench.put(&wire_key("0"), "overwritten").await;
    assert_eq!(bench.bodies(), 5);
    s3.delete_object()
        .bucket(BUCKET)
        .key(wire_key("0"))
        .send()
        .await
        .unwrap();
    s3.delete_object()
        .bucket(BUCKET)
        .key(wire_key("0"))
        .send()
        .await
        .unwrap();
    let named = (0..5).map(|n| {
        ObjectIdentifier::builder()
            .key(wire_key(&n.to_string()))
            .build()
            .unwrap()
    });
    let delete = Delete::builder()
        .set_objects(Some(named.collect()))
        .build()
        .unwrap();
    let answer = s3
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete)
        .send()
        .await
        .unwrap();
    // As in S3, what was not there counts as deleted.
    assert_eq!((answer.deleted().len(), answer.errors().len()), (5, 0));
    assert!(bench.list("").await.is_empty());
    assert_eq!(bench.bodies(), 0);

    s3.delete_bucket().bucket(BUCKET).send().await.unwrap();
    let missing = s3
        .put_object()
        .bucket(BUCKET)
        .key("a")
        .body(b"x".to_vec().into())
        .send()
        .await
        .unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchBucket"));
}

#[tokio::test]
async fn puts_and_deletes_under_one_prefix_do_not_meet() {
    let bench = Bench::new().await;
    let s3 = &bench.clients.s3;
    let rounds = join_all((0..200).map(|n| async move {
        let (stays, goes) = (format!("one/prefix/{n}-stays"), format!("one/prefix/{n}-goes"));
        let put = |key: &str| {
            s3.put_object()
                .bucket(BUCKET)
                .key(key)
                .body(vec![1; 64].into())
                .send()
        };
        put(&goes).await.unwrap();
        let delete = s3.delete_object().bucket(BUCKET).key(&goes).send();
        let (deleted, kept) = tokio::join!(delete, put(&stays));
        deleted.unwrap();
        kept.unwrap();
    }));
    rounds.await;
    let kept = bench
        .clients
        .s3
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert_eq!(kept.contents().len(), 200);
    assert!(
        kept.contents()
            .iter()
            .all(|object| object.key().unwrap().ends_with("-stays"))
    );
    assert_eq!(bench.bodies(), 200);
}

#[tokio::test]
async fn a_reader_keeps_what_it_opened() {
    let bench = Bench::new().await;
    let body = vec![3; 4 << 20];
    bench.put("file", body.clone()).await;
    let reading = bench
        .clients
        .s3
        .get_object()
        .bucket(BUCKET)
        .key("file")
        .send()
        .await
        .unwrap();
    bench.put("file", "replaced").await;
    bench
        .clients
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key("file")
        .send()
        .await
        .unwrap();
    assert_eq!(reading.body.collect().await.unwrap().to_vec(), body);
    assert_eq!(bench.get("file").await, None);
}

#[tokio::test]
async fn copies_stand_alone() {
    let bench = Bench::new().await;
    bench.put("from", "content").await;
    let copy = bench
        .clients
        .s3
        .copy_object()
        .bucket(BUCKET)
        .key("to")
        .copy_source(format!("{BUCKET}/from"));
    copy.send().await.unwrap();
    bench
        .clients
        .s3
        .delete_object()
        .bucket(BUCKET)
        .key("from")
        .send()
        .await
        .unwrap();
    assert_eq!(bench.get("to").await.unwrap(), b"content");
}

#[tokio::test]
async fn parts_become_one_object() {
    let bench = Bench::new().await;
    let s3 = &bench.clients.s3;
    let key = wire_key("0");
    let upload = s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key(&key)
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, size) in [(1, 5 << 20), (2, 1000)] {
        let body = vec![u8::try_from(number).unwrap(); size];
        let part = s3
            .upload_part()
            .bucket(BUCKET)
            .key(&key)
            .upload_id(id)
            .part_number(number);
        let part = part.body(body.into()).send().await.unwrap();
        completed = completed.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag().map(str::to_owned))
                .build(),
        );
    }
    let uploads = s3.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert_eq!(uploads.uploads().len(), 1);
    let parts = s3
        .list_parts()
        .bucket(BUCKET)
        .key(&key)
        .upload_id(id)
        .send()
        .await
        .unwrap();
    assert_eq!(parts.parts().len(), 2);
    let complete = s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key(&key)
        .upload_id(id);
    let done = complete.multipart_upload(completed.build()).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""));
    let body = bench.get(&key).await.unwrap();
    assert_eq!(body.len(), (5 << 20) + 1000);
    assert_eq!((body[0], body[body.len() - 1]), (1, 2));
    assert_eq!(bench.bodies(), 1);

    let upload = s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key(&key)
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let part = s3
        .upload_part()
        .bucket(BUCKET)
        .key(&key)
        .upload_id(id)
        .part_number(1);
    part.body(vec![0; 10].into()).send().await.unwrap();
    s3.abort_multipart_upload()
        .bucket(BUCKET)
        .key(&key)
        .upload_id(id)
        .send()
        .await
        .unwrap();
    assert_eq!(bench.bodies(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_what_was_declared_is_refused() {
    let bench = Bench::new().await;
    let put = bench
        .clients
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("a")
        .body(b"x".to_vec().into());
    let refused = put
        .content_md5("1B2M2Y8AsgTpgAmY7PhCfg==")
        .send()
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("BadDigest"));
    let put = bench
        .clients
        .s3
        .put_object()
        .bucket(BUCKET)
        .key("a")
        .body(b"x".to_vec().into());
    let refused = put.checksum_crc32("AAAAAA==").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("BadDigest"));
    assert_eq!(bench.get("a").await, None);
    assert_eq!(bench.bodies(), 0);
}
