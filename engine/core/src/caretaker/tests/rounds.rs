//! When is looked again, and when a round is over.

use proptest::prelude::*;

use super::*;
use crate::fixture::{live, sequences, survives};
use crate::lifecycle;

/// Does everything that is asked for about the page under way.
fn deal_with(caretaker: &mut Caretaker, files: impl IntoIterator<Item = u32>) {
    for file in files {
        caretaker.handle(at(0), Event::Deleted(record(file), WHOLE));
        caretaker.handle(at(0), Event::Written(record(file)));
    }
}

#[test]
fn a_round_is_over_after_its_last_page() {
    let mut caretaker = cleaner();
    caretaker.finish(at(0));
    for more in [true, true, false] {
        assert_eq!(short(&mut caretaker), ["look"]);
        caretaker.handle(at(0), page([completed(1), completed(2)], more));
        assert_eq!(short(&mut caretaker), ["delete all of 1", "delete all of 2"]);
        assert!(!caretaker.is_idle());
        caretaker.handle(at(0), Event::Deleted(record(1), WHOLE));
        caretaker.handle(at(0), Event::Written(record(1)));
        assert_eq!(short(&mut caretaker), ["cleaned 1"], "one is still under way");
        caretaker.handle(at(0), Event::Deleted(record(2), WHOLE));
        assert_eq!(short(&mut caretaker), ["cleaned 2"]);
        caretaker.handle(at(0), Event::Lost(record(2)));
    }
    assert!(caretaker.is_idle());
    assert_eq!(caretaker.wake_at(), None);
}

#[test]
fn a_round_over_nothing_is_over_at_once() {
    let mut caretaker = cleaner();
    caretaker.finish(at(0));
    assert!(!caretaker.is_idle());
    caretaker.handle(at(0), page([], false));
    assert_eq!(short(&mut caretaker), ["look"]);
    assert!(caretaker.is_idle());
}

#[test]
fn a_look_that_failed_is_repeated_before_the_round_is_over() {
    let mut caretaker = cleaner();
    caretaker.finish(at(0));
    caretaker.handle(at(0), Event::LookFailed("away".to_owned()));
    assert_eq!(short(&mut caretaker), ["look"]);
    assert!(!caretaker.is_idle());
    assert_eq!(caretaker.wake_at(), Some(at(8_750).now));
}

#[test]
fn a_page_that_was_looked_up_before_the_last_round_is_not_part_of_it() {
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.finish(at(0));
    caretaker.handle(at(0), page([completed(1)], false));
    deal_with(&mut caretaker, [1]);
    assert_eq!(
        short(&mut caretaker),
        ["look", "delete all of 1", "cleaned 1", "look"]
    );
    assert!(!caretaker.is_idle());
    caretaker.handle(at(0), page([], false));
    assert!(caretaker.is_idle());
}

/// A scan goes on where it stopped, so that pages without anything foreign are passed over.
#[test]
fn a_round_of_admit_goes_through_the_whole_table() {
    let foreign = || Job {
        lane: None,
        due: None,
        ..job(1)
    };
    let mut caretaker = admitter();
    caretaker.tick(at(0));
    caretaker.handle(at(0), page([], true));
    assert_eq!(
        short(&mut caretaker),
        ["look"],
        "while it serves, a page at a time"
    );
    caretaker.finish(at(0));
    // The scan was half-way: its end, then the round from the beginning.
    caretaker.handle(at(0), page([], false));
    caretaker.handle(at(0), page([], true));
    caretaker.handle(at(0), page([foreign()], true));
    caretaker.handle(at(0), Event::Failed(record(1), "away".to_owned()));
    assert_eq!(short(&mut caretaker), ["look", "look", "look", "admit 1", "look"]);
    assert!(!caretaker.is_idle());
    caretaker.handle(at(0), page([], false));
    assert!(caretaker.is_idle());
}

#[test]
fn the_next_page_follows_at_once_where_something_came_of_this_one() {
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.handle(at(0), page([completed(1)], true));
    deal_with(&mut caretaker, [1]);
    assert_eq!(
        short(&mut caretaker),
        ["look", "delete all of 1", "cleaned 1", "look"]
    );
    // Nothing comes of this one, and it would come again.
    caretaker.handle(at(0), page([completed(1)], true));
    caretaker.handle(at(0), Event::Failed(record(1), "away".to_owned()));
    assert_eq!(short(&mut caretaker), ["delete all of 1"]);
    assert_eq!(caretaker.wake_at(), Some(at(8_750).now));
}

