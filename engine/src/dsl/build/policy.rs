//! Judges the policies: `[claim]` and `[retry]`.

use std::time::Duration;

use roundtrip_core::protection::MINUTES;
use roundtrip_core::retry::{Jitter, Retry};

use super::value::{At, TICK};
use crate::dsl::raw;
use crate::dsl::spec::{ClaimSpec, Feed, ManifestNeed, Start};
use crate::dsl::units::{Span, show_span};

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
        in_flight_max: at.number("in-flight-max", raw.in_flight_max, 1..=1_024),
        downloads_max: at.number("downloads-max", raw.downloads_max, 1..=1_024),
        analyses_max: at.number("analyses-max", raw.analyses_max, 1..=1_024),
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
