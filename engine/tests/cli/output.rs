//! What the program leaves behind for others: on closed pipes, and in folders that others may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::desk::Desk;

/// Lets a command write to a pipe that nobody reads.
fn with_closed_pipes(command: &mut Command) -> Option<i32> {
    let closed = || std::io::pipe().unwrap().1;
    let status = command
        .stdin(Stdio::null())
        .stdout(closed())
        .stderr(closed())
        .status();
    status.unwrap().code()
}

#[test]
fn a_reader_that_leaves_changes_no_outcome() {
    let desk = Desk::new();
    desk.write("inbox/a.txt", "a");
    desk.write("bad.toml", "no TOML");
    let local = ["local", "--inbox", "inbox", "--results", "results", "--once"];
    let failing = [&local[..], &["--command", "false"]].concat();
    assert_eq!(with_closed_pipes(&mut desk.command(&failing)), Some(1));
    assert!(desk.path("results/a.txt.error.txt").exists());
    assert_eq!(with_closed_pipes(&mut desk.command(&["init", "mine"])), Some(0));
    assert!(desk.path("mine/roles/watcher.toml").exists());
    assert_eq!(
        with_closed_pipes(&mut desk.command(&["check", "bad.toml"])),
        Some(78)
    );
    let json = ["check", "mine", "--format", "json"];
    assert_eq!(with_closed_pipes(&mut desk.command(&json)), Some(74));
}

#[test]
fn a_file_that_is_far_too_large_is_no_role() {
    let desk = Desk::new();
    desk.write("huge.toml", &"# more\n".repeat(200_000));
    insta::assert_snapshot!(desk.seen(&["check", "huge.toml"]), @r"
    exit code 78
    error: huge.toml is no pipeline or role: it is larger than 1048576 bytes
    --> huge.toml
     = help: name a TOML file that exists and that you may read
    ");
}

/// Files under a folder that others than their owner can get at.
fn exposed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let shared = entries.filter(|path| fs::metadata(path).unwrap().permissions().mode() & 0o077 != 0);
    shared
        .flat_map(|path| if path.is_dir() { exposed(&path) } else { vec![path] })
        .collect()
}

#[test]
fn what_is_kept_in_a_folder_that_others_may_read_is_its_owners_alone() {
    let desk = Desk::new();
    desk.write("inbox/a.txt", "a");
    for folder in ["state", "state/stack"] {
        fs::create_dir(desk.path(folder)).unwrap();
        fs::set_permissions(desk.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let local = [
        "local",
        "--inbox",
        "inbox",
        "--results",
        "results",
        "--state",
        "state",
        "--once",
    ];
    assert_eq!(desk.run(&local).status.code(), Some(0));
    assert_eq!(exposed(&desk.path("state")), Vec::<PathBuf>::new());
}
