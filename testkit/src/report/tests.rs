use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Attempt, Job, Lane, LaneKind, OPERATOR, OPERATOR_ASKED, Status};
use roundtrip_core::names::{ClientId, FileId, JobKey};

use super::*;
use crate::report::timeline::Phase;

const START: Timestamp = Timestamp(1_790_000_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp(START.0 + seconds * 1_000)
}

fn job(number: usize) -> Job {
    Job {
        key: JobKey {
            client: ClientId::parse(&format!("client-04{}", "ab".repeat(64))).unwrap(),
            file: FileId::parse(&format!("file-00000000-0000-0000-0000-{number:012}")).unwrap(),
        },
        status: Status::Queued,
        version: "2.5.21".to_owned(),
        created: "2026-09-21T14:13:20.000Z".to_owned(),
        created_at: Some(START),
        bucket: "lab".to_owned(),
        chunks: 3,
        signature: "30aa".to_owned(),
        processor: None,
        assigned: None,
        downloaded: None,
        processed: None,
        results: None,
        results_type: None,
        error: None,
        outline: None,
        outline_signature: None,
        lane: Some(Lane {
            kind: LaneKind::Ready,
            shard: 0,
        }),
        due: Some(START),
        retries: 0,
        failures: 0,
        history: Vec::new(),
        cleaning: None,
        cleaned: None,
        priority: 0,
    }
}

/// The record after the changes a fetcher made.
fn held(job: &Job, since: Timestamp) -> Job {
    Job {
        status: Status::Processing,
        processor: Some("processor-1".to_owned()),
        assigned: Some(since),
        lane: job.lane.map(|lane| lane.of(LaneKind::Leased)),
        due: Some(since + Duration::from_secs(300)),
        ..job.clone()
    }
}

fn attempt(job: &Job, what: &str, ended: Timestamp, failed: bool) -> Vec<Attempt> {
    let mut history = job.history.clone();
    history.push(Attempt {
        since: job.assigned,
        at: ended,
        by: "processor-1".to_owned(),
        what: what.to_owned(),
        why: "HTTP 500".to_owned(),
        failed,
    });
    history
}

/// A job that failed once, waited five seconds, and was completed and cleaned.
fn troubled() -> Timeline {
    let mut timeline = Timeline::default();
    let queued = job(1);
    timeline.observe(at(0), &queued);
    let first = held(&queued, at(2));
    timeline.observe(at(2), &first);
    let released = Job {
        due: Some(at(15)),
        history: attempt(&first, "release", at(10), true),
        failures: 1,
        ..queued.clone()
    };
    timeline.observe(at(10), &released);
    let second = held(&released, at(20));
    timeline.observe(at(20), &second);
    let arrived = Job {
        downloaded: Some(at(24)),
        ..second
    };
    timeline.observe(at(24), &arrived);
    let completed = Job {
        status: Status::Completed,
        processed: Some(at(30)),
        lane: arrived.lane.map(|lane| lane.of(LaneKind::Done)),
        history: attempt(&arrived, "complete", at(30), false),
        ..arrived
    };
    timeline.observe(at(30), &completed);
    timeline.observe(
        at(33),
        &Job {
            cleaned: Some(at(33)),
            lane: None,
            ..completed
        },
    );
    timeline
}

