//! What the end of work on a job leads to.

use super::*;
use crate::fixture::decisions;
use crate::job::{Attempt, HISTORY_MAX};
use crate::lifecycle::attribute;

fn away(after: Option<Duration>) -> Ending {
    Ending::Away {
        why: "why".to_owned(),
        after,
    }
}

fn failure(after: Option<Duration>) -> Ending {
    Ending::Failed {
        why: "why".to_owned(),
        after,
    }
}

/// A held job with so many failures that ended so: what is written, with which values, and why.
fn verdict(failures: u32, now: At, ending: Ending) -> String {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    let held = Job {
        failures,
        due: Some(now.now + LEASE),
        ..claimed(1, PROCESSOR, LEASE)
    };
    worker.handle(
        at(0),
        written(1, Write::Claim, Outcome::Done(Some(Box::new(held)))),
    );
    actions(&mut worker);
    worker.handle(now, Event::Ended(key(1), ending));
    let commit = decisions(&mut worker)
        .into_iter()
        .find_map(|decision| match decision.action {
            Action::Write(change) if change.write != Write::Heartbeat => Some((change, decision.reason)),
            Action::Write(_)
            | Action::Look { .. }
            | Action::Fetch(_)
            | Action::Engage(_)
            | Action::Stop(_)
            | Action::Report(_)
            | Action::Protect(_) => None,
        });
    let (change, reason) = commit.unwrap();
    let names = [
        attribute::FAILURES,
        attribute::DUE,
        attribute::ERROR,
        attribute::RESULTS,
    ];
    let set = change.set.iter().filter(|(name, _)| names.contains(name));
    let set: Vec<_> = set
        .map(|(name, value)| match value {
            Value::Time(due) => format!("{name} in {} s", due.since(now.now).as_secs_f64()),
            Value::Text(text) => format!("{name} {text:?}"),
            Value::Number(number) => format!("{name} {number}"),
            Value::Turn { .. } | Value::Expiry(_) | Value::History(_) => String::new(),
        })
        .collect();
    let Reason { rule, key } = reason;
    format!(
        "{}: {}, for {rule} ({key})",
        change.write.as_str(),
        set.join(", ")
    )
}

