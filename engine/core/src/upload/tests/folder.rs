//! What is seen in the folder, and what is remembered of it.

use super::*;

#[test]
fn what_was_sent_and_is_unchanged_is_left() {
    for shipping in [Shipping::Sent, Shipping::Finished] {
        let mut upload = upload();
        settled(&mut upload, 0, "a", 1, Some(known(1, shipping)));
        assert_eq!(short(&mut upload), NOTHING);
        assert_eq!(upload.wake_at(), None);
    }
}

#[test]
fn what_has_another_number_since_a_new_mount_is_left_and_a_twin_in_its_place_is_not() {
    let mut upload = upload();
    let seen = |changed: i64| Event::Sighted {
        path: "a".into(),
        sight: Sight::File {
            stamp: Stamp {
                identity: 7,
                changed: Timestamp(changed),
                ..stamp(1)
            },
            busy: false,
        },
        known: Some(known(1, Shipping::Finished)),
    };
    upload.handle(at(0), seen(0));
    upload.handle(at(2_000), seen(0));
    assert_eq!(short(&mut upload), NOTHING);
    upload.handle(at(3_000), seen(1));
    upload.handle(at(5_000), seen(1));
    assert_eq!(short(&mut upload), ["a begin"]);
}

#[test]
fn what_changed_after_it_was_sent_is_a_new_job() {
    for shipping in [Shipping::Sent, Shipping::Finished] {
        let mut upload = upload();
        settled(&mut upload, 0, "a", 2, Some(known(1, shipping)));
        let wanted = actions(&mut upload);
        assert!(
            matches!(
                wanted.as_slice(),
                [Action::Do {
                    step: Step::Begin,
                    resume: None,
                    ..
                }]
            ),
            "{wanted:?}"
        );
    }
}

#[test]
fn what_was_announced_and_changed_or_went_away_is_given_up_first() {
    let announced = || Some(known(1, Shipping::Announced));
    for (event, why) in [
        (
            seen("a", 2, announced()),
            "the file changed before everything was sent",
        ),
        (
            gone("a", announced()),
            "the file went away before everything was sent",
        ),
    ] {
        let mut upload = upload();
        upload.handle(at(0), event.clone());
        assert_eq!(short(&mut upload), [format!("a abandon ({why})")]);
        upload.handle(at(0), event);
        assert_eq!(short(&mut upload), NOTHING, "it is under way");
        upload.handle(at(0), done("a", Step::Abandon(why.to_owned())));
        assert_eq!(short(&mut upload), ["release a", "look at a"]);
        // What is there now comes to rest first.
        upload.handle(at(0), seen("a", 2, None));
        assert_eq!(short(&mut upload), NOTHING);
        assert_eq!(upload.wake_at(), Some(at(2_000).now));
    }
}

/// After a long absence of the service many jobs may have to be given up: they wait their turn like all the others.
#[test]
fn giving_up_keeps_to_the_limit_of_files_and_survives_its_folder() {
    let mut upload = upload();
    for path in ["f/a", "f/b", "f/c"] {
        upload.handle(at(0), gone(path, Some(known(1, Shipping::Announced))));
    }
    assert_eq!(short(&mut upload).len(), 2);
    upload.handle(at(0), gone("f", None));
    upload.handle(at(0), done("f/a", Step::Abandon(String::new())));
    assert_eq!(
        short(&mut upload),
        [
            "release f/a",
            "look at f/a",
            "f/c abandon (the file went away before everything was sent)"
        ]
    );
}

#[test]
fn files_wait_for_a_free_place_in_their_order() {
    let mut upload = upload();
    for path in ["a", "b", "c"] {
        upload.handle(at(0), seen(path, 1, None));
    }
    upload.tick(at(2_000));
    assert_eq!(short(&mut upload), ["look at a", "look at b", "look at c"]);
    for path in ["c", "b", "a"] {
        upload.handle(at(2_000), seen(path, 1, None));
    }
    assert_eq!(short(&mut upload), ["c begin", "b begin"]);
    // One that changes while it waits rests again.
    upload.handle(at(3_000), seen("a", 2, None));
    upload.handle(
        at(3_000),
        failed("c", Step::Begin, Fault::Permanent("no bucket".to_owned())),
    );
    assert_eq!(short(&mut upload), ["release c", "report c: no bucket"]);
    upload.handle(at(5_000), seen("a", 2, None));
    assert_eq!(short(&mut upload), ["a begin"]);
}

