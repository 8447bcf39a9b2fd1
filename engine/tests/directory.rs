//! What the directory source promises: it finds every file that may be taken, whatever its name, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test may end with a panic")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roundtrip::dsl::spec::{DirectorySource, Watch};
use roundtrip::error::{Exit, render};
use roundtrip::source::directory::{Batch, Directory, SIGHTINGS_MAX};
use roundtrip::source::reading::FileReader;
use roundtrip_core::file::Sight;
use tempfile::TempDir;
use tokio::time::timeout;

/// Long enough for the slowest machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

const NEVER: Duration = Duration::from_hours(24);

fn spec(path: &Path, watch: Watch, rescan: Duration) -> DirectorySource {
    DirectorySource {
        path: path.to_owned(),
        include: vec![],
        exclude: vec![],
        hidden: false,
        settle: Duration::ZERO,
        settle_max: Duration::ZERO,
        rescan,
        watch,
        files_max: 1,
        waiting_max: 1,
    }
}

fn polled(path: &Path) -> Directory {
    Directory::open(&spec(path, Watch::Poll, Duration::from_millis(20))).unwrap()
}

fn notified(path: &Path) -> Directory {
    Directory::open(&spec(path, Watch::Notify, NEVER)).unwrap()
}

async fn next(directory: &mut Directory) -> Batch {
    timeout(PATIENCE, directory.next()).await.unwrap()
}

/// Everything a full scan reports.
async fn scan(directory: &mut Directory) -> BTreeMap<PathBuf, Sight> {
    let mut seen = BTreeMap::new();
    loop {
        let batch = next(directory).await;
        assert!(batch.sightings.len() <= SIGHTINGS_MAX);
        seen.extend(
            batch
                .sightings
                .into_iter()
                .map(|sighting| (sighting.path, sighting.sight)),
        );
        if batch.scan_complete {
            return seen;
        }
    }
}

/// The first sight of a path that is as wished.
async fn sight(directory: &mut Directory, path: impl AsRef<Path>, wished: impl Fn(&Sight) -> bool) -> Sight {
    loop {
        let sightings = next(directory).await.sightings;
        let found = sightings
            .into_iter()
            .find(|found| found.path == path.as_ref() && wished(&found.sight));
        if let Some(found) = found {
            return found.sight;
        }
    }
}

fn is_file(sight: &Sight) -> bool {
    matches!(sight, Sight::File { .. })
}

fn is_quiet_file(sight: &Sight, size: u64) -> bool {
    matches!(sight, Sight::File { stamp, busy: false } if stamp.size == size)
}

fn names(seen: &BTreeMap<PathBuf, Sight>) -> Vec<&str> {
    seen.keys().map(|path| path.to_str().unwrap()).collect()
}

fn inbox() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn every_kind_of_name_is_found_and_can_be_read() {
    let inbox = inbox();
    let deep = "d/".repeat(40);
    let mut paths: Vec<PathBuf> = [
        "with space.tif",
        "Größe 測定.tif",
        "two\nlines",
        "a/b/c.tif",
        "-rf",
        "*",
        "a\\b",
        "'\"",
    ]
    .iter()
    .map(PathBuf::from)
    .collect();
    paths.push("x".repeat(255).into());
    paths.push(format!("{deep}{}", "y".repeat(255)).into());
    paths.push(OsStr::from_bytes(b"not \xff text.tif").into());
    paths.push(PathBuf::from(OsStr::from_bytes(b"folder \xfe")).join("a.tif"));
    paths.sort();
    for path in &paths {
        let path = inbox.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"1").unwrap();
    }
    let mut directory = polled(inbox.path());
    let seen = scan(&mut directory).await;
    assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), paths);
    for (path, sight) in &seen {
        let Sight::File { stamp, busy: false } = sight else {
            panic!("{path:?}: {sight:?}")
        };
        assert_eq!(directory.look(path).await, *sight);
        let mut reader = FileReader::open(directory.root(), path, stamp).unwrap();
        assert_eq!(reader.read_piece(1).unwrap(), b"1");
        reader.finish().unwrap();
    }
}

#[tokio::test]
async fn sizes_from_nothing_on_are_seen() {
    let inbox = inbox();
    for size in [0_usize, 1, 70_000] {
        fs::write(inbox.path().join(size.to_string()), vec![b'x'; size]).unwrap();
    }
    let seen = scan(&mut polled(inbox.path())).await;
    for size in [0, 1, 70_000] {
        assert!(is_quiet_file(&seen[Path::new(&size.to_string())], size), "{size}");
    }
}

#[tokio::test]
async fn an_empty_folder_is_a_complete_scan() {
    let inbox = inbox();
    let batch = next(&mut polled(inbox.path())).await;
    assert_eq!(
        batch,
        Batch {
            sightings: vec![],
            scan_complete: true
        }
    );
}

