//! What becomes of a finished job's objects and record.

use super::*;
use crate::job::Status;
use crate::lifecycle::Write;
use crate::lifecycle::{Value, attribute};

const NOTHING: [&str; 0] = [];

/// An operator may have it taken again until its record says that it is being cleaned.
#[test]
fn the_objects_of_an_error_are_deleted_once_its_record_says_so() {
    let untouched = Job {
        cleaning: None,
        ..failed(1)
    };
    let found = || {
        let mut caretaker = cleaner();
        caretaker.tick(at(7));
        caretaker.handle(at(7), page([untouched.clone()], false));
        let asked = actions(&mut caretaker);
        let [Action::Look { .. }, Action::Write(mark)] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(mark.set, [(attribute::CLEANING, Value::Time(at(7).now))]);
        caretaker
    };
    let mut caretaker = found();
    caretaker.handle(at(8), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), ["delete all of 1"]);
    caretaker.handle(at(9), Event::Deleted(record(1), WHOLE));
    assert_eq!(short(&mut caretaker), ["cleaned 1"]);
    caretaker.handle(at(10), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), NOTHING);
    for refused in [
        Event::Lost(record(1)),
        Event::Failed(record(1), "away".to_owned()),
    ] {
        let mut caretaker = found();
        caretaker.handle(at(8), refused);
        caretaker.handle(at(8), Event::Written(record(1)));
        assert_eq!(short(&mut caretaker), NOTHING);
    }
    // A watcher that died after the mark: the next one goes on.
    assert_eq!(about(cleaner(), at(9), failed(1)), ["delete all of 1"]);
}

/// An error whose cleaning has begun.
fn failed(file: u32) -> Job {
    Job {
        cleaning: Some(START),
        status: Status::Error,
        results: None,
        error: Some("422".to_owned()),
        chunks: 3,
        ..completed(file)
    }
}

/// What is written after a deletion that found `swept`, at `ms` after the job was created.
fn after_deletion(ms: i64, swept: Swept) -> Vec<String> {
    let mut caretaker = cleaner();
    caretaker.tick(at(ms));
    caretaker.handle(at(ms), page([failed(1)], false));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1"]);
    caretaker.handle(at(ms), Event::Deleted(record(1), swept));
    short(&mut caretaker)
}

#[test]
fn a_job_that_failed_during_its_upload_is_cleaned_once_nothing_more_can_come() {
    let part = Swept {
        objects: 2,
        manifest: false,
    };
    let all = Swept { objects: 3, ..part };
    let last = Swept {
        manifest: true,
        ..part
    };
    let limit = i64::try_from(UPLOAD_MAX.as_millis()).unwrap();
    assert_eq!(after_deletion(limit - 1, part), ["keep 1"]);
    assert_eq!(after_deletion(limit, part), ["cleaned 1"]);
    assert_eq!(after_deletion(1, all), ["cleaned 1"]);
    assert_eq!(after_deletion(1, last), ["cleaned 1"], "the manifest is put last");
}

/// A day of looks every 30 seconds would be 2,880 writes and as many deletions for each such job.
#[test]
fn late_objects_are_looked_for_less_and_less_often() {
    let due = |ms: i64| {
        let mut caretaker = cleaner();
        caretaker.tick(at(ms));
        caretaker.handle(at(ms), page([failed(1)], false));
        caretaker.handle(at(ms), Event::Deleted(record(1), Swept::default()));
        let writes = actions(&mut caretaker).into_iter();
        let mut due = writes.filter_map(|action| match action {
            Action::Write(change) if change.write == Write::Keep => change.due(),
            Action::Write(_) | Action::Look { .. } | Action::Delete(..) => None,
        });
        due.next_back().expect("a keep").0 - START.0
    };
    let limit = i64::try_from(UPLOAD_MAX.as_millis()).unwrap();
    assert_eq!(due(limit / 2), limit / 2 + limit / 16);
    assert_eq!(due(limit - 1), limit, "and once more when nothing more can come");
}

#[test]
fn jobs_that_wait_for_late_objects_do_not_bring_themselves_again_at_once() {
    let mut caretaker = cleaner();
    caretaker.finish(at(1));
    caretaker.handle(at(1), page([failed(1)], true));
    caretaker.handle(at(1), Event::Deleted(record(1), Swept::default()));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1", "keep 1"]);
    caretaker.handle(at(1), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), ["look on"], "behind it, where others are");
    caretaker.handle(at(1), page([], false));
    assert!(caretaker.is_idle(), "the round is over");
}

/// A year ahead of the start, and whatever the clock of a client may say.
const AHEAD: Timestamp = Timestamp(START.0 + 365 * 86_400_000);

