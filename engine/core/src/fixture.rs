//! Jobs, moments and a model of the table for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::at::{At, Timestamp};
use crate::job::{Job, Lane, LaneKind, Status};
use crate::lifecycle::{Change, Term, Value, attribute as a};
use crate::machine::{Decision, Machine};
use crate::names::{ClientId, FileId, JobKey};
use crate::retry::{Jitter, Retry};

/// When the tests begin.
pub(crate) const START: Timestamp = Timestamp(1_000_000);

/// Who claims in tests.
pub(crate) const PROCESSOR: &str = "processor-1";

/// So many milliseconds after the start, with a jitter in the middle.
pub(crate) fn at(ms: i64) -> At {
    At {
        now: Timestamp(START.0 + ms),
        jitter: 0.5,
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A key of one client, its file numbered.
pub(crate) fn key(file: u32) -> JobKey {
    JobKey {
        client: ClientId::parse(&format!("client-04{}", "ab".repeat(64))).unwrap(),
        file: FileId::parse(&format!("file-00000000-0000-0000-0000-{file:012}")).unwrap(),
    }
}

/// A job that waits in `ready#3` since the start.
pub(crate) fn job(file: u32) -> Job {
    Job {
        key: key(file),
        status: Status::Queued,
        version: "2.5.21".to_owned(),
        created: "1970-01-01T00:16:40.000Z".to_owned(),
        created_at: Some(START),
        bucket: "lab".to_owned(),
        chunks: 20,
        signature: "30aa".to_owned(),
        processor: None,
        assigned: None,
        downloaded: None,
        processed: None,
        results: None,
        results_type: None,
        error: None,
        outline: Some("{outline}".to_owned()),
        outline_signature: Some("30bb".to_owned()),
        lane: Some(lane(LaneKind::Ready)),
        due: Some(START),
        retries: 0,
        failures: 0,
        history: Vec::new(),
        cleaning: None,
        cleaned: None,
        priority: 0,
    }
}

pub(crate) fn lane(kind: LaneKind) -> Lane {
    Lane { kind, shard: 3 }
}

/// A job under a claim made at the start.
pub(crate) fn claimed(file: u32, processor: &str, lease: Duration) -> Job {
    Job {
        status: Status::Processing,
        processor: Some(processor.to_owned()),
        assigned: Some(START),
        lane: Some(lane(LaneKind::Leased)),
        due: Some(START + lease),
        ..job(file)
    }
}

/// A job that was completed at the start.
pub(crate) fn completed(file: u32) -> Job {
    Job {
        status: Status::Completed,
        results: Some("04:aa:bb:cc".to_owned()),
        processed: Some(START),
        lane: Some(lane(LaneKind::Done)),
        due: Some(START),
        ..claimed(file, PROCESSOR, seconds(0))
    }
}

/// Waits of 10, 20, 40 and at most 60 seconds, halved by the jitter of [`at`].
pub(crate) fn retry(attempts_max: u32) -> Retry {
    Retry {
        attempts_max,
        interval: seconds(10),
        backoff_rate: 2.0,
        interval_max: seconds(60),
        jitter: Jitter::Full,
    }
}

/// Everything a machine wants done now.
pub(crate) fn actions<M: Machine>(machine: &mut M) -> Vec<M::Action> {
    decisions(machine)
        .into_iter()
        .map(|decision| decision.action)
        .collect()
}

/// Everything a machine wants done now, with the reasons.
pub(crate) fn decisions<M: Machine>(machine: &mut M) -> Vec<Decision<M::Action>> {
    std::iter::from_fn(|| machine.poll_action()).collect()
}

/// Lets time pass for a machine that wants to be woken now, and checks that it does not ask for that for ever: what
/// it wants done is given back, and its next wake lies ahead.
pub(crate) fn wake<M: Machine>(machine: &mut M, at: At) -> Vec<Decision<M::Action>> {
    machine.tick(at);
    let wanted = decisions(machine);
    if let Some(wake) = machine.wake_at() {
        assert!(
            wake > at.now,
            "it wants to be woken at {wake} again at {}",
            at.now
        );
    }
    wanted
}

/// A record as the table holds it: judges and makes a change as DynamoDB would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record(pub(crate) BTreeMap<&'static str, Value>);

impl Record {
    /// Makes the change if its condition holds.
    pub(crate) fn apply(&mut self, change: &Change) -> bool {
        let holds = change.only_if.iter().all(|term| self.holds(term));
        if holds {
            self.0.insert(a::CLIENT, Value::Text(change.key.client.clone()));
            self.0.extend(change.set.iter().cloned());
            for name in &change.remove {
                self.0.remove(name);
            }
        }
        holds
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            None
            | Some(
                Value::Number(_) | Value::Time(_) | Value::Turn { .. } | Value::Expiry(_) | Value::History(_),
            ) => None,
        }
    }

    fn holds(&self, term: &Term) -> bool {
        match term {
            Term::Exists => !self.0.is_empty(),
            Term::Missing(name) => !self.0.contains_key(name),
            Term::Is(name, value) => self.0.get(name) == Some(value),
            Term::Generation(generation) => {
                let generation = Value::Number(u64::from(*generation));
                *self.0.get(a::RETRIES).unwrap_or(&Value::Number(0)) == generation
            }
            Term::Finished => matches!(self.text(a::STATUS), Some("COMPLETED" | "ERROR")),
            Term::NotAfter(name, moment) => {
                matches!(self.0.get(name), Some(Value::Time(held)) if held <= moment)
            }
        }
    }
}

/// One step of a sequence.
#[derive(Clone, Debug)]
pub(crate) enum Input<E> {
    Event(E),
    Tick,
    Finish,
    Drain,
    Stop,
    /// The clock is set back by [`SET_BACK`].
    SetBack,
}

/// How far the clock is set back.
pub(crate) const SET_BACK: Duration = Duration::from_hours(2);

/// Steps with the milliseconds before each and its jitter.
pub(crate) type Sequence<E> = Vec<(i64, f64, Input<E>)>;

/// Sequences of these events: mostly they come thick and fast, sometimes after minutes; order and sense are left to
/// chance.
pub(crate) fn sequences<E: Clone + std::fmt::Debug + 'static>(
    events: Vec<E>,
) -> impl Strategy<Value = Sequence<E>> {
    let wait = prop_oneof![6 => 0..20_i64, 3 => 0..20_000_i64, 1 => 0..1_000_000_i64];
    let input = prop_oneof![
        20 => proptest::sample::select(events).prop_map(Input::Event),
        3 => Just(Input::Tick),
        1 => Just(Input::Finish),
        1 => Just(Input::SetBack),
    ];
    // A drain is final: it comes near the end or not at all.
    let tail = proptest::option::of(proptest::collection::vec(
        (wait.clone(), 0.0..1.0, input.clone()),
        0..30,
    ));
    let head = proptest::collection::vec((wait, 0.0..1.0, input), 1..150);
    (head, tail).prop_map(|(mut steps, tail)| {
        if let Some(tail) = tail {
            steps.push((1, 0.5, Input::Drain));
            steps.extend(tail);
            steps.push((1, 0.5, Input::Stop));
        }
        steps
    })
}

