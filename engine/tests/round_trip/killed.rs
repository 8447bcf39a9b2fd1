//! The program is killed or stopped at any time: the next start goes on, and every file has one right result.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::program::{Desk, Program, assert_code};
use crate::world::{assert_fingerprint, files_below, noise, text, until_now};

/// A lost claim comes back soon.
const SHORT_LEASE: &[&str] = &[
    "--set",
    "analyse.claim.lease=1s",
    "--set",
    "analyse.claim.heartbeat=300ms",
    "--set",
    "upload.chunker.fixed.size=64 KiB",
];

/// Small files, and one of many chunks among them.
fn fill(desk: &Desk, count: u64) -> BTreeMap<String, Vec<u8>> {
    let mut files: BTreeMap<String, Vec<u8>> = (0..count)
        .map(|number| (format!("file-{number:02}.dat"), noise(number, 3_000)))
        .collect();
    files.insert("file-05-large.dat".to_owned(), noise(99, 2_000_000));
    for (name, content) in &files {
        desk.put(name, content);
    }
    files
}

fn results(desk: &Desk) -> usize {
    files_below(&desk.path("results"))
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .count()
}

/// Waits for so many results; the program may not end before.
fn until_results(desk: &Desk, program: &mut Program, count: usize) {
    until_now("results are there", || {
        assert!(program.is_running());
        results(desk) >= count
    });
}

async fn assert_all_right(desk: &Desk, files: &BTreeMap<String, Vec<u8>>) {
    for (name, content) in files {
        assert_fingerprint(name, &desk.result(format!("{name}.json")), content);
    }
    assert_eq!(
        files_below(&desk.path("results")).len(),
        files.len(),
        "no errors, nothing unfinished"
    );
    desk.look().await.assert_cleaned(files.len(), "COMPLETED");
    assert_eq!(desk.spooled(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_loses_nothing_and_doubles_nothing() {
    let desk = Desk::new();
    let files = fill(&desk, 30);
    // While it starts, while it sends the first files, and in the middle of things.
    let program = desk.start(SHORT_LEASE);
    until_now("it has begun", || desk.path("state").exists());
    program.kill();
    let program = desk.start(SHORT_LEASE);
    until_now("something is in the bucket", || {
        std::fs::read_dir(desk.path("state/stack/s3/blobs")).is_ok_and(|blobs| blobs.count() > 1)
    });
    program.kill();
    for count in [1, 6, 15] {
        let mut program = desk.start(SHORT_LEASE);
        until_results(&desk, &mut program, count);
        program.kill();
    }
    assert_code(&desk.once(SHORT_LEASE), 0);
    assert_all_right(&desk, &files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_drains_and_the_next_start_goes_on() {
    let desk = Desk::new();
    let files = fill(&desk, 20);
    let mut program = desk.start(&[]);
    until_results(&desk, &mut program, 5);
    let began = Instant::now();
    assert_eq!(program.interrupt(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(desk.spooled(), Vec::<PathBuf>::new());
    for record in desk.look().await.records {
        assert_ne!(
            text(&record, "status"),
            "PROCESSING",
            "no claim is left behind: {record:?}"
        );
    }
    assert_code(&desk.once(&[]), 0);
    assert_all_right(&desk, &files).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_does_not_wait_for_a_long_analysis() {
    let desk = Desk::new();
    desk.put("long.txt", "takes long");
    let begun = desk.path("begun");
    let command = format!("sh -c 'touch \"$0\"; exec sleep 300' {}", begun.display());
    let program = desk.start(&["--command", &command]);
    until_now("the analysis has begun", || begun.exists());
    let asked = Instant::now();
    assert_eq!(program.interrupt(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(desk.spooled(), Vec::<PathBuf>::new());
    let left = desk.look().await;
    let record = &left.records[0];
    assert_eq!(text(record, "status"), "QUEUED", "{record:?}");
    assert_eq!(
        record.get("failures").unwrap().as_n().unwrap(),
        "0",
        "a stop is not the job's fault"
    );
    assert_code(&desk.once(&[]), 0);
    assert_fingerprint("long.txt", &desk.result("long.txt.json"), b"takes long");
}
