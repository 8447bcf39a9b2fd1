//! Jobs that the processor turns away: a wrong path or token, or one file that it does not take.

use super::*;
use crate::job::Attempt;
use crate::lifecycle::attribute;

const DAY: i64 = 86_400_000;

fn turned_away() -> Ending {
    Ending::TurnedAway {
        why: "404".to_owned(),
        after: None,
    }
}

/// A worker and the first job as the table holds it.
struct Story {
    worker: Worker,
    job: Job,
    now: i64,
}

impl Story {
    fn new() -> Self {
        Self {
            worker: worker(),
            job: job(1),
            now: 0,
        }
    }

    /// The job is taken at this moment and work on it ends so: what is written, with the failures, the seconds until it is
    /// due again, and the error.
    fn ends(&mut self, ms: i64, ending: Ending) -> String {
        self.now = ms;
        let at = at(ms);
        let due = Some(at.now);
        self.worker.tick(at);
        self.worker.handle(
            at,
            found([Job {
                due,
                ..self.job.clone()
            }]),
        );
        let held = Job {
            history: self.job.history.clone(),
            failures: self.job.failures,
            assigned: due,
            due: Some(at.now + LEASE),
            ..claimed(1, PROCESSOR, LEASE)
        };
        let won = Outcome::Done(Some(Box::new(held)));
        self.worker.handle(at, written(1, Write::Claim, won));
        actions(&mut self.worker);
        self.worker.handle(at, Event::Ended(key(1), ending));
        let ends = |action| match action {
            Action::Write(change) if change.write != Write::Heartbeat => Some(change),
            Action::Write(_)
            | Action::Look { .. }
            | Action::Fetch(_)
            | Action::Engage(_)
            | Action::Stop(_)
            | Action::Report(_)
            | Action::Protect(_) => None,
        };
        let change = actions(&mut self.worker).into_iter().find_map(ends).unwrap();
        self.worker.handle(at, written(1, change.write, done()));
        let mut line = vec![change.write.as_str().to_owned()];
        for (name, value) in change.set {
            match value {
                Value::Number(failures) if name == attribute::FAILURES => {
                    self.job.failures = u32::try_from(failures).unwrap();
                    line.push(format!("failures {failures}"));
                }
                Value::Time(due) if name == attribute::DUE => {
                    line.push(format!("due in {} s", due.since(at.now).as_secs()));
                }
                Value::Text(error) if name == attribute::ERROR => line.push(error),
                Value::History(history) => self.job.history = history,
                Value::Text(_)
                | Value::Number(_)
                | Value::Time(_)
                | Value::Turn { .. }
                | Value::Expiry(_) => {}
            }
        }
        line.join(", ")
    }

    /// Another job is claimed at this moment.
    fn claims_another(&mut self, ms: i64) {
        let at = at(ms);
        self.worker.tick(at);
        self.worker.handle(at, found([Job { due: None, ..job(2) }]));
        assert!(short(&mut self.worker).contains(&"claim 2".to_owned()));
        let held = Job {
            assigned: Some(at.now),
            due: Some(at.now + LEASE),
            ..claimed(2, PROCESSOR, LEASE)
        };
        let won = Outcome::Done(Some(Box::new(held)));
        self.worker.handle(at, written(2, Write::Claim, won));
    }

    /// The processor has an answer for it.
    fn answers(&mut self, ms: i64) {
        let at = at(ms);
        self.worker.handle(at, Event::Ended(key(2), result()));
        self.worker.handle(at, written(2, Write::Complete, done()));
        actions(&mut self.worker);
    }

    /// Both.
    fn answers_for_another(&mut self, ms: i64) {
        self.claims_another(ms);
        self.answers(ms + 1_000);
    }
}

/// A wrong path or a missing token: nothing counts, and nothing ends, for as long as an upload may take.
#[test]
fn where_all_are_turned_away_none_counts_as_failed() {
    let mut story = Story::new();
    let hour = 3_600_000;
    let waits: Vec<_> = (0..24).map(|n| story.ends(n * hour, turned_away())).collect();
    assert_eq!(waits[0], "release, due in 10 s, failures 0");
    assert_eq!(waits[1], "release, due in 20 s, failures 0");
    assert_eq!(waits[23], "release, due in 3600 s, failures 0");
    assert!(
        waits
            .iter()
            .all(|wait| wait.starts_with("release") && wait.ends_with("failures 0"))
    );
    let why = &story.job.history.last().unwrap().why;
    assert_eq!(why, "the processor turned it away: 404", "it is said once");
}