#[test]
fn every_ending_and_its_write() {
    let why = || "why".to_owned();
    let later = Some(seconds(77));
    let cases = [
        ("result", 0, result()),
        ("job fault", 0, Ending::JobFault(why())),
        ("first failure", 0, failure(None)),
        ("second failure", 1, failure(None)),
        ("failure, told when to come back", 0, failure(later)),
        ("third failure", 2, failure(later)),
        ("away", 2, away(None)),
        ("away, told when to come back", 2, away(later)),
        (
            "turned away",
            2,
            Ending::TurnedAway {
                why: why(),
                after: None,
            },
        ),
        ("refused", 1, Ending::Refused(why())),
        (
            "out of bounds",
            1,
            Ending::Refused("the file is too large (transport.s3.file-size-max)".to_owned()),
        ),
        ("stalled", 1, Ending::Stalled(why())),
        ("service fault", 2, Ending::Fault(why())),
        ("cannot carry it", 2, Ending::Unfit(why())),
        ("is not let", 2, Ending::Barred(why())),
        ("stopped", 2, Ending::Stopped),
    ];
    let table: Vec<_> = cases
        .into_iter()
        .map(|(name, failures, ending)| format!("{name}\n  {}", verdict(failures, at(1_000), ending)))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn an_upload_has_its_longest_time_to_the_millisecond() {
    let day = 86_400_000;
    let stalled = || Ending::Stalled("nothing came".to_owned());
    assert!(verdict(0, at(day), stalled()).starts_with("release: "));
    assert!(verdict(0, at(day + 1), stalled()).starts_with("fail: "));
}

/// What the job rests for after it stalled, with these attempts behind it: in seconds.
fn rests(stall: Duration, history: Vec<Attempt>) -> u64 {
    let mut policy = policy();
    policy.claim.stall = stall;
    let mut worker = with(policy);
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    let held = Job {
        history,
        ..claimed(1, PROCESSOR, LEASE)
    };
    worker.handle(
        at(0),
        written(1, Write::Claim, Outcome::Done(Some(Box::new(held)))),
    );
    actions(&mut worker);
    worker.handle(
        at(0),
        Event::Ended(key(1), Ending::Stalled("nothing came".to_owned())),
    );
    let Some(Value::Time(due)) = sets(&mut worker, Write::Release, attribute::DUE) else {
        panic!("it is given back")
    };
    due.since(START).as_secs()
}

/// So many releases of a job whose chunks stopped coming, as the worker writes them.
fn stalls(count: usize) -> Vec<Attempt> {
    let mut held = claimed(1, PROCESSOR, LEASE);
    for _ in 0..count {
        let mut worker = worker();
        worker.tick(at(0));
        worker.handle(at(0), found([job(1)]));
        let mine = Outcome::Done(Some(Box::new(held.clone())));
        worker.handle(at(0), written(1, Write::Claim, mine));
        actions(&mut worker);
        worker.handle(
            at(0),
            Event::Ended(key(1), Ending::Stalled("nothing came".to_owned())),
        );
        let Some(Value::History(history)) = sets(&mut worker, Write::Release, attribute::HISTORY) else {
            panic!("it is given back")
        };
        held.history = history;
    }
    held.history
}

#[test]
fn a_dead_upload_comes_back_ever_more_seldom_and_at_least_every_hour() {
    let waits: Vec<_> = (0..7).map(|count| rests(seconds(120), stalls(count))).collect();
    assert_eq!(waits, [120, 240, 480, 960, 1_920, 3_600, 3_600]);
    assert_eq!(rests(seconds(120), stalls(HISTORY_MAX)), 3_600, "a full history");
    assert_eq!(
        rests(seconds(1_800), stalls(1)),
        3_600,
        "exactly the longest wait"
    );
    assert_eq!(rests(seconds(1_801), stalls(1)), 3_600);
    assert_eq!(
        rests(seconds(7_200), stalls(3)),
        7_200,
        "never sooner than it is told"
    );
}

/// Whatever else happened to the job shows that it moves again.
#[test]
fn only_stalls_in_a_row_count() {
    let other = Attempt {
        why: "the fetcher was stopped".to_owned(),
        ..stalls(1).remove(0)
    };
    let after = |attempts: Vec<Attempt>| rests(seconds(120), attempts);
    assert_eq!(after(vec![other.clone()]), 120);
    assert_eq!(after([stalls(3), vec![other.clone()]].concat()), 120);
    assert_eq!(after([stalls(3), vec![other], stalls(2)].concat()), 480);
    let requeued = Attempt {
        what: Write::Requeue.as_str().to_owned(),
        ..stalls(1).remove(0)
    };
    assert_eq!(after([stalls(3), vec![requeued]].concat()), 120);
}

/// A job that so many fetchers could not carry: what another time leads to, so long after its creation.
fn unfit(before: usize, now: At) -> String {
    let held = Job {
        history: vec![
            Attempt {
                why: "this fetcher cannot carry the file: the disk is full".to_owned(),
                ..stalls(1).remove(0)
            };
            before
        ],
        due: Some(now.now + LEASE),
        ..claimed(1, PROCESSOR, LEASE)
    };
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1)]));
    worker.handle(
        at(0),
        written(1, Write::Claim, Outcome::Done(Some(Box::new(held)))),
    );
    actions(&mut worker);
    worker.handle(
        now,
        Event::Ended(key(1), Ending::Unfit("the disk is full".to_owned())),
    );
    let change = actions(&mut worker).into_iter().find_map(|action| match action {
        Action::Write(change) if change.write != Write::Heartbeat => Some(change),
        Action::Write(_)
        | Action::Look { .. }
        | Action::Fetch(_)
        | Action::Engage(_)
        | Action::Stop(_)
        | Action::Report(_)
        | Action::Protect(_) => None,
    });
    let change = change.unwrap();
    let due = change.set.iter().find_map(|(name, value)| match value {
        Value::Time(due) if *name == attribute::DUE => Some(due.since(now.now).as_secs()),
        Value::Time(_)
        | Value::Text(_)
        | Value::Number(_)
        | Value::Turn { .. }
        | Value::Expiry(_)
        | Value::History(_) => None,
    });
    format!("{} {}", change.write.as_str(), due.unwrap_or_default())
}

