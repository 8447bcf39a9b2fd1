//! `roundtrip record` beside the running system: what it writes, what it hides, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::desk::{Desk, Running, Services, until_exists};

/// What nobody should read in a redacted recording.
const SECRET: &str = "Ada Lovelace";

fn desk(services: &Services) -> Desk {
    let mut desk = Desk::new().with(services);
    desk.set("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", services.dynamodb());
    // A bucket whose name says something, unlike `roundtrip`.
    desk.set("ROUNDTRIP_BUCKET", "ada-lab");
    assert_eq!(desk.run(&["setup"]).status.code(), Some(0));
    desk
}

fn started(mut command: Command) -> Running {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    Running(quiet.spawn().unwrap())
}

fn interrupt(program: &Running) {
    let id = Pid::from_raw(program.0.id().try_into().unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
}

/// Three roles as processes bring two files to their results and a third to its error.
fn three_jobs(desk: &Desk) {
    for name in ["a.txt", "b.txt", "fails.txt"] {
        desk.write(&format!("inbox/{name}"), &format!("{SECRET}, {name}"));
    }
    desk.write(
        "analyse.sh",
        "if grep -q fails \"$1\"; then cat \"$1\" >&2; exit 1; fi\nsha256sum < \"$1\"\n",
    );
    let script = desk.path("analyse.sh");
    let command = format!(
        "analyse.sink.processor.command=sh {} {{file}}",
        script.to_str().unwrap()
    );
    let run = |role, set: &[&str]| {
        started(desk.command(&[&["run", role, "--state", &format!("state-{role}")], set].concat()))
    };
    let inbox = "upload.source.directory.path=inbox";
    let settle = "upload.source.directory.settle=100ms";
    let results = "receive.sink.directory.path=results";
    let _client = run("client", &["--set", inbox, "--set", settle, "--set", results]);
    let _fetcher = run("fetcher", &["--set", &command]);
    for name in ["a.txt.txt", "b.txt.txt", "fails.txt.error.txt"] {
        until_exists(&desk.path(&format!("results/{name}")));
    }
}

/// The lines of a recording: the first, which says what it is, and the records.
fn lines(text: &str) -> (Value, Vec<Value>) {
    assert!(text.ends_with("}\n"), "the last line is whole");
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.next().unwrap(), lines.collect())
}

fn text<'r>(record: &'r Value, image: &str, name: &str) -> &'r str {
    record["dynamodb"][image][name]["S"].as_str().unwrap_or_default()
}

/// The records of jobs: what happened to each file.
fn by_file(records: &[Value]) -> BTreeMap<&str, Vec<&str>> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in records {
        if text(record, "Keys", "client").starts_with("client-") {
            let status = text(record, "NewImage", "status");
            files
                .entry(text(record, "Keys", "file"))
                .or_default()
                .push(status);
        }
    }
    files
}

/// Every text in the images of jobs that tells of somebody or something.
fn personal(records: &[Value]) -> BTreeSet<&str> {
    let names = [
        "client",
        "file",
        "bucket",
        "results",
        "error",
        "signature",
        "outline",
        "outline_signature",
    ];
    let jobs = records
        .iter()
        .filter(|record| text(record, "Keys", "client").starts_with("client-"));
    let texts = jobs.flat_map(|record| names.map(|name| text(record, "NewImage", name)));
    texts.filter(|text| !text.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_has_every_record_and_a_redacted_one_names_nobody() {
    let services = Services::start().await;
    let desk = desk(&services);
    three_jobs(&desk);

    let record = |options: &[&str]| {
        let output = desk.run(&[&["record", "--from-start", "--for", "1s", "--out"], options].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(record(&["x.jsonl.zst", "--redact"]), "");
    let redacted = zstd::decode_all(File::open(desk.path("x.jsonl.zst")).unwrap()).unwrap();
    let redacted = String::from_utf8(redacted).unwrap();
    let (header, hidden) = lines(&redacted);
    let origin = header["recording"]["origin"].as_str().unwrap();
    assert!(origin.ends_with(", redacted"), "{origin}");

    // The same stream as it is, on standard output: it tells what is to be hidden.
    let plain = record(&["-"]);
    let (_, records) = lines(&plain);
    assert_eq!(hidden.len(), records.len());
    let files = by_file(&records);
    assert_eq!(files.len(), 3);
    let ended: Vec<&str> = files.values().map(|statuses| *statuses.last().unwrap()).collect();
    assert_eq!(
        ended.iter().filter(|status| **status == "COMPLETED").count(),
        2,
        "{ended:?}"
    );
    for statuses in files.values() {
        assert!(statuses.starts_with(&["QUEUED", "PROCESSING"]), "{statuses:?}");
    }
    let names = personal(&records);
    assert!(names.iter().any(|name| name.contains(SECRET)), "in an error");
    for name in names.iter().chain(&[SECRET]) {
        let as_json = serde_json::to_string(name).unwrap();
        let as_json = as_json.trim_matches('"');
        assert!(plain.contains(as_json), "{name}");
        assert!(!redacted.contains(as_json), "{name} is in the redacted recording");
    }

    // The same file goes by the same other name, in keys and images, and another file by another.
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (record, hidden) in records.iter().zip(&hidden) {
        assert_eq!(record["eventID"], hidden["eventID"]);
        for name in ["client", "file"] {
            names
                .entry(text(record, "Keys", name))
                .or_default()
                .insert(text(hidden, "Keys", name));
            if hidden["dynamodb"]["NewImage"].is_object() {
                assert_eq!(text(hidden, "NewImage", name), text(hidden, "Keys", name));
            }
        }
        let (status, was) = (
            text(record, "NewImage", "status"),
            text(hidden, "NewImage", "status"),
        );
        assert_eq!(status, was);
    }
    assert!(names.values().all(|others| others.len() == 1), "{names:?}");
    let others: BTreeSet<&str> = names.values().flatten().copied().collect();
    assert_eq!(others.len(), names.len());

    // Both replay to the same course.
    desk.write("plain.jsonl", &plain);
    for recording in ["plain.jsonl", "x.jsonl.zst"] {
        let replayed = desk.run(&["replay", recording, "--role", "watcher"]);
        assert_eq!(replayed.status.code(), Some(0));
        let decisions = String::from_utf8(replayed.stdout).unwrap();
        assert_eq!(decisions.matches(" cleaned ").count(), 3, "{decisions}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_stopped_is_whole() {
    let services = Services::start().await;
    let desk = desk(&services);
    for out in ["a.jsonl", "a.jsonl.zst"] {
        let mut recorder = started(desk.command(&["record", "--from-start", "--out", out]));
        until_exists(&desk.path(out));
        if out == "a.jsonl" {
            three_jobs(&desk);
        }
        interrupt(&recorder);
        assert_eq!(recorder.0.wait().unwrap().code(), Some(0));
        let text = std::fs::read(desk.path(out)).unwrap();
        let text = if out == "a.jsonl" {
            text
        } else {
            zstd::decode_all(&*text).unwrap()
        };
        let text = String::from_utf8(text).unwrap();
        assert_eq!(by_file(&lines(&text).1).len(), 3, "{out}");
    }
}
