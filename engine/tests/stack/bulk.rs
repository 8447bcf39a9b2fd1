//! How much memory and time a large file takes of the stack.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use roundtrip::cloud::setup;

use crate::process::Process;
use crate::{BUCKET, TABLE, wire_key};

const CHUNK_BYTES: usize = 8 << 20;
const CHUNKS: usize = 256;
const RESIDENT_MIB_MAX: usize = 150;

#[cfg(target_os = "linux")]
#[ignore = "writes 2 GiB"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gigabytes_in_chunks_take_little_memory() {
    let state = tempfile::tempdir().unwrap();
    let process = Process::start(state.path());
    let clients = process.clients().await;
    setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
    let chunk = bytes::Bytes::from(vec![5; CHUNK_BYTES]);
    let began = Instant::now();
    let puts = stream::iter(0..CHUNKS).map(|n| {
        let put = clients
            .s3
            .put_object()
            .bucket(BUCKET)
            .key(wire_key(&n.to_string()));
        put.body(chunk.clone().into()).send()
    });
    puts.buffer_unordered(8)
        .for_each(|put| async { drop(put.unwrap()) })
        .await;
    println!("put {:.0} MiB/s", rate(began));
    let began = Instant::now();
    let gets = stream::iter(0..CHUNKS).map(|n| {
        let get = clients
            .s3
            .get_object()
            .bucket(BUCKET)
            .key(wire_key(&n.to_string()))
            .send();
        async {
            get.await
                .unwrap()
                .body
                .collect()
                .await
                .unwrap()
                .into_bytes()
                .len()
        }
    });
    let lengths: Vec<_> = gets.buffer_unordered(8).collect().await;
    assert!(lengths.iter().all(|length| *length == CHUNK_BYTES));
    println!("get {:.0} MiB/s", rate(began));
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    println!("peak{peak}");
    let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak / 1024 < RESIDENT_MIB_MAX, "{peak} KiB");
}

fn rate(began: Instant) -> f64 {
    f64::from(u32::try_from((CHUNK_BYTES * CHUNKS) >> 20).unwrap()) / began.elapsed().as_secs_f64()
}
