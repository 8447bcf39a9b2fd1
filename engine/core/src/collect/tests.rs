use proptest::prelude::*;

use super::*;
use crate::fixture::{
    START, actions, at, claimed, completed, job, key, live, retry, seconds, sequences, survives,
};

fn collect() -> Collect {
    Collect::new(Pace::new(seconds(1), seconds(8)), retry(u32::MAX))
}

fn standing(job: Job) -> Standing {
    Standing {
        key: job.key.clone(),
        job: Some(job),
    }
}

fn page(standings: impl IntoIterator<Item = Standing>, next: Option<u32>) -> Event {
    Event::Found {
        standings: standings.into_iter().collect(),
        unanswered: false,
        next: next.map(|file| key(file).file),
    }
}

fn ready(files: impl IntoIterator<Item = u32>) -> Event {
    page(files.into_iter().map(|file| standing(completed(file))), None)
}

fn failed(file: u32) -> Event {
    Event::DeliveryFailed(key(file), "the disk is full".to_owned())
}

/// Actions in short: what is done about which file.
fn short(collect: &mut Collect) -> Vec<String> {
    let number = |file: &FileId| {
        file.as_str()
            .trim_start_matches("file-")
            .trim_start_matches(['0', '-'])
            .to_owned()
    };
    let short = |action: Action| match action {
        Action::Look { after: None } => "look".to_owned(),
        Action::Look { after: Some(after) } => format!("look after {}", number(&after)),
        Action::DeliverResult(job) => format!("result {}", number(&job.key.file)),
        Action::DeliverError(key, why) => format!("error {}: {why}", number(&key.file)),
    };
    actions(collect).into_iter().map(short).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn each_result_is_delivered_once_and_two_at_a_time() {
    let mut collect = collect();
    collect.tick(at(0));
    collect.handle(at(0), ready(1..=4));
    assert_eq!(short(&mut collect), ["look", "result 1", "result 2"]);
    collect.handle(at(5_000), Event::Delivered(key(2)));
    assert_eq!(short(&mut collect), ["result 3"]);
    collect.handle(at(5_000), Event::Delivered(key(1)));
    collect.handle(at(5_000), Event::Delivered(key(3)));
    assert_eq!(short(&mut collect), ["result 4"]);
    collect.tick(at(9_000));
    assert_eq!(
        short(&mut collect),
        NOTHING,
        "a look would find what is being delivered"
    );
    collect.handle(at(9_000), Event::Delivered(key(4)));
    assert_eq!(short(&mut collect), ["look"]);
}

#[test]
fn what_a_record_says_decides() {
    let cases = [
        (Some(job(1)), None),
        (Some(claimed(1, "theirs", seconds(1))), None),
        (Some(completed(1)), Some("result 1")),
        (
            Some(Job {
                status: Status::Error,
                error: Some("not an image".to_owned()),
                ..job(1)
            }),
            Some("error 1: not an image"),
        ),
        (
            Some(Job {
                status: Status::Error,
                ..job(1)
            }),
            Some("error 1: no reason was given"),
        ),
        (
            Some(Job {
                status: Status::Error,
                error: Some(String::new()),
                ..job(1)
            }),
            Some("error 1: no reason was given"),
        ),
        (
            None,
            Some("error 1: the job's record is gone: it was deleted before its result was collected"),
        ),
    ];
    for (job, expected) in cases {
        let mut collect = collect();
        collect.tick(at(0));
        short(&mut collect);
        collect.handle(at(0), page([Standing { key: key(1), job }], None));
        assert_eq!(short(&mut collect), expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_delivery_that_failed_is_repeated_after_growing_waits() {
    let mut collect = collect();
    let (mut now, mut tries) = (0, Vec::new());
    while tries.len() < 5 {
        collect.tick(at(now));
        collect.handle(at(now), ready([1]));
        if short(&mut collect).contains(&"result 1".to_owned()) {
            tries.push(now / 1_000);
            collect.handle(at(now), failed(1));
        }
        now = collect.wake_at().unwrap().0 - START.0;
    }
    let waits: Vec<_> = tries.windows(2).map(|two| two[1] - two[0]).collect();
    // At least half of 10, 20, 40 and 60 s, up to the next look.
    assert_eq!(waits, [6, 13, 20, 34]);
    collect.tick(at(now));
    collect.handle(at(now + 60_000), ready([1]));
    collect.handle(at(now + 60_000), Event::Delivered(key(1)));
    assert!(collect.failed.is_empty());
}

#[test]
fn pages_follow_each_other_at_once() {
    let mut collect = collect();
    collect.tick(at(0));
    collect.handle(at(0), page([standing(job(1)), standing(completed(2))], Some(2)));
    assert_eq!(short(&mut collect), ["look", "result 2"]);
    collect.handle(at(0), Event::Delivered(key(2)));
    assert_eq!(short(&mut collect), ["look after 2"]);
    collect.handle(at(0), page([standing(job(3))], None));
    assert_eq!(short(&mut collect), NOTHING);
    collect.tick(at(2_000));
    assert_eq!(short(&mut collect), ["look"]);
}

#[test]
fn a_look_that_failed_begins_again_at_the_first_page() {
    let mut collect = collect();
    collect.tick(at(0));
    collect.handle(at(0), page([standing(job(1))], Some(1)));
    collect.handle(at(0), Event::LookFailed("away".to_owned()));
    assert_eq!(short(&mut collect), ["look", "look after 1"]);
    assert!(collect.wake_at().unwrap() > at(0).now);
    collect.tick(at(60_000));
    assert_eq!(short(&mut collect), ["look"]);
}

#[test]
fn a_round_ends_only_when_a_look_found_nothing_outstanding() {
    let mut collect = collect();
    collect.finish(at(0));
    collect.handle(at(0), page([standing(job(1))], None));
    assert_eq!(short(&mut collect), ["look"]);
    assert!(!collect.is_idle(), "one is outstanding");
    collect.tick(at(10_000));
    // Its result comes, and another job with it.
    collect.handle(at(10_000), page([standing(completed(1)), standing(job(2))], None));
    collect.handle(at(10_000), Event::Delivered(key(1)));
    assert_eq!(short(&mut collect), ["look", "result 1", "look"]);
    collect.handle(at(10_000), ready([2]));
    collect.handle(at(10_000), failed(2));
    assert!(!collect.is_idle(), "its delivery failed");
    short(&mut collect);
    collect.tick(at(60_000));
    collect.handle(at(60_000), ready([2]));
    collect.handle(at(60_000), Event::Delivered(key(2)));
    assert_eq!(short(&mut collect), ["look", "result 2", "look"]);
    collect.handle(at(60_000), page([], None));
    assert!(collect.is_idle());
    assert_eq!(collect.wake_at(), None);
}

#[test]
fn what_could_not_be_asked_for_is_outstanding() {
    let mut collect = collect();
    collect.finish(at(0));
    let throttled = Event::Found {
        standings: Vec::new(),
        unanswered: true,
        next: None,
    };
    collect.handle(at(0), throttled);
    short(&mut collect);
    assert!(!collect.is_idle());
    assert!(collect.wake_at().unwrap() > at(0).now);
}

#[test]
fn a_first_page_with_something_keeps_the_round_open() {
    let mut collect = collect();
    collect.finish(at(0));
    collect.handle(at(0), page([standing(job(1))], Some(1)));
    collect.handle(at(0), page([], None));
    short(&mut collect);
    assert!(!collect.is_idle());
}

#[test]
fn a_look_that_began_before_the_last_round_does_not_end_it() {
    let mut collect = collect();
    collect.tick(at(0));
    collect.finish(at(0));
    collect.handle(at(0), page([], None));
    assert!(!collect.is_idle());
    collect.tick(at(10_000));
    collect.handle(at(10_000), page([], None));
    short(&mut collect);
    assert!(collect.is_idle());
}

#[test]
fn a_drain_ends_what_is_being_delivered_and_begins_nothing() {
    let mut collect = collect();
    collect.tick(at(0));
    collect.handle(at(0), ready(1..=5));
    short(&mut collect);
    collect.drain(at(0));
    collect.handle(at(0), Event::Delivered(key(1)));
    assert!(!collect.is_idle());
    collect.handle(at(0), failed(2));
    assert_eq!(short(&mut collect), NOTHING);
    assert!(collect.is_idle());
    collect.finish(at(0));
    assert!(collect.is_idle(), "a drain is final");
    assert_eq!(collect.wake_at(), None);
}

#[test]
fn a_full_disk_does_not_spin() {
    for finish in [false, true] {
        let mut collect = collect();
        if finish {
            collect.finish(at(0));
        }
        let actions = live(&mut collect, seconds(3_600), |_, action| match action {
            Action::Look { .. } => Some(ready(1..=100)),
            Action::DeliverResult(job) => Some(Event::DeliveryFailed(job.key, String::new())),
            Action::DeliverError(..) => None,
        });
        // A hundred files, each tried at most every half minute.
        assert!(actions < 15_000, "{actions}");
    }
}

fn events() -> Vec<Event> {
    let mut events = vec![
        page([], None),
        ready(1..=3),
        page([standing(job(1)), standing(completed(2))], Some(2)),
        page(
            [Standing {
                key: key(3),
                job: None,
            }],
            None,
        ),
        Event::Found {
            standings: Vec::new(),
            unanswered: true,
            next: None,
        },
        Event::LookFailed(String::new()),
    ];
    events.extend((1..=3).map(|file| Event::Delivered(key(file))));
    events.extend((1..=3).map(failed));
    events
}

proptest! {
    #[test]
    fn a_collector_survives_any_sequence(steps in sequences(events())) {
        survives(collect(), steps, 5);
    }
}
