//! A role that is not right is refused before anything is reached or made.

use crate::desk::{Desk, assert_seen};

/// A desk with a role of one pipeline.
fn desk(pipeline: &str) -> Desk {
    let desk = Desk::new();
    desk.write(
        "roles/lab.toml",
        "name = \"lab\"\n\n[pipelines.scans]\nuse = \"../pipelines/scans.toml\"\n",
    );
    desk.write("pipelines/scans.toml", pipeline);
    desk
}

const RUN: &[&str] = &["run", "roles/lab.toml"];

#[test]
fn a_mistyped_key() {
    let desk =
        desk("name = \"scans\"\n\n[source.directory]\npath = \"inbox\"\nsetle = \"2s\"\n\n[sink.jobs]\n");
    assert_seen!(desk.seen(RUN), @r#"
    exit code 78
    Error: role roles/lab.toml has 2 faults

    error: `setle` is not a key of [source.directory]
     --> roles/../pipelines/scans.toml:5:1
      |
    5 | setle = "2s"
      | ^^^^^
      |
      = help: did you mean `settle`?
      = help: known here: `path`, `include`, `exclude`, `hidden`, `settle`, `settle-max`, `rescan`, `watch`, `files-max`, `waiting-max`

    error: `sink.jobs` takes a stored file, but `source.directory` gives a file
     --> roles/../pipelines/scans.toml:7:7
      |
    7 | [sink.jobs]
      |       ^^^^
      |
      = help: add [chunker.fixed], [codec.zstd] and [transport.s3]
    "#);
    assert!(
        !desk.path(".roundtrip").exists(),
        "nothing is made for a role that cannot run"
    );
}

#[test]
fn a_wrong_unit() {
    let desk = desk(
        "name = \"scans\"\n\n[source.directory]\npath = \"inbox\"\nsettle = \"2 MiB\"\n\n[chunker.fixed]\nsize = \"8 minutes\"\n\n\
         [codec.zstd]\n[transport.s3]\n[sink.jobs]\n[retry]\n",
    );
    assert_seen!(desk.seen(RUN), @r#"
    exit code 78
    Error: role roles/lab.toml has 2 faults

    error: `source.directory.settle`: "2 MiB" is not a time
     --> roles/../pipelines/scans.toml:5:10
      |
    5 | settle = "2 MiB"
      |          ^^^^^^^
      |
      = help: a time is a number and a unit: ms, s, m, h or d, such as "5m"

    error: `chunker.fixed.size`: "8 minutes" is not a size
     --> roles/../pipelines/scans.toml:8:8
      |
    8 | size = "8 minutes"
      |        ^^^^^^^^^^^
      |
      = help: a size is a number and a unit: B, KiB, MiB, GiB (powers of 1024) or KB, MB, GB (powers of 1000), such as "8 MiB"
    "#);
}

#[test]
fn a_missing_sink() {
    let desk = desk("name = \"scans\"\n\n[source.directory]\npath = \"inbox\"\n\n[chunker.fixed]\n");
    assert_seen!(desk.seen(RUN), @r"
    exit code 78
    Error: role roles/lab.toml has 1 fault

    error: the pipeline has no sink
     --> roles/lab.toml:3:12
      |
    3 | [pipelines.scans]
      |            ^^^^^
      |
      = help: add one of [sink.jobs], [sink.processor], [sink.directory], [sink.delete], [sink.requeue], [sink.admit], [sink.metrics], [sink.sweep]
    ");
}

#[test]
fn a_sink_that_does_not_fit() {
    let desk = desk("name = \"scans\"\n\n[source.directory]\npath = \"inbox\"\n\n[sink.delete]\n");
    assert_seen!(desk.seen(RUN), @r#"
    exit code 78
    Error: role roles/lab.toml has 1 fault

    error: `sink.delete` takes a finished job's objects, but `source.directory` gives a file of this machine: no stages lead from one to the other
     --> roles/../pipelines/scans.toml:6:7
      |
    6 | [sink.delete]
      |       ^^^^^^
      |
      = help: `sink.delete` goes with [source.jobs] with lane = "done"
    "#);
}

#[test]
fn a_value_from_the_command_line() {
    let desk = Desk::new();
    let set = ["run", "client", "--set", "upload.source.directory.settle=2"];
    assert_seen!(desk.seen(&set), @r#"
    exit code 78
    Error: role <shipped>/roles/client.toml has 1 fault

    error: `source.directory.settle`: 2 has no unit
    --> --set upload.source.directory.settle=2
     = help: write "2s" for seconds or "2ms" for milliseconds
    "#);
    let set = [
        "local",
        "--inbox",
        "inbox",
        "--results",
        "results",
        "--set",
        "analise.claim.lease=1m",
    ];
    assert_seen!(desk.seen(&set), @r"
    exit code 78
    Error: --set analise.claim.lease=1m: there is no pipeline `analise` here
    Hint: set a value of upload, receive, analyse, cleanup, restart-stalled, admit, sweep or queue-length, or of store, identity or stream
    ");
}

#[test]
fn a_role_that_is_not_there() {
    assert_seen!(Desk::new().seen(&["run", "fetchr"]), @r"
    exit code 78
    Error: role fetchr has 1 fault

    error: there is no role `fetchr`
    --> fetchr
     = help: did you mean `fetcher`?
     = help: name a role file, or a shipped role: client, fetcher, watcher
    ");
}

#[test]
fn bad_usage() {
    let desk = Desk::new();
    for arguments in [
        &["local"] as &[&str],
        &["local", "--inbox", "inbox", "--results"],
        &[
            "local",
            "--inbox",
            "inbox",
            "--results",
            "out",
            "--processor",
            "http://h/",
            "--command",
            "cat",
        ],
        &["run"],
        &["run", "client", "--onse"],
        &["fetch"],
        &[],
    ] {
        let output = desk.run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        let output = desk.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
    assert_seen!(desk.seen(&["run", "client", "--onse"]), @r"
    exit code 64
    error: unexpected argument '--onse' found

      tip: a similar argument exists: '--once'

    Usage: roundtrip run --once <ROLE>

    For more information, try '--help'.
    ");
}
