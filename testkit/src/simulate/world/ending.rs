//! How a history ends: when it is over, how long waits are passed over until then, and what it came to.

use std::time::Duration;

use super::process::Living;
use super::{START, World};
use crate::promises::Promise;
use crate::simulate::recording;
use crate::simulate::{Fault, Outcome, Statistics};

/// How long nothing must have happened before a leap, beside the silence of a holder.
const CALM_MIN: i64 = 60_000;

/// Leaps that are as long as all of the patience.
const LEAPS: u32 = 64;

impl World<'_> {
    /// Whether every client has every outcome, and nobody has anything left to do.
    pub(super) fn is_settled(&self) -> bool {
        self.processes.iter().all(|process| match &process.living {
            Some(Living::Client(client)) => client.disk.is_settled(),
            Some(Living::Fetcher(fetcher)) => fetcher.spool.is_empty(),
            Some(Living::Watcher(_)) => true,
            None => false,
        })
    }

    /// Where nothing but looks has happened for longer than a holder is silent, all processes stand still for a while,
    /// as if their machines slept: a wait of days takes no more looks than one of minutes.
    pub(super) fn leap(&mut self, faults_end: i64) {
        if !self.scenario.leaps || self.coming > 0 {
            return;
        }
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let silent = ms(self.policies.analyse.worker.claim.heartbeat * 2) + CALM_MIN;
        if self.now > faults_end.max(self.stirred).saturating_add(silent) {
            let leap = ms(self.scenario.settle_max / LEAPS);
            self.say(|| format!("nothing happens for {} s", leap / 1_000));
            self.still_until = self.now.saturating_add(leap);
            self.stirred = self.still_until;
        }
    }

    /// What is not finished, and what was left behind.
    pub(super) fn judge_end(&mut self) {
        self.judge.conclude(self.now, &self.services);
        let mut left = Vec::new();
        for process in &self.processes {
            match &process.living {
                Some(Living::Client(client)) => {
                    let open = client.disk.unsettled();
                    left.extend(open.into_iter().map(|what| (Promise::Outcome, what)));
                }
                Some(Living::Fetcher(fetcher)) => {
                    let open = fetcher.spool.iter();
                    left.extend(
                        open.map(|key| (Promise::NothingLeft, format!("{key} lies on a fetcher's disk"))),
                    );
                }
                Some(Living::Watcher(_)) => {}
                None => left.push((Promise::Outcome, "a process did not come back".to_owned())),
            }
        }
        for (promise, what) in left {
            self.judge.add(self.now, promise, what);
        }
    }

    pub(super) fn conclude(mut self, seed: u64) -> Outcome {
        let given_up = self.events >= self.events_max;
        if !given_up {
            self.judge_end();
        }
        let faults = Fault::ALL
            .iter()
            .map(|fault| (*fault, self.striking.by_kind[*fault as usize]));
        let load = &self.services.table.load;
        let statistics = Statistics {
            span_ms: self.now - START,
            events: self.events,
            decisions: self.decisions,
            requests: self.requests,
            jobs: self.judge.created,
            finished: self.judge.finished,
            completed: self.judge.completed,
            deliveries: self.judge.deliveries,
            expired: self.judge.expired,
            requeues: self.judge.requeues,
            faults: faults.filter(|(_, count)| *count > 0).collect(),
            strays: self.judge.strays,
            writes_peak: load.writes_peak,
            reads_peak: load.reads_peak,
        };
        Outcome {
            seed,
            given_up,
            breaches: std::mem::take(&mut self.judge.breaches),
            statistics,
            struck: self.striking.struck(),
            recording: match &self.trace {
                Some(_) => recording::lines(
                    &self.services.stream,
                    &format!("the simulated history of seed {seed}"),
                ),
                None => Vec::new(),
            },
            trace: self.trace.take().unwrap_or_default(),
        }
    }
}
