//! Keys that leave their place are refused, however they are written.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{BUCKET, Bench};

const REFUSED: [&str; 11] = [
    "../../x", "a/../b", "a/./b", "..", "a//b", "/a", "a/", "a\\..\\b", "C:/a", "a/..", "./a",
];

#[tokio::test]
async fn the_sdk_gets_a_refusal() {
    let bench = Bench::new().await;
    let s3 = &bench.clients.s3;
    bench.put("inside", "x").await;
    let long = format!("a/{}", "x".repeat(256));
    for key in REFUSED.into_iter().chain([long.as_str()]) {
        let put = s3
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .body(b"x".to_vec().into())
            .send()
            .await
            .unwrap_err();
        assert_eq!(put.code(), Some("InvalidArgument"), "{key:?}: {put:?}");
        assert_eq!(put.raw_response().unwrap().status().as_u16(), 400, "{key:?}");
        let get = s3.get_object().bucket(BUCKET).key(key).send().await.unwrap_err();
        assert_eq!(get.code(), Some("InvalidArgument"), "{key:?}");
        let delete = s3
            .delete_object()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap_err();
        assert_eq!(delete.code(), Some("InvalidArgument"), "{key:?}");
        let upload = s3
            .create_multipart_upload()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
            .unwrap_err();
        assert_eq!(upload.code(), Some("InvalidArgument"), "{key:?}");
        let source = format!("{BUCKET}/{}", key.replace('\\', "%5C"));
        let copy = s3
            .copy_object()
            .bucket(BUCKET)
            .key("copy")
            .copy_source(source)
            .send()
            .await
            .unwrap_err();
        assert_eq!(copy.code(), Some("InvalidArgument"), "{key:?}: {copy:?}");
        let copy = s3
            .copy_object()
            .bucket(BUCKET)
            .key(key)
            .copy_source(format!("{BUCKET}/inside"));
        assert_eq!(
            copy.send().await.unwrap_err().code(),
            Some("InvalidArgument"),
            "{key:?}"
        );
    }

    let named = REFUSED.iter().chain(&["inside"]);
    let named = named.map(|key| ObjectIdentifier::builder().key(*key).build().unwrap());
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
    assert_eq!(answer.errors().len(), REFUSED.len());
    assert!(
        answer
            .errors()
            .iter()
            .all(|error| error.code() == Some("InvalidArgument"))
    );
    assert_eq!(answer.deleted().len(), 1);
    assert!(bench.list("").await.is_empty());
    assert_eq!(bench.bodies(), 0);
}

/// The path as given, past everything that might tidy it: a URL signed for one key and sent as it is.
#[tokio::test]
async fn raw_requests_get_a_refusal() {
    let bench = Bench::new().await;
    let address = bench
        .stack
        .endpoints()
        .s3
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    for (key, written) in [
        ("../../x", "../../x"),
        ("../../x", "%2e%2e/%2E%2E/x"),
        ("../../x", "..%2f..%2fx"),
        ("a/../../y", "a/%2e%2e/%2e%2e/y"),
        ("a\0b", "a%00b"),
        ("a\\b", "a%5cb"),
        ("a//b", "a//b"),
    ] {
        let expires = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
        let put = bench
            .clients
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .presigned(expires)
            .await
            .unwrap();
        let (_, query) = put.uri().split_once('?').unwrap();
        let answer = send(&address, &format!("PUT /{BUCKET}/{written}?{query}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{written}: {answer}");
        assert!(
            answer.contains("<Code>InvalidArgument</Code>"),
            "{written}: {answer}"
        );
    }
    let unsigned = send(&address, &format!("PUT /{BUCKET}/../../x")).await;
    assert!(unsigned.starts_with("HTTP/1.1 403 "), "{unsigned}");
    assert!(bench.list("").await.is_empty());
    let mut found: Vec<_> = std::fs::read_dir(bench.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("dynamodb.sqlite"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["credentials.json", "lock", "ports", "s3"]);
}

async fn send(address: &str, line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{line} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
