//! What the ledger promises: it remembers, across restarts and crashes, and never replaces what it cannot read.
#![expect(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use roundtrip::error::{Exit, render};
use roundtrip::ledger::{Counts, Ledger, LedgerError, Outcome, Outstanding};
use roundtrip_core::at::Timestamp;
use roundtrip_core::file::{Known, Shipping, Stamp};
use roundtrip_core::names::{ClientId, FileId, JobKey};
use tempfile::TempDir;

const CREATED: &str = "2025-09-25T11:21:51.690Z";
const ROOT: &str = "/data/inbox";

fn stamp(size: u64) -> Stamp {
    Stamp {
        size,
        modified: Timestamp(1_000),
        changed: Timestamp(2_000),
        identity: u64::MAX - 1,
    }
}

fn key(number: u64) -> JobKey {
    JobKey {
        client: ClientId::parse(&format!("client-04{}", "ab".repeat(64))).unwrap(),
        file: FileId::parse(&format!("file-1a026c06-e99c-4f2f-842c-{number:012x}")).unwrap(),
    }
}

fn upload() -> Vec<String> {
    vec!["upload".to_owned()]
}

struct Bench {
    folder: TempDir,
    ledger: Ledger,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        Self { folder, ledger }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn restart(self) -> Self {
        let Self { folder, ledger } = self;
        drop(ledger);
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        Self { folder, ledger }
    }

    async fn announce(&self, path: impl AsRef<Path>, number: u64) {
        let (root, path) = (Path::new(ROOT), path.as_ref());
        self.ledger
            .announce("upload", root, path, &stamp(number), &key(number), CREATED)
            .await
            .unwrap();
    }

    async fn known(&self, path: impl AsRef<Path>) -> Option<Known> {
        let paths = [path.as_ref().to_owned()];
        self.ledger
            .known("upload", Path::new(ROOT), &paths)
            .await
            .unwrap()
            .remove(0)
    }

    /// Of each job whose outcome is awaited, oldest first, whether it is superseded.
    async fn superseded(&self) -> Vec<bool> {
        let jobs = self.outstanding(None, 10).await;
        jobs.into_iter().map(|job| job.superseded).collect()
    }

