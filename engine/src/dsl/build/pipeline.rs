//! Judges one pipeline: its stages, its policies and how they make a chain.

use std::fmt::Write as _;

use roundtrip_core::plan::{CHUNK_SIZE_MAX, Codec};

use super::value::At;
use super::{Bench, below, notify, policy, sink, source};
use crate::dsl::chain::{self, End, Link, Misfit};
use crate::dsl::document::Part;
use crate::dsl::raw;
use crate::dsl::spec::{ChunkerSpec, CodecSpec, PipelineSpec, SinkSpec, SourceSpec, TransportSpec};

/// The smallest piece a client may cut: below it the requests cost more than the bytes.
const CHUNK_SIZE_MIN: u64 = 64 << 10;

/// A pipeline's spec; none where its ends are not known.
pub(super) fn build(
    bench: &mut Bench<'_>,
    path: &[String],
    name: &str,
    raw: raw::Pipeline,
) -> Option<PipelineSpec> {
    if raw.name.is_some() {
        let what = "`name` is of no use here: in a role a pipeline has the name of its table".to_owned();
        bench.wrong(
            below(path, &["name"]),
            Part::Key,
            what,
            "take it out, or rename the table",
        );
    }
    let present = present(&raw);
    let has_retry = raw.retry.is_some();
    let source = source_spec(bench, path, raw.source);
    let claim = raw
        .claim
        .map(|raw| policy::claim(At::new(bench, below(path, &["claim"])), raw));
    let chunker = raw.chunker.and_then(|raw| chunker(bench, path, raw));
    let codec = raw.codec.and_then(|raw| codec(bench, path, raw));
    let transport = raw.transport.and_then(|raw| transport(bench, path, raw));
    let sink = sink_spec(bench, path, raw.sink);
    let retry = raw
        .retry
        .map(|raw| policy::retry(At::new(bench, below(path, &["retry"])), raw));
    let thresholds = notify::build(bench, path, raw.notify);
    let (source, sink) = (source?, sink?);
    if !thresholds.is_empty() && !matches!(sink, SinkSpec::Metrics(_)) {
        let what = format!(
            "[notify] is of no use here: `{}` has no numbers to watch",
            sink.table()
        );
        bench.wrong(below(path, &["notify"]), Part::Key, what, "take [notify] out");
    }
    fit(bench, path, (&source, &sink), &present);
    if has_retry && !chain::retries(&sink) {
        let what = format!("[retry] is of no use here: `{}` does not try again", sink.table());
        bench.wrong(below(path, &["retry"]), Part::Key, what, "take [retry] out");
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
        notify: thresholds,
    })
}

/// The stages between the ends, with the name of their table.
fn present(raw: &raw::Pipeline) -> Vec<(Link, &'static str)> {
    let codec = raw.codec.as_ref().map(|codec| {
        if codec.none.is_some() {
            "codec.none"
        } else {
            "codec.zstd"
        }
    });
    let there = [
        (Link::Claim, raw.claim.as_ref().map(|_| "claim")),
        (Link::Transport, raw.transport.as_ref().map(|_| "transport.s3")),
        (Link::Codec, codec),
        (Link::Chunker, raw.chunker.as_ref().map(|_| "chunker.fixed")),
    ];
    there
        .into_iter()
        .filter_map(|(link, table)| Some((link, table?)))
        .collect()
}

