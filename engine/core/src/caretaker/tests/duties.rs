//! What each duty does about a job.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::at::spelled;
use crate::fixture::{decisions, lane};
use crate::job::{LaneKind, Status};
use crate::lifecycle::{Value, attribute};

const NOTHING: [&str; 0] = [];

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

/// A record near the 400 KB of an item cannot take another line of history.
#[test]
fn a_job_whose_record_is_full_is_given_back_and_ended_without_its_history() {
    for (retries, again) in [(0, false), (0, true), (2, false), (2, true)] {
        let mut caretaker = requeuer();
        caretaker.tick(at(300_001));
        let job = Job {
            retries,
            ..claimed(1, PROCESSOR, LEASE)
        };
        caretaker.handle(at(300_001), page([job], true));
        let Some(Action::Write(refused)) = actions(&mut caretaker).pop() else {
            panic!("nothing is written")
        };
        let refuse = |change: &Change| {
            let why = "ValidationException: Item size to update has exceeded the maximum allowed size";
            Event::Refused(Box::new(change.clone()), why.to_owned())
        };
        caretaker.handle(at(300_002), refuse(&refused));
        let asked = actions(&mut caretaker);
        let [Action::Write(shorter)] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert!(refused.set.iter().any(|(name, _)| *name == attribute::HISTORY));
        assert!(!shorter.set.iter().any(|(name, _)| *name == attribute::HISTORY));
        assert!(shorter.remove.contains(&attribute::HISTORY));
        assert_eq!(
            (shorter.write, &shorter.only_if),
            (refused.write, &refused.only_if)
        );
        assert_eq!(shorter.set.len() + 1, refused.set.len());
        if again {
            caretaker.handle(at(300_003), refuse(shorter));
            assert_eq!(short(&mut caretaker), NOTHING, "it waits for the next look");
        } else {
            caretaker.handle(at(300_003), Event::Written(record(1)));
            assert_eq!(short(&mut caretaker), ["look"], "the next page");
        }
    }
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
            ..Malformed::default()
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

#[test]
fn a_foreign_job_from_the_future_is_refused() {
    let day = 86_400_000;
    let created = |ms: i64| Job {
        created: "9999-12-31T00:00:00.000Z".to_owned(),
        created_at: Some(at(ms).now),
        lane: None,
        due: None,
        ..job(1)
    };
    for uploaded in [false, true] {
        let about = |ms| about_upload(0, created(ms), uploaded, Ok(()));
        assert_eq!(about(day), ["look", "admit 1"]);
        assert_eq!(about(day + 1), ["look", "refuse 1"]);
    }
    let why = created(day + 1).check_created(at(0).now).unwrap_err();
    assert_eq!(why, "`created` is more than 1d ahead: 9999-12-31T00:00:00.000Z");
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

/// Jobs of one lost fetcher are found by one look: full jitter spreads each by itself.
#[test]
fn jobs_that_were_lost_together_are_not_taken_again_together() {
    let mut caretaker = requeuer();
    caretaker.tick(at(300_001));
    actions(&mut caretaker);
    let jobs = (1..=20).map(|file| claimed(file, PROCESSOR, LEASE));
    caretaker.handle(at(300_001), page(jobs, false));
    let mut moments = BTreeSet::new();
    for action in actions(&mut caretaker) {
        if let Action::Write(change) = action {
            moments.extend(change.due());
        }
    }
    assert!(moments.len() > 15, "{moments:?}");
}
