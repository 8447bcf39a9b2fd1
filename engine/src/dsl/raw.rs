//! Pipelines and roles as they are written: every key, nothing judged.
//!
//! Each key is optional here: the layers fill in defaults, and what is still missing is judged later.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::units::{Count, List, Rate, Size, Span, Words};

/// Declares raw tables: every key optional, unknown ones refused.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default, Deserialize)]
            #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
            pub(super) struct $name {
                $(pub(super) $field: Option<$type>,)*
            }
        )*
    };
}

tables! {
    /// A role with its pipelines, the layers merged.
    Role { name: String, store: Store, identity: Identity, stream: Stream, pipelines: BTreeMap<String, Pipeline> }
    Store { bucket: String, table: String, shards: Count }
    Identity { key: String }
    Stream { lease: Span, interval: Span, interval_max: Span, shards_max: Count, start: String }
    Pipeline {
        name: String,
        source: Source,
        claim: Claim,
        chunker: Chunker,
        codec: Codec,
        transport: Transport,
        sink: Sink,
        retry: Retry,
        notify: BTreeMap<String, Notify>,
    }
    Source {
        directory: DirectorySource,
        jobs: JobsSource,
        results: ResultsSource,
        foreign: ForeignSource,
        lanes: LanesSource,
        objects: ObjectsSource,
    }
    DirectorySource {
        path: String,
        include: List,
        exclude: List,
        hidden: bool,
        settle: Span,
        settle_max: Span,
        rescan: Span,
        watch: String,
        files_max: Count,
        waiting_max: Count,
    }
    JobsSource {
        lane: String,
        interval: Span,
        interval_max: Span,
        every: Span,
        cron: String,
        timezone: String,
        batch_max: Count,
        stream: bool,
    }
    ResultsSource { interval: Span, interval_max: Span, of: List }
    ForeignSource { every: Span, cron: String, timezone: String, pages_max: Count, stream: bool }
    LanesSource { every: Span, cron: String, timezone: String, pages_max: Count }
    ObjectsSource { every: Span, cron: String, timezone: String, age_min: Span, pages_max: Count }
    Claim {
        versions: String,
        start: String,
        feed: String,
        manifest: String,
        in_flight_max: Count,
        downloads_max: Count,
        analyses_max: Count,
        lease: Span,
        heartbeat: Span,
        stall: Span,
        upload_max: Span,
        feed_wait: Span,
        drain: Span,
        protection: Span,
        report: Span,
        failing_max: Count,
        failing_rest: Span,
    }
    Chunker { fixed: FixedChunker }
    FixedChunker { size: Size }
    Codec { zstd: ZstdCodec, none: NoCodec }
    ZstdCodec { level: Count }
    NoCodec {}
    Transport { s3: S3Transport }
    S3Transport { concurrency_max: Count, file_size_max: Size }
    Sink {
        jobs: JobsSink,
        processor: ProcessorSink,
        directory: DirectorySink,
        delete: DeleteSink,
        requeue: RequeueSink,
        admit: AdmitSink,
        metrics: MetricsSink,
        sweep: SweepSink,
    }
    JobsSink { announce: String, version: String, send_name: bool, priority: Count }
    ProcessorSink {
        url: String,
        command: Words,
        builtin: String,
        timeout: Span,
        content_type: String,
        send_name: bool,
        result_max: Size,
        ready: Span,
    }
    DirectorySink { path: String }
    DeleteSink { results_keep: Span, retention: Span, upload_max: Span }
    RequeueSink {}
    AdmitSink { lease: Span, upload_max: Span }
    MetricsSink { to: String }
    SweepSink {}
    Retry { attempts_max: Count, interval: Span, backoff_rate: Rate, interval_max: Span, jitter: String }
    Notify {
        metric: String,
        above: Rate,
        below: Rate,
        r#for: Span,
        webhook: String,
        webhook_env: String,
        command: Words,
        sns: String,
        log: String,
        timeout: Span,
    }
}

#[cfg(test)]
mod tests;