    async fn outstanding(&self, after: Option<&JobKey>, limit: usize) -> Vec<Outstanding> {
        self.ledger
            .outstanding(&upload(), after.map(|key| &key.file), limit)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_job_is_remembered_step_by_step() {
    let mut bench = Bench::new();
    bench.announce("a.tif", 1).await;
    let mut expected = Known {
        stamp: stamp(1),
        file: key(1).file,
        created: CREATED.to_owned(),
        shipping: Shipping::Announced,
    };

    bench = bench.restart();
    assert_eq!(bench.known("a.tif").await.as_ref(), Some(&expected));
    assert!(bench.ledger.sent(&key(1)).await.unwrap());
    expected.shipping = Shipping::Sent;

    bench = bench.restart();
    assert_eq!(bench.known("a.tif").await.as_ref(), Some(&expected));
    assert!(bench.ledger.finished(&key(1), Outcome::Result).await.unwrap());
    expected.shipping = Shipping::Finished;

    bench = bench.restart();
    assert_eq!(bench.known("a.tif").await, Some(expected));
}

#[tokio::test]
async fn what_was_announced_is_there_though_nothing_was_closed() {
    let bench = Bench::new();
    bench.announce("a.tif", 1).await;
    // The files as a kill would leave them, on their way to another state folder.
    let copy = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(bench.folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let ledger = Ledger::open(&copy.path().join("ledger.db")).unwrap();
    let known = ledger
        .known("upload", Path::new(ROOT), &["a.tif".into()])
        .await
        .unwrap();
    assert_eq!(
        known[0].as_ref().map(|known| known.shipping),
        Some(Shipping::Announced)
    );
}

#[tokio::test]
async fn every_kind_of_name_is_kept() {
    let bench = Bench::new();
    let long = "x".repeat(255);
    let names: Vec<PathBuf> = [
        "with space",
        "Größe 測定.tif",
        "two\nlines",
        "a/b/c",
        "'; DROP TABLE jobs",
        "%",
        &long,
    ]
    .iter()
    .map(PathBuf::from)
    .chain([PathBuf::from(OsStr::from_bytes(b"not \xff text"))])
    .collect();
    for (number, name) in (1..).zip(&names) {
        bench.announce(name, number).await;
        bench.ledger.sent(&key(number)).await.unwrap();
    }
    let known = bench
        .ledger
        .known("upload", Path::new(ROOT), &names)
        .await
        .unwrap();
    let files: Vec<_> = known.into_iter().map(|known| known.unwrap().file).collect();
    assert_eq!(files, (1..=8).map(|number| key(number).file).collect::<Vec<_>>());
    let paths: Vec<_> = bench
        .outstanding(None, 100)
        .await
        .into_iter()
        .map(|job| job.path)
        .collect();
    assert_eq!(paths, names);
}

#[tokio::test]
async fn pipelines_and_folders_do_not_see_each_other() {
    let bench = Bench::new();
    bench.announce("a.tif", 1).await;
    let paths = [PathBuf::from("a.tif")];
    assert_eq!(
        bench
            .ledger
            .known("upload", Path::new("/other"), &paths)
            .await
            .unwrap(),
        [None]
    );
    assert_eq!(
        bench
            .ledger
            .known("second", Path::new(ROOT), &paths)
            .await
            .unwrap(),
        [None]
    );
    assert_eq!(
        bench.ledger.counts(&["second".to_owned()]).await.unwrap(),
        Counts::default()
    );
    assert_eq!(bench.ledger.counts(&[]).await.unwrap(), Counts::default());
}

#[tokio::test]
async fn announcing_again_replaces_the_stamp_until_it_is_sent() {
    let bench = Bench::new();
    let again = async |path: &str| {
        bench
            .ledger
            .announce(
                "upload",
                Path::new(ROOT),
                Path::new(path),
                &stamp(9),
                &key(1),
                CREATED,
            )
            .await
    };
    bench.announce("a.tif", 1).await;
    again("a.tif").await.unwrap();
    assert_eq!(
        bench.known("a.tif").await.map(|known| known.stamp),
        Some(stamp(9))
    );
    assert!(matches!(again("b.tif").await, Err(LedgerError::Taken(_))));
    bench.ledger.sent(&key(1)).await.unwrap();
    assert!(matches!(again("a.tif").await, Err(LedgerError::Taken(_))));
}

#[tokio::test]
async fn a_changed_file_is_a_new_job_and_the_old_one_is_superseded() {
    let bench = Bench::new();
    for number in [1, 2] {
        bench.announce("a.tif", number).await;
        bench.ledger.sent(&key(number)).await.unwrap();
    }
    assert_eq!(
        bench.known("a.tif").await.map(|known| known.file),
        Some(key(2).file)
    );
    assert_eq!(bench.superseded().await, [true, false]);

    assert!(bench.ledger.forget(&key(2)).await.unwrap());
    assert!(!bench.ledger.forget(&key(2)).await.unwrap());
    assert_eq!(
        bench.known("a.tif").await.map(|known| known.file),
        Some(key(1).file)
    );
    assert_eq!(bench.superseded().await, [false]);
}

#[tokio::test]
async fn a_newer_version_that_is_still_on_its_way_supersedes_nothing() {
    let bench = Bench::new();
    bench.announce("a.tif", 1).await;
    bench.ledger.sent(&key(1)).await.unwrap();
    bench.announce("a.tif", 2).await;
    assert_eq!(bench.superseded().await, [false], "it may still be given up");
    assert!(!bench.ledger.find(&key(1)).await.unwrap().unwrap().superseded);
    bench.ledger.sent(&key(2)).await.unwrap();
    assert_eq!(bench.superseded().await, [true, false]);
    bench
        .ledger
        .finished(&key(2), Outcome::Error("no cells".to_owned()))
        .await
        .unwrap();
    assert_eq!(bench.superseded().await, [true], "what came of it counts");
}

#[tokio::test]
async fn a_state_never_goes_back() {
    let bench = Bench::new();
    bench.announce("a.tif", 1).await;
    bench
        .ledger
        .finished(&key(1), Outcome::Lost("no record".to_owned()))
        .await
        .unwrap();
    assert!(bench.ledger.sent(&key(1)).await.unwrap());
    assert_eq!(
        bench.ledger.counts(&upload()).await.unwrap(),
        Counts {
            lost: 1,
            ..Counts::default()
        }
    );
    bench.ledger.finished(&key(1), Outcome::Result).await.unwrap();
    bench
        .ledger
        .finished(&key(1), Outcome::Error("late".to_owned()))
        .await
        .unwrap();
    let counts = bench.ledger.counts(&upload()).await.unwrap();
    assert_eq!(
        counts,
        Counts {
            finished_with_result: 1,
            ..Counts::default()
        }
    );
    assert!(!bench.ledger.sent(&key(7)).await.unwrap(), "an unknown job");
    assert!(
        !bench.ledger.finished(&key(7), Outcome::Result).await.unwrap(),
        "an unknown job"
    );
}

#[tokio::test]
async fn what_a_crash_left_is_found_again() {
    let bench = Bench::new();
    for number in 1..=3 {
        bench.announce(format!("{number}.tif"), number).await;
    }
    bench.ledger.sent(&key(2)).await.unwrap();
    let bench = bench.restart();
    let unfinished = bench.ledger.unfinished("upload", Path::new(ROOT)).await.unwrap();
    let files: Vec<_> = unfinished
        .into_iter()
        .map(|(path, known)| (path, known.file))
        .collect();
    assert_eq!(
        files,
        [("1.tif".into(), key(1).file), ("3.tif".into(), key(3).file)]
    );
}

#[tokio::test]
async fn outstanding_jobs_come_in_pages_oldest_first() {
    let bench = Bench::new();
    // File ids fall while time goes on: the order is that of announcing.
    for number in (1..=25).rev() {
        bench.announce(format!("{number}.tif"), number).await;
        bench.ledger.sent(&key(number)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = bench.outstanding(after.as_ref(), 10).await;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        // Finishing on the way moves nothing.
        bench.ledger.finished(&last.key, Outcome::Result).await.unwrap();
        seen.extend(page.into_iter().map(|job| job.key));
    }
    assert_eq!(seen, (1..=25).rev().map(key).collect::<Vec<_>>());
    assert_eq!(
        bench.outstanding(Some(&key(99)), 10).await,
        [],
        "after a job that is not there"
    );
}

#[tokio::test]
async fn those_ahead_are_the_older_ones_that_still_await_their_outcome() {
    let bench = Bench::new();
    for number in (1..=10).rev() {
        bench.announce(format!("{number}.tif"), number).await;
    }
    bench.ledger.sent(&key(9)).await.unwrap();
    bench.ledger.finished(&key(10), Outcome::Result).await.unwrap();
    assert_eq!(
        bench.ledger.ahead(&key(9), 64).await.unwrap(),
        0,
        "10 has its result"
    );
    assert_eq!(bench.ledger.ahead(&key(1), 64).await.unwrap(), 8);
    assert_eq!(
        bench.ledger.ahead(&key(1), 5).await.unwrap(),
        5,
        "counted up to the limit"
    );
    assert_eq!(
        bench.ledger.ahead(&key(99), 64).await.unwrap(),
        0,
        "a job that is not there"
    );
}

#[tokio::test]
async fn counts_tell_the_states_apart() {
    let bench = Bench::new();
    for number in 1..=10 {
        bench.announce(format!("{number}.tif"), number).await;
    }
    for number in 2..=10 {
        bench.ledger.sent(&key(number)).await.unwrap();
    }
    for number in 4..=10 {
        let outcome = if number == 4 {
            Outcome::Error("bad".to_owned())
        } else {
            Outcome::Result
        };
        bench.ledger.finished(&key(number), outcome).await.unwrap();
    }
    let expected = Counts {
        announced: 1,
        sent: 2,
        finished_with_result: 6,
        finished_with_error: 1,
        lost: 0,
    };
    assert_eq!(bench.ledger.counts(&upload()).await.unwrap(), expected);
}

#[tokio::test]
async fn pruning_keeps_the_latest_of_each_file() {
    let bench = Bench::new();
    for (path, number) in [
        ("a.tif", 1),
        ("a.tif", 2),
        ("a.tif", 3),
        ("b.tif", 4),
        ("c.tif", 5),
        ("c.tif", 6),
        ("d.tif", 7),
        ("d.tif", 8),
    ] {
        bench.announce(path, number).await;
        if ![5, 8].contains(&number) {
            bench
                .ledger
                .finished(&key(number), Outcome::Result)
                .await
                .unwrap();
        }
    }
    assert_eq!(bench.ledger.prune(Timestamp(0)).await.unwrap(), 0);
    assert_eq!(bench.ledger.prune(Timestamp(i64::MAX)).await.unwrap(), 2);
    assert_eq!(
        bench.known("a.tif").await.map(|known| known.file),
        Some(key(3).file)
    );
    assert_eq!(
        bench.known("b.tif").await.map(|known| known.file),
        Some(key(4).file)
    );
    let unfinished = bench.ledger.unfinished("upload", Path::new(ROOT)).await.unwrap();
    assert_eq!(unfinished.len(), 2);
    assert!(bench.ledger.forget(&key(8)).await.unwrap());
    assert_eq!(
        bench.known("d.tif").await.map(|known| known.file),
        Some(key(7).file),
        "one that is only announced may still be given up"
    );
}

#[tokio::test]
async fn many_files_are_looked_up_at_once() {
    let bench = Bench::new();
    for number in 1..=200 {
        bench.announce(format!("{number}.tif"), number).await;
    }
    let paths: Vec<PathBuf> = (1..=1_000).map(|number| format!("{number}.tif").into()).collect();
    let known = bench
        .ledger
        .known("upload", Path::new(ROOT), &paths)
        .await
        .unwrap();
    assert_eq!(known.len(), 1_000);
    let files: BTreeSet<_> = known.into_iter().flatten().map(|known| known.file).collect();
    assert_eq!(files.len(), 200);
}

#[tokio::test]
async fn a_second_process_is_sent_away() {
    let bench = Bench::new();
    let error = Ledger::open(&bench.file()).unwrap_err();
    assert_eq!(error.exit, Exit::TryAgain);
    let text = render(&error).replace(&*bench.folder.path().to_string_lossy(), "STATE");
    insta::assert_snapshot!(text, @r"
    Error: another roundtrip uses the state folder of STATE/ledger.db
    Hint: wait until it has ended, or choose another folder with --state
    ");
    bench.restart();
}

/// What opening refuses, with the file untouched.
fn refusal(prepare: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    prepare(&file);
    let before = fs::read(&file).unwrap();
    let error = Ledger::open(&file).unwrap_err();
    assert_eq!(error.exit, Exit::Config);
    assert!(fs::read(&file).unwrap() == before, "the file was written to");
    render(&error).replace(&*folder.path().to_string_lossy(), "STATE")
}

#[test]
fn a_damaged_ledger_is_refused() {
    let text = refusal(|file| fs::write(file, vec![b'x'; 8_192]).unwrap());
    insta::assert_snapshot!(text, @r"
    Error: the ledger STATE/ledger.db is damaged
    Caused by: file is not a database
    Caused by: Error code 26: File opened that is not a database file
    Hint: bring back a copy of it from a backup, or move it away: the next start makes a new one, which knows nothing of what was shipped, so every file in the inbox goes out again
    ");
}

#[test]
fn a_ledger_with_a_torn_page_is_refused() {
    let text = refusal(|file| {
        drop(Ledger::open(file).unwrap());
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xa5);
        fs::write(file, bytes).unwrap();
    });
    assert!(
        text.starts_with("Error: the ledger STATE/ledger.db is damaged"),
        "{text}"
    );
}

#[test]
fn a_newer_ledger_is_refused() {
    let text = refusal(|file| {
        drop(Ledger::open(file).unwrap());
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
    });
    insta::assert_snapshot!(text, @r"
    Error: the ledger STATE/ledger.db was written by a newer roundtrip (version 2 of its tables, this one knows 1)
    Hint: use that newer roundtrip, or choose another folder with --state
    ");
}

#[test]
fn a_database_of_somebody_else_is_refused() {
    let text = refusal(|file| {
        let connection = rusqlite::Connection::open(file).unwrap();
        connection
            .execute_batch("CREATE TABLE songs (title TEXT); PRAGMA user_version = 1;")
            .unwrap();
    });
    insta::assert_snapshot!(text, @r"
    Error: STATE/ledger.db is a database, but not a ledger of roundtrip
    Hint: choose another folder with --state
    ");
}

#[test]
fn a_state_folder_that_is_not_there_is_refused() {
    let error = Ledger::open(Path::new("/nonexistent/ledger.db")).unwrap_err();
    assert_eq!(error.exit, Exit::Config);
    assert!(error.hint.is_some());
}
