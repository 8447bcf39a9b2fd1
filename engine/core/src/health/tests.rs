//! The rules of resting and of the last word, as tables.

use std::fmt::Write as _;

use super::*;
use crate::fixture::{START, claimed, job, key, retry, seconds};
use crate::job::Attempt;

fn policy() -> HealthPolicy {
    HealthPolicy {
        failing_max: 3,
        failing_rest: seconds(300),
    }
}

/// What happens to a fetcher.
enum Step {
    /// A job fails.
    Fails(u32),
    Succeeds,
    /// Others are there, or not.
    Others(bool),
    /// So many seconds pass.
    Wait(u64),
}

use Step::{Fails, Others, Succeeds, Wait};

#[test]
fn a_fetcher_whose_jobs_keep_failing_rests_longer_and_longer() {
    let steps = [
        ("others are there", Others(true)),
        ("job 1 fails", Fails(1)),
        ("job 1 fails again: one job", Fails(1)),
        ("job 2 fails", Fails(2)),
        ("job 3 fails: enough", Fails(3)),
        ("a job held since before fails", Fails(4)),
        ("299 s pass", Wait(299)),
        ("1 s passes: one probe", Wait(1)),
        ("the probe fails: twice as long", Fails(5)),
        ("600 s pass", Wait(600)),
        ("the probe fails", Fails(6)),
        ("1200 s pass", Wait(1_200)),
        ("the probe fails", Fails(6)),
        ("2400 s pass", Wait(2_400)),
        ("the probe fails: no rest is longer than an hour", Fails(6)),
        ("3600 s pass", Wait(3_600)),
        ("the probe succeeds: all is forgotten", Succeeds),
        ("job 1 fails", Fails(1)),
        ("job 2 fails", Fails(2)),
        ("a job succeeds", Succeeds),
        ("job 3 fails: not in a row", Fails(3)),
        ("job 4 fails", Fails(4)),
        ("job 5 fails", Fails(5)),
        ("the others are gone: the last one never rests", Others(false)),
        ("the probe fails", Fails(6)),
        ("the probe fails", Fails(7)),
        ("another is there", Others(true)),
        ("the probe fails: rests after all", Fails(8)),
    ];
    let (mut health, mut now, mut table) = (Health::new(policy()), START, String::new());
    for (text, step) in steps {
        match step {
            Fails(file) => {
                health.failed(now, &key(file));
            }
            Succeeds => {
                health.succeeded();
            }
            Others(others) => health.heard(others),
            Wait(time) => now = now + seconds(time),
        }
        health.tick(now);
        let rest = health
            .resting_until()
            .map(|until| format!(", rests {} s", until.since(now).as_secs()));
        let rest = rest.unwrap_or_default();
        writeln!(table, "{text:<52} room for {}{rest}", health.room(8)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_last_fetcher_never_rests() {
    let mut health = Health::new(policy());
    for file in 0..100 {
        assert_eq!(health.failed(START, &key(file)), None);
    }
    assert_eq!(health.room(8), 8);
}

fn attempt(by: &str, failed: bool) -> Attempt {
    Attempt {
        since: None,
        at: START,
        by: by.to_owned(),
        what: "release".to_owned(),
        why: String::new(),
        failed,
    }
}

fn failed_by(by: &[(&str, bool)], failures: u32) -> Job {
    Job {
        failures,
        history: by.iter().map(|(by, failed)| attempt(by, *failed)).collect(),
        ..claimed(1, "me", seconds(300))
    }
}

fn with_others(others: bool) -> Health {
    let mut health = Health::new(policy());
    health.heard(others);
    health
}

#[test]
fn the_last_word_on_a_job_is_another_workers() {
    let mine: &[_] = &[("me", true), ("me", true)];
    let table = [
        ("only I failed, there are others", mine, 3, true, true),
        ("only I failed, there are none", mine, 3, false, false),
        ("it failed here the first time of one", &[], 3, true, true),
        (
            "another failed too",
            &[("you", true), ("me", true)],
            3,
            true,
            false,
        ),
        (
            "another gave it back without a failure",
            &[("you", false), ("me", true)],
            3,
            true,
            true,
        ),
        ("nobody came in once again as many attempts", mine, 6, true, false),
        ("the attempt before that", mine, 5, true, true),
    ];
    for (text, history, failures, others, expected) in table {
        let job = failed_by(history, failures - 1);
        let leaves = with_others(others).leaves_last_word(&job, failures, "me", &retry(3));
        assert_eq!(leaves, expected, "{text}");
    }
}

#[test]
fn a_job_i_used_up_is_left_to_others_for_a_while() {
    let mine = Job {
        due: Some(START),
        ..failed_by(&[("me", true)], 3)
    };
    let (policy, ms) = (retry(3), |ms| Timestamp(START.0 + ms));
    let health = with_others(true);
    assert!(health.leaves_to_others(&mine, "me", &policy, START));
    assert!(health.leaves_to_others(&mine, "me", &policy, ms(59_999)));
    assert!(
        !health.leaves_to_others(&mine, "me", &policy, ms(60_000)),
        "the others may be busy"
    );
    assert!(!health.leaves_to_others(&mine, "you", &policy, START));
    assert!(!health.leaves_to_others(&job(1), "me", &policy, START));
    assert!(!with_others(false).leaves_to_others(&mine, "me", &policy, START));
}
