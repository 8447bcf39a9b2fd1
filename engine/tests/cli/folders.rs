//! Folders that cannot be used are refused at the start, with the key to change.

use crate::desk::{Desk, Services, assert_seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_cannot_be_used() {
    let services = Services::start().await;
    let desk = Desk::new().with(&services);
    desk.write("file", "no folder");

    assert_seen!(desk.seen(&["run", "client", "--set", "receive.sink.directory.path=file/results"]), @r"
    exit code 78
    Error: results cannot be written to file/results
    Caused by: Not a directory (os error 20)
    Hint: name a folder that this user may write: `sink.directory.path`, or --results of `roundtrip local`
    ");
    assert_seen!(desk.seen(&["run", "client", "--set", "upload.source.directory.path=missing"]), @r"
    exit code 78
    Error: the folder missing cannot be read
    Caused by: No such file or directory (os error 2)
    Hint: make it and allow reading, or name another one: `source.directory.path`, or --inbox of `roundtrip local`
    ");
    assert_seen!(desk.seen(&["run", "client", "--set", "upload.source.directory.path=file"]), @r"
    exit code 78
    Error: the folder file cannot be read
    Caused by: Not a directory (os error 20)
    Hint: make it and allow reading, or name another one: `source.directory.path`, or --inbox of `roundtrip local`
    ");
    assert_seen!(desk.seen(&["run", "client", "--set", "receive.sink.directory.path=inbox/results"]), @r"
    exit code 78
    Error: role <shipped>/roles/client.toml has 1 fault

    error: results in inbox/results would be uploaded again: `upload` takes the files of inbox
    --> --set receive.sink.directory.path=inbox/results
     = help: choose a folder outside, or exclude it there: source.directory.exclude
    ");
    assert_seen!(desk.seen(&["run", "client", "--state", "inbox/state"]), @r"
    exit code 78
    Error: the state folder [desk]/inbox/state/ lies in the watched folder [desk]/inbox/
    Hint: name a folder outside of it with --state
    ");
    assert_seen!(desk.seen(&["run", "client", "--state", "file/state"]), @r"
    exit code 78
    Error: the state folder file/state cannot be made
    Caused by: Not a directory (os error 20)
    Hint: name a folder that this user may write with --state
    ");
}

#[test]
fn folders_that_local_cannot_use() {
    let desk = Desk::new();
    desk.write("file", "no folder");
    assert_seen!(desk.seen(&["local", "--inbox", "inbox", "--results", "file/results", "--once"]), @r"
    exit code 78
    Error: results cannot be written to file/results
    Caused by: Not a directory (os error 20)
    Hint: name a folder that this user may write: `sink.directory.path`, or --results of `roundtrip local`
    ");
    assert_seen!(desk.seen(&["local", "--inbox", "missing", "--results", "results", "--once"]), @r"
    exit code 78
    Error: the folder missing cannot be read
    Caused by: No such file or directory (os error 2)
    Hint: make it and allow reading, or name another one: `source.directory.path`, or --inbox of `roundtrip local`
    ");
    assert_seen!(desk.seen(&["local", "--inbox", "inbox", "--results", "inbox/results", "--once"]), @r#"
    exit code 78
    Error: role <shipped>/roles/client.toml has 1 fault

    error: results in inbox/results would be uploaded again: `upload` takes the files of inbox
    --> --set receive.sink.directory.path="inbox/results"
     = help: choose a folder outside, or exclude it there: source.directory.exclude
    "#);
    assert_seen!(desk.seen(&["local", "--inbox", "inbox", "--results", "inbox", "--once"]), @r#"
    exit code 78
    Error: role <shipped>/roles/client.toml has 1 fault

    error: results in inbox would be uploaded again: `upload` takes the files of inbox
    --> --set receive.sink.directory.path="inbox"
     = help: choose a folder outside, or exclude it there: source.directory.exclude
    "#);
    assert_seen!(desk.seen(&["local", "--inbox", "inbox", "--results", "results", "--state", "file/state"]), @r"
    exit code 78
    Error: cannot use file/state/stack for the stack's state
    Caused by: Not a directory (os error 20)
    Hint: give --state a folder this user may write to
    ");
}
