//! Downloads and analyses have limits of their own: the next file is there when the processor is free.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::fixture::{Input, SET_BACK, decisions, sequences};

const NOTHING: [&str; 0] = [];

/// One is analysed while up to two others are fetched.
fn staggered() -> WorkerPolicy {
    let mut staggered = policy();
    staggered.claim.in_flight_max = 3;
    staggered.claim.downloads_max = 2;
    staggered.claim.analyses_max = 1;
    staggered
}

fn progressed(file: u32, here: u64) -> Event {
    Event::Progressed {
        key: key(file),
        here,
        size: Some(100),
    }
}

#[test]
fn the_next_file_waits_for_the_processor_and_goes_to_it_at_once() {
    let mut worker = holding(staggered(), &[1, 2]);
    worker.handle(at(1_000), Event::Arrived(key(2)));
    assert_eq!(short(&mut worker), ["downloaded 2", "engage 2", "look for 1"]);
    worker.handle(at(1_020), Event::Arrived(key(1)));
    assert_eq!(short(&mut worker), ["downloaded 1"], "the processor has one");
    worker.handle(at(1_030), Event::Ended(key(2), result()));
    let wanted = decisions(&mut worker);
    let engage = wanted
        .iter()
        .find(|decision| decision.action == Action::Engage(key(1)));
    assert_eq!(engage.unwrap().reason.key, "claim.analyses-max");
}

#[test]
fn a_file_that_waits_for_the_processor_keeps_its_lease() {
    let mut worker = holding(staggered(), &[1, 2]);
    worker.handle(at(10), Event::Arrived(key(1)));
    worker.handle(at(20), Event::Arrived(key(2)));
    short(&mut worker);
    for minute in 1..=60 {
        worker.tick(at(minute * 60_000));
        let wanted = short(&mut worker);
        assert!(wanted.contains(&"heartbeat 2".to_owned()), "{minute}: {wanted:?}");
        assert!(!wanted.contains(&"stop 2".to_owned()), "{minute}: {wanted:?}");
        for file in [1, 2] {
            worker.handle(at(minute * 60_000), written(file, Write::Heartbeat, done()));
        }
        worker.handle(at(minute * 60_000), found([]));
    }
    worker.handle(at(3_600_001), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker)[..2], ["complete 1", "engage 2"]);
}

#[test]
fn one_that_streams_waits_too_and_is_judged_anew_when_there_is_room() {
    let mut worker = holding(staggered(), &[1, 2]);
    worker.handle(at(10), Event::Arrived(key(1)));
    worker.handle(at(1_000), progressed(2, 50));
    worker.tick(at(1_001));
    assert!(!short(&mut worker).contains(&"engage 2".to_owned()));
    // Nothing more came in a minute: what half of the file is worth has changed.
    worker.handle(at(50_000), Event::Ended(key(1), result()));
    assert_eq!(short(&mut worker)[0], "complete 1");
    worker.handle(at(50_001), progressed(2, 90));
    assert!(short(&mut worker).contains(&"engage 2".to_owned()));
}

#[test]
fn a_whole_file_goes_before_one_that_streams() {
    let mut worker = holding(staggered(), &[1, 2]);
    worker.handle(at(10), Event::Arrived(key(1)));
    worker.handle(at(11), found([job(3)]));
    worker.handle(at(11), written(3, Write::Claim, won(3)));
    worker.handle(at(1_000), progressed(2, 99));
    worker.handle(at(1_001), Event::Arrived(key(3)));
    short(&mut worker);
    worker.handle(at(1_002), Event::Ended(key(1), result()));
    let wanted = short(&mut worker);
    assert!(wanted.contains(&"engage 3".to_owned()) && !wanted.contains(&"engage 2".to_owned()));
}

#[test]
fn no_more_is_claimed_than_may_be_downloaded() {
    let mut worker = with(staggered());
    worker.tick(at(0));
    worker.handle(at(0), found((1..=5).map(job)));
    assert_eq!(short(&mut worker), ["look for 2", "claim 3", "claim 4"]);
    worker.tick(at(60_000));
    assert_eq!(short(&mut worker), NOTHING, "two are on their way");
    for file in [3, 4] {
        worker.handle(at(60_000), written(file, Write::Claim, won(file)));
    }
    worker.handle(at(60_000), Event::Arrived(key(3)));
    let wanted = short(&mut worker);
    assert!(wanted.contains(&"look for 1".to_owned()), "{wanted:?}");
}

#[test]
fn a_stopped_analysis_holds_its_place_until_it_has_ended() {
    let mut worker = holding(staggered(), &[1, 2]);
    worker.handle(at(10), Event::Arrived(key(1)));
    worker.handle(at(20), Event::Arrived(key(2)));
    worker.handle(at(30), written(1, Write::Heartbeat, lost()));
    worker.tick(at(60_000));
    worker.handle(at(61_000), written(1, Write::Heartbeat, lost()));
    let wanted = short(&mut worker);
    assert!(wanted.contains(&"stop 1".to_owned()) && !wanted.contains(&"engage 2".to_owned()));
    worker.handle(at(62_000), Event::Ended(key(1), Ending::Stopped));
    assert!(short(&mut worker).contains(&"engage 2".to_owned()));
}

