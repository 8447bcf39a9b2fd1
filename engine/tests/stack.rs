//! The embedded stack through the real SDK.

use roundtrip::cloud::{Clients, setup};
use roundtrip::stack::Stack;

const FILE: &str = "file-0b9d3c51-6cf8-4d5e-9f65-9f4c2d1f6a11";

#[tokio::test]
async fn wire_keys() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), None).await.unwrap();
    let clients = Clients::for_endpoints(stack.endpoints()).await;
    println!(
        "{}",
        setup::ensure(&clients, "roundtrip", "roundtrip-jobs")
            .await
            .unwrap()
    );
    println!(
        "{}",
        setup::ensure(&clients, "roundtrip", "roundtrip-jobs")
            .await
            .unwrap()
    );
    setup::check(&clients, "roundtrip", "roundtrip-jobs")
        .await
        .unwrap();
    let client = format!("client-04{}", "ab".repeat(64));
    clients
        .s3
        .put_object()
        .bucket("roundtrip")
        .key(format!("{client}/{FILE}/manifest"))
        .body(b"hello".to_vec().into())
        .send()
        .await
        .unwrap();
    stack.stop().await;
}
