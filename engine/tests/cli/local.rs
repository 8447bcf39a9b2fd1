//! `roundtrip local` beside itself, and what it tells programs.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::desk::{Desk, Running, Services, assert_seen, until_exists};

const LOCAL: &[&str] = &[
    "local",
    "--inbox",
    "inbox",
    "--results",
    "results",
    "--state",
    "state",
];

#[test]
fn a_state_folder_has_one_process() {
    let desk = Desk::new();
    desk.write("inbox/a.txt", "first");
    let first = desk
        .command(LOCAL)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = Running(first);
    until_exists(&desk.path("results/a.txt.json"));
    let seen = desk.seen(LOCAL).replace(&first.0.id().to_string(), "[process]");
    assert_seen!(seen, @r"
    exit code 75
    Error: state/stack is in use by another stack (process [process])
    Hint: stop that process, or give --state another folder
    ");
    drop(first);
    assert_eq!(
        desk.run(&[LOCAL, &["--once"]].concat()).status.code(),
        Some(0),
        "a lock dies with its process"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_has_one_client() {
    let services = Services::start().await;
    let desk = Desk::new().with(&services);
    let client = ["run", "client", "--state", "state"];
    let first = desk
        .command(&client)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = Running(first);
    // The ledger is open when the results folder was made.
    until_exists(&desk.path("results"));
    let seen = desk.seen(&client).replace(&first.0.id().to_string(), "[process]");
    assert_seen!(seen, @r"
    exit code 75
    Error: another roundtrip uses the state folder of state/ledger.sqlite
    Hint: wait until it has ended, or choose another folder with --state
    ");
}

#[test]
fn outcomes_are_lines_of_json_for_programs() {
    let desk = Desk::new();
    desk.write("inbox/good.txt", "good");
    desk.write("inbox/line\nbreak.txt", "good");
    desk.write("inbox/bad.txt", "bad");
    let command = ["--command", "grep good", "--once", "--format", "json"];
    let output = desk.run(&[LOCAL, &command].concat());
    assert_eq!(output.status.code(), Some(1));
    let out = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"error":"exit status 1","error_file":"results/bad.txt.error.txt","file":"bad.txt"}
    {"file":"good.txt","result":"results/good.txt.txt"}
    {"file":"line\nbreak.txt","result":"results/line\nbreak.txt.txt"}
    "#);
}

#[test]
fn outcomes_are_lines_for_people() {
    let desk = Desk::new();
    desk.write("inbox/day 1/line\nbreak.txt", "good");
    assert_seen!(desk.seen(&[LOCAL, &["--once"]].concat()), @r"
    exit code 0
    day 1/line\nbreak.txt -> results/day 1/line\nbreak.txt.json
    ---
    uploading day 1/line\nbreak.txt (4 B)
    analysing day 1/line\nbreak.txt
    done      day 1/line\nbreak.txt
    0 waiting, 0 uploading, 0 queued, 0 analysing, 1 done
    ");
    assert_seen!(desk.seen(&[LOCAL, &["--once"]].concat()), @r"
    exit code 0
    nothing to do: no file is new or changed since it was sent
    ");
}

#[test]
fn a_stop_before_everything_is_done_asks_to_try_again() {
    let desk = Desk::new();
    desk.write("inbox/long.txt", "takes long");
    let slow = ["--once", "--command", "sh -c 'touch begun; exec sleep 300'"];
    let local = desk
        .command(&[LOCAL, &slow].concat())
        .stderr(Stdio::null())
        .spawn();
    let mut local = Running(local.unwrap());
    until_exists(&desk.path("begun"));
    kill_process(Pid::from_child(&local.0), Signal::INT).unwrap();
    assert_eq!(local.0.wait().unwrap().code(), Some(75));
    assert_eq!(desk.run(&[LOCAL, &["--once"]].concat()).status.code(), Some(0));
    assert!(desk.path("results/long.txt.json").exists());
}

#[test]
fn the_three_roles_of_local_agree_on_the_store() {
    let desk = Desk::new();
    desk.write("inbox/a.txt", "a");
    let set = [
        "--once",
        "--set",
        "store.shards=2",
        "--set",
        "store.bucket=another",
        "--set",
        "store.table=other-jobs",
    ];
    assert_eq!(desk.run(&[LOCAL, &set].concat()).status.code(), Some(0));
    assert!(desk.path("results/a.txt.json").exists());
    let blobs = std::fs::read_dir(desk.path("state/stack/s3/blobs")).unwrap();
    assert_eq!(
        blobs.count(),
        1,
        "the watcher found it where the fetcher left it; the name of the bucket's table stays"
    );
}

#[test]
fn the_folder_one_is_in_may_be_the_inbox() {
    let desk = Desk::new();
    desk.write("inbox/a.txt", "a");
    for _ in 0..2 {
        let mut local = desk.command(&["local", "--inbox", ".", "--results", "../results", "--once"]);
        let output = local.current_dir(desk.path("inbox")).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
    }
    let results: Vec<_> = std::fs::read_dir(desk.path("results")).unwrap().collect();
    assert_eq!(
        results.len(),
        1,
        "what is kept in .roundtrip is no file of the lab: {results:?}"
    );
}
