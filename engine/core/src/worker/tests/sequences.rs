//! Any sequence of events, and worlds in which nothing succeeds.

use proptest::prelude::*;

use super::*;
use crate::fixture::{live, sequences, survives};

fn endings() -> [Ending; 9] {
    let why = || "why".to_owned();
    [
        result(),
        Ending::JobFault(why()),
        Ending::Failed {
            why: why(),
            after: None,
        },
        Ending::Away {
            why: why(),
            after: None,
        },
        Ending::Refused(why()),
        Ending::Stalled(why()),
        Ending::Fault(why()),
        Ending::Unfit(why()),
        Ending::Stopped,
    ]
}

fn events() -> Vec<Event> {
    let mut events = vec![
        found([]),
        found([job(1), job(2), job(3)]),
        found([job(1)]),
        found([
            Job {
                priority: 9,
                ..job(3)
            },
            job(1),
        ]),
        offers([forged(4), offer(job(2))]),
        Event::Found(Findings {
            malformed: vec![malformed(5)],
            priority_seen: 7,
            ..Findings::default()
        }),
        Event::LookFailed("away".to_owned()),
    ];
    for file in 1..=3 {
        for write in [
            Write::Claim,
            Write::Heartbeat,
            Write::Downloaded,
            Write::Complete,
            Write::Fail,
            Write::Release,
        ] {
            events.extend(
                [won(file), lost(), failed(), refused()].map(|outcome| written(file, write, outcome)),
            );
        }
        events.push(Event::Progressed {
            key: key(file),
            here: 50,
            size: Some(100),
        });
        events.push(Event::Arrived(key(file)));
        events.extend(endings().map(|ending| Event::Ended(key(file), ending)));
    }
    events.extend([true, false].map(Event::Protected));
    events.extend([4, 5].map(|file| written(file, Write::Refuse, done())));
    events
}

proptest! {
    #[test]
    fn a_worker_survives_any_sequence(steps in sequences(events())) {
        survives(worker(), steps, 20);
    }

    #[test]
    fn a_protected_worker_with_one_place_survives_any_sequence(steps in sequences(events())) {
        let mut one = policy();
        (one.claim.in_flight_max, one.claim.analyses_max) = (3, 1);
        let protection = ProtectionPolicy { minutes: 1, retry: retry(3) };
        survives(with(one).protected(protection), steps, 20);
    }
}

/// Answers of a world where every claim is won and every piece of work ends so.
fn world(ending: &Ending, outcome: &Outcome) -> impl FnMut(At, Action) -> Option<Event> {
    move |now, action| match action {
        Action::Look { .. } => Some(found([Job { due: None, ..job(1) }, Job { due: None, ..job(2) }])),
        Action::Write(change) if change.write == Write::Claim => {
            let file = if change.key == RecordKey::from(&key(1)) {
                1
            } else {
                2
            };
            let held = Job {
                due: Some(now.now + LEASE),
                ..claimed(file, PROCESSOR, LEASE)
            };
            Some(written(file, Write::Claim, Outcome::Done(Some(Box::new(held)))))
        }
        Action::Write(Change { key, write, .. }) => Some(Event::Written {
            key,
            write,
            outcome: outcome.clone(),
        }),
        Action::Fetch(job) => Some(Event::Ended(job.key, ending.clone())),
        Action::Engage(_) | Action::Stop(_) | Action::Report(_) | Action::Protect(_) => None,
    }
}

#[test]
fn a_processor_that_stays_away_is_asked_less_and_less() {
    let away = Ending::Away {
        why: "gone".to_owned(),
        after: None,
    };
    let mut worker = worker();
    // Rests grow to a minute, halved by the jitter: 120 times a look, two claims, fetches and releases.
    let actions = live(&mut worker, seconds(3_600), world(&away, &done()));
    assert!(actions < 1_200, "{actions}");
}

#[test]
fn commits_that_always_fail_are_not_repeated_all_the_time() {
    let mut worker = worker();
    let actions = live(&mut worker, seconds(3_600), world(&result(), &failed()));
    assert!(actions < 1_000, "{actions}");
}

#[test]
fn claims_that_always_fail_are_not_repeated_all_the_time() {
    let mut worker = worker();
    let actions = live(&mut worker, seconds(3_600), |_, action| match action {
        Action::Look { .. } => Some(found([Job { due: None, ..job(1) }])),
        Action::Write(Change { key, write, .. }) => Some(Event::Written {
            key,
            write,
            outcome: failed(),
        }),
        Action::Fetch(_) | Action::Engage(_) | Action::Stop(_) | Action::Report(_) | Action::Protect(_) => {
            None
        }
    });
    assert!(actions < 10_000, "{actions}");
}
