//! Replay at the edge: what differs between two roles, what a broken recording says, and recordings as tests.

use std::path::Path;

use crate::desk::{Desk, Services};

/// A desk with one of the repository's recordings as `recording.jsonl`, and copies of the shipped roles.
fn desk(recording: &str) -> Desk {
    let desk = Desk::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/recordings");
    let text = std::fs::read_to_string(folder.join(recording)).unwrap();
    desk.write("recording.jsonl", &text);
    assert!(desk.run(&["init", "lab"]).status.success());
    desk
}

fn against(desk: &Desk, role: &str, set: &[&str]) -> String {
    let (new, old) = (format!("lab/roles/{role}.toml"), role);
    let mut arguments = vec!["replay", "recording.jsonl", "--role", &new, "--against", old];
    for set in set {
        arguments.extend(["--set", set]);
    }
    desk.seen(&arguments)
}

#[test]
fn an_unchanged_copy_decides_the_same() {
    let desk = desk("busy-minutes.jsonl");
    let seen = "exit code 0\nno decision differs\n---\n";
    for role in ["watcher", "client"] {
        assert_eq!(against(&desk, role, &[]), seen, "{role}");
    }
}

#[test]
fn fewer_attempts_for_lost_jobs() {
    let desk = desk("poison-job.jsonl");
    let seen = against(&desk, "watcher", &["restart-stalled.retry.attempts-max=3"]);
    insta::assert_snapshot!(seen);
}

#[test]
fn smaller_chunks() {
    let desk = desk("one-job.jsonl");
    insta::assert_snapshot!(against(&desk, "client", &["upload.chunker.fixed.size=1 MiB"]));
}

#[test]
fn one_more_threshold_over_a_month() {
    let desk = desk("one-job.jsonl");
    let old = "name = \"old\"\n[pipelines.queue-length]\n";
    let notice = "notify.any = { metric = \"JobsReady\", above = 0.5, log = \"info\" }\n";
    desk.write("old.toml", old);
    desk.write("new.toml", &format!("{old}{notice}"));
    let until = "2026-03-27T00:00:00Z";
    let seen = desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "new.toml",
        "--against",
        "old.toml",
        "--until",
        until,
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn what_no_recording_tells_is_said() {
    let desk = desk("one-job.jsonl");
    let role = |feed: &str| {
        format!(
            "name = \"one\"\n[pipelines.analyse]\nsink.processor.builtin = \"fingerprint\"\nclaim.feed = \"{feed}\"\n"
        )
    };
    desk.write("old.toml", &role("complete"));
    desk.write("new.toml", &role("streaming"));
    let seen = desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "new.toml",
        "--against",
        "old.toml",
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn a_longer_lease() {
    let desk = desk("lost-after-the-claim.jsonl");
    desk.write(
        "new.toml",
        "name = \"new\"\n[pipelines.analyse]\nclaim.lease = \"15m\"\n",
    );
    let seen = desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "new.toml",
        "--against",
        "fetcher",
    ]);
    insta::assert_snapshot!(seen);
}

/// What differs for the jobs themselves comes first, and is told by itself; others are only taken at other moments.
#[test]
fn jobs_that_go_the_same_way() {
    let desk = desk("busy-minutes.jsonl");
    let seen = desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "fetcher",
        "--set",
        "analyse.claim.analyses-max=2",
        "--against",
        "fetcher",
    ]);
    let summary = seen.rsplit("\n\n").next().unwrap_or_default();
    insta::assert_snapshot!(summary);
}

#[test]
fn records_that_stay_for_another_time() {
    let desk = desk("lost-after-the-claim.jsonl");
    insta::assert_snapshot!(desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "watcher",
        "--set",
        "cleanup.sink.delete.retention=7d",
        "--against",
        "watcher",
    ]));
}

#[test]
fn results_that_are_looked_for_less_often() {
    let desk = desk("one-job.jsonl");
    let set = [
        "receive.source.results.interval=20s",
        "receive.source.results.interval-max=20s",
    ];
    insta::assert_snapshot!(against(&desk, "client", &set));
}

#[test]
fn less_time_for_an_analysis() {
    let desk = desk("one-job.jsonl");
    insta::assert_snapshot!(against(&desk, "fetcher", &["analyse.sink.processor.timeout=1s"]));
}