/// Takes a machine through a sequence. Whatever comes: it does not panic, asks for no more than `actions_max` things
/// at once, wants nothing when it is idle, once it was woken does not want to be woken for the same moment again, and
/// waits no longer where the clock is set back.
pub(crate) fn survives<M: Machine>(mut machine: M, steps: Sequence<M::Event>, actions_max: usize) {
    let mut now = START.0;
    for (wait, jitter, input) in steps {
        now += wait;
        let mut at = At {
            now: Timestamp(now),
            jitter,
        };
        match input {
            Input::Event(event) => machine.handle(at, event),
            Input::Tick => machine.tick(at),
            Input::Finish => machine.finish(at),
            Input::Drain => machine.drain(at),
            Input::Stop => machine.stop(at),
            Input::SetBack => {
                let before = machine.wake_at().map(|wake| wake.since(at.now));
                at.now = at.now.set_back(SET_BACK);
                now = at.now.0;
                machine.set_back(at, SET_BACK);
                assert_eq!(machine.wake_at().map(|wake| wake.since(at.now)), before);
            }
        }
        let idle = machine.is_idle();
        let wanted = decisions(&mut machine).len();
        assert!(!idle || wanted == 0, "an idle machine wants {wanted} things done");
        assert!(wanted <= actions_max, "{wanted} things at once");
        wake(&mut machine, at);
    }
}

/// Runs a machine for `span` of virtual time in a world that answers at once; gives how many actions it took. A
/// machine that goes on without ever waiting is found out.
pub(crate) fn live<M: Machine>(
    machine: &mut M,
    span: Duration,
    mut answer: impl FnMut(At, M::Action) -> Option<M::Event>,
) -> usize {
    let (mut now, mut count, mut at_once) = (at(0), 0, 0);
    let mut events = std::collections::VecDeque::new();
    machine.tick(now);
    loop {
        for action in actions(machine) {
            (count, at_once) = (count + 1, at_once + 1);
            assert!(at_once < 1_000, "it never waits at {}", now.now);
            events.extend(answer(now, action));
        }
        if let Some(event) = events.pop_front() {
            machine.handle(now, event);
            continue;
        }
        match machine.wake_at() {
            Some(wake) if wake <= START + span => {
                if wake > now.now {
                    (now.now, at_once) = (wake, 0);
                }
                at_once += 1;
                assert!(at_once < 1_000, "it is woken again and again at {}", now.now);
                machine.tick(now);
            }
            Some(_) | None => return count,
        }
    }
}
