//! Judges `[sink.*]`.

use std::time::Duration;

use roundtrip_core::job::PRIORITY_MAX;

use super::source;
use super::value::{At, TICK};
use crate::dsl::raw;
use crate::dsl::spec::{
    AdmitSink, Announce, DeleteSink, DirectorySink, JobsSink, MetricsSink, MetricsTo, ProcessorKind,
    ProcessorSink,
};
use crate::dsl::units::Words;
use crate::wire::seal;

pub(super) fn jobs(mut at: At<'_, '_>, raw: raw::JobsSink) -> JobsSink {
    let version = raw.version.unwrap_or_default();
    if let Err(error) = semver::Version::parse(&version) {
        at.value_wrong(
            "version",
            &format!("{version:?} is not a version: {error}"),
            "write three numbers: \"2.5.21\"",
        );
    }
    let moments = [("first", Announce::First), ("last", Announce::Last)];
    JobsSink {
        announce: at
            .word("announce", raw.announce, &moments)
            .unwrap_or(Announce::First),
        version,
        send_name: raw.send_name.unwrap_or_default(),
        priority: u8::try_from(at.number32("priority", raw.priority, 0..=PRIORITY_MAX.into()))
            .unwrap_or(PRIORITY_MAX),
    }
}

pub(super) fn processor(mut at: At<'_, '_>, raw: raw::ProcessorSink) -> ProcessorSink {
    let given = [
        ("url", raw.url.is_some()),
        ("command", raw.command.is_some()),
        ("builtin", raw.builtin.is_some()),
    ];
    let named: Vec<&str> = given
        .iter()
        .filter(|(_, given)| *given)
        .map(|(key, _)| *key)
        .collect();
    if let [first, second, ..] = named.as_slice() {
        at.value_wrong(
            second,
            &format!("it stands beside `{first}`"),
            "a pipeline has one processor: keep one of the two",
        );
    }
    let kind = kind(&mut at, raw.url, raw.command, raw.builtin);
    if let Some(content_type) = &raw.content_type {
        let halves = content_type
            .split_once('/')
            .filter(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
        if halves.is_none() || !content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            at.value_wrong(
                "content-type",
                &format!("{content_type:?} is not a content type"),
                "such as \"image/tiff\"",
            );
        }
    }
    ProcessorSink {
        kind,
        timeout: at.span("timeout", raw.timeout, TICK),
        content_type: raw.content_type,
        send_name: raw.send_name.unwrap_or_default(),
        result_max: at.size("result-max", raw.result_max, 1..=seal::PLAIN_BYTES_MAX as u64),
        ready: at.span("ready", raw.ready, Duration::ZERO),
    }
}

fn kind(
    at: &mut At<'_, '_>,
    url: Option<String>,
    command: Option<Words>,
    builtin: Option<String>,
) -> ProcessorKind {
    if let Some(url) = url {
        check_url(at, &url);
        return ProcessorKind::Http { url };
    }
    if let Some(Words(command)) = command {
        if command.first().is_none_or(|program| program.trim().is_empty()) {
            at.value_wrong(
                "command",
                "it names no program",
                "write command = [\"analyse\", \"{file}\"]",
            );
        }
        return ProcessorKind::Command { command };
    }
    if builtin.is_some() {
        let known = [("fingerprint", ProcessorKind::Fingerprint)];
        let words = known.each_ref().map(|(word, _)| (*word, ()));
        at.word("builtin", builtin, &words);
        return ProcessorKind::Fingerprint;
    }
    at.missing_processor();
    ProcessorKind::Fingerprint
}

fn check_url(at: &mut At<'_, '_>, url: &str) {
    let help = "write where the processor listens: url = \"http://127.0.0.1:8000/\"";
    http_url(at, "url", url, help);
}

/// Notes what is wrong with an address.
pub(super) fn http_url(at: &mut At<'_, '_>, key: &str, url: &str, help: &str) {
    match reqwest::Url::parse(url) {
        // What stands before an `@` may be a password.
        Err(error) if url.contains('@') => at.secret(key, &format!("it is not a URL: {error}"), help),
        Err(error) => at.value_wrong(key, &format!("{url:?} is not a URL: {error}"), help),
        Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            let help = "secrets are never values of a pipeline: leave them out";
            at.secret(key, "it holds a user name or password", help);
        }
        Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
            let what = format!("{:?} is not spoken here, only http and https", parsed.scheme());
            at.value_wrong(key, &what, help);
        }
        Ok(_) => {}
    }
}

pub(super) fn directory(mut at: At<'_, '_>, raw: raw::DirectorySink) -> DirectorySink {
    DirectorySink {
        path: source::path(&mut at, raw.path, "\"results\""),
    }
}

pub(super) fn delete(mut at: At<'_, '_>, raw: &raw::DeleteSink) -> DeleteSink {
    // A record that expires first would leave its result in the bucket for good.
    at.ordered(("results-keep", raw.results_keep), ("retention", raw.retention));
    DeleteSink {
        results_keep: at.span("results-keep", raw.results_keep, Duration::ZERO),
        upload_max: at.span("upload-max", raw.upload_max, Duration::ZERO),
        retention: at.span("retention", raw.retention, Duration::ZERO),
    }
}

pub(super) fn admit(mut at: At<'_, '_>, raw: &raw::AdmitSink) -> AdmitSink {
    AdmitSink {
        lease: at.span("lease", raw.lease, TICK),
        upload_max: at.span("upload-max", raw.upload_max, TICK),
    }
}

pub(super) fn metrics(mut at: At<'_, '_>, raw: raw::MetricsSink) -> MetricsSink {
    let places = [("cloudwatch", MetricsTo::CloudWatch), ("log", MetricsTo::Log)];
    MetricsSink {
        to: at.word("to", raw.to, &places).unwrap_or(MetricsTo::Log),
    }
}