/// A job that waits for longer than it did goes on as it did, later: none of what was recorded of it is refused.
#[test]
fn a_job_that_is_taken_again_later_ends_as_it_did() {
    let desk = desk("lost-twice.jsonl");
    let mut replay = vec![
        "replay",
        "recording.jsonl",
        "--role",
        "watcher",
        "--against",
        "watcher",
    ];
    replay.extend([
        "--until",
        "2026-02-25T09:00:00Z",
        "--set",
        "restart-stalled.retry.jitter=none",
    ]);
    replay.extend(["--set", "restart-stalled.retry.interval=20m"]);
    replay.extend(["--set", "restart-stalled.retry.interval-max=20m"]);
    insta::assert_snapshot!(desk.seen(&replay));
}

/// What has no place waits for a later scan of the folder; it is not lost.
#[test]
fn fewer_files_that_wait() {
    let desk = desk("busy-minutes.jsonl");
    let seen = against(&desk, "client", &["upload.source.directory.waiting-max=1"]);
    let (_, summary) = seen.split_once("\n\n").unwrap();
    insta::assert_snapshot!(summary);
}

/// What comes only after the end of the replay is no difference for ever.
#[test]
fn what_would_still_come_is_said() {
    let desk = desk("foreign-fetcher.jsonl");
    let set = ["admit.source.foreign.every=1h"];
    let seen = against(&desk, "watcher", &set);
    let (_, summary) = seen.split_once("\n\n").unwrap();
    insta::assert_snapshot!(summary);
}

/// The lease of a job that is lost at the end of a recording ends after the replay.
#[test]
fn where_nothing_differs_jobs_whose_end_was_not_seen_are_told() {
    let desk = desk("lost-after-the-claim.jsonl");
    let text = std::fs::read_to_string(desk.path("recording.jsonl")).unwrap();
    let begin: Vec<&str> = text.lines().take(3).collect();
    desk.write("recording.jsonl", &begin.join("\n"));
    let until = ["--until", "2026-02-25T06:14:00Z"];
    let compare = [
        "replay",
        "recording.jsonl",
        "--role",
        "watcher",
        "--against",
        "watcher",
    ];
    insta::assert_snapshot!(desk.seen(&[&compare[..], &until].concat()));
}

#[test]
fn where_nothing_is_compared_nothing_is_shown_to_be_the_same() {
    let desk = desk("one-job.jsonl");
    desk.write("empty.jsonl", "");
    let other = r#"{"eventName":"INSERT","dynamodb":{"Keys":{"id":{"S":"7"}},"NewImage":{"id":{"S":"7"}}}}"#;
    desk.write("other.jsonl", other);
    let compare = |recording: &str, more: &[&str]| {
        let compare = ["replay", recording, "--role", "watcher", "--against", "watcher"];
        desk.seen(&[&compare[..], more].concat())
    };
    insta::assert_snapshot!(compare("empty.jsonl", &[]));
    insta::assert_snapshot!(compare("other.jsonl", &[]));
    insta::assert_snapshot!(compare("recording.jsonl", &["--until", "2020-01-01T00:00:00Z"]));
}

#[test]
fn the_recorded_course_is_kept() {
    let desk = desk("lost-after-the-claim.jsonl");
    let set = "queue-length.source.lanes.every=1h";
    let seen = desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "watcher",
        "--strict",
        "--set",
        set,
    ]);
    insta::assert_snapshot!(seen);
}

/// A failed job is marked and cleaned, though the role writes nothing; each is told once.
#[test]
fn what_is_not_done_has_consequences_that_are_told() {
    let desk = desk("poison-job.jsonl");
    insta::assert_snapshot!(desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "watcher",
        "--strict",
        "--set",
        "cleanup.sink.delete.retention=7d",
        "--against",
        "watcher",
    ]));
}

#[test]
fn decisions_for_programs() {
    let desk = desk("one-job.jsonl");
    let set = "queue-length.source.lanes.every=1h";
    let seen = desk.seen(&[
        "replay",
        "recording.jsonl",
        "--role",
        "watcher",
        "--format",
        "json",
        "--set",
        set,
        "--until",
        "2026-02-25T06:14:00Z",
    ]);
    insta::assert_snapshot!(seen);
}

#[test]
fn a_recording_that_is_none() {
    let desk = Desk::new();
    desk.write(
        "recording.jsonl",
        "{\"eventName\":\"INSERT\",\n\"dynamodb\":{\"Keys\":7}}\n",
    );
    insta::assert_snapshot!(desk.seen(&["replay", "recording.jsonl", "--role", "watcher"]));
    insta::assert_snapshot!(desk.seen(&["replay", "nowhere.jsonl", "--role", "watcher"]));
    insta::assert_snapshot!(desk.seen(&["replay", "-", "--role", "fetcher"]));
}

