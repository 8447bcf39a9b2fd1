//! Services that are missing, away or refuse are told apart, by message and by exit code.

use crate::desk::{Desk, Services, assert_seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_set_up_is_named() {
    let services = Services::start().await;
    let mut desk = Desk::new().with(&services);
    desk.set("ROUNDTRIP_BUCKET", "nowhere");
    assert_seen!(desk.seen(&["run", "client"]), @r"
    exit code 78
    Error: cannot use the bucket `nowhere`: it does not exist
    Hint: make it with `roundtrip setup`, or correct the name
    ");
    desk.set("ROUNDTRIP_BUCKET", "roundtrip");
    desk.set("ROUNDTRIP_TABLE", "no-such-table");
    assert_seen!(desk.seen(&["run", "watcher"]), @r"
    exit code 78
    Error: cannot use the table `no-such-table`: it does not exist
    Hint: make it with `roundtrip setup`, or correct the name
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_no_passing_trouble() {
    let services = Services::start().await;
    let mut desk = Desk::new().with(&services);
    desk.set("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_seen!(desk.seen(&["run", "watcher"]), @r"
    exit code 78
    Error: cannot use the bucket `roundtrip`: SignatureDoesNotMatch (HTTP 403)
    Hint: check the AWS credentials and what they are allowed to do; for the embedded stack, use the lines that `roundtrip stack` prints
    ");
    let mut desk = Desk::new().with(&services);
    desk.set("AWS_ACCESS_KEY_ID", "UNKNOWN");
    assert_seen!(desk.seen(&["run", "client"]), @r"
    exit code 78
    Error: cannot use the bucket `roundtrip`: NotSignedUp: Your account is not signed up
    Hint: check the AWS credentials and what they are allowed to do; for the embedded stack, use the lines that `roundtrip stack` prints
    ");
}

#[test]
fn services_that_are_away_may_come_back() {
    let mut desk = Desk::new();
    desk.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    desk.set("AWS_REGION", "us-east-1");
    desk.set("AWS_ACCESS_KEY_ID", "A");
    desk.set("AWS_SECRET_ACCESS_KEY", "S");
    assert_seen!(desk.seen(&["run", "client"]), @r"
    exit code 75
    Error: cannot look at the table `roundtrip-jobs`: the service cannot be reached (Connection refused (os error 111))
    Hint: check that the service is up and reachable, then try again; AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_DYNAMODB_STREAMS, where set, say where it is
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_that_is_not_there() {
    let services = Services::start().await;
    let desk = Desk::new().with(&services);
    let ready = "analyse.sink.processor.ready=10ms";
    let url = "analyse.sink.processor.url=http://127.0.0.1:1/";
    assert_seen!(desk.seen(&["run", "fetcher", "--set", url, "--set", ready]), @r"
    exit code 75
    Error: the processor at http://127.0.0.1:1/ is not there
    Caused by: Connection refused (os error 111)
    Hint: start it, or set `sink.processor.url` to where it listens; `sink.processor.ready` says how long to wait for it
    ");
    assert_seen!(desk.seen(&["run", "fetcher", "--set", "analyse.sink.processor.command=no-such-program {file}"]), @r"
    exit code 78
    Error: the processor's command `no-such-program` is not there, or may not be run
    Hint: `sink.processor.command` names a program on PATH, or the path of one with its executable bit set
    ");
    assert_seen!(desk.seen(&["run", "fetcher"]), @r#"
    exit code 78
    Error: role <shipped>/roles/fetcher.toml has 1 fault

    error: `sink.processor` names no processor
      --> <shipped>/pipelines/analyse.toml:27:7
       |
    27 | [sink.processor]
       |       ^^^^^^^^^
       |
       = help: set one: --set analyse.sink.processor.url=http://127.0.0.1:8000/ or --set analyse.sink.processor.command="analyse {file}" or --set analyse.sink.processor.builtin=fingerprint
       = help: in a role: sink.processor.url = "http://127.0.0.1:8000/" below the pipeline's table
    "#);
}
