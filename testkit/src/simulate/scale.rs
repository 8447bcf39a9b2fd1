//! A whole fleet under load: how long jobs wait, what their claims cost, how near the hottest partition is to its limit.
//!
//! The fetchers and watchers are those of every simulation. Clients are a stream of jobs whose files are there when
//! the job is; a record is dropped when its job is cleaned, so that memory follows the jobs that are open.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::policies::longest;
use super::world::measure;
use super::{Faults, Policies, Scenario};
use crate::promises::Breach;

/// How long the last jobs may take, beside their analyses and looks that come seldom.
const MARGIN: Duration = Duration::from_hours(1);

/// How often the last job may be analysed.
const ANALYSES_MAX: u32 = 10;

/// The longest time that is simulated: ten years.
const LONGEST: Duration = Duration::from_hours(24 * 3_653);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Fetcher processes.
    pub fetchers: usize,
    /// Watcher processes.
    pub watchers: usize,
    /// Jobs in all.
    pub jobs: u64,
    /// Clients that make them.
    pub clients: usize,
    /// Jobs a second; none for four fifths of what the fetchers can do.
    pub rate: Option<f64>,
    /// How long an analysis takes, at most; half of it on average.
    pub analysis_max: Duration,
    /// Bytes of a result before it is sealed, at most as many as a record takes in: it lies there.
    pub result_bytes: usize,
    /// The policies, with the number of shards.
    pub policies: Policies,
}

impl Scale {
    /// So many fetchers and jobs under the shipped policies, which may be replaced.
    pub fn new(fetchers: usize, jobs: u64) -> Self {
        Self {
            fetchers,
            watchers: 2,
            jobs,
            clients: 1_000,
            rate: None,
            analysis_max: Duration::from_secs(60),
            result_bytes: 1_024,
            policies: Policies::shipped(),
        }
    }

    /// The same with so many shards of each lane.
    #[must_use]
    pub fn with_shards(mut self, count: u32) -> Self {
        self.policies = self.policies.with_shards(count);
        self
    }

    /// Jobs a second.
    pub fn jobs_per_second(&self) -> f64 {
        self.rate.unwrap_or_else(|| 0.8 * self.capacity())
    }

    /// Jobs a second the fetchers can do.
    fn capacity(&self) -> f64 {
        let claim = &self.policies.analyse.worker.claim;
        let held = self
            .fetchers
            .saturating_mul(claim.analyses_max.min(claim.in_flight_max));
        let held = f64::from(u32::try_from(held).unwrap_or(u32::MAX));
        held / (self.analysis_max.as_secs_f64() / 2.0 + 1.0)
    }

    /// How long all of it may take: as long as the jobs come, or the fetchers have enough to do, a quarter of that, and as
    /// long as the last of them may take to be analysed and cleaned.
    fn span_max(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 jobs")]
        let jobs = self.jobs as f64;
        let seconds = jobs / self.jobs_per_second().min(self.capacity()) * 1.25;
        let coming = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST);
        let last = (self.analysis_max * ANALYSES_MAX).max(longest(&self.policies.clean.pace) * 2);
        coming.saturating_add(MARGIN).saturating_add(last).min(LONGEST)
    }

    /// The scenario beneath.
    pub(super) fn scenario(&self) -> Scenario {
        Scenario {
            clients: 0,
            fetchers: self.fetchers,
            watchers: self.watchers,
            files: 0,
            chunks_max: 1,
            analysis_max: self.analysis_max,
            policies: self.policies.clone(),
            faults: Faults::none(),
            vary: false,
            load: Duration::ZERO,
            settle_max: self.span_max(),
            leaps: false,
        }
    }
}

/// List prices in dollars, US East (N. Virginia), on-demand, without discounts and taxes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// A million write units of DynamoDB.
    pub writes: f64,
    /// A million read units of DynamoDB.
    pub reads: f64,
    /// A thousand PUT and LIST requests of S3 Standard.
    pub puts: f64,
    /// A thousand GET requests of S3 Standard.
    pub gets: f64,
    /// 100,000 reads of DynamoDB Streams.
    pub streams: f64,
}