#[test]
fn recordings_of_ones_own_are_tests() {
    let desk = desk("lost-after-the-claim.jsonl");
    desk.write(
        "lab/tests/lost.jsonl",
        &std::fs::read_to_string(desk.path("recording.jsonl")).unwrap(),
    );
    desk.write(
        "lab/tests/ours.toml",
        "name = \"ours\"\npipelines = [\"cleanup\", \"restart-stalled\"]\n",
    );
    insta::assert_snapshot!(desk.seen(&["test", "lab/tests"]));
    insta::assert_snapshot!(desk.seen(&["test", "lab/tests", "--accept"]));
    insta::assert_snapshot!(desk.seen(&["test", "lab/tests"]));
    desk.write(
        "lab/tests/ours.toml",
        "name = \"ours\"\n[pipelines.cleanup]\n[pipelines.restart-stalled]\nretry.attempts-max = 1\n",
    );
    insta::assert_snapshot!(desk.seen(&["test", "lab/tests"]));
    insta::assert_snapshot!(desk.seen(&["test", "inbox"]));

    // A setting is for the roles that have its pipeline, and the fetcher needs no processor to decide.
    let both = [
        "test",
        "lab/tests",
        "--role",
        "fetcher",
        "--role",
        "watcher",
        "--set",
    ];
    insta::assert_snapshot!(desk.seen(&[&both[..], &["analyse.claim.lease=15m"]].concat()));
    insta::assert_snapshot!(desk.seen(&[&both[..], &["analize.claim.lease=15m"]].concat()));
}

/// A folder of recordings and a role of one's own, accepted as it is.
fn tests_of_ones_own() -> Desk {
    let desk = desk("one-job.jsonl");
    let recording = std::fs::read_to_string(desk.path("recording.jsonl")).unwrap();
    for name in ["a", "b"] {
        desk.write(&format!("tests/{name}.jsonl"), &recording);
    }
    desk.write("tests/ours.toml", "name = \"ours\"\npipelines = [\"cleanup\"]\n");
    assert_eq!(desk.run(&["test", "tests", "--accept"]).status.code(), Some(0));
    desk
}

#[test]
fn a_broken_role_of_ones_own_is_never_passed_over() {
    let desk = tests_of_ones_own();
    desk.write("tests/ours.toml", "name = \"ours\"\npipelins = [\"cleanup\"]\n");
    insta::assert_snapshot!(desk.seen(&["test", "tests"]));
    desk.write("tests/ours.toml", "pipelines = [[\"cleanup\"]\n");
    insta::assert_snapshot!(desk.seen(&["test", "tests"]));
    // A pipeline is no role; without any, it is the shipped watcher, and that is said.
    std::fs::rename(
        desk.path("lab/pipelines/cleanup.toml"),
        desk.path("tests/ours.toml"),
    )
    .unwrap();
    insta::assert_snapshot!(desk.seen(&["test", "tests"]));
}

#[test]
fn a_recording_that_cannot_be_read_keeps_nothing_from_the_others() {
    let desk = tests_of_ones_own();
    desk.write("tests/a.jsonl", "no recording\n");
    insta::assert_snapshot!(desk.seen(&["test", "tests"]));
}

#[test]
fn two_tests_never_share_a_snapshot() {
    let desk = tests_of_ones_own();
    desk.write("tests/a.jsonl.zst", "");
    insta::assert_snapshot!(desk.seen(&["test", "tests"]));
    let twice = [
        "test",
        "tests/b.jsonl",
        "--role",
        "watcher",
        "--role",
        "lab/roles/watcher.toml",
    ];
    insta::assert_snapshot!(desk.seen(&twice));
}

