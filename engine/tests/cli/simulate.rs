//! The simulator at the edge: same seed, same bytes; many seeds; a fleet; the policies of roles.

use crate::desk::Desk;

fn simulated(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Desk::new().run(&[&["simulate"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// What is seen, but for lines of progress: how many there are depends on the machine.
fn seen(desk: &Desk, arguments: &[&str]) -> String {
    let seen = desk.seen(&[&["simulate"], arguments].concat());
    let is_progress = |line: &str| line.contains(" seeds, ") && line.contains("/s");
    let lines = seen.lines().filter(|line| !is_progress(line));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// A desk with a role in `ours.toml`.
fn desk(role: &str) -> Desk {
    let desk = Desk::new();
    desk.write("ours.toml", role);
    desk
}

#[test]
fn a_seed_is_one_history_to_the_byte() {
    let desk = Desk::new();
    let once = |file: &str| {
        let output = desk.run(&["simulate", "--seed", "7", "--recording", file]);
        assert_eq!(output.status.code(), Some(0));
        (output.stdout, std::fs::read(desk.path(file)).unwrap())
    };
    let (told, recorded) = once("first.jsonl");
    assert!(!told.is_empty() && !recorded.is_empty());
    assert_eq!((told, recorded), once("second.jsonl"));
    insta::assert_snapshot!(desk.seen(&["simulate", "--seed", "7", "--recording", "first.jsonl"]));

    // A simulated history is a recording as any other.
    let replayed = desk.run(&["replay", "first.jsonl", "--role", "watcher"]);
    assert_eq!(
        replayed.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
}

#[test]
fn many_seeds_end_in_one_line() {
    let (code, told) = simulated(&["--seeds", "20"]);
    assert_eq!(code, Some(0));
    assert!(told.starts_with("every promise held: 20 seeds, "), "{told}");
}

#[test]
fn a_kind_of_fault_has_the_rate_it_is_given() {
    let struck = |more: &[&str]| {
        let (_, told) = simulated(&[&["--seed", "5", "--format", "json"], more].concat());
        let outcome: serde_json::Value = serde_json::from_str(&told).unwrap();
        outcome["statistics"]["faults"].as_object().unwrap().clone()
    };
    let one = struck(&["--calm", "--fault", "crash=0", "--fault", "lost-answer=0.3"]);
    assert_eq!(one.keys().collect::<Vec<_>>(), ["lost-answer"]);
    assert!(one["lost-answer"].as_u64() > Some(5), "{one:?}");
    assert!(!struck(&["--fault", "lost-answer=0"]).contains_key("lost-answer"));
    for fault in ["crsh=0.1", "crash=1.5", "crash=often", "crash"] {
        insta::assert_snapshot!(Desk::new().seen(&["simulate", "--fault", fault]));
    }
}

#[test]
fn a_fleet_is_measured() {
    let (code, told) = simulated(&["--fetchers", "10", "--jobs", "200", "--format", "json"]);
    assert_eq!(code, Some(0));
    let measured: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&measured["fetchers"], &measured["jobs"], &measured["finished"]),
        (&10.into(), &200.into(), &200.into())
    );
    assert_eq!(measured["breaches"], serde_json::json!([]));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    for arguments in [
        &["--jobs", "200", "--seeds", "5"][..],
        &["--seeds", "0"],
        &["--jobs", "0"],
        &["--shards", "4", "--seeds", "5"],
        &["--shards", "4", "--seed", "5"],
        &["--profile", "local"],
    ] {
        let (code, _) = simulated(arguments);
        assert_eq!(code, Some(64), "{arguments:?}");
    }
}

#[test]
fn it_is_said_which_policies_were_simulated() {
    let desk = desk("name = \"ours\"\n[pipelines.analyse]\nretry.attempts-max = 1\n");
    insta::assert_snapshot!(seen(&desk, &["--seeds", "2"]));
    insta::assert_snapshot!(seen(&desk, &["--seeds", "2", "--shipped"]));
    insta::assert_snapshot!(seen(&desk, &["--seeds", "2", "--role", "ours.toml"]));
    insta::assert_snapshot!(seen(
        &desk,
        &[
            "--seeds",
            "2",
            "--role",
            "fetcher",
            "--profile",
            "local",
            "--set",
            "analyse.claim.lease=30s",
            "--set",
            "upload.chunker.fixed.size=1 MiB",
        ]
    ));
}

#[test]
fn what_no_simulation_plays_is_said() {
    let desk = desk(
        r#"
name = "ours"
[pipelines.scans]
use = "upload"
source.directory.watch = "poll"
sink.jobs.priority = 3
[pipelines.analyse]
claim.versions = ">=2.5, <3"
claim.manifest = "required"
[pipelines.cleanup]
source.jobs.stream = false
[pipelines.sweep]
source.objects.cron = "0 3 * * *"
[pipelines.queue-length]
notify.high = { metric = "JobsReady", above = 100, log = "warn" }
"#,
    );
    insta::assert_snapshot!(seen(&desk, &["--seeds", "2", "--role", "ours.toml"]));
    let set = "upload.chunker.fixed.size=2 MiB";
    insta::assert_snapshot!(seen(&desk, &["--role", "ours.toml", "--set", set]));
}

/// Chunks are there before their job, and are swept at once.
#[test]
fn a_policy_that_breaks_a_promise_is_found() {
    let desk = desk(
        r#"
name = "ours"
[pipelines.upload]
sink.jobs.announce = "last"
[pipelines.sweep]
source.objects.age-min = "1ms"
source.objects.every = "5s"
[pipelines.cleanup]
sink.delete.results-keep = "5m"
"#,
    );
    let output = desk.run(&["simulate", "--seed", "90", "--role", "ours.toml"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap());
}

#[test]
fn roles_that_cannot_be_simulated_are_refused() {
    let refused = |role: &str| desk(role).seen(&["simulate", "--role", "ours.toml", "--role", "watcher"]);
    insta::assert_snapshot!(refused(
        "name = \"ours\"\n[pipelines.a]\nuse = \"upload\"\n[pipelines.b]\nuse = \"upload\"\n"
    ));
    insta::assert_snapshot!(refused("name = \"ours\"\npipelines = [\"cleanup\"]\n"));
    insta::assert_snapshot!(refused(
        "name = \"ours\"\nstore.shards = 64\npipelines = [\"analyse\"]\n"
    ));
    insta::assert_snapshot!(refused(
        "name = \"ours\"\n[pipelines.analyse]\nclaim.lease = \"20s\"\nclaim.heartbeat = \"60s\"\n"
    ));
    insta::assert_snapshot!(refused(
        "name = \"ours\"\n[pipelines.analyse]\nclaim.leese = \"20s\"\n"
    ));
    let set = "analize.claim.lease=1m";
    insta::assert_snapshot!(Desk::new().seen(&["simulate", "--role", "fetcher", "--set", set]));
}

#[test]
fn a_fleets_shards_are_its_roles_unless_they_are_given() {
    let desk = desk("name = \"ours\"\nstore.shards = 3\npipelines = [\"analyse\"]\n");
    let measured = |more: &[&str]| {
        let fleet = [
            "simulate",
            "--role",
            "ours.toml",
            "--jobs",
            "20",
            "--fetchers",
            "2",
        ];
        let output = desk.run(&[&fleet[..], &["--format", "json"], more].concat());
        let measured: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        measured["shards"].as_u64()
    };
    assert_eq!(measured(&[]), Some(3));
    assert_eq!(measured(&["--shards", "5"]), Some(5));
}
