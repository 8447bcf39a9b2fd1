//! A worker as a part of a fleet: reports, rests, and the last word on a failing job.

use super::*;
use crate::fixture::wake;
use crate::fleet::FleetPolicy;
use crate::health::HealthPolicy;
use crate::job::{Attempt, Status};

const REPORT: Duration = Duration::from_secs(30);

fn member() -> Worker {
    let fleet = FleetPolicy {
        report: REPORT,
        health: HealthPolicy {
            failing_max: 2,
            failing_rest: seconds(600),
        },
    };
    let mut worker = with(policy()).in_fleet(fleet);
    worker.tick(at(0));
    assert_eq!(
        short(&mut worker),
        ["report 0 held, 0 done, 0 failed", "look for 2"]
    );
    worker
}

/// Takes the files, which end so at once, and forgets what it wanted done.
fn works(worker: &mut Worker, ms: i64, files: &[u32], ending: &Ending) -> Vec<String> {
    let offered = files.iter().map(|file| Job {
        due: None,
        ..job(*file)
    });
    worker.handle(at(ms), found(offered));
    for file in files {
        let held = Job {
            due: Some(at(ms).now + LEASE),
            ..claimed(*file, PROCESSOR, LEASE)
        };
        let won = Outcome::Done(Some(Box::new(held)));
        worker.handle(at(ms), written(*file, Write::Claim, won));
    }
    actions(worker);
    for file in files {
        worker.handle(at(ms), Event::Ended(key(*file), ending.clone()));
    }
    let wanted = short(worker);
    for file in files {
        for write in [Write::Release, Write::Fail, Write::Complete] {
            worker.handle(at(ms), written(*file, write, done()));
        }
    }
    wanted
}

fn fails() -> Ending {
    Ending::Failed {
        why: "HTTP 500".to_owned(),
        after: None,
    }
}

#[test]
fn it_reports_at_once_and_then_at_its_pace_spread_by_a_quarter() {
    let mut worker = member();
    worker.handle(at(0), found([]));
    assert_eq!(short(&mut worker), [""; 0], "one report at a time");
    worker.handle(at(100), Event::Reported(None));
    worker.handle(at(100), Event::LookFailed("away".to_owned()));
    worker.tick(at(26_349));
    assert!(!short(&mut worker).concat().contains("report"));
    worker.tick(at(26_350));
    assert!(short(&mut worker).contains(&"report 0 held, 0 done, 0 failed".to_owned()));
}

#[test]
fn a_report_tells_what_is_held_since_when() {
    let mut worker = member();
    worker.handle(at(0), Event::Reported(Some(false)));
    worker.handle(at(0), found([job(1), job(2)]));
    worker.handle(at(0), written(1, Write::Claim, won(1)));
    actions(&mut worker);
    worker.tick(at(30_000));
    let report = actions(&mut worker).into_iter().find_map(|action| match action {
        Action::Report(report) => Some(report),
        Action::Look { .. }
        | Action::Write(_)
        | Action::Fetch(_)
        | Action::Engage(_)
        | Action::Stop(_)
        | Action::Protect(_) => None,
    });
    let report = report.unwrap();
    assert_eq!(
        report.held,
        [(key(1), Some(START))],
        "the claim of 2 is not answered"
    );
}

#[test]
fn it_rests_when_its_jobs_keep_failing_while_others_are_there() {
    let mut worker = member();
    worker.handle(at(0), Event::Reported(Some(true)));
    let wanted = works(&mut worker, 0, &[1, 2], &fails());
    assert_eq!(
        wanted,
        [
            "release 1",
            "release 2",
            "report 2 held, 0 done, 2 failed, resting"
        ]
    );
    worker.handle(at(0), Event::Reported(Some(true)));
    assert_eq!(short(&mut worker), [""; 0], "it does not look");
    assert!(wake(&mut worker, at(1)).is_empty());
    worker.tick(at(600_000));
    assert!(
        short(&mut worker).contains(&"look for 1".to_owned()),
        "one probe at a time"
    );
    let wanted = works(&mut worker, 600_000, &[3], &result());
    assert!(wanted.contains(&"complete 3".to_owned()), "{wanted:?}");
    worker.handle(at(600_000), found([]));
    actions(&mut worker);
    worker.tick(at(700_000));
    assert!(short(&mut worker).contains(&"look for 2".to_owned()));
}

#[test]
fn alone_it_never_rests() {
    let mut worker = member();
    worker.handle(at(0), Event::Reported(Some(false)));
    works(&mut worker, 0, &[1, 2], &fails());
    worker.tick(at(30_000));
    assert!(short(&mut worker).concat().contains("2 failed"));
    worker.handle(at(30_000), Event::LookFailed("away".to_owned()));
    worker.tick(at(60_000));
    assert!(short(&mut worker).contains(&"look for 2".to_owned()));
}

/// A job on which this worker alone has failed as often as is allowed, but for once.
fn nearly_given_up(by: &str) -> Job {
    let failed = Attempt {
        since: Some(START),
        at: START,
        by: by.to_owned(),
        what: "release".to_owned(),
        why: "HTTP 500".to_owned(),
        failed: true,
    };
    Job {
        failures: 2,
        history: vec![failed.clone(), failed],
        ..claimed(1, PROCESSOR, LEASE)
    }
}

fn last_attempt(others: bool, by: &str) -> Vec<String> {
    let mut worker = member();
    worker.handle(at(0), Event::Reported(Some(others)));
    worker.handle(at(0), found([job(1)]));
    let won = Outcome::Done(Some(Box::new(nearly_given_up(by))));
    worker.handle(at(0), written(1, Write::Claim, won));
    actions(&mut worker);
    worker.handle(at(0), Event::Ended(key(1), fails()));
    short(&mut worker)
}

#[test]
fn a_job_is_given_up_when_different_workers_failed_if_there_is_more_than_one() {
    assert_eq!(last_attempt(true, PROCESSOR), ["release 1"]);
    assert_eq!(last_attempt(false, PROCESSOR), ["fail 1"]);
    assert_eq!(last_attempt(true, "processor-2"), ["fail 1"]);
}

#[test]
fn a_job_it_used_up_is_left_to_the_others_first() {
    let mut worker = member();
    worker.handle(at(0), Event::Reported(Some(true)));
    let used_up = Job {
        status: Status::Queued,
        processor: None,
        failures: 3,
        due: Some(START),
        lane: job(1).lane,
        ..nearly_given_up(PROCESSOR)
    };
    worker.handle(at(0), found([used_up.clone()]));
    assert_eq!(short(&mut worker), [""; 0]);
    worker.tick(at(60_000));
    actions(&mut worker);
    worker.handle(at(60_000), found([used_up]));
    assert!(short(&mut worker).contains(&"claim 1".to_owned()));
}