/// What the engine has in hand, as the actions tell.
#[derive(Default)]
struct InHand {
    working: BTreeSet<JobKey>,
    here: BTreeSet<JobKey>,
    engaged: BTreeSet<JobKey>,
}

impl InHand {
    fn take(&mut self, action: &Action) {
        match action {
            Action::Fetch(job) => {
                self.working.insert(job.key.clone());
            }
            Action::Engage(key) => {
                assert!(self.working.contains(key), "nobody works on what is engaged");
                assert!(self.engaged.insert(key.clone()), "it is engaged once");
            }
            Action::Look { .. }
            | Action::Write(_)
            | Action::Stop(_)
            | Action::Report(_)
            | Action::Protect(_) => {}
        }
    }

    fn ended(&mut self, key: &JobKey) {
        self.working.remove(key);
        self.here.remove(key);
        self.engaged.remove(key);
    }

    fn assert_within(&self, claim: &ClaimPolicy) {
        assert!(self.working.len() <= claim.in_flight_max);
        assert!(self.engaged.len() <= claim.analyses_max);
        assert!(self.working.difference(&self.here).count() <= claim.downloads_max);
    }
}

fn steps() -> Vec<Event> {
    let mut steps = vec![found([]), found((1..=6).map(job))];
    for file in 1..=6 {
        steps.extend([
            written(file, Write::Claim, won(file)),
            written(file, Write::Claim, lost()),
            written(file, Write::Heartbeat, done()),
            written(file, Write::Heartbeat, lost()),
            written(file, Write::Complete, done()),
            written(file, Write::Release, done()),
            progressed(file, 50),
            Event::Arrived(key(file)),
            Event::Ended(key(file), result()),
            Event::Ended(key(file), Ending::Stalled("why".to_owned())),
        ]);
    }
    steps
}

proptest! {
    #[test]
    fn the_limits_are_kept_whatever_comes(
        steps in sequences(steps()),
        (in_flight_max, downloads_max, analyses_max) in (1..6_usize, 1..6_usize, 1..6_usize),
    ) {
        let mut policy = policy();
        policy.claim = ClaimPolicy { in_flight_max, downloads_max, analyses_max, ..policy.claim };
        let (mut worker, mut in_hand) = (with(policy.clone()), InHand::default());
        let mut now = START.0;
        for (wait, jitter, input) in steps {
            now += wait;
            let at = At { now: Timestamp(now), jitter };
            match input {
                // The engine ends only what it works on, and tells of an arrival once.
                Input::Event(Event::Ended(key, ending)) => {
                    if in_hand.working.contains(&key) {
                        in_hand.ended(&key);
                        worker.handle(at, Event::Ended(key, ending));
                    }
                }
                Input::Event(Event::Arrived(key)) => {
                    if in_hand.working.contains(&key) && in_hand.here.insert(key.clone()) {
                        worker.handle(at, Event::Arrived(key));
                    }
                }
                Input::Event(event) => worker.handle(at, event),
                Input::Tick => worker.tick(at),
                Input::Finish => worker.finish(at),
                Input::Drain => worker.drain(at),
                Input::Stop => worker.stop(at),
                Input::SetBack => {
                    now -= 7_200_000;
                    worker.set_back(At { now: Timestamp(now), jitter }, SET_BACK);
                }
            }
            for action in actions(&mut worker) {
                in_hand.take(&action);
            }
            in_hand.assert_within(&policy.claim);
        }
    }

    /// Every file that came is analysed, in the order they came.
    #[test]
    fn nothing_waits_for_ever(order in Just((1..=8_u32).collect::<Vec<_>>()).prop_shuffle()) {
        let mut policy = policy();
        policy.claim = ClaimPolicy { in_flight_max: 8, downloads_max: 8, analyses_max: 1, ..policy.claim };
        let files: Vec<u32> = (1..=8).collect();
        let mut worker = holding(policy, &files);
        for (ms, file) in (1..).zip(&order) {
            worker.handle(at(ms), Event::Arrived(key(*file)));
        }
        let mut engaged = Vec::new();
        while let Some(file) = actions(&mut worker).into_iter().find_map(|action| match action {
            Action::Engage(key) => Some(key),
            Action::Look { .. } | Action::Write(_) | Action::Fetch(_) | Action::Stop(_)
            | Action::Report(_) | Action::Protect(_) => None,
        }) {
            engaged.push(file.clone());
            worker.handle(at(1_000), Event::Ended(file, result()));
        }
        let expected: Vec<JobKey> = order.iter().map(|file| key(*file)).collect();
        prop_assert_eq!(engaged, expected);
    }
}
