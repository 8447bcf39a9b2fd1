//! Jobs that the stream tells of, between two looks.

use super::*;

fn offered(jobs: impl IntoIterator<Item = Job>) -> Event {
    let offer = |job| Offer {
        job,
        signature: Ok(()),
        uploaded: true,
    };
    Event::Offered(jobs.into_iter().map(offer).collect())
}

/// A caretaker that has looked, found nothing, and looks again in ten seconds at the latest.
fn rested(mut caretaker: Caretaker) -> Caretaker {
    caretaker.tick(at(0));
    caretaker.handle(at(0), page([], false));
    short(&mut caretaker);
    caretaker
}

fn due(file: u32, ms: i64) -> Job {
    Job {
        due: Some(at(ms).now),
        ..completed(file)
    }
}

#[test]
fn an_offered_job_is_taken_care_of_at_once_and_once() {
    let mut caretaker = rested(cleaner());
    caretaker.handle(at(1), offered([completed(1), completed(1)]));
    assert_eq!(short(&mut caretaker), ["delete all of 1"]);
    caretaker.handle(at(2), offered([completed(1)]));
    assert_eq!(short(&mut caretaker), [""; 0], "it is under way");
    caretaker.handle(at(3), Event::Deleted(record(1), WHOLE));
    assert_eq!(short(&mut caretaker), ["cleaned 1"]);
    caretaker.handle(at(4), Event::Written(record(1)));
    assert_eq!(short(&mut caretaker), [""; 0], "no look follows from it");
}

#[test]
fn offered_jobs_do_not_hold_up_a_look() {
    let mut caretaker = rested(cleaner());
    caretaker.handle(at(8_000), offered([completed(1)]));
    assert_eq!(short(&mut caretaker), ["delete all of 1"]);
    caretaker.tick(at(10_000));
    assert_eq!(short(&mut caretaker), ["look"]);
    // The look finds it as well: it is under way.
    caretaker.handle(at(10_000), page([completed(1), completed(2)], false));
    assert_eq!(short(&mut caretaker), ["delete all of 2"]);
    // The page is dealt with when its own jobs are, whatever else is under way.
    caretaker.handle(at(10_001), Event::Failed(record(2), "away".to_owned()));
    assert!(caretaker.wake_at().is_some());
    caretaker.finish(at(10_002));
    assert_eq!(short(&mut caretaker), ["look"]);
    caretaker.handle(at(10_003), page([], false));
    assert!(!caretaker.is_idle(), "the offered job is under way");
    caretaker.handle(at(10_004), Event::Failed(record(1), "away".to_owned()));
    assert!(caretaker.is_idle());
}

#[test]
fn a_job_that_is_due_before_the_next_look_waits_for_its_time() {
    let mut caretaker = rested(cleaner());
    caretaker.handle(at(1_000), offered([due(1, 1_040), due(2, 20_000)]));
    assert_eq!(short(&mut caretaker), [""; 0]);
    assert_eq!(caretaker.wake_at(), Some(at(1_040).now));
    caretaker.tick(at(1_039));
    assert_eq!(short(&mut caretaker), [""; 0]);
    caretaker.tick(at(1_040));
    assert_eq!(short(&mut caretaker), ["delete all of 1"]);
    // The other is found by a look: nobody remembers it that long.
    assert_eq!(caretaker.wake_at(), Some(at(8_750).now));
}

#[test]
fn a_job_is_due_by_its_record_also_where_the_clock_is_set_back() {
    let mut caretaker = rested(cleaner());
    caretaker.handle(at(1_000), offered([due(1, 8_000)]));
    caretaker.set_back(at(0), Duration::from_secs(1));
    assert_eq!(
        caretaker.wake_at(),
        Some(at(7_750).now),
        "the next look, a second sooner"
    );
    caretaker.handle(at(0), offered([due(1, 7_000)]));
    caretaker.set_back(at(-100), Duration::from_millis(100));
    assert_eq!(
        caretaker.wake_at(),
        Some(at(7_000).now),
        "no sooner than it is due"
    );
}

#[test]
fn missed_news_are_looked_for_at_once() {
    let mut caretaker = rested(cleaner());
    caretaker.handle(at(1), Event::NewsMissed);
    assert_eq!(short(&mut caretaker), ["look"]);
    caretaker.handle(at(1), Event::NewsMissed);
    assert_eq!(short(&mut caretaker), [""; 0], "one at a time");
}

#[test]
fn what_goes_beyond_the_limit_is_looked_for() {
    let mut caretaker = rested(cleaner());
    let jobs = (0..=OFFERED_MAX).map(|file| completed(u32::try_from(file).unwrap()));
    caretaker.handle(at(1), offered(jobs));
    let actions = short(&mut caretaker);
    assert_eq!(actions.len(), OFFERED_MAX + 1);
    assert_eq!(actions.last().map(String::as_str), Some("look"));
}

#[test]
fn a_foreign_job_is_let_in_at_once() {
    let foreign = Job {
        lane: None,
        due: None,
        ..job(1)
    };
    let mut caretaker = rested(admitter());
    caretaker.handle(at(1), offered([foreign]));
    assert_eq!(short(&mut caretaker), ["admit 1"]);
}

#[test]
fn a_caretaker_that_drains_takes_nothing_on() {
    let mut caretaker = rested(cleaner());
    caretaker.handle(at(1), offered([due(1, 50)]));
    caretaker.drain(at(2));
    caretaker.handle(at(3), offered([completed(2)]));
    caretaker.tick(at(60));
    assert_eq!(short(&mut caretaker), [""; 0]);
    assert!(caretaker.is_idle());
    assert_eq!(caretaker.wake_at(), None);
}