#[tokio::test]
async fn only_regular_files_are_taken() {
    let inbox = inbox();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(inbox.path().join("folder")).unwrap();
    fs::write(inbox.path().join("folder/a.tif"), b"1").unwrap();
    fs::write(outside.path().join("secret"), b"1").unwrap();
    symlink(outside.path().join("secret"), inbox.path().join("link-out")).unwrap();
    symlink(outside.path(), inbox.path().join("folder-out")).unwrap();
    symlink("folder/a.tif", inbox.path().join("link-in")).unwrap();
    symlink("folder", inbox.path().join("folder-in")).unwrap();
    symlink("nowhere", inbox.path().join("dangling")).unwrap();
    symlink("loop", inbox.path().join("loop")).unwrap();
    let _socket = UnixListener::bind(inbox.path().join("socket")).unwrap();
    let pipe = inbox.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();

    let mut directory = polled(inbox.path());
    let seen = scan(&mut directory).await;
    assert_eq!(names(&seen), ["folder/a.tif"]);
    for path in [
        "link-out",
        "folder-out/secret",
        "link-in",
        "folder-in/a.tif",
        "dangling",
        "loop",
        "socket",
        "pipe",
    ] {
        assert_eq!(directory.look(Path::new(path)).await, Sight::Gone, "{path}");
    }
    for path in ["", "../x", "/etc/hostname", "folder", "nothing", "folder/a.tif/b"] {
        assert_eq!(directory.look(Path::new(path)).await, Sight::Gone, "{path}");
    }
}

#[tokio::test]
async fn globs_and_hidden_names_are_heeded() {
    let inbox = inbox();
    for path in [
        "a.tif",
        ".a.tif",
        "x/b.TIF",
        "x/c.png",
        "raw/d.tif",
        "x/raw/e.tif",
        "x/f.tif.part",
        ".x/g.tif",
    ] {
        let path = inbox.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"1").unwrap();
    }
    let mut spec = spec(inbox.path(), Watch::Poll, NEVER);
    spec.include = vec!["*.tif".to_owned()];
    spec.exclude = vec!["/raw".to_owned()];
    let mut directory = Directory::open(&spec).unwrap();
    assert_eq!(
        names(&scan(&mut directory).await),
        ["a.tif", "x/b.TIF", "x/raw/e.tif"]
    );
    assert_eq!(directory.look(Path::new("raw/d.tif")).await, Sight::Gone);
    spec.hidden = true;
    let seen = scan(&mut Directory::open(&spec).unwrap()).await;
    assert_eq!(
        names(&seen),
        [".a.tif", ".x/g.tif", "a.tif", "x/b.TIF", "x/raw/e.tif"]
    );
}

