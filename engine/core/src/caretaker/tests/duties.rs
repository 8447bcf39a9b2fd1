//! What each duty does about a job.

use std::fmt::Write as _;

use super::*;
use crate::at::spelled;
use crate::fixture::{decisions, lane};
use crate::job::{LaneKind, Status};
use crate::lifecycle::{Value, attribute};

const NOTHING: [&str; 0] = [];

#[test]
fn a_finished_job_is_cleaned_when_it_is_due_and_not_a_millisecond_before() {
    assert_eq!(about(cleaner(), at(-1), completed(1)), NOTHING);
    assert_eq!(about(cleaner(), at(0), completed(1)), ["delete all of 1"]);
    let failed = Job {
        status: Status::Error,
        ..completed(1)
    };
    assert_eq!(about(cleaner(), at(0), failed), ["delete all of 1"]);
    for status in [Status::Queued, Status::Processing] {
        assert_eq!(
            about(
                cleaner(),
                at(0),
                Job {
                    status,
                    ..completed(1)
                }
            ),
            NOTHING
        );
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

#[test]
fn a_lost_job_goes_to_another_after_its_lease() {
    let job = claimed(1, PROCESSOR, LEASE);
    assert_eq!(
        about(requeuer(), at(300_000), job.clone()),
        NOTHING,
        "at its end the lease still holds"
    );
    assert_eq!(about(requeuer(), at(300_001), job.clone()), ["requeue 1"]);
    let retried = |retries| Job {
        retries,
        ..job.clone()
    };
    assert_eq!(about(requeuer(), at(300_001), retried(1)), ["requeue 1"]);
    assert_eq!(
        about(requeuer(), at(300_001), retried(2)),
        ["give-up 1"],
        "three were lost"
    );
    let tired = Job {
        failures: 9,
        ..job.clone()
    };
    assert_eq!(
        about(requeuer(), at(300_001), tired),
        ["requeue 1"],
        "failures are counted apart"
    );
}

#[test]
fn what_a_foreign_fetcher_left_in_the_lane_goes_to_its_own() {
    let left = |status| Job {
        status,
        ..claimed(1, "theirs", LEASE)
    };
    for status in [Status::Queued, Status::Completed, Status::Error] {
        assert_eq!(about(requeuer(), at(300_000), left(status)), NOTHING);
        let mut caretaker = requeuer();
        caretaker.tick(at(300_001));
        caretaker.handle(at(300_001), page([left(status)], false));
        let Some(Action::Write(change)) = actions(&mut caretaker).pop() else {
            panic!("nothing is written")
        };
        let to = if status == Status::Queued {
            LaneKind::Ready
        } else {
            LaneKind::Done
        };
        assert!(
            change
                .set
                .contains(&(attribute::LANE, Value::Text(lane(to).to_string()))),
            "{change:?}"
        );
    }
}

#[test]
fn every_status_and_lane_that_admit_may_find() {
    let mut table = String::new();
    let lanes = [
        None,
        Some(LaneKind::Ready),
        Some(LaneKind::Leased),
        Some(LaneKind::Done),
    ];
    for status in [
        Status::Queued,
        Status::Processing,
        Status::Completed,
        Status::Error,
    ] {
        for kind in lanes {
            for signature in [Ok(()), Err("forged".to_owned())] {
                let words = if signature.is_ok() { "" } else { ", forged" };
                let job = Job {
                    status,
                    lane: kind.map(lane),
                    assigned: (status != Status::Queued).then_some(START),
                    ..job(1)
                };
                let mut caretaker = admitter();
                caretaker.tick(at(7_000));
                actions(&mut caretaker);
                let offers = vec![Offer {
                    job,
                    signature,
                    uploaded: true,
                }];
                caretaker.handle(
                    at(7_000),
                    Event::Found {
                        offers,
                        malformed: Vec::new(),
                        more: false,
                    },
                );
                let done = decisions(&mut caretaker)
                    .pop()
                    .map_or("left".to_owned(), |decision| {
                        let Action::Write(change) = decision.action else {
                            panic!("{decision:?}")
                        };
                        let set = |wanted| {
                            change
                                .set
                                .iter()
                                .find(|(name, _)| *name == wanted)
                                .map(|(_, value)| value)
                        };
                        let Some(Value::Text(to)) = set(attribute::LANE) else {
                            panic!("{change:?}")
                        };
                        let Some(Value::Time(due)) = set(attribute::DUE) else {
                            panic!("{change:?}")
                        };
                        let due = due.since(START).as_secs();
                        format!(
                            "{} to {to} at {due} s: {}",
                            change.write.as_str(),
                            decision.reason.rule
                        )
                    });
                let kind = kind.map_or("no lane", LaneKind::as_str);
                writeln!(table, "{} in {kind}{words}: {done}", status.as_str()).unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_job_that_was_cleaned_has_no_lane_and_needs_none() {
    let cleaned = Job {
        lane: None,
        due: None,
        cleaned: Some(START),
        ..completed(1)
    };
    assert_eq!(about(admitter(), at(0), cleaned), NOTHING);
}

#[test]
fn a_record_that_is_no_job_is_refused_by_every_duty() {
    for mut caretaker in [cleaner(), requeuer(), admitter()] {
        caretaker.tick(at(0));
        let malformed = vec![Malformed {
            key: record(1),
            why: "no bucket".to_owned(),
            too_large: false,
        }];
        caretaker.handle(
            at(0),
            Event::Found {
                offers: Vec::new(),
                malformed,
                more: false,
            },
        );
        assert_eq!(short(&mut caretaker), ["look", "refuse 1"]);
    }
}

fn failed(file: u32) -> Job {
    Job {
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

#[test]
fn jobs_that_wait_for_late_objects_do_not_bring_themselves_again_at_once() {
    let mut caretaker = cleaner();
    caretaker.finish(at(1));
    caretaker.handle(at(1), page([failed(1)], true));
    caretaker.handle(at(1), Event::Deleted(record(1), Swept::default()));
    assert_eq!(short(&mut caretaker), ["look", "delete all of 1", "keep 1"]);
    caretaker.handle(at(1), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), NOTHING);
    assert!(caretaker.is_idle(), "the round is over");
}

/// What admit does about a waiting job, so long after its creation.
fn about_upload(ms: i64, job: Job, uploaded: bool, signature: Result<(), String>) -> Vec<String> {
    let mut caretaker = admitter();
    caretaker.tick(at(ms));
    let offers = vec![Offer {
        job,
        signature,
        uploaded,
    }];
    let found = Event::Found {
        offers,
        malformed: Vec::new(),
        more: false,
    };
    caretaker.handle(at(ms), found);
    short(&mut caretaker)
}

#[test]
fn an_upload_that_is_not_complete_at_its_time_is_left_and_a_millisecond_later_closed() {
    let limit = i64::try_from(UPLOAD_MAX.as_millis()).unwrap();
    let foreign = Job {
        lane: None,
        due: None,
        ..job(1)
    };
    assert_eq!(about_upload(limit, job(1), false, Ok(())), ["look"]);
    assert_eq!(
        about_upload(limit + 1, job(1), false, Ok(())),
        ["look", "give-up 1"]
    );
    assert_eq!(
        about_upload(limit + 1, job(1), true, Ok(())),
        ["look"],
        "it is whole"
    );
    assert_eq!(
        about_upload(limit, foreign.clone(), false, Ok(())),
        ["look", "admit 1"]
    );
    assert_eq!(
        about_upload(limit + 1, foreign.clone(), false, Ok(())),
        ["look", "give-up 1"]
    );
    assert_eq!(
        about_upload(limit + 1, foreign.clone(), true, Ok(())),
        ["look", "admit 1"]
    );
    let forged = || Err("forged".to_owned());
    assert_eq!(
        about_upload(limit + 1, foreign, false, forged()),
        ["look", "refuse 1"]
    );
    assert_eq!(
        about_upload(limit + 1, job(1), false, forged()),
        ["look"],
        "fetchers refuse it"
    );
    for status in [Status::Processing, Status::Completed, Status::Error] {
        let held = Job {
            status,
            ..claimed(1, PROCESSOR, LEASE)
        };
        let done = about_upload(limit + 1, held, false, Ok(()));
        assert!(!done.contains(&"give-up 1".to_owned()), "{done:?}");
    }
}

#[test]
fn closing_an_upload_names_the_key_and_hands_the_job_to_cleanup() {
    let mut caretaker = admitter();
    caretaker.tick(at(600_000));
    actions(&mut caretaker);
    let offers = vec![Offer {
        job: job(1),
        signature: Ok(()),
        uploaded: false,
    }];
    let found = Event::Found {
        offers,
        malformed: Vec::new(),
        more: false,
    };
    caretaker.handle(at(600_000), found);
    let decision = decisions(&mut caretaker).pop().unwrap();
    assert_eq!(decision.reason.key, "sink.admit.upload-max");
    let Action::Write(change) = decision.action else {
        panic!("{decision:?}")
    };
    let done = Value::Text(lane(LaneKind::Done).to_string());
    assert!(change.set.contains(&(attribute::LANE, done)), "{change:?}");
    let limit = spelled(UPLOAD_MAX);
    let error =
        format!("the upload was never completed: not within {limit} of its creation (sink.admit.upload-max)");
    assert!(
        change.set.contains(&(attribute::ERROR, Value::Text(error))),
        "{change:?}"
    );
}
