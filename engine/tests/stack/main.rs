//! The embedded stack through the real SDK, the raw protocol and the program.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod bulk;
mod keys;
mod objects;
mod process;
mod setup;
mod table;

use aws_sdk_s3::operation::get_object::GetObjectError;
use roundtrip::cloud::{Clients, setup as cloud_setup};
use roundtrip::stack::Stack;
use roundtrip_core::names::OWNER;

const BUCKET: &str = "roundtrip";
const TABLE: &str = "roundtrip-jobs";

/// A stack in a folder of its own, with bucket and table.
struct Bench {
    stack: Stack,
    clients: Clients,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(folder.path(), None).await.unwrap();
        let clients = Clients::for_endpoints(stack.endpoints()).await;
        cloud_setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
        // What the tests find in the bucket they put there themselves.
        let owner = clients.s3.delete_object().bucket(BUCKET).key(OWNER);
        owner.send().await.unwrap();
        Self {
            stack,
            clients,
            folder,
        }
    }

    async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let body = body.into().into();
        self.clients
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }

    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let answer = self.clients.s3.get_object().bucket(BUCKET).key(key).send().await;
        match answer {
            Ok(answer) => Some(answer.body.collect().await.unwrap().to_vec()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetObjectError::is_no_such_key) =>
            {
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Every key with this prefix, over pages of two.
    async fn list(&self, prefix: &str) -> Vec<String> {
        let request = self
            .clients
            .s3
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix(prefix)
            .max_keys(2);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(
                page.unwrap()
                    .contents()
                    .iter()
                    .map(|object| object.key().unwrap().to_owned()),
            );
        }
        keys
    }

    /// How many bodies lie in the folder.
    fn bodies(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("s3/blobs"))
            .unwrap()
            .count()
    }
}

/// A key as the wire format makes it.
fn wire_key(name: &str) -> String {
    format!(
        "client-04{}/file-0b9d3c51-6cf8-4d5e-9f65-9f4c2d1f6a11/{name}",
        "ab".repeat(64)
    )
}
