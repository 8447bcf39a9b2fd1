//! The steps of one file, and what a failed one leads to.

use std::fmt::Write as _;

use super::*;

fn order(announce: Announce) -> [Step; 5] {
    match announce {
        Announce::First => [
            Step::Begin,
            Step::Create,
            Step::Send,
            Step::Commit,
            Step::Remember,
        ],
        Announce::Last => [
            Step::Begin,
            Step::Send,
            Step::Commit,
            Step::Create,
            Step::Remember,
        ],
    }
}

/// A machine that is about to do this step for the file `a`.
fn about_to(announce: Announce, wanted: &Step, resume: Option<Known>) -> Upload {
    let mut upload = Upload::new(policy(announce));
    settled(&mut upload, 0, "a", 1, resume);
    for step in order(announce) {
        if step == *wanted {
            break;
        }
        upload.handle(at(2_000), done("a", step));
    }
    short(&mut upload);
    upload
}

#[test]
fn steps_follow_in_the_order_of_the_announcement() {
    for announce in [Announce::First, Announce::Last] {
        let mut upload = Upload::new(policy(announce));
        settled(&mut upload, 0, "a", 1, None);
        for step in order(announce) {
            assert_eq!(short(&mut upload), [format!("a {}", step_name(&step))]);
            assert_eq!(upload.wake_at(), None, "its outcome is awaited");
            upload.handle(at(2_000), done("a", step));
        }
        assert_eq!(short(&mut upload), ["release a"]);
    }
}

#[test]
fn every_fault_at_every_step() {
    let why = || "why".to_owned();
    let faults = [
        ("changed", Fault::Changed),
        ("gone", Fault::Gone),
        ("unreadable", Fault::Unreadable(why())),
        ("exists, queued", Fault::Exists(Status::Queued)),
        ("exists, processing", Fault::Exists(Status::Processing)),
        ("exists, completed", Fault::Exists(Status::Completed)),
        ("exists, error", Fault::Exists(Status::Error)),
        ("transient", Fault::Transient(why())),
        ("permanent", Fault::Permanent(why())),
    ];
    let mut table = String::new();
    for (title, announce, resume) in [
        ("announced first", Announce::First, None),
        ("announced last", Announce::Last, None),
        (
            "announced first, gone on with",
            Announce::First,
            Some(known(1, Shipping::Announced)),
        ),
    ] {
        for step in order(announce) {
            writeln!(table, "{title}: {}", step_name(&step)).unwrap();
            for (name, fault) in &faults {
                let mut upload = about_to(announce, &step, resume.clone());
                upload.handle(at(2_000), failed("a", step.clone(), fault.clone()));
                let mut then = short(&mut upload).join(", ");
                if let Some(wake) = upload.wake_at() {
                    write!(then, "again in {} s", wake.since(at(2_000).now).as_secs()).unwrap();
                }
                writeln!(table, "  {name}: {then}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// The steps that give up or forget a job have no file that could change: whoever reports that does not make the
/// machine repeat them.
#[test]
fn giving_up_and_forgetting_end_whatever_comes_of_them() {
    let faults = [
        Fault::Changed,
        Fault::Gone,
        Fault::Unreadable(String::new()),
        Fault::Exists(Status::Queued),
        Fault::Exists(Status::Completed),
        Fault::Exists(Status::Error),
        Fault::Permanent(String::new()),
    ];
    for fault in faults {
        for (began, step) in [
            (
                Fault::Changed,
                Step::Abandon("the file changed while it was read".to_owned()),
            ),
            (Fault::Exists(Status::Error), Step::Forget),
        ] {
            let mut upload = about_to(Announce::First, &Step::Create, None);
            upload.handle(at(2_000), failed("a", Step::Create, began));
            assert_eq!(short(&mut upload), [format!("a {}", step_name(&step))]);
            upload.handle(at(2_000), failed("a", step, fault.clone()));
            let then = short(&mut upload);
            assert_eq!(then.len(), 2, "{then:?}");
            assert_eq!(then[0], "release a");
        }
    }
}

#[test]
fn a_transient_fault_is_repeated_as_often_as_the_policy_says() {
    let mut upload = about_to(Announce::First, &Step::Send, None);
    let away = || Fault::Transient("away".to_owned());
    upload.handle(at(2_000), failed("a", Step::Send, away()));
    upload.tick(at(6_999));
    assert_eq!(short(&mut upload), NOTHING);
    upload.tick(at(7_000));
    assert_eq!(short(&mut upload), ["a send"]);
    upload.handle(at(7_000), failed("a", Step::Send, away()));
    assert_eq!(upload.wake_at(), Some(at(17_000).now));
    upload.tick(at(17_000));
    assert_eq!(short(&mut upload), ["a send"]);
    upload.handle(at(17_000), failed("a", Step::Send, away()));
    assert_eq!(short(&mut upload), ["release a", "report a: away"]);
    // A step that succeeds begins the count anew.
    let mut upload = about_to(Announce::First, &Step::Send, None);
    upload.handle(at(2_000), failed("a", Step::Send, away()));
    upload.tick(at(7_000));
    upload.handle(at(7_000), done("a", Step::Send));
    upload.handle(at(7_000), failed("a", Step::Commit, away()));
    assert_eq!(upload.wake_at(), Some(at(12_000).now));
}

#[test]
fn what_was_given_up_is_followed_by_a_new_look_or_by_its_report() {
    let abandon = |why: &str| Step::Abandon(why.to_owned());
    for (fault, step, then) in [
        (
            Fault::Changed,
            abandon("the file changed while it was read"),
            "look at a",
        ),
        (
            Fault::Gone,
            abandon("the file went away while it was read"),
            "look at a",
        ),
        (
            Fault::Unreadable("no rights".to_owned()),
            abandon("the file became unreadable"),
            "report a: no rights",
        ),
    ] {
        let mut upload = about_to(Announce::First, &Step::Send, None);
        upload.handle(at(2_000), failed("a", Step::Send, fault));
        assert_eq!(short(&mut upload), [format!("a {}", step_name(&step))]);
        upload.handle(at(2_000), done("a", step));
        assert_eq!(short(&mut upload), ["release a", then]);
    }
}

#[test]
fn a_restart_goes_on_with_the_same_job() {
    let mut upload = upload();
    settled(&mut upload, 0, "a", 1, Some(known(1, Shipping::Announced)));
    let wanted = actions(&mut upload);
    let [
        Action::Do {
            step: Step::Begin,
            resume: Some(resume),
            ..
        },
    ] = wanted.as_slice()
    else {
        panic!("{wanted:?}")
    };
    assert_eq!(*resume, known(1, Shipping::Announced));
}

#[test]
fn a_file_that_never_rests_is_taken_after_its_longest_wait() {
    let mut upload = upload();
    for second in 0..10 {
        upload.handle(
            at(second * 1_000),
            seen("a", u64::try_from(second).unwrap(), None),
        );
        assert_eq!(short(&mut upload), NOTHING);
    }
    upload.handle(at(10_000), seen("a", 99, None));
    let decision = upload.poll_action().unwrap();
    assert_eq!(brief(&decision.action), "a begin");
    assert_eq!(decision.reason.key, "source.directory.settle-max");
}
