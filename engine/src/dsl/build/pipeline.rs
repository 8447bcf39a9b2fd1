//! Judges one pipeline: its stages, its policies and how they make a chain.

use std::fmt::Write as _;
use std::time::Duration;

use roundtrip_core::plan::{CHUNK_SIZE_MAX, Codec};
use roundtrip_core::retry::{Jitter, Retry};

use super::value::{At, TICK};
use super::{Bench, below, sink, source};
use crate::dsl::chain::{self, End, Link, Misfit};
use crate::dsl::document::Part;
use crate::dsl::layers::KeyPath;
use crate::dsl::raw;
use crate::dsl::spec::{
    ChunkerSpec, ClaimSpec, CodecSpec, Feed, ManifestNeed, PipelineSpec, SinkSpec, SourceSpec, Start,
    TransportSpec,
};
use crate::dsl::units::{Span, show_span};

/// The smallest piece a client may cut: below it the requests cost more than the bytes.
const CHUNK_SIZE_MIN: u64 = 64 << 10;

/// A pipeline's spec; none where its ends are not known.
pub(super) fn build(
    bench: &mut Bench<'_>,
    path: KeyPath,
    name: &str,
    raw: raw::Pipeline,
) -> Option<PipelineSpec> {
    let present = present(&raw);
    let has_retry = raw.retry.is_some();
    let source = source_spec(bench, &path, raw.source);
    let claim = raw
        .claim
        .map(|raw| claim(At::new(bench, below(&path, &["claim"])), raw));
    let chunker = raw.chunker.and_then(|raw| chunker(bench, &path, raw));
    let codec = raw.codec.and_then(|raw| codec(bench, &path, raw));
    let transport = raw.transport.and_then(|raw| transport(bench, &path, raw));
    let sink = sink_spec(bench, &path, raw.sink);
    let retry = raw
        .retry
        .map(|raw| retry(At::new(bench, below(&path, &["retry"])), raw));
    let (source, sink) = (source?, sink?);
    fit(bench, &path, &source, &sink, &present);
    if has_retry && !chain::retries(&sink) {
        let what = format!("[retry] is of no use here: `{}` does not try again", sink.table());
        bench.wrong(below(&path, &["retry"]), Part::Key, what, "take [retry] out");
    }
    Some(PipelineSpec {
        name: name.to_owned(),
        source,
        claim,
        chunker,
        codec,
        transport,
        sink,
        retry,
    })
}

fn present(raw: &raw::Pipeline) -> Vec<Link> {
    let there = [
        (Link::Claim, raw.claim.is_some()),
        (Link::Transport, raw.transport.is_some()),
        (Link::Codec, raw.codec.is_some()),
        (Link::Chunker, raw.chunker.is_some()),
    ];
    there
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(link, _)| link)
        .collect()
}

/// Holds the chain together.
fn fit(bench: &mut Bench<'_>, path: &[String], source: &SourceSpec, sink: &SinkSpec, present: &[Link]) {
    let kind_of = |table: &str| below(path, &table.split('.').collect::<Vec<_>>());
    let (from, to) = (source.table(), sink.table());
    for misfit in chain::check(source, sink, present) {
        match misfit {
            Misfit::Missing { links, .. }
                if links
                    .iter()
                    .any(|link| bench.is_refused(&below(path, &[link.name()]))) => {}
            Misfit::Missing { links, takes, gives } => {
                let what = format!("`{to}` takes {takes}, but `{from}` gives {gives}");
                bench.wrong(kind_of(to), Part::Key, what, format!("add {}", listed(&links)));
            }
            Misfit::Apart {
                takes,
                gives,
                instead,
            } => {
                let what = format!(
                    "`{to}` takes {takes}, but `{from}` gives {gives}: no stages lead from one to the other"
                );
                let help = format!("`{to}` goes with {instead}");
                bench.wrong(kind_of(to), Part::Key, what, help);
            }
            Misfit::Useless(link) => {
                let table = below(path, &[link.name()]);
                let what = format!("[{}] is of no use between `{from}` and `{to}`", link.name());
                bench.wrong(table, Part::Key, what, format!("take [{}...] out", link.name()));
            }
        }
    }
}

/// `[claim], [transport.s3] and [codec.zstd]`
fn listed(links: &[Link]) -> String {
    let mut text = String::new();
    for (index, link) in links.iter().enumerate() {
        let between = if index == 0 {
            ""
        } else if index + 1 == links.len() {
            " and "
        } else {
            ", "
        };
        // Writing to a text does not fail.
        let _ = write!(text, "{between}{}", link.table());
    }
    text
}

/// Notes a stage without a kind, or with more than one.
fn one_kind(bench: &mut Bench<'_>, path: &[String], stage: &str, kinds: &[(&str, bool)]) {
    let named: Vec<&str> = kinds
        .iter()
        .filter(|(_, named)| *named)
        .map(|(kind, _)| *kind)
        .collect();
    let table = below(path, &[stage]);
    match named.as_slice() {
        [_] => {}
        [] if bench.is_refused(&table) => {}
        [] => {
            let all = kinds
                .iter()
                .map(|(kind, _)| format!("[{stage}.{kind}]"))
                .collect::<Vec<_>>()
                .join(", ");
            bench.wrong(
                table,
                Part::Key,
                format!("the pipeline has no {stage}"),
                format!("add one of {all}"),
            );
        }
        [first, .., last] => {
            let what = format!("two kinds of {stage} at once: [{stage}.{first}] and [{stage}.{last}]");
            bench.wrong(
                below(&table, &[last]),
                Part::Key,
                what,
                format!("keep one: a pipeline has one {stage}"),
            );
        }
    }
}