#[tokio::test]
async fn many_files_come_in_batches() {
    let inbox = inbox();
    for number in 0..3_500 {
        File::create(inbox.path().join(number.to_string())).unwrap();
    }
    let mut directory = polled(inbox.path());
    let mut sizes = Vec::new();
    loop {
        let batch = next(&mut directory).await;
        sizes.push(batch.sightings.len());
        if batch.scan_complete {
            break;
        }
    }
    assert_eq!(sizes, [1_000, 1_000, 1_000, 500]);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_the_others_go_on() {
    let inbox = inbox();
    fs::create_dir(inbox.path().join("locked")).unwrap();
    for path in ["a.tif", "b.tif", "locked/c.tif"] {
        fs::write(inbox.path().join(path), b"1").unwrap();
    }
    for path in ["a.tif", "locked"] {
        fs::set_permissions(inbox.path().join(path), Permissions::from_mode(0o000)).unwrap();
    }
    if File::open(inbox.path().join("a.tif")).is_ok() {
        // Nothing is locked to root.
        return;
    }
    let mut directory = polled(inbox.path());
    let seen = scan(&mut directory).await;
    let refused = Sight::Unreadable("Permission denied (os error 13)".to_owned());
    assert_eq!(names(&seen), ["a.tif", "b.tif", "locked"]);
    assert_eq!(seen[Path::new("a.tif")], refused);
    assert!(is_file(&seen[Path::new("b.tif")]));
    assert_eq!(seen[Path::new("locked")], refused);
    assert_eq!(directory.look(Path::new("a.tif")).await, refused);
    assert_eq!(directory.look(Path::new("locked/c.tif")).await, refused);
    fs::set_permissions(inbox.path().join("locked"), Permissions::from_mode(0o700)).unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_is_busy_while_somebody_writes() {
    let inbox = inbox();
    let path = inbox.path().join("a.tif");
    let mut writer = File::create(&path).unwrap();
    writer.write_all(b"1").unwrap();
    let mut directory = polled(inbox.path());
    let seen = scan(&mut directory).await;
    assert!(
        matches!(&seen[Path::new("a.tif")], Sight::File { busy: true, .. }),
        "{seen:?}"
    );
    assert!(matches!(
        directory.look(Path::new("a.tif")).await,
        Sight::File { busy: true, .. }
    ));
    drop(writer);
    assert!(matches!(
        directory.look(Path::new("a.tif")).await,
        Sight::File { busy: false, .. }
    ));
    assert!(is_quiet_file(&scan(&mut directory).await[Path::new("a.tif")], 1));
}

#[tokio::test]
async fn a_scan_comes_again_and_again() {
    let inbox = inbox();
    let mut directory = polled(inbox.path());
    assert!(scan(&mut directory).await.is_empty());
    fs::write(inbox.path().join("a.tif"), b"1").unwrap();
    sight(&mut directory, "a.tif", |sight| is_quiet_file(sight, 1)).await;
    fs::remove_file(inbox.path().join("a.tif")).unwrap();
    while !scan(&mut directory).await.is_empty() {}
}

#[tokio::test]
async fn notifications_tell_of_files_at_once() {
    let inbox = inbox();
    let mut directory = notified(inbox.path());
    assert!(scan(&mut directory).await.is_empty());

    let path = inbox.path().join("with space\n.tif");
    fs::write(&path, b"1").unwrap();
    sight(&mut directory, "with space\n.tif", |sight| {
        is_quiet_file(sight, 1)
    })
    .await;
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"2")
        .unwrap();
    sight(&mut directory, "with space\n.tif", |sight| {
        is_quiet_file(sight, 2)
    })
    .await;
    fs::rename(&path, inbox.path().join("b.tif")).unwrap();
    sight(&mut directory, "b.tif", |sight| is_quiet_file(sight, 2)).await;
    fs::remove_file(inbox.path().join("b.tif")).unwrap();
    sight(&mut directory, "b.tif", |sight| *sight == Sight::Gone).await;
}

#[tokio::test]
async fn notifications_tell_of_folders_with_all_that_is_in_them() {
    let inbox = inbox();
    let outside = tempfile::tempdir().unwrap();
    let mut directory = notified(inbox.path());
    assert!(scan(&mut directory).await.is_empty());

    fs::create_dir_all(inbox.path().join("a/b/c")).unwrap();
    fs::write(inbox.path().join("a/b/c/new.tif"), b"1").unwrap();
    sight(&mut directory, "a/b/c/new.tif", |sight| is_quiet_file(sight, 1)).await;
    fs::write(inbox.path().join("a/b/c/later.tif"), b"1").unwrap();
    sight(&mut directory, "a/b/c/later.tif", is_file).await;

    fs::create_dir(outside.path().join("moved")).unwrap();
    fs::write(outside.path().join("moved/d.tif"), b"1").unwrap();
    fs::rename(outside.path().join("moved"), inbox.path().join("moved")).unwrap();
    sight(&mut directory, "moved/d.tif", is_file).await;
    fs::rename(inbox.path().join("moved"), outside.path().join("moved")).unwrap();
    sight(&mut directory, "moved", |sight| *sight == Sight::Gone).await;
}

#[tokio::test]
async fn notifications_of_what_is_not_taken_are_silent() {
    let inbox = inbox();
    let mut directory = notified(inbox.path());
    assert!(scan(&mut directory).await.is_empty());
    fs::create_dir(inbox.path().join(".hidden")).unwrap();
    for name in ["a.tmp", ".b", ".hidden/c.tif", "d.tif"] {
        fs::write(inbox.path().join(name), b"1").unwrap();
    }
    fs::rename(inbox.path().join("a.tmp"), inbox.path().join("a.tif")).unwrap();
    let mut seen = BTreeMap::new();
    while seen.len() < 2 {
        let sightings = next(&mut directory).await.sightings;
        seen.extend(sightings.into_iter().map(|found| (found.path, found.sight)));
    }
    assert_eq!(names(&seen), ["a.tif", "d.tif"]);
}

#[tokio::test]
async fn a_flood_of_notifications_loses_no_file() {
    let inbox = inbox();
    let mut directory = notified(inbox.path());
    assert!(scan(&mut directory).await.is_empty());
    for number in 0..12_000 {
        File::create(inbox.path().join(number.to_string())).unwrap();
    }
    let mut seen = BTreeMap::new();
    while seen.len() < 12_000 {
        let sightings = next(&mut directory).await.sightings;
        seen.extend(sightings.into_iter().map(|found| (found.path, found.sight)));
    }
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let inbox = inbox();
    for number in 0..2_500 {
        File::create(inbox.path().join(number.to_string())).unwrap();
    }
    let mut directory = notified(inbox.path());
    let (mut seen, mut dropped, mut added) = (BTreeMap::new(), 0, false);
    while seen.len() < 2_600 {
        // Polled once and dropped, as `select!` does with the branches that lost.
        tokio::select! {
            biased;
            batch = directory.next() => {
                seen.extend(batch.sightings.into_iter().map(|found| (found.path, found.sight)));
                if batch.scan_complete && !added {
                    added = true;
                    for number in 2_500..2_600 {
                        File::create(inbox.path().join(number.to_string())).unwrap();
                    }
                }
            }
            () = tokio::task::yield_now() => dropped += 1,
        }
        assert!(dropped < 100_000_000, "{} files seen", seen.len());
    }
    assert!(dropped > 0);
}

#[tokio::test]
async fn a_folder_that_goes_away_is_said_and_comes_back() {
    for watch in [Watch::Poll, Watch::Notify] {
        let parent = tempfile::tempdir().unwrap();
        let (inbox, away) = (parent.path().join("inbox"), parent.path().join("away"));
        fs::create_dir(&inbox).unwrap();
        fs::write(inbox.join("a.tif"), b"1").unwrap();
        let mut directory = Directory::open(&spec(&inbox, watch, Duration::from_millis(20))).unwrap();
        assert_eq!(names(&scan(&mut directory).await), ["a.tif"]);

        fs::rename(&inbox, &away).unwrap();
        sight(&mut directory, "", |sight| matches!(sight, Sight::Unreadable(_))).await;
        assert!(matches!(
            directory.look(Path::new("a.tif")).await,
            Sight::Unreadable(_)
        ));
        let batch = next(&mut directory).await;
        assert!(!batch.scan_complete, "{batch:?}");
        assert!(
            batch.sightings.iter().all(|found| found.sight != Sight::Gone),
            "{batch:?}"
        );

        fs::rename(&away, &inbox).unwrap();
        assert_eq!(names(&scan(&mut directory).await).last(), Some(&"a.tif"));
        fs::write(inbox.join("b.tif"), b"1").unwrap();
        sight(&mut directory, "b.tif", is_file).await;
    }
}

#[tokio::test]
async fn notifications_go_on_in_a_folder_made_anew() {
    let parent = tempfile::tempdir().unwrap();
    let inbox = parent.path().join("inbox");
    fs::create_dir(&inbox).unwrap();
    let mut directory = notified(&inbox);
    assert!(scan(&mut directory).await.is_empty());
    fs::remove_dir(&inbox).unwrap();
    sight(&mut directory, "", |sight| matches!(sight, Sight::Unreadable(_))).await;
    fs::create_dir(&inbox).unwrap();
    loop {
        if next(&mut directory).await.scan_complete {
            break;
        }
    }
    fs::write(inbox.join("a.tif"), b"1").unwrap();
    sight(&mut directory, "a.tif", is_file).await;
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let error = Directory::open(&spec(Path::new("/nonexistent/inbox"), Watch::Notify, NEVER))
        .err()
        .unwrap();
    assert_eq!(error.exit, Exit::Config);
    insta::assert_snapshot!(render(&error), @r"
    Error: the folder /nonexistent/inbox cannot be read
    Caused by: No such file or directory (os error 2)
    Hint: make it and allow reading, or name another one: `source.directory.path`, or --inbox of `roundtrip local`
    ");
}

#[test]
fn a_file_is_no_folder() {
    let inbox = inbox();
    let path = inbox.path().join("a.tif");
    fs::write(&path, b"1").unwrap();
    let error = Directory::open(&spec(&path, Watch::Notify, NEVER)).err().unwrap();
    assert!(render(&error).contains("Not a directory"), "{}", render(&error));
}

/// Walks that wait to be listened to leave the runtime its threads: what listens needs them, too.
#[test]
fn walks_take_no_thread_from_the_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .unwrap();
    let folders: Vec<TempDir> = std::iter::repeat_with(|| tempfile::tempdir().unwrap())
        .take(3)
        .collect();
    for folder in &folders {
        // More than wait to be taken: the walk pauses.
        for number in 0..4 * SIGHTINGS_MAX {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
    }
    runtime.block_on(async {
        let mut directories: Vec<Directory> = folders.iter().map(|folder| polled(folder.path())).collect();
        for directory in &mut directories {
            assert_eq!(next(directory).await.sightings.len(), SIGHTINGS_MAX);
        }
        let other_work = tokio::task::spawn_blocking(|| "done");
        assert_eq!(timeout(PATIENCE, other_work).await.unwrap().unwrap(), "done");
        for directory in &mut directories {
            let looked = timeout(PATIENCE, directory.look(Path::new("0"))).await.unwrap();
            assert!(matches!(looked, Sight::File { .. }), "{looked:?}");
            while !next(directory).await.scan_complete {}
        }
    });
}
