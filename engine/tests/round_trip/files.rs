//! Every kind of file a lab has comes back with its own fingerprint, once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::program::{Desk, Left, assert_code, seen};
use crate::world::{assert_fingerprint, files_below, noise, text};

/// Chunks of the least size, so that a file of a megabyte has many.
const SMALL_CHUNKS: &[&str] = &["--set", "upload.chunker.fixed.size=64 KiB"];

/// Names and contents, and the kind their result tells.
fn files() -> Vec<(PathBuf, Vec<u8>, &'static str)> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend(noise(1, 5_000));
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(noise(2, 5_000));
    let name = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    vec![
        ("scan.tif".into(), tiff, "image/tiff"),
        ("picture.png".into(), png, "image/png"),
        (
            "many chunks.raw".into(),
            noise(3, 1_000_000),
            "application/octet-stream",
        ),
        (
            "exactly-two-chunks.raw".into(),
            noise(4, 2 << 16),
            "application/octet-stream",
        ),
        ("empty.dat".into(), Vec::new(), "application/x-empty"),
        ("one".into(), vec![0xff], "application/octet-stream"),
        (
            "a name with spaces.txt".into(),
            b"spaces\n".to_vec(),
            "text/plain",
        ),
        (
            "Übersicht \u{1f52c}.txt".into(),
            b"Unicode\n".to_vec(),
            "text/plain",
        ),
        ("line\nbreak.txt".into(), b"newline\n".to_vec(), "text/plain"),
        ("n".repeat(255).into(), b"255 bytes\n".to_vec(), "text/plain"),
        (name(b"caf\xe9.txt"), b"Latin-1\n".to_vec(), "text/plain"),
        ("day 1/plate/A1.txt".into(), b"well A1\n".to_vec(), "text/plain"),
        (
            "day 2/plate/A1.txt".into(),
            b"another A1\n".to_vec(),
            "text/plain",
        ),
    ]
}

/// Where the result of a file lies.
fn result_of(name: &Path) -> PathBuf {
    let mut result = name.as_os_str().to_owned();
    result.push(".json");
    result.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_has_its_own_result_and_nothing_stays_behind() {
    let desk = Desk::new();
    let files = files();
    for (name, content, _) in &files {
        desk.put(name, content);
    }
    // Neither a way out of the inbox nor something without an end.
    std::fs::write(desk.path("secret.txt"), "outside").unwrap();
    symlink(desk.path("secret.txt"), desk.path("inbox/link.txt")).unwrap();
    symlink("/", desk.path("inbox/everything")).unwrap();
    make_pipe(&desk.path("inbox/pipe"));
    // A copy that is not finished yet, and a hidden file.
    desk.put(".hidden", "hidden");
    desk.put("copying.tif.part", "half");

    let output = desk.once(SMALL_CHUNKS);
    assert_code(&output, 0);
    let mut expected = BTreeSet::new();
    for (name, content, kind) in &files {
        let result = if name.as_os_str().len() == 255 {
            let shortened = files_below(&desk.path("results"))
                .into_iter()
                .find(|file| file.as_os_str().as_bytes().starts_with(b"nnn"));
            let shortened = shortened.expect("a result of the longest name");
            assert!(shortened.to_str().unwrap().contains('~') && shortened.as_os_str().len() <= 255);
            shortened
        } else {
            result_of(name)
        };
        let told = desk.result(&result);
        assert_fingerprint(&name.to_string_lossy(), &told, content);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["kind"], *kind, "{}", name.display());
        expected.insert(result);
    }
    let results: BTreeSet<PathBuf> = files_below(&desk.path("results")).into_iter().collect();
    assert_eq!(results, expected, "one result each, and nothing else");
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(
        lines,
        files.len(),
        "a line each, whatever is in the name: {}",
        seen(&output)
    );

    let first = desk.look().await;
    first.assert_cleaned(files.len(), "COMPLETED");
    assert_eq!(desk.spooled(), Vec::<PathBuf>::new());

    a_second_run_sends_nothing(&desk, &first).await;
    a_changed_file_is_one_new_job(&desk, &first).await;
}

async fn a_second_run_sends_nothing(desk: &Desk, first: &Left) {
    let output = desk.once(SMALL_CHUNKS);
    assert_code(&output, 0);
    assert_eq!(output.stdout, b"", "{}", seen(&output));
    assert_eq!(records(&desk.look().await), records(first));
}

async fn a_changed_file_is_one_new_job(desk: &Desk, first: &Left) {
    desk.put("one", "two");
    let output = desk.once(SMALL_CHUNKS);
    assert_code(&output, 0);
    assert_fingerprint("one", &desk.result("one.json"), b"two");
    let left = desk.look().await;
    left.assert_cleaned(first.records.len() + 1, "COMPLETED");
    assert!(records(&left).is_superset(&records(first)));
}

/// What tells whether anything was written to a job since.
fn records(left: &Left) -> BTreeSet<(String, String, String)> {
    let told = left.records.iter().map(|record| {
        let part = |name| text(record, name).to_owned();
        (part("file"), part("processed"), part("cleaned"))
    });
    told.collect()
}

fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_the_others_go_on() {
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable for root.
        return;
    }
    let desk = Desk::new();
    let locked = desk.put("locked.txt", "mine");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    desk.put("open.txt", "ours");
    let output = desk.once(&[]);
    assert_code(&output, 1);
    assert_fingerprint("open.txt", &desk.result("open.txt.json"), b"ours");
    assert!(
        seen(&output).contains("not sent  locked.txt: "),
        "{}",
        seen(&output)
    );
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_code(&desk.once(&[]), 0);
    assert_fingerprint("locked.txt", &desk.result("locked.txt.json"), b"mine");
}