/// A file that is larger than every disk must not go round all fetchers for ever; one that met a full disk may.
#[test]
fn a_file_that_nobody_can_carry_ends_after_enough_attempts_and_time() {
    let day = at(86_400_000);
    let waits: Vec<_> = (0..4).map(|before| unfit(before, at(0))).collect();
    assert_eq!(waits, ["release 10", "release 20", "release 40", "release 80"]);
    assert_eq!(unfit(19, at(0)), "release 3600");
    assert_eq!(unfit(3, day), "release 80", "exactly at the end of its time");
    assert_eq!(unfit(2, at(86_400_001)), "release 40", "too few have tried");
    assert_eq!(unfit(3, at(86_400_001)), "fail 0");
}

#[test]
fn a_fetcher_that_cannot_carry_a_file_rests() {
    let mut worker = holding(policy(), &[1]);
    worker.handle(
        at(0),
        Event::Ended(key(1), Ending::Unfit("the disk is full".to_owned())),
    );
    worker.handle(at(0), written(1, Write::Release, done()));
    assert_eq!(short(&mut worker), ["release 1"]);
    assert_eq!(worker.wake_at(), Some(at(5_000).now), "half of ten seconds");
}

/// What the bucket refuses of one job says nothing of the others, until it does so to them as well.
#[test]
fn a_fetcher_that_is_refused_one_object_goes_on() {
    let mut worker = worker();
    let (mut now, mut rests) = (0, Vec::new());
    let barred = || Ending::Barred("denied".to_owned());
    for (file, ending, write) in [
        (1, barred(), Write::Release),
        (1, barred(), Write::Release),
        (2, barred(), Write::Release),
        (3, barred(), Write::Release),
        (4, result(), Write::Complete),
        (1, barred(), Write::Release),
        (4, result(), Write::Complete),
        (2, barred(), Write::Release),
    ] {
        worker.tick(at(now));
        worker.handle(at(now), found([job(file)]));
        worker.handle(at(now), written(file, Write::Claim, won(file)));
        worker.handle(at(now), Event::Ended(key(file), ending));
        worker.handle(at(now), written(file, write, done()));
        short(&mut worker);
        // Without a rest a look is under way already.
        let next = worker.wake_at().map_or(now, |wake| wake.0 - START.0);
        rests.push((next - now) / 1_000);
        now = next;
    }
    assert_eq!(rests, [0, 0, 5, 10, 0, 0, 0, 0]);
}

#[test]
fn a_processor_that_is_away_is_left_alone() {
    let mut worker = holding(policy(), &[1]);
    worker.handle(at(0), Event::Ended(key(1), away(None)));
    worker.handle(at(0), written(1, Write::Release, done()));
    assert_eq!(short(&mut worker), ["release 1"]);
    assert_eq!(worker.wake_at(), Some(at(5_000).now), "half of ten seconds");
    worker.tick(at(4_999));
    assert_eq!(short(&mut worker).len(), 0);
    worker.tick(at(5_000));
    assert_eq!(short(&mut worker), ["look for 2"]);
}

