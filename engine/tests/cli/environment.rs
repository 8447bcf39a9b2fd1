//! What the environment has no say in.

use crate::desk::Desk;

#[test]
fn a_test_of_ones_own_means_the_same_on_every_machine() {
    let mut desk = Desk::new();
    let recordings = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/recordings");
    std::fs::create_dir(desk.path("tests")).unwrap();
    std::fs::copy(
        format!("{recordings}/poison-job.jsonl"),
        desk.path("tests/a.jsonl"),
    )
    .unwrap();
    let test = ["test", "tests", "--role", "watcher"];
    let code = |desk: &Desk, more: &[&str]| desk.run(&[&test[..], more].concat()).status.code();
    assert_eq!(code(&desk, &["--accept"]), Some(0));
    desk.set("ROUNDTRIP_RESTART_STALLED__RETRY__ATTEMPTS_MAX", "2");
    desk.set("ROUNDTRIP_PROFILE", "nowhere");
    assert_eq!(code(&desk, &[]), Some(0));
    let fewer = "restart-stalled.retry.attempts-max=2";
    assert_eq!(code(&desk, &["--set", fewer]), Some(1));
    let help = String::from_utf8(desk.run(&["test", "--help"]).stdout).unwrap();
    assert!(help.contains("no environment variable"), "{help}");
}