#[test]
fn a_snapshot_is_the_same_whatever_its_lines_end_in_and_stale_ones_are_named() {
    let desk = tests_of_ones_own();
    let accepted = std::fs::read_to_string(desk.path("tests/a.ours.decisions")).unwrap();
    assert!(accepted.lines().count() > 1, "{accepted}");
    desk.write("tests/a.ours.decisions", &accepted.replace('\n', "\r\n"));
    assert_eq!(desk.run(&["test", "tests"]).status.code(), Some(0));
    std::fs::remove_file(desk.path("tests/b.jsonl")).unwrap();
    std::fs::copy(
        desk.path("tests/a.ours.decisions"),
        desk.path("tests/a.theirs.decisions"),
    )
    .unwrap();
    insta::assert_snapshot!(desk.seen(&["test", "tests", "--accept"]));
    assert!(
        desk.path("tests/b.ours.decisions").exists(),
        "it is removed by its owner"
    );
    insta::assert_snapshot!(desk.seen(&["test", "tests", "--role", "tests/ours.toml"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_never_written_over() {
    let services = Services::start().await;
    let mut desk = Desk::new().with(&services);
    let endpoint = services.dynamodb().to_owned();
    desk.set("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", &endpoint);
    insta::assert_snapshot!(desk.seen(&["record", "--out", "a.jsonl", "--for", "100ms"]));
    insta::assert_snapshot!(desk.seen(&["record", "--out", "a.jsonl", "--for", "100ms"]));
    insta::assert_snapshot!(desk.seen(&["record", "--out", "b.jsonl", "--table", "nowhere"]));
}

#[test]
fn a_report_is_one_page_with_the_jobs_and_the_difference() {
    let desk = desk("poison-job.jsonl");
    let set = "restart-stalled.retry.attempts-max=3";
    let replay = ["replay", "recording.jsonl", "--role", "lab/roles/watcher.toml"];
    let compared = [
        &replay[..],
        &["--against", "watcher", "--set", set, "--report", "page.html"],
    ]
    .concat();
    assert_eq!(desk.run(&compared).status.code(), Some(1));
    let page = std::fs::read_to_string(desk.path("page.html")).unwrap();
    for told in [
        "<title>recording.jsonl with lab/roles/watcher.toml --set restart-stalled.retry.attempts-max=3 against the \
         shipped watcher</title>",
        "would",
        "\"phases\"",
    ] {
        assert!(page.contains(told), "{told}");
    }

    let nowhere = [
        &replay[..],
        &["--report", "nowhere/page.html", "--format", "json"],
    ]
    .concat();
    let output = desk.run(&nowhere);
    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty(), "nothing is replayed in vain");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the report nowhere/page.html cannot be written: there is no folder nowhere"),
        "{said}"
    );
}

#[test]
fn a_report_replaces_an_earlier_report_and_nothing_else() {
    let desk = desk("one-job.jsonl");
    let report = |file: &str| {
        desk.seen(&[
            "replay",
            "recording.jsonl",
            "--role",
            "watcher",
            "--set",
            "queue-length.source.lanes.every=1h",
            "--until",
            "2026-02-25T06:14:00Z",
            "--report",
            file,
        ])
    };
    let content = |file: &str| std::fs::read_to_string(desk.path(file)).unwrap();
    let recording = content("recording.jsonl");
    desk.write("notes.html", "<!doctype html>\n<title>notes</title>");
    desk.write("empty.html", "");
    insta::assert_snapshot!(report("recording.jsonl"));
    insta::assert_snapshot!(report("notes.html"));
    insta::assert_snapshot!(report("inbox"));
    assert_eq!(content("recording.jsonl"), recording);
    assert_eq!(content("notes.html"), "<!doctype html>\n<title>notes</title>");

    for _ in ["new", "again"] {
        assert!(report("page.html").starts_with("exit code 0\n"));
    }
    assert!(report("empty.html").starts_with("exit code 0\n"));
    assert_eq!(content("page.html"), content("empty.html"));
    let left = std::fs::read_dir(desk.path("")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("partial")).count(), 0);
}

#[test]
fn a_report_is_made_whoever_reads_the_decisions() {
    let desk = desk("poison-job.jsonl");
    let replay = ["replay", "recording.jsonl", "--role", "watcher"];
    let closed = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = desk.command(arguments).stdout(writer).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Who leaves has read enough; what a comparison came to stays.
    assert_eq!(closed(&replay), (Some(0), String::new()));
    let against = [
        "--against",
        "watcher",
        "--set",
        "cleanup.sink.delete.retention=7d",
    ];
    assert_eq!(
        closed(&[&replay[..], &against].concat()),
        (Some(1), String::new())
    );
    assert_eq!(
        closed(&[&replay[..], &["--report", "page.html"]].concat()),
        (Some(0), String::new())
    );
    assert!(desk.path("page.html").exists());
    let set = ["--set", "restart-stalled.retry.attempts-max=3"];
    let against = ["--against", "watcher", "--report", "difference.html"];
    assert_eq!(
        closed(&[&replay[..], &set, &against].concat()),
        (Some(1), String::new())
    );
    assert!(desk.path("difference.html").exists());
}