#[test]
fn a_job_goes_through_its_phases_and_a_backoff_ends_by_itself() {
    let timeline = troubled();
    let lives = timeline.lives();
    let phases: Vec<_> = lives[0]
        .phases
        .iter()
        .map(|(phase, at)| format!("{} s {}", at / 1_000, Phase::ALL[*phase].as_str()))
        .collect();
    insta::assert_snapshot!(phases.join("\n"), @r"
    0 s waiting
    2 s uploading or fetching
    10 s backing off
    15 s waiting
    20 s uploading or fetching
    24 s analysing
    30 s to be cleaned
    33 s over
    ");
    insta::assert_snapshot!(serde_json::to_string(&lives[0].attempts).unwrap(), @r#"[[2000,10000,"processor-1","release","HTTP 500","failed"],[20000,30000,"processor-1","complete","HTTP 500",""]]"#);
}

/// A job that is held for ten seconds at a time, until each of these writes in turn.
fn handed_round(endings: &[(&str, &str, &str)]) -> String {
    let (mut timeline, mut job, mut now) = (Timeline::default(), job(1), 0);
    timeline.observe(at(now), &job);
    for (what, by, why) in endings {
        let is_held = *by != "admit" && *by != OPERATOR;
        if is_held {
            timeline.observe(at(now + 1), &held(&job, at(now + 1)));
        }
        now += 10;
        job.history.push(Attempt {
            since: is_held.then(|| at(now - 9)),
            at: at(now),
            by: (*by).to_owned(),
            what: (*what).to_owned(),
            why: (*why).to_owned(),
            failed: false,
        });
        if *what == "give-up" {
            job.status = Status::Error;
        }
        timeline.observe(at(now), &job);
    }
    let lives = timeline.lives();
    let told = lives[0].attempts.iter().map(|(_, _, _, what, _, ending)| {
        let ending = serde_json::to_string(ending).unwrap();
        format!("{what} {ending}")
    });
    told.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_lost_attempt_is_one_whether_its_job_is_taken_again_or_given_up() {
    let lost = (
        "requeue",
        "processor-1",
        "sent no heartbeat before its lease ended",
    );
    let given_up = ("give-up", "processor-1", "2 fetchers were lost on this job");
    assert_eq!(
        handed_round(&[lost, given_up]),
        r#"requeue "lost", give-up "lost""#
    );
}

#[test]
fn who_is_requeued_by_an_operator_or_never_uploaded_was_not_lost() {
    let taken = ("requeue", "processor-1", OPERATOR_ASKED);
    let ended = ("requeue", OPERATOR, OPERATOR_ASKED);
    let closed = ("give-up", "admit", "its upload was not complete in time");
    assert_eq!(
        handed_round(&[taken, ended, closed]),
        r#"requeue "operator", requeue "operator", give-up """#
    );
}

/// Its second fetcher's clock is an hour behind that of the first.
#[test]
fn an_attempt_is_told_whatever_its_writers_clock_says() {
    let mut timeline = Timeline::default();
    let first = held(&job(1), at(1));
    let released = Job {
        history: attempt(&first, "release", at(3_600), true),
        ..job(1)
    };
    let second = held(&released, at(5));
    let failed = Job {
        status: Status::Error,
        history: attempt(&second, "fail", at(9), true),
        ..second.clone()
    };
    let cleaned = Job {
        cleaned: Some(at(10)),
        ..failed.clone()
    };
    for (seconds, job) in [(1, first), (4, released), (5, second), (9, failed), (10, cleaned)] {
        timeline.observe(at(seconds), &job);
    }
    let told: Vec<&str> = timeline.lives()[0].attempts.iter().map(|one| one.3).collect();
    assert_eq!(told, ["release", "fail"]);
}

#[test]
fn a_job_whose_record_goes_is_not_open_any_more() {
    let mut timeline = Timeline::default();
    timeline.observe(at(0), &job(1));
    timeline.observe(at(0), &job(2));
    let completed = Job {
        status: Status::Completed,
        ..job(3)
    };
    timeline.observe(at(0), &completed);
    for number in [1, 3] {
        timeline.removed(at(9), &job(number).key);
    }
    let lives = serde_json::to_value(timeline.lives()).unwrap();
    let outcomes: Vec<&str> = lives
        .as_array()
        .unwrap()
        .iter()
        .map(|life| life["o"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["deleted", "open", "completed"]);
}

#[test]
fn a_client_is_written_whole_and_once() {
    let mut timeline = Timeline::default();
    timeline.observe(at(0), &job(1));
    timeline.observe(at(0), &job(2));
    let client = job(1).key.client;
    assert_eq!(timeline.clients(), [client.as_str()]);
    let report = Report {
        title: "two jobs",
        timeline: &timeline,
        difference: None,
    };
    assert_eq!(report.page().matches(client.as_str()).count(), 1);
}

#[test]
fn a_backoff_at_the_end_of_the_history_lasts_until_then() {
    let mut timeline = Timeline::default();
    let waiting = Job {
        due: Some(at(9)),
        ..job(1)
    };
    timeline.observe(at(0), &waiting);
    timeline.pass(at(9));
    assert_eq!(
        timeline.lives()[0].phases.len(),
        1,
        "still backing off at its very end"
    );
    timeline.pass(at(10));
    assert_eq!(timeline.lives()[0].phases[1], (Phase::Waiting as usize, 9_000));
}

#[test]
fn the_page_is_one_file_and_its_data_cannot_leave_the_data() {
    let timeline = troubled();
    let difference = Difference {
        summary: vec!["1 job would be restarted </script><script>alert(1)</script>".to_owned()],
        lines: vec!["+ {{data}}".to_owned()],
    };
    let report = Report {
        title: "a <b> & {{script}}",
        timeline: &timeline,
        difference: Some(&difference),
    };
    let page = report.page();
    assert!(page.starts_with(Report::FIRST));
    assert_eq!(page.matches("<script>alert").count(), 0);
    assert_eq!(page.matches("</script>").count(), 3, "the page's own");
    assert!(page.contains("<title>a &lt;b> &amp; {{script}}</title>"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}
