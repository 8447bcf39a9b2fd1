//! The program: `roundtrip stack` and `roundtrip setup` as processes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use roundtrip::cloud::{Clients, setup};
use roundtrip::stack::Endpoints;
use rustix::process::{Pid, Signal, kill_process};

use crate::{BUCKET, TABLE, wire_key};

/// A `roundtrip stack` process, killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    exports: HashMap<String, String>,
}

impl Process {
    pub(crate) fn start(state: &Path) -> Self {
        let mut child = program(["stack", "--state", state.to_str().unwrap()], [])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut exports = HashMap::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "# ready" {
                break;
            }
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            exports.insert(name.to_owned(), value.trim_matches('\'').to_owned());
        }
        assert_eq!(exports.len(), 8, "{exports:?}");
        Self { child, exports }
    }

    pub(crate) async fn clients(&self) -> Clients {
        let value = |name: &str| self.exports[name].clone();
        Clients::for_endpoints(&Endpoints {
            s3: value("AWS_ENDPOINT_URL_S3"),
            dynamodb: value("AWS_ENDPOINT_URL_DYNAMODB"),
            region: value("AWS_REGION"),
            access_key: value("AWS_ACCESS_KEY_ID"),
            secret_key: value("AWS_SECRET_ACCESS_KEY"),
        })
        .await
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) -> std::process::ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in an environment of its own: nothing of the tester's AWS settings reaches it.
fn program<'a, const N: usize, const M: usize>(
    arguments: [&str; N],
    environment: [(&'a str, &'a str); M],
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
    command.args(arguments).env_clear().envs([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nonexistent/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
    ]);
    command.envs(environment);
    command
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), read(&output.stdout), read(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut process = Process::start(state.path());
        let clients = process.clients().await;
        setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
        let count = AtomicUsize::new(0);
        let enough = tokio::sync::Notify::new();
        let writers = join_all((0..4).map(|writer| write(&clients, round, writer, &count, &enough)));
        let killer = async {
            enough.notified().await;
            process.kill();
        };
        let (written, ()) = tokio::join!(writers, killer);

        let process = Process::start(state.path());
        let clients = process.clients().await;
        for name in written.into_iter().flatten() {
            acknowledged += 1;
            let object = clients
                .s3
                .get_object()
                .bucket(BUCKET)
                .key(wire_key(&name))
                .send()
                .await
                .unwrap();
            assert_eq!(
                object.body.collect().await.unwrap().to_vec(),
                name.repeat(5000).into_bytes()
            );
            let item = clients
                .dynamodb
                .get_item()
                .table_name(TABLE)
                .set_key(Some(key(&name)))
                .send()
                .await
                .unwrap();
            assert!(item.item.is_some(), "{name}");
        }
        let listed = clients.s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        let bodies = std::fs::read_dir(state.path().join("s3/blobs")).unwrap().count();
        // A write may have happened without its acknowledgement; a body without a row may not.
        assert_eq!(bodies, listed.contents().len());
        assert!(process.terminate().success());
    }
    assert!(acknowledged >= 60, "{acknowledged}");
}

fn key(name: &str) -> HashMap<String, AttributeValue> {
    [("client", "client-04"), ("file", name)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), AttributeValue::S(value.to_owned())))
        .collect()
}

/// Writes an object and an item in turn until the stack is gone. Returns what was acknowledged of both.
async fn write(
    clients: &Clients,
    round: usize,
    writer: usize,
    count: &AtomicUsize,
    enough: &tokio::sync::Notify,
) -> Vec<String> {
    let mut written = Vec::new();
    loop {
        let name = format!("{round}-{writer}-{}", written.len());
        let put = clients.s3.put_object().bucket(BUCKET).key(wire_key(&name));
        if put
            .body(name.repeat(5000).into_bytes().into())
            .send()
            .await
            .is_err()
        {
            return written;
        }
        let put = clients
            .dynamodb
            .put_item()
            .table_name(TABLE)
            .set_item(Some(key(&name)));
        if put.send().await.is_err() {
            return written;
        }
        written.push(name);
        if count.fetch_add(1, Ordering::Relaxed) == 20 {
            enough.notify_one();
        }
    }
}