#[test]
fn one_that_nothing_else_is_known_about_ends_after_enough_times_and_time() {
    let ends = |before: usize, ms: i64| {
        let mut story = Story::new();
        story.ends(0, turned_away());
        let attempt = story.job.history.remove(0);
        story.job.history = vec![attempt; before];
        story.ends(ms, turned_away())
    };
    assert!(
        ends(15, DAY).starts_with("release"),
        "exactly at the end of its time"
    );
    assert!(
        ends(14, DAY + 1).starts_with("release"),
        "the queue was older than that already"
    );
    let error = "fail, the processor turned it away for too long: 404, due in 0 s, failures 0";
    assert_eq!(ends(15, DAY + 1), error);
}

/// One file that the processor does not take, among others that it does.
#[test]
fn one_that_is_turned_away_while_others_are_answered_for_has_failed() {
    let mut story = Story::new();
    assert_eq!(story.ends(0, turned_away()), "release, due in 10 s, failures 0");
    story.answers_for_another(20_000);
    assert_eq!(
        story.ends(30_000, turned_away()),
        "release, due in 5 s, failures 1"
    );
    let why = &story.job.history.last().unwrap().why;
    assert_eq!(why, "the processor turned it away: 404");
    story.answers_for_another(40_000);
    assert_eq!(
        story.ends(50_000, turned_away()),
        "release, due in 10 s, failures 2"
    );
    story.answers_for_another(60_000);
    let error = "fail, the processor turned it away: 404 (attempt 3 of 3), due in 0 s, failures 3";
    assert_eq!(story.ends(70_000, turned_away()), error);
}

/// A token that is taken back: what was begun before says nothing about the requests that come after.
#[test]
fn an_answer_counts_only_where_its_job_was_claimed_afterwards() {
    let mut story = Story::new();
    story.answers_for_another(0);
    story.claims_another(9_000);
    assert_eq!(
        story.ends(10_000, turned_away()),
        "release, due in 10 s, failures 0"
    );
    story.answers(25_000);
    assert_eq!(
        story.ends(30_000, turned_away()),
        "release, due in 20 s, failures 0"
    );
    story.answers_for_another(45_000);
    assert_eq!(
        story.ends(50_000, turned_away()),
        "release, due in 5 s, failures 1"
    );
    let again = story.ends(90_000, turned_away());
    assert_eq!(again, "release, due in 80 s, failures 1", "once for each answer");
}

/// Another fetcher's history counts, but only this fetcher's own processor shows that its requests are right.
#[test]
fn who_turned_it_away_before_does_not_matter() {
    let mut story = Story::new();
    story.ends(0, turned_away());
    story.job.history[0].by = "processor-2".to_owned();
    story.answers_for_another(20_000);
    assert_eq!(
        story.ends(30_000, turned_away()),
        "release, due in 5 s, failures 1"
    );
    let mut story = Story::new();
    story.ends(0, turned_away());
    story.job.history = vec![Attempt {
        why: "the connection was lost".to_owned(),
        ..story.job.history.remove(0)
    }];
    story.answers_for_another(20_000);
    assert_eq!(
        story.ends(30_000, turned_away()),
        "release, due in 10 s, failures 0"
    );
}

/// The fetcher leaves the processor alone while it may turn away all, and not where only one file is concerned.
#[test]
fn the_fetcher_rests_unless_it_is_this_file() {
    let mut story = Story::new();
    story.ends(0, turned_away());
    assert_eq!(story.worker.wake_at(), Some(at(5_000).now), "half of ten seconds");
    story.answers_for_another(20_000);
    story.ends(30_000, turned_away());
    assert!(story.worker.looking != Looking::No, "the next look is under way");
}

#[test]
fn the_processor_may_ask_for_a_longer_wait() {
    let mut story = Story::new();
    let later = Ending::TurnedAway {
        why: "409".to_owned(),
        after: Some(seconds(77)),
    };
    assert_eq!(story.ends(0, later), "release, due in 77 s, failures 0");
    assert_eq!(story.worker.wake_at(), Some(at(77_000).now));
}