impl Default for Prices {
    /// As AWS lists them on <https://aws.amazon.com/dynamodb/pricing/on-demand/> and <https://aws.amazon.com/s3/pricing/>:
    /// check there before relying on them. Confirmed at second hand, by projects that read AWS's own price list
    /// (`pricing.us-east-1.amazonaws.com`) on 2026-07-30 (DynamoDB) and 2026-09-29 (all five). DynamoDB's write and read
    /// units cost half of what they did before 2024-11-01. The first 2.5 million reads of Streams a month are free of
    /// charge, which is not counted here.
    fn default() -> Self {
        Self {
            writes: 0.625,
            reads: 0.125,
            puts: 0.005,
            gets: 0.0004,
            streams: 0.02,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Fetchers.
    pub fetchers: usize,
    /// Shards of each lane.
    pub shards: u32,
    /// Jobs that were asked for.
    pub jobs: u64,
    /// Jobs that were made.
    pub created: u64,
    /// Jobs that ended.
    pub finished: u64,
    /// Jobs a second.
    pub jobs_per_second: f64,
    /// Virtual time, in seconds.
    pub span_seconds: i64,
    /// Half of the jobs were claimed within this long, in milliseconds.
    pub claim_p50_ms: i64,
    /// 99 of 100 were.
    pub claim_p99_ms: i64,
    /// Claims that were tried for each that was won.
    pub claims_tried_per_won: f64,
    /// The most write units one partition was asked for in one second; 1,000 are served.
    pub writes_peak: u32,
    /// Which partition that was.
    pub writes_hottest: String,
    /// The most read units one partition was asked for in one second; 3,000 are served.
    pub reads_peak: u32,
    /// Which partition that was.
    pub reads_hottest: String,
    /// Requests that were throttled.
    pub throttled: u64,
    /// Requests for each job, by kind.
    pub requests_per_job: BTreeMap<&'static str, f64>,
    /// Write units for each job.
    pub writes_per_job: f64,
    /// Read units for each job.
    pub reads_per_job: f64,
    /// Dollars for a million jobs.
    pub dollars_per_million: f64,
    /// Things that happened.
    pub events: u64,
    /// Promises that did not hold; the first of them.
    pub breaches: Vec<Breach>,
}

impl Measured {
    /// Whether every job that was asked for ended, and every promise held.
    pub const fn holds(&self) -> bool {
        self.finished == self.jobs && self.breaches.is_empty()
    }

    /// What makes the figures none of a whole run, a sentence each.
    pub fn faults(&self) -> Vec<String> {
        let cut_short = (self.finished < self.jobs).then(|| {
            let Self {
                jobs,
                created,
                finished,
                span_seconds,
                ..
            } = self;
            format!(
                "cut short after {span_seconds} s: of {jobs} jobs {created} were made and {finished} ended, and the figures are of \
                 those alone"
            )
        });
        let breaches = self
            .breaches
            .iter()
            .map(|breach| format!("a promise broke: {breach}"));
        cut_short.into_iter().chain(breaches).collect()
    }
}

/// Runs it; `ended` hears how many jobs have ended, each time that more have.
pub fn scale(what: &Scale, prices: Prices, seed: u64, ended: impl FnMut(u64)) -> Measured {
    measure(what, prices, seed, ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_time_for_all_the_jobs_that_were_asked_for() {
        for what in [
            Scale::new(10, 1_000_000),
            Scale {
                rate: Some(0.01),
                ..Scale::new(10, 1_000)
            },
            Scale {
                rate: Some(1_000.0),
                ..Scale::new(1, 100_000)
            },
        ] {
            let jobs = f64::from(u32::try_from(what.jobs).unwrap());
            let least = jobs / what.jobs_per_second().min(what.capacity());
            let there_is = what.scenario().settle_max.as_secs_f64();
            assert!(there_is > least * 1.2 && there_is < least * 2.0, "{there_is} s");
        }
        let endless = Scale {
            rate: Some(0.0),
            ..Scale::new(1, 1)
        };
        assert_eq!(endless.scenario().settle_max, LONGEST);
    }
}
