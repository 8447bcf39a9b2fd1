//! The simulator at the edge: same seed, same bytes; many seeds; a fleet.

use crate::desk::Desk;

fn simulated(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Desk::new().run(&[&["simulate"], arguments].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
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
fn a_fleet_is_measured() {
    let (code, told) = simulated(&["--fetchers", "10", "--jobs", "200", "--format", "json"]);
    assert_eq!(code, Some(0));
    let measured: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&measured["fetchers"], &measured["finished"]),
        (&10.into(), &200.into())
    );
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (code, _) = simulated(&["--jobs", "200", "--seeds", "5"]);
    assert_eq!(code, Some(64));
}