fn source_spec(bench: &mut Bench<'_>, path: &[String], raw: Option<raw::Source>) -> Option<SourceSpec> {
    let raw::Source {
        directory,
        jobs,
        results,
        foreign,
    } = raw.unwrap_or_default();
    let kinds = [
        ("directory", directory.is_some()),
        ("jobs", jobs.is_some()),
        ("results", results.is_some()),
        ("foreign", foreign.is_some()),
    ];
    one_kind(bench, path, "source", &kinds);
    let at = |kind| below(path, &["source", kind]);
    let directory =
        directory.map(|raw| SourceSpec::Directory(source::directory(At::new(bench, at("directory")), raw)));
    let jobs = jobs
        .and_then(|raw| source::jobs(At::new(bench, at("jobs")), raw))
        .map(SourceSpec::Jobs);
    let results = results.map(|raw| SourceSpec::Results(source::results(At::new(bench, at("results")), raw)));
    let foreign = foreign.map(|raw| SourceSpec::Foreign(source::foreign(At::new(bench, at("foreign")), raw)));
    only([directory, jobs, results, foreign])
}

fn sink_spec(bench: &mut Bench<'_>, path: &[String], raw: Option<raw::Sink>) -> Option<SinkSpec> {
    let raw::Sink {
        jobs,
        processor,
        directory,
        delete,
        requeue,
        admit,
    } = raw.unwrap_or_default();
    let kinds = [
        ("jobs", jobs.is_some()),
        ("processor", processor.is_some()),
        ("directory", directory.is_some()),
        ("delete", delete.is_some()),
        ("requeue", requeue.is_some()),
        ("admit", admit.is_some()),
    ];
    one_kind(bench, path, "sink", &kinds);
    let at = |kind| below(path, &["sink", kind]);
    let jobs = jobs.map(|raw| SinkSpec::Jobs(sink::jobs(At::new(bench, at("jobs")), raw)));
    let processor =
        processor.map(|raw| SinkSpec::Processor(sink::processor(At::new(bench, at("processor")), raw)));
    let directory =
        directory.map(|raw| SinkSpec::Directory(sink::directory(At::new(bench, at("directory")), raw)));
    let delete = delete.map(|raw| SinkSpec::Delete(sink::delete(At::new(bench, at("delete")), raw)));
    let requeue = requeue.map(|raw::RequeueSink {}| SinkSpec::Requeue);
    let admit = admit.map(|raw| SinkSpec::Admit(sink::admit(At::new(bench, at("admit")), raw)));
    only([jobs, processor, directory, delete, requeue, admit])
}

/// The only one; none where there are more.
fn only<T, const N: usize>(found: [Option<T>; N]) -> Option<T> {
    let mut found = found.into_iter().flatten();
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

fn chunker(bench: &mut Bench<'_>, path: &[String], raw: raw::Chunker) -> Option<ChunkerSpec> {
    one_kind(bench, path, "chunker", &[("fixed", raw.fixed.is_some())]);
    let mut at = At::new(bench, below(path, &["chunker", "fixed"]));
    let size = at.size("size", raw.fixed?.size, CHUNK_SIZE_MIN..=CHUNK_SIZE_MAX);
    Some(ChunkerSpec::Fixed { size })
}

fn codec(bench: &mut Bench<'_>, path: &[String], raw: raw::Codec) -> Option<CodecSpec> {
    one_kind(
        bench,
        path,
        "codec",
        &[("zstd", raw.zstd.is_some()), ("none", raw.none.is_some())],
    );
    let zstd = raw.zstd.map(|raw| {
        let level = At::new(bench, below(path, &["codec", "zstd"])).count("level", raw.level, 1..=22);
        CodecSpec {
            codec: Codec::Zstd,
            level: i32::try_from(level).unwrap_or(i32::MAX),
        }
    });
    let none = raw.none.map(|raw::NoCodec {}| CodecSpec {
        codec: Codec::None,
        level: 0,
    });
    only([zstd, none])
}

fn transport(bench: &mut Bench<'_>, path: &[String], raw: raw::Transport) -> Option<TransportSpec> {
    one_kind(bench, path, "transport", &[("s3", raw.s3.is_some())]);
    let mut at = At::new(bench, below(path, &["transport", "s3"]));
    let raw = raw.s3?;
    Some(TransportSpec::S3 {
        concurrency_max: at.number("concurrency-max", raw.concurrency_max, 1..=256),
        file_size_max: at.size("file-size-max", raw.file_size_max, 1..=1 << 50),
    })
}

fn claim(mut at: At<'_, '_>, raw: raw::Claim) -> ClaimSpec {
    if let (Some(Span(lease)), Some(Span(heartbeat))) = (raw.lease, raw.heartbeat) {
        if heartbeat.saturating_mul(2) >= lease {
            let what = format!(
                "{} is not less than half of `lease` ({})",
                show_span(heartbeat),
                show_span(lease)
            );
            let help =
                "one heartbeat may be lost without losing the job: shorten `heartbeat` or lengthen `lease`";
            at.between("heartbeat", &what, "lease", help);
        }
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
        manifest: at
            .word("manifest", raw.manifest, &needs)
            .unwrap_or(ManifestNeed::Optional),
        in_flight_max: at.number("in-flight-max", raw.in_flight_max, 1..=1_024),
        lease: at.span("lease", raw.lease, TICK),
        heartbeat: at.span("heartbeat", raw.heartbeat, TICK),
        stall: at.span("stall", raw.stall, TICK),
        upload_max: at.span("upload-max", raw.upload_max, TICK),
        feed_wait: at.span("feed-wait", raw.feed_wait, TICK),
    }
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

fn retry(mut at: At<'_, '_>, raw: raw::Retry) -> Retry {
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
