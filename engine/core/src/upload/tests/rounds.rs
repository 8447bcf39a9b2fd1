//! One full round, the end of all rounds, and files that never come to an end.

use proptest::prelude::*;

use super::*;
use crate::fixture::{live, sequences, survives};

#[test]
fn a_round_ends_when_the_scan_is_through_and_everything_is_shipped() {
    let mut upload = upload();
    upload.finish(at(0));
    assert_eq!(short(&mut upload), ["scan"]);
    upload.handle(at(0), seen("a", 1, None));
    upload.handle(at(0), Event::Scanned);
    assert!(!upload.is_idle(), "a file waits for rest");
    upload.handle(at(2_000), seen("a", 1, None));
    for step in [
        Step::Begin,
        Step::Create,
        Step::Send,
        Step::Commit,
        Step::Remember,
    ] {
        assert!(!upload.is_idle());
        upload.handle(at(2_000), done("a", step));
    }
    assert!(!upload.is_idle(), "it is still to be released");
    short(&mut upload);
    assert!(upload.is_idle());
}

#[test]
fn a_round_over_nothing_ends_with_its_scan() {
    let mut upload = upload();
    upload.handle(at(0), Event::Scanned);
    upload.finish(at(0));
    short(&mut upload);
    assert!(!upload.is_idle(), "the scan that counts is still to come");
    upload.handle(at(0), Event::Scanned);
    assert!(upload.is_idle());
}

#[test]
fn what_found_no_room_is_found_by_another_scan() {
    let mut upload = upload();
    upload.finish(at(0));
    short(&mut upload);
    for path in ["a", "b", "c", "d", "e"] {
        upload.handle(at(0), seen(path, 1, None));
    }
    upload.handle(at(0), Event::Scanned);
    assert_eq!(short(&mut upload), NOTHING, "first those that wait");
    let (mut scans, mut shipped) = (0, Vec::new());
    live(&mut upload, seconds(60), |_, action| match action {
        Action::Look(path) => Some(seen(path.to_str().unwrap(), 1, None)),
        Action::Do { path, step, .. } => {
            if step == Step::Remember {
                shipped.push(path.clone());
            }
            Some(Event::Done(path, step))
        }
        Action::Scan => {
            scans += 1;
            Some(Event::Scanned)
        }
        Action::Stop(_) | Action::Report(..) | Action::Release(_) => None,
    });
    assert_eq!(shipped.len(), 3);
    assert_eq!(scans, 1);
    assert!(upload.is_idle());
}

/// Files at rest that wait for a free place count as well: the folder may hold millions.
#[test]
fn no_more_files_are_remembered_than_the_policy_says() {
    let mut upload = upload();
    for round in 0..5 {
        for file in 0..100 {
            upload.handle(at(round * 2_000), seen(&file.to_string(), 1, None));
        }
        short(&mut upload);
        assert!(upload.intake.len() + upload.ready.len() <= 3);
        assert!(upload.shipping.len() <= 2);
    }
}

#[test]
fn a_drain_stops_steps_under_way_and_waits_for_nothing_else() {
    let mut upload = upload();
    for path in ["a", "b", "c"] {
        settled(&mut upload, 0, path, 1, None);
    }
    let away = Fault::Transient("away".to_owned());
    upload.handle(at(2_000), failed("b", Step::Begin, away.clone()));
    short(&mut upload);
    upload.drain(at(2_000));
    assert_eq!(short(&mut upload), ["stop a"], "b waits to try again");
    assert!(!upload.is_idle());
    upload.handle(at(2_000), gone("d", Some(known(1, Shipping::Announced))));
    upload.handle(at(2_000), seen("e", 1, None));
    upload.tick(at(60_000));
    assert_eq!(short(&mut upload), NOTHING, "nothing is begun");
    upload.handle(at(60_000), failed("a", Step::Begin, away));
    assert_eq!(short(&mut upload), NOTHING);
    assert!(upload.is_idle());
    assert_eq!(upload.wake_at(), None);
}

#[test]
fn a_step_that_ends_while_draining_is_not_followed_by_another() {
    let mut upload = upload();
    settled(&mut upload, 0, "a", 1, None);
    upload.drain(at(2_000));
    short(&mut upload);
    upload.handle(at(2_000), done("a", Step::Begin));
    assert_eq!(short(&mut upload), NOTHING);
    assert!(upload.is_idle());
}

