//! `roundtrip simulate --jobs N`: what a fleet costs, and how long its jobs wait.

use roundtrip_testkit::simulate::{Measured, Policies, Prices, Scale, scale};

use super::{Arguments, json, verdict};
use crate::cli::Format;
use crate::cli::counting::Counting;
use crate::cli::output::{print, say};
use crate::error::{Exit, Result};

/// Measures a fleet without faults.
pub(super) fn measure(arguments: &Arguments, jobs: u64, policies: Policies) -> Result<Exit> {
    let mut what = Scale::new(arguments.fetchers.into(), jobs);
    what.policies = match arguments.shards {
        Some(shards) => policies.with_shards(shards),
        None => policies,
    };
    what.watchers = arguments.watchers.into();
    what.analysis_max = arguments.analysis_max;
    what.result_bytes = arguments.result_bytes as usize;
    say(&format!(
        "simulates {jobs} jobs, {:.1} a second, for {} fetchers",
        what.jobs_per_second(),
        what.fetchers
    ));
    let mut counting = Counting::begin("jobs", jobs);
    let seed = arguments.seed.unwrap_or(1);
    let measured = scale(&what, Prices::default(), seed, |ended| counting.at(ended));
    drop(counting);
    match arguments.format {
        Format::Json => json(&measured)?,
        Format::Text => drop(print(text(&measured).as_bytes())?),
    }
    for fault in measured.faults() {
        say(&fault);
    }
    Ok(verdict(measured.holds()))
}

fn text(measured: &Measured) -> String {
    let Measured {
        fetchers,
        shards,
        jobs,
        created: _,
        finished,
        jobs_per_second,
        span_seconds,
        claim_p50_ms,
        claim_p99_ms,
        claims_tried_per_won,
        writes_peak,
        writes_hottest,
        reads_peak,
        reads_hottest,
        throttled,
        requests_per_job,
        writes_per_job,
        reads_per_job,
        dollars_per_million,
        events: _,
        breaches: _,
    } = measured;
    let mut lines = vec![
        format!("fleet                 {fetchers} fetchers, {shards} shards"),
        format!(
            "jobs                  {finished} of {jobs} ended, {jobs_per_second:.1} a second for {span_seconds} s"
        ),
        format!("time to claim         p50 {claim_p50_ms} ms, p99 {claim_p99_ms} ms"),
        format!("claims tried per won  {claims_tried_per_won:.2}"),
        format!("hottest for writes    {writes_peak} units in a second of 1000: {writes_hottest}"),
        format!("hottest for reads     {reads_peak} units in a second of 3000: {reads_hottest}"),
        format!("throttled             {throttled} requests"),
        format!("units a job           {writes_per_job:.1} written, {reads_per_job:.1} read"),
        format!(
            "cost                  ${dollars_per_million:.2} for a million jobs, at list prices: check them"
        ),
        "requests a job".to_owned(),
    ];
    lines.extend(
        requests_per_job
            .iter()
            .map(|(kind, count)| format!("  {kind:<19} {count:8.3}")),
    );
    lines.join("\n") + "\n"
}
