//! Judges the policies: `[claim]` and `[retry]`.

use std::time::Duration;

use roundtrip_core::protection::MINUTES;
use roundtrip_core::retry::{Jitter, Retry};

use super::value::{At, TICK};
use crate::dsl::raw;
use crate::dsl::spec::{ClaimSpec, Feed, ManifestNeed, Start};
use crate::dsl::units::{Count, Span, show_span};

/// The highest of the limits on jobs held at once.
const HELD_MAX: u64 = 1_024;

pub(super) fn claim(mut at: At<'_, '_>, raw: raw::Claim) -> ClaimSpec {
    if let (Some(Span(lease)), Some(Span(heartbeat))) = (raw.lease, raw.heartbeat)
        && heartbeat.saturating_mul(2) >= lease
    {
        let what = format!(
            "{} is not less than half of `lease` ({})",
            show_span(heartbeat),
            show_span(lease)
        );
        let help =
            "one heartbeat may be lost without losing the job: shorten `heartbeat` or lengthen `lease`";
        at.between("heartbeat", &what, "lease", help);
    }
    for (key, count) in [
        ("downloads-max", raw.downloads_max),
        ("analyses-max", raw.analyses_max),
    ] {
        within_what_is_held(&mut at, key, count, raw.in_flight_max);
    }
    let moments = [("announced", Start::Announced), ("uploaded", Start::Uploaded)];
    let feeds = [("streaming", Feed::Streaming), ("complete", Feed::Complete)];
    let needs = [
        ("optional", ManifestNeed::Optional),
        ("required", ManifestNeed::Required),
    ];
    ClaimSpec {
        versions: versions(&mut at, raw.versions),
        start: at.word("start", raw.start, &moments).unwrap_or(Start::Announced),
        feed: at.word("feed", raw.feed, &feeds).unwrap_or(Feed::Streaming),
        feed_wait: at.span("feed-wait", raw.feed_wait, TICK),
        manifest: at
            .word("manifest", raw.manifest, &needs)
            .unwrap_or(ManifestNeed::Optional),
        in_flight_max: at.number("in-flight-max", raw.in_flight_max, 1..=HELD_MAX),
        downloads_max: at.number("downloads-max", raw.downloads_max, 1..=HELD_MAX),
        analyses_max: at.number("analyses-max", raw.analyses_max, 1..=HELD_MAX),
        lease: at.span("lease", raw.lease, TICK),
        heartbeat: at.span("heartbeat", raw.heartbeat, TICK),
        stall: at.span("stall", raw.stall, TICK),
        upload_max: at.span("upload-max", raw.upload_max, TICK),
        drain: at.span("drain", raw.drain, Duration::ZERO),
        protection: protection(&mut at, raw.protection),
        report: at.span("report", raw.report, TICK),
        failing_max: at.number("failing-max", raw.failing_max, 1..=1_000),
        failing_rest: at.span("failing-rest", raw.failing_rest, TICK),
    }
}

/// A limit within what is held at once, where somebody wrote one; the highest stands for all that is held.
fn within_what_is_held(at: &mut At<'_, '_>, key: &str, count: Option<Count>, in_flight_max: Option<Count>) {
    if let (Some(Count(count)), Some(Count(bound))) = (count, in_flight_max)
        && count > bound
        && count < HELD_MAX
        && !at.is_default(key)
    {
        let what = format!("{count} is more than `in-flight-max` ({bound})");
        let help = format!(
            "no more than `in-flight-max` jobs are held: raise it or lower `{key}`; {HELD_MAX} is as many as are held"
        );
        at.value_wrong(key, &what, &help);
    }
}

/// What ECS takes: 1 minute to 48 hours.
fn protection(at: &mut At<'_, '_>, raw: Option<Span>) -> Duration {
    let limits = MINUTES.start() * 60..=MINUTES.end() * 60;
    let span = at.span("protection", raw, Duration::ZERO);
    if raw.is_some() && !limits.contains(&span.as_secs()) {
        at.value_wrong(
            "protection",
            &format!("{} is not from 1m to 48h", show_span(span)),
            "Amazon ECS protects a task for 1 minute to 48 hours at a time; it is renewed after half of it",
        );
    }
    span
}

/// All versions where it is `*`: that takes pre-releases too, which a comparison would not.
fn versions(at: &mut At<'_, '_>, text: Option<String>) -> Option<semver::VersionReq> {
    let text = text.filter(|text| text.trim() != "*")?;
    semver::VersionReq::parse(&text)
        .map_err(|error| {
            let help = "such as \">=2.5, <3\", \"^2.5\", or \"*\" for all";
            at.value_wrong(
                "versions",
                &format!("{text:?} does not say which versions: {error}"),
                help,
            );
        })
        .ok()
}

pub(super) fn retry(mut at: At<'_, '_>, raw: raw::Retry) -> Retry {
    at.ordered(("interval", raw.interval), ("interval-max", raw.interval_max));
    Retry {
        attempts_max: at.number32("attempts-max", raw.attempts_max, 1..=1_000),
        interval: at.span("interval", raw.interval, Duration::ZERO),
        backoff_rate: at.rate("backoff-rate", raw.backoff_rate, 1.0..=100.0),
        interval_max: at.span("interval-max", raw.interval_max, Duration::ZERO),
        jitter: at
            .word(
                "jitter",
                raw.jitter,
                &[("full", Jitter::Full), ("none", Jitter::None)],
            )
            .unwrap_or(Jitter::Full),
    }
}