/// What nothing comes of stays at the beginning of its lane: it must not hide the others.
#[test]
fn a_page_that_nothing_comes_of_is_passed_over() {
    let stuck = || claimed(1, PROCESSOR, LEASE);
    let mut caretaker = cleaner();
    caretaker.finish(at(0));
    caretaker.handle(at(0), page([stuck()], true));
    assert_eq!(short(&mut caretaker), ["look", "look on"]);
    caretaker.handle(at(0), page([stuck()], false));
    assert!(caretaker.is_idle());

    // While it serves, each look when its time has come; behind the last page it begins anew.
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    for (more, next) in [(true, "look on"), (true, "look on"), (false, "look")] {
        caretaker.handle(at(0), page([stuck()], more));
        short(&mut caretaker);
        let when = caretaker.wake_at().unwrap();
        caretaker.tick(At {
            now: when,
            jitter: 0.5,
        });
        assert_eq!(short(&mut caretaker), [next]);
    }
    // A look that failed says nothing of what lies where.
    caretaker.handle(at(100_000), page([stuck()], true));
    caretaker.tick(at(200_000));
    caretaker.handle(at(200_000), Event::LookFailed("away".to_owned()));
    caretaker.tick(at(300_000));
    assert_eq!(short(&mut caretaker), ["look on", "look"]);
}

#[test]
fn a_drain_ends_what_is_under_way_and_begins_nothing() {
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.handle(at(0), page([completed(1)], true));
    caretaker.drain(at(0));
    assert!(!caretaker.is_idle());
    caretaker.handle(at(0), Event::Deleted(record(1), WHOLE));
    caretaker.handle(at(0), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1", "cleaned 1"]);
    assert!(caretaker.is_idle());

    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.drain(at(0));
    assert_eq!(short(&mut caretaker), ["look"]);
    assert!(!caretaker.is_idle(), "a look is under way");
    caretaker.handle(at(0), page([completed(1)], true));
    assert_eq!(short(&mut caretaker).len(), 0);
    assert!(caretaker.is_idle());
}

#[test]
fn full_pages_that_nothing_comes_of_do_not_spin() {
    let stuck = || page((1..=25).map(completed), true);
    let foreign = || {
        page(
            (1..=25).map(|file| Job {
                lane: None,
                due: None,
                ..job(file)
            }),
            true,
        )
    };
    for lost in [false, true] {
        for (mut caretaker, full) in [(cleaner(), stuck()), (admitter(), foreign())] {
            let answers = live(&mut caretaker, seconds(3_600), |_, action| match action {
                Action::Look { .. } => Some(full.clone()),
                Action::Delete(job, _) if lost => Some(Event::Deleted(RecordKey::from(&job.key), WHOLE)),
                Action::Delete(job, _) => Some(Event::Failed(RecordKey::from(&job.key), String::new())),
                Action::Write(change) if lost => Some(Event::Lost(change.key)),
                Action::Write(change) => Some(Event::Failed(change.key, String::new())),
            });
            // 360 looks of at most 51 actions, a little more often by the jitter.
            assert!(answers < 25_000, "{answers}");
        }
    }
}

fn events() -> Vec<Event> {
    let mut events = vec![Event::LookFailed(String::new())];
    for more in [false, true] {
        events.push(page([], more));
        events.push(page(
            [completed(1), large(2), claimed(3, PROCESSOR, seconds(1))],
            more,
        ));
        events.push(page(
            [Job {
                lane: None,
                due: None,
                ..job(1)
            }],
            more,
        ));
    }
    for file in 1..=3 {
        let key = || record(file);
        events.push(Event::Deleted(key(), WHOLE));
        events.push(Event::Written(key()));
        events.push(Event::Lost(key()));
        events.push(Event::Failed(key(), String::new()));
        let change = lifecycle::cleaned(&completed(file), START, seconds(1));
        events.push(Event::Refused(Box::new(change), String::new()));
    }
    events
}

proptest! {
    #[test]
    fn a_caretaker_survives_any_sequence(steps in sequences(events())) {
        for caretaker in [cleaner(), requeuer(), admitter()] {
            survives(caretaker, steps.clone(), 5);
        }
    }
}