/// Holds the chain together.
fn fit(bench: &mut Bench<'_>, path: &[String], ends: (&SourceSpec, &SinkSpec), present: &[(Link, &str)]) {
    let (source, sink) = ends;
    let (from, to) = (source.table(), sink.table());
    let sink_path = below(path, &to.split('.').collect::<Vec<_>>());
    let links: Vec<Link> = present.iter().map(|(link, _)| *link).collect();
    for misfit in chain::check(source, sink, &links) {
        match misfit {
            Misfit::Missing { links, takes, gives } => {
                if !links
                    .iter()
                    .any(|link| bench.is_refused(&below(path, &[link.name()])))
                {
                    let what = format!("`{to}` takes {takes}, but `{from}` gives {gives}");
                    bench.wrong(
                        sink_path.clone(),
                        Part::Key,
                        what,
                        format!("add {}", listed(&links)),
                    );
                }
            }
            Misfit::Apart {
                takes,
                gives,
                instead,
            } => {
                let (takes, gives) = (takes.at_length(), gives.at_length());
                let what = format!(
                    "`{to}` takes {takes}, but `{from}` gives {gives}: no stages lead from one to the other"
                );
                let lane = instead
                    .strip_prefix("[source.jobs] with ")
                    .filter(|_| from == "source.jobs");
                let help = lane.map_or_else(
                    || format!("`{to}` goes with {instead}"),
                    |lane| format!("write {lane} in [source.jobs], or choose another sink"),
                );
                bench.wrong(sink_path.clone(), Part::Key, what, help);
            }
            Misfit::Useless(link) => {
                let table = present
                    .iter()
                    .find(|(there, _)| *there == link)
                    .map_or(link.name(), |(_, table)| *table);
                let what = format!("[{table}] is of no use between `{from}` and `{to}`");
                bench.wrong(
                    below(path, &[link.name()]),
                    Part::Key,
                    what,
                    format!("take [{table}] out"),
                );
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
        [] if bench.is_refused(&table) || bench.is_misspelt(path, stage) => {}
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
        lanes,
        objects,
    } = raw.unwrap_or_default();
    let kinds = [
        ("directory", directory.is_some()),
        ("jobs", jobs.is_some()),
        ("results", results.is_some()),
        ("foreign", foreign.is_some()),
        ("lanes", lanes.is_some()),
        ("objects", objects.is_some()),
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
    let lanes = lanes.map(|raw| SourceSpec::Lanes(source::lanes(At::new(bench, at("lanes")), raw)));
    let objects = objects.map(|raw| SourceSpec::Objects(source::objects(At::new(bench, at("objects")), raw)));
    only([directory, jobs, results, foreign, lanes, objects])
}

fn sink_spec(bench: &mut Bench<'_>, path: &[String], raw: Option<raw::Sink>) -> Option<SinkSpec> {
    let raw::Sink {
        jobs,
        processor,
        directory,
        delete,
        requeue,
        admit,
        metrics,
        sweep,
    } = raw.unwrap_or_default();
    let kinds = [
        ("jobs", jobs.is_some()),
        ("processor", processor.is_some()),
        ("directory", directory.is_some()),
        ("delete", delete.is_some()),
        ("requeue", requeue.is_some()),
        ("admit", admit.is_some()),
        ("metrics", metrics.is_some()),
        ("sweep", sweep.is_some()),
    ];
    one_kind(bench, path, "sink", &kinds);
    let at = |kind| below(path, &["sink", kind]);
    let jobs = jobs.map(|raw| SinkSpec::Jobs(sink::jobs(At::new(bench, at("jobs")), raw)));
    let processor =
        processor.map(|raw| SinkSpec::Processor(sink::processor(At::new(bench, at("processor")), raw)));
    let directory =
        directory.map(|raw| SinkSpec::Directory(sink::directory(At::new(bench, at("directory")), raw)));
    let delete = delete.map(|raw| SinkSpec::Delete(sink::delete(At::new(bench, at("delete")), &raw)));
    let requeue = requeue.map(|raw::RequeueSink {}| SinkSpec::Requeue);
    let admit = admit.map(|raw| SinkSpec::Admit(sink::admit(At::new(bench, at("admit")), &raw)));
    let metrics = metrics.map(|raw| SinkSpec::Metrics(sink::metrics(At::new(bench, at("metrics")), raw)));
    let sweep = sweep.map(|raw::SweepSink {}| SinkSpec::Sweep);
    only([jobs, processor, directory, delete, requeue, admit, metrics, sweep])
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