#[test]
fn a_folder_has_one_stack() {
    let state = tempfile::tempdir().unwrap();
    let process = Process::start(state.path());
    let second = program(["stack", "--state", state.path().to_str().unwrap()], [])
        .output()
        .unwrap();
    let (code, out, error) = text(&second);
    assert_eq!((code, out.as_str()), (Some(75), ""));
    let holder = format!("in use by another stack (process {})", process.child.id());
    assert!(error.contains(&holder), "{error}");
    assert!(process.terminate().success());
    // The keys stay, and stay private.
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &state
            .path()
            .join("credentials.json")
            .metadata()
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(Process::start(state.path()).terminate().success());
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_stack() {
    let state = tempfile::tempdir().unwrap();
    let mut child = program(["stack", "--state", state.path().to_str().unwrap()], [])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let database = state.path().join("dynamodb.sqlite");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !database.exists() {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline);
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn the_stack_listens_on_this_machine_only() {
    let state = tempfile::tempdir().unwrap();
    let process = Process::start(state.path());
    let folder = format!("/proc/{}/fd", process.child.id());
    let sockets: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| {
            Some(
                link.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    let mut listening = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            // 0A is LISTEN.
            if fields[3] == "0A" && sockets.iter().any(|socket| socket == fields[9]) {
                listening.push(fields[1].split(':').next().unwrap().to_owned());
            }
        }
    }
    // 127.0.0.1 as the kernel writes it on a little-endian machine.
    assert_eq!(listening, ["0100007F", "0100007F"]);
}

#[test]
fn setup_reaches_the_stack_past_a_proxy() {
    let state = tempfile::tempdir().unwrap();
    let process = Process::start(state.path());
    let run = |format: &str| {
        let mut command = program(
            ["setup", "--format", format],
            [("HTTP_PROXY", "http://127.0.0.1:1")],
        );
        command
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .env("ALL_PROXY", "http://127.0.0.1:1");
        text(&command.envs(&process.exports).output().unwrap())
    };
    let (code, out, error) = run("text");
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.starts_with("made      table `roundtrip-jobs`\n"), "{out}");
    let (code, out, error) = run("json");
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["steps"][0]["outcome"], "found");
}

#[test]
fn other_machines_are_reached_through_the_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut start = [0; 64];
        let read = stream.read(&mut start).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        String::from_utf8_lossy(&start[..read]).into_owned()
    });
    let mut command = program(["setup"], [("HTTP_PROXY", url.as_str())]);
    command.env("AWS_ENDPOINT_URL", "http://services.invalid:8000");
    command
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "A")
        .env("AWS_SECRET_ACCESS_KEY", "S");
    let (code, _, error) = text(&command.output().unwrap());
    assert_eq!(code, Some(78), "{error}");
    let start = asked.join().unwrap();
    assert!(
        start.starts_with("POST http://services.invalid:8000/ "),
        "{start}"
    );
}

#[test]
fn what_is_missing_is_named_at_once() {
    let began = Instant::now();
    let (code, _, error) = text(&program(["setup"], []).output().unwrap());
    assert_eq!(code, Some(78));
    insta::assert_snapshot!(error, @r"
    Error: no AWS region is configured
    Hint: set AWS_REGION, or region in the AWS profile; for the embedded stack, use the lines that `roundtrip stack` prints
    ");
    let (code, _, error) = text(
        &program(["setup"], [("AWS_REGION", "us-east-1")])
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(78));
    assert!(
        error.starts_with("Error: no AWS credentials are configured\n"),
        "{error}"
    );
    assert!(
        error.contains("\nHint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        "{error}"
    );
    let mut command = program(["setup"], [("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]);
    command
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "A")
        .env("AWS_SECRET_ACCESS_KEY", "S");
    let (code, _, error) = text(&command.output().unwrap());
    assert_eq!(code, Some(75));
    insta::assert_snapshot!(error, @r"
    Error: cannot look at the table `roundtrip-jobs`: the service cannot be reached (Connection refused (os error 111))
    Hint: check that the service is up and reachable, then try again; AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_DYNAMODB_STREAMS, where set, say where it is
    ");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_stack_listens_where_it_did_last_unless_somebody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path());
    let endpoint = "AWS_ENDPOINT_URL_S3";
    let (last, key) = (
        first.exports[endpoint].clone(),
        first.exports["AWS_ACCESS_KEY_ID"].clone(),
    );
    assert!(first.terminate().success());

    let again = Process::start(folder.path());
    assert_eq!(
        (&again.exports[endpoint], &again.exports["AWS_ACCESS_KEY_ID"]),
        (&last, &key)
    );
    assert!(again.terminate().success());

    let _taken = TcpListener::bind(last.strip_prefix("http://").unwrap()).unwrap();
    let elsewhere = Process::start(folder.path());
    assert_ne!(elsewhere.exports[endpoint], last);
}