#[test]
fn a_change_during_the_upload_is_looked_into_after_it() {
    let mut upload = upload();
    settled(&mut upload, 0, "a", 1, None);
    upload.handle(at(3_000), seen("a", 1, None));
    upload.handle(at(3_000), seen("a", 2, Some(known(1, Shipping::Announced))));
    for step in [
        Step::Begin,
        Step::Create,
        Step::Send,
        Step::Commit,
        Step::Remember,
    ] {
        upload.handle(at(4_000), done("a", step));
    }
    assert_eq!(
        short(&mut upload),
        [
            "a begin",
            "a create",
            "a send",
            "a commit",
            "a remember",
            "release a",
            "look at a"
        ]
    );
}

#[test]
fn an_unreadable_file_is_reported_once_until_it_can_be_read() {
    let mut upload = upload();
    let report = ["report a: no rights"];
    upload.handle(at(0), unreadable("a", "no rights"));
    assert_eq!(short(&mut upload), report);
    upload.handle(at(30_000), unreadable("a", "no rights"));
    assert_eq!(short(&mut upload), NOTHING);
    upload.handle(at(60_000), unreadable("a", "input/output error"));
    assert_eq!(short(&mut upload), ["report a: input/output error"]);
    upload.handle(at(90_000), seen("a", 1, Some(known(1, Shipping::Sent))));
    upload.handle(at(120_000), unreadable("a", "no rights"));
    assert_eq!(short(&mut upload), report);
    upload.handle(at(150_000), gone("a", None));
    upload.handle(at(180_000), unreadable("a", "no rights"));
    assert_eq!(short(&mut upload), report);
}

#[test]
fn a_folder_that_is_away_is_reported_once_and_recovers() {
    let mut upload = upload();
    upload.handle(at(0), seen("a", 1, None));
    let report = ["report : the folder is not there"];
    upload.handle(at(100), unreadable("", "the folder is not there"));
    assert_eq!(short(&mut upload), report);
    assert_eq!(upload.wake_at(), None, "what waited in it waits no more");
    upload.handle(at(2_100), unreadable("", "the folder is not there"));
    assert_eq!(short(&mut upload), NOTHING);
    // It is back: its files come again, and should it go away once more, that is news.
    upload.handle(at(4_000), seen("a", 1, None));
    upload.handle(at(4_000), Event::Scanned);
    upload.handle(at(6_000), seen("a", 1, None));
    assert_eq!(short(&mut upload), ["a begin"]);
    upload.handle(at(7_000), unreadable("", "the folder is not there"));
    assert_eq!(short(&mut upload), report);
}

#[test]
fn a_file_that_is_left_is_reported_once_until_it_is_shipped() {
    let mut upload = upload();
    let leave = |upload: &mut Upload, from| {
        settled(upload, from, "a", 1, None);
        upload.handle(
            at(from + 2_000),
            failed("a", Step::Begin, Fault::Permanent("no bucket".to_owned())),
        );
        short(upload)
    };
    assert_eq!(
        leave(&mut upload, 0),
        ["a begin", "release a", "report a: no bucket"]
    );
    assert_eq!(leave(&mut upload, 30_000), ["a begin", "release a"]);
    settled(&mut upload, 60_000, "a", 1, None);
    for step in [
        Step::Begin,
        Step::Create,
        Step::Send,
        Step::Commit,
        Step::Remember,
    ] {
        upload.handle(at(62_000), done("a", step));
    }
    short(&mut upload);
    assert_eq!(
        leave(&mut upload, 90_000),
        ["a begin", "release a", "report a: no bucket"]
    );
}

#[test]
fn reports_remembered_are_bounded() {
    let mut upload = upload();
    for file in 0..2 * REMEMBERED_MAX {
        upload.handle(at(0), unreadable(&file.to_string(), "no rights"));
        assert_eq!(short(&mut upload).len(), 1);
    }
    assert!(upload.reported.len() <= REMEMBERED_MAX);
}

#[test]
fn what_goes_away_while_it_waits_is_forgotten() {
    let mut upload = upload();
    upload.handle(at(0), seen("f/a", 1, None));
    upload.handle(at(0), gone("f", None));
    assert_eq!(upload.wake_at(), None);
    assert!(upload.has_nothing_under_way());
}