/// A world in which the file `a` is another one each time it is looked at or read.
fn changing(reads: &mut usize) -> impl FnMut(At, Action) -> Option<Event> {
    let mut n = 0;
    move |_, action| match action {
        Action::Look(_) => {
            n += 1;
            Some(seen("a", n, None))
        }
        Action::Do {
            path,
            step: Step::Send,
            ..
        } => {
            *reads += 1;
            Some(Event::Failed(path, Step::Send, Fault::Changed))
        }
        Action::Do { path, step, .. } => Some(Event::Done(path, step)),
        Action::Scan => Some(Event::Scanned),
        Action::Stop(_) | Action::Report(..) | Action::Release(_) => None,
    }
}

#[test]
fn a_file_that_changes_for_ever_is_left_to_a_later_scan() {
    for settle in [0, 2] {
        let mut policy = policy(Announce::First);
        policy.intake.settle = seconds(settle);
        let mut upload = Upload::new(policy);
        let mut reads = 0;
        upload.handle(at(0), seen("a", 0, None));
        live(&mut upload, seconds(3_600), changing(&mut reads));
        assert_eq!(reads, 3, "as often as retry.attempts-max says");
        assert!(upload.has_nothing_under_way());
        // A later scan brings it again.
        upload.handle(at(3_600_000), seen("a", 1_000, None));
        assert!(!upload.has_nothing_under_way());
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_rests_again() {
    let mut upload = upload();
    settled(&mut upload, 0, "a", 1, None);
    short(&mut upload);
    upload.handle(at(2_000), failed("a", Step::Begin, Fault::Changed));
    assert_eq!(short(&mut upload), ["release a", "look at a"]);
    upload.handle(at(2_000), seen("a", 2, None));
    assert_eq!(short(&mut upload), NOTHING);
    assert_eq!(upload.wake_at(), Some(at(4_000).now));
}

#[test]
fn a_file_that_is_always_open_for_writing_is_not_looked_at_all_the_time() {
    let mut policy = policy(Announce::First);
    (policy.intake.settle, policy.intake.settle_max) = (seconds(0), seconds(600));
    let mut upload = Upload::new(policy);
    let busy = || Event::Sighted {
        path: "a".into(),
        sight: Sight::File {
            stamp: stamp(1),
            busy: true,
        },
        known: None,
    };
    upload.handle(at(0), busy());
    let looks = live(&mut upload, seconds(599), |_, action| match action {
        Action::Look(_) => Some(busy()),
        Action::Scan | Action::Do { .. } | Action::Stop(_) | Action::Report(..) | Action::Release(_) => None,
    });
    assert!(looks < 1_300, "{looks}");
}

fn events() -> Vec<Event> {
    let mut events = vec![Event::Scanned, unreadable("", "away"), gone("f", None)];
    let steps = [
        Step::Begin,
        Step::Create,
        Step::Send,
        Step::Commit,
        Step::Remember,
        Step::Abandon("why".to_owned()),
        Step::Forget,
    ];
    for path in ["a", "b", "f/c"] {
        for n in [1, 2] {
            for shipping in [Shipping::Announced, Shipping::Sent] {
                events.push(seen(path, n, Some(known(1, shipping))));
            }
            events.push(seen(path, n, None));
        }
        events.push(gone(path, Some(known(1, Shipping::Announced))));
        events.push(unreadable(path, "no rights"));
        for step in &steps {
            events.push(done(path, step.clone()));
            for fault in [
                Fault::Changed,
                Fault::Gone,
                Fault::Unreadable(String::new()),
                Fault::Exists(Status::Processing),
                Fault::Exists(Status::Error),
                Fault::Transient(String::new()),
                Fault::Permanent(String::new()),
            ] {
                events.push(failed(path, step.clone(), fault));
            }
        }
    }
    events
}

proptest! {
    #[test]
    fn an_upload_survives_any_sequence(steps in sequences(events()), last in any::<bool>(), settle in 0..3_u64) {
        let mut policy = policy(if last { Announce::Last } else { Announce::First });
        policy.intake.settle = seconds(settle);
        survives(Upload::new(policy), steps, 10);
    }
}