#[test]
fn an_error_that_is_dated_ahead_is_cleaned_when_nothing_more_can_come() {
    let limit = i64::try_from(UPLOAD_MAX.as_millis()).unwrap();
    let after = |ms: i64, job: &Job| {
        let mut caretaker = cleaner();
        caretaker.tick(at(ms));
        caretaker.handle(at(ms), page([job.clone()], false));
        caretaker.handle(at(ms), Event::Deleted(record(1), Swept::default()));
        short(&mut caretaker).pop()
    };
    let ahead = Job {
        created_at: Some(AHEAD),
        ..failed(1)
    };
    // From when it was claimed, or ended.
    assert_eq!(after(limit - 1, &ahead).as_deref(), Some("keep 1"));
    assert_eq!(after(limit, &ahead).as_deref(), Some("cleaned 1"));
    let refused = Job {
        processor: None,
        assigned: None,
        processed: Some(at(1_000).now),
        ..ahead.clone()
    };
    assert_eq!(after(limit + 999, &refused).as_deref(), Some("keep 1"));
    assert_eq!(after(limit + 1_000, &refused).as_deref(), Some("cleaned 1"));
    let untold = Job {
        processed: Some(AHEAD),
        ..refused
    };
    assert_eq!(
        after(0, &untold).as_deref(),
        Some("cleaned 1"),
        "nothing tells its age"
    );
}

#[test]
fn a_result_whose_end_is_missing_or_ahead_is_not_kept_for_ever() {
    let keep = i64::try_from(RESULTS_KEEP.as_millis()).unwrap();
    for processed in [None, Some(AHEAD)] {
        let job = Job {
            processed,
            ..large(1)
        };
        assert_eq!(
            about(cleaner(), at(keep - 1), job.clone()),
            ["delete all but the result of 1"]
        );
        assert_eq!(about(cleaner(), at(keep), job), ["delete all of 1"]);
    }
}

#[test]
fn a_finished_job_is_cleaned_when_it_is_due_and_not_a_millisecond_before() {
    assert_eq!(about(cleaner(), at(-1), completed(1)), NOTHING);
    assert_eq!(about(cleaner(), at(0), completed(1)), ["delete all of 1"]);
    let failed = Job {
        status: Status::Error,
        ..completed(1)
    };
    assert_eq!(about(cleaner(), at(-1), failed.clone()), NOTHING);
    assert_eq!(about(cleaner(), at(0), failed), ["cleaning 1"]);
}

/// By hand, or by a program that knows no lanes: nobody looks for it where it lies.
#[test]
fn a_finished_job_that_somebody_opened_again_goes_where_it_is_looked_for() {
    for (status, lane) in [(Status::Queued, "ready#3"), (Status::Processing, "leased#3")] {
        let opened = Job {
            status,
            ..completed(1)
        };
        let mut caretaker = cleaner();
        caretaker.tick(at(0));
        caretaker.handle(at(0), page([opened], false));
        let Some(Action::Write(change)) = actions(&mut caretaker).pop() else {
            panic!("nothing is written")
        };
        let placed = change.set.iter().find(|(name, _)| *name == attribute::LANE);
        assert_eq!(placed.map(|(_, lane)| lane), Some(&Value::Text(lane.to_owned())));
    }
}

#[test]
fn a_job_is_marked_as_cleaned_only_when_its_objects_are_gone() {
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.handle(at(0), page([completed(1)], false));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1"]);
    caretaker.tick(at(60_000));
    assert_eq!(short(&mut caretaker), NOTHING, "it is under way");
    caretaker.handle(at(60_000), Event::Deleted(record(1), WHOLE));
    assert_eq!(short(&mut caretaker), ["cleaned 1"]);
    caretaker.handle(at(60_001), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), ["look"]);
}

#[test]
fn what_could_not_be_deleted_is_tried_again_at_the_next_look() {
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.handle(at(0), page([completed(1)], false));
    caretaker.handle(at(0), Event::Failed(record(1), "away".to_owned()));
    caretaker.handle(at(0), Event::Deleted(record(1), WHOLE));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1"]);
    let next = caretaker.wake_at().unwrap();
    assert_eq!(next, at(8_750).now);
    caretaker.tick(at(8_750));
    caretaker.handle(at(8_750), page([completed(1)], false));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1"]);
}

#[test]
fn a_result_in_the_bucket_waits_for_its_client() {
    let keep = i64::try_from(RESULTS_KEEP.as_millis()).unwrap();
    let mut caretaker = cleaner();
    caretaker.tick(at(0));
    caretaker.handle(at(5), page([large(1)], false));
    assert_eq!(short(&mut caretaker), ["look", "delete all but the result of 1"]);
    caretaker.handle(at(5), Event::Deleted(record(1), WHOLE));
    let action = actions(&mut caretaker).pop();
    let Some(Action::Write(change)) = action else {
        panic!("{action:?}")
    };
    assert_eq!(change.set, [(attribute::DUE, Value::Time(at(keep).now))]);
    let kept = Job {
        due: Some(at(keep).now),
        ..large(1)
    };
    assert_eq!(about(cleaner(), at(keep - 1), kept.clone()), NOTHING);
    assert_eq!(about(cleaner(), at(keep), kept), ["delete all of 1"]);
}