#[test]
fn rests_grow_until_the_processor_answers() {
    let mut worker = worker();
    let (mut now, mut rests) = (0, Vec::new());
    for (ending, write) in [
        (away(None), Write::Release),
        (away(None), Write::Release),
        (away(None), Write::Release),
        (Ending::JobFault("why".to_owned()), Write::Fail),
        (away(None), Write::Release),
    ] {
        worker.tick(at(now));
        worker.handle(at(now), found([job(1)]));
        worker.handle(at(now), written(1, Write::Claim, won(1)));
        worker.handle(at(now), Event::Ended(key(1), ending));
        worker.handle(at(now), written(1, write, done()));
        short(&mut worker);
        // Without a rest a look is under way already.
        let next = worker.wake_at().map_or(now, |wake| wake.0 - START.0);
        rests.push((next - now) / 1_000);
        now = next;
    }
    assert_eq!(rests, [5, 10, 20, 0, 5]);
}

/// Neither a lost claim, nor another round, nor a look that was under way shortens the rest.
#[test]
fn nothing_shortens_a_rest() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), found([job(1), job(2)]));
    worker.handle(at(0), written(1, Write::Claim, won(1)));
    worker.handle(at(0), Event::Ended(key(1), away(Some(seconds(30)))));
    worker.handle(at(0), written(1, Write::Release, done()));
    short(&mut worker);
    worker.handle(at(10), written(2, Write::Claim, lost()));
    worker.finish(at(20));
    worker.tick(at(29_999));
    assert_eq!(short(&mut worker).len(), 0);
    worker.tick(at(30_000));
    assert_eq!(short(&mut worker), ["look for 2"]);
}

#[test]
fn what_a_look_finds_during_a_rest_is_not_claimed() {
    let mut worker = holding(policy(), &[1]);
    worker.tick(at(2_000));
    worker.handle(at(2_000), Event::Ended(key(1), away(Some(seconds(30)))));
    worker.handle(at(2_000), found([job(2)]));
    worker.handle(at(2_000), written(1, Write::Release, done()));
    assert_eq!(short(&mut worker), ["look for 1", "release 1"]);
    assert_eq!(worker.wake_at(), Some(at(32_000).now));
    assert!(!worker.is_idle(), "it is still to be taken");
}

#[test]
fn a_streaming_processor_is_engaged_once_the_rest_can_come_in_time() {
    let mut worker = holding(policy(), &[1, 2]);
    let progressed = |here| Event::Progressed {
        key: key(1),
        here,
        size: Some(100),
    };
    worker.handle(at(1_000), progressed(0));
    worker.handle(at(1_000), progressed(9));
    assert_eq!(short(&mut worker).len(), 0);
    worker.handle(at(1_000), progressed(10));
    assert_eq!(short(&mut worker), ["engage 1"]);
    worker.handle(at(1_100), progressed(50));
    worker.handle(at(1_200), Event::Arrived(key(1)));
    assert_eq!(short(&mut worker), ["downloaded 1"], "it is engaged once");
}

#[test]
fn a_processor_that_wants_the_whole_file_waits_for_it() {
    let mut complete = policy();
    complete.claim.feed = Feed::Complete;
    let mut worker = holding(complete, &[1, 2]);
    worker.handle(
        at(500),
        Event::Progressed {
            key: key(1),
            here: 100,
            size: Some(100),
        },
    );
    assert_eq!(short(&mut worker).len(), 0);
    worker.handle(at(500), Event::Arrived(key(1)));
    assert_eq!(short(&mut worker), ["downloaded 1", "engage 1"]);
}

#[test]
fn a_result_that_overtakes_the_download_tells_of_it() {
    let mut worker = holding(policy(), &[1]);
    worker.handle(at(500), Event::Arrived(key(1)));
    actions(&mut worker);
    let result = Ending::Result {
        results: "sealed".to_owned(),
        results_type: None,
    };
    worker.handle(at(600), Event::Ended(key(1), result));
    let told = actions(&mut worker).into_iter().any(|action| match action {
        Action::Write(change) => {
            let downloaded = (attribute::DOWNLOADED, Value::Time(at(500).now));
            change.write == Write::Complete && change.set.contains(&downloaded)
        }
        Action::Look { .. }
        | Action::Fetch(_)
        | Action::Engage(_)
        | Action::Stop(_)
        | Action::Report(_)
        | Action::Protect(_) => false,
    });
    assert!(told);
}
