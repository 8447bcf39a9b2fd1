//! What a fetcher tells the others of itself, and when.

use std::time::Duration;

use crate::at::{At, Timestamp};
use crate::health::{Health, HealthPolicy};
use crate::job::Job;
use crate::machine::Reason;
use crate::names::JobKey;
use crate::worker::Ending;

/// The partition of the table that holds a row for each fetcher: its last report.
pub const PARTITION: &str = "roundtrip#fleet";

/// Jobs a report names, at most.
pub const HELD_MAX: usize = 50;

/// A fetcher that was not seen for so many of its report intervals does not count as alive.
pub const MISSED_REPORTS_MAX: u32 = 3;

/// How a fetcher takes part in the fleet: `report` and `failing-*` of `[claim]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetPolicy {
    /// Time between reports.
    pub report: Duration,
    /// When it rests.
    pub health: HealthPolicy,
}

/// What a fetcher says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it holds, and since when; the first [`HELD_MAX`].
    pub held: Vec<(JobKey, Option<Timestamp>)>,
    /// How much it holds.
    pub held_count: usize,
    /// Jobs it has a result of.
    pub done: u64,
    /// Analyses that failed here.
    pub failed: u64,
    /// Until when it claims nothing, since its jobs kept failing.
    pub resting_until: Option<Timestamp>,
}

/// The milliseconds between reports of a fetcher whose row does not tell.
const REPORT_MS_UNTOLD: u64 = 30_000;

/// What a fetcher's row tells of its reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When it reported last.
    pub seen: Timestamp,
    /// Milliseconds between its reports; 0 where its row does not tell, which counts as 30 seconds.
    pub report_ms: u64,
}

impl Sighting {
    /// Whether it was seen within the last few of its own reports: each row has its own interval.
    pub fn is_alive(self, now: Timestamp) -> bool {
        let ms = if self.report_ms == 0 {
            REPORT_MS_UNTOLD
        } else {
            self.report_ms
        };
        is_alive(self.seen, Duration::from_millis(ms), now)
    }
}

/// Whether a fetcher last seen at `seen`, which reports every `report`, counts as alive.
pub fn is_alive(seen: Timestamp, report: Duration, now: Timestamp) -> bool {
    now <= seen + report.saturating_mul(MISSED_REPORTS_MAX)
}

/// One fetcher's part in the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    policy: FleetPolicy,
    health: Health,
    next: Timestamp,
    reporting: bool,
    /// What the next report says besides that the fetcher is there.
    news: Option<Reason>,
    done: u64,
    failed: u64,
}

impl Member {
    /// A fetcher that reports at once.
    pub fn new(policy: FleetPolicy) -> Self {
        Self {
            policy,
            health: Health::new(policy.health),
            next: Timestamp(i64::MIN),
            reporting: false,
            news: None,
            done: 0,
            failed: 0,
        }
    }

    /// How the fetcher fares.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Work on a job ended. An analysis that failed counts, whoever is at fault: on a broken machine a command
    /// fails on every file. What went wrong before the analysis does not.
    pub fn ended(&mut self, now: Timestamp, key: &JobKey, ending: &Ending) {
        match ending {
            Ending::Result { .. } => {
                self.done += 1;
                if self.health.succeeded() {
                    self.news = Some(Reason::key(
                        "a job succeeded again: claims as before",
                        "claim.failing-max",
                    ));
                }
            }
            Ending::JobFault(_) | Ending::Failed { .. } => self.failed(now, key),
            Ending::Away { .. }
            | Ending::TurnedAway { .. }
            | Ending::Refused(_)
            | Ending::Stalled(_)
            | Ending::Fault(_)
            | Ending::Unfit(_)
            | Ending::Barred(_)
            | Ending::Stopped => {}
        }
    }

    fn failed(&mut self, now: Timestamp, key: &JobKey) {
        self.failed += 1;
        if let Some(until) = self.health.failed(now, key) {
            let rest = until.since(now).as_secs();
            self.news = Some(Reason::key(
                format!("jobs keep failing here while other fetchers are there: claims nothing for {rest} s"),
                "claim.failing-max",
            ));
        }
    }

    /// A report ended: whether another fetcher claims; none if that could not be found out. The next one is spread by up
    /// to a quarter: the rows of all fetchers lie in one partition, and a fleet that starts together must not write
    /// them all in the same second for ever.
    pub fn reported(&mut self, at: At, others: Option<bool>) {
        self.reporting = false;
        self.next = at.now + self.policy.report.mul_f64(1.0 - 0.25 * at.jitter);
        if let Some(others) = others {
            self.health.heard(others);
        }
    }

    /// Lets time pass; a report that is due now, with its reason.
    pub fn tick<'a>(
        &mut self,
        now: Timestamp,
        held: impl Iterator<Item = &'a Job>,
    ) -> Option<(Report, Reason)> {
        self.health.tick(now);
        if self.reporting || (self.news.is_none() && now < self.next) {
            return None;
        }
        self.reporting = true;
        let reason = self
            .news
            .take()
            .unwrap_or_else(|| Reason::key("a report is due", "claim.report"));
        let mut report = Report {
            held: Vec::new(),
            held_count: 0,
            done: self.done,
            failed: self.failed,
            resting_until: self.health.resting_until(),
        };
        for job in held {
            report.held_count += 1;
            if report.held.len() < HELD_MAX {
                report.held.push((job.key.clone(), job.assigned));
            }
        }
        Some((report, reason))
    }

    /// The clock was set back.
    pub fn set_back(&mut self, by: Duration) {
        self.next = self.next.set_back(by);
        self.health.set_back(by);
    }

    /// When to tick next.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let report = (!self.reporting).then_some(self.next);
        report.into_iter().chain(self.health.resting_until()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;

    #[test]
    fn a_fetcher_is_alive_for_three_of_its_own_reports() {
        let seen = at(0).now;
        let alive = |report_ms, ms: i64| Sighting { seen, report_ms }.is_alive(at(ms).now);
        for (report_ms, until) in [(30_000, 90_000), (300_000, 900_000), (1_000, 3_000), (0, 90_000)] {
            assert!(alive(report_ms, until), "{report_ms}");
            assert!(!alive(report_ms, until + 1), "{report_ms}");
        }
        assert!(alive(u64::MAX, i64::MAX / 2));
    }
}
