//! What differs between two roles and no replay judges, since no recording tells what comes of it.

use crate::dsl::spec::{ClaimSpec, DirectorySource, JobsSink, PipelineSpec, ProcessorSink, RoleSpec};
use crate::dsl::spec::{SinkSpec, SourceSpec, TransportSpec};

/// The TOML keys that differ and that no replay judges: a recording tells neither which files lay in the folder, nor when
/// the pieces of a file came, nor what a processor would have done in another time.
pub fn unjudged(old: &RoleSpec, new: &RoleSpec) -> Vec<String> {
    let both = new.pipelines.iter();
    let both = both.filter_map(|(name, new)| Some((name, old.pipelines.get(name)?, new)));
    both.flat_map(|(name, old, new)| {
        let differing = keys(old, new).into_iter().filter(|(_, differs)| *differs);
        differing.map(move |(key, _)| format!("{name}.{key}"))
    })
    .collect()
}

fn keys(old: &PipelineSpec, new: &PipelineSpec) -> Vec<(&'static str, bool)> {
    let mut keys = Vec::new();
    if let (Some(old_transport), Some(new_transport)) = (&old.transport, &new.transport) {
        let TransportSpec::S3 { concurrency_max, .. } = old_transport;
        let TransportSpec::S3 {
            concurrency_max: new_max,
            ..
        } = new_transport;
        keys.push(("transport.s3.concurrency-max", concurrency_max != new_max));
    }
    let levels = old.codec.as_ref().zip(new.codec.as_ref());
    keys.extend(levels.map(|(old, new)| ("codec.level", old.level != new.level)));
    if let (Some(old), Some(new)) = (&old.claim, &new.claim) {
        keys.extend(of_claim(old, new));
    }
    match (&old.source, &new.source) {
        (SourceSpec::Directory(old), SourceSpec::Directory(new)) => keys.extend(of_directory(old, new)),
        (SourceSpec::Results(old), SourceSpec::Results(new)) => {
            keys.push(("source.results.of", old.of != new.of));
        }
        _ => {}
    }
    match (&old.sink, &new.sink) {
        (SinkSpec::Processor(old), SinkSpec::Processor(new)) => keys.extend(of_processor(old, new)),
        (SinkSpec::Jobs(old), SinkSpec::Jobs(new)) => keys.extend(of_jobs(old, new)),
        _ => {}
    }
    keys
}

fn of_claim(old: &ClaimSpec, new: &ClaimSpec) -> [(&'static str, bool); 6] {
    [
        ("claim.stall", old.stall != new.stall),
        ("claim.feed", old.feed != new.feed),
        ("claim.feed-wait", old.feed_wait != new.feed_wait),
        ("claim.manifest", old.manifest != new.manifest),
        ("claim.drain", old.drain != new.drain),
        ("claim.protection", old.protection != new.protection),
    ]
}

fn of_directory(old: &DirectorySource, new: &DirectorySource) -> [(&'static str, bool); 5] {
    [
        ("source.directory.include", old.include != new.include),
        ("source.directory.exclude", old.exclude != new.exclude),
        ("source.directory.hidden", old.hidden != new.hidden),
        ("source.directory.rescan", old.rescan != new.rescan),
        ("source.directory.watch", old.watch != new.watch),
    ]
}

fn of_processor(old: &ProcessorSink, new: &ProcessorSink) -> [(&'static str, bool); 3] {
    [
        ("sink.processor.timeout", old.timeout != new.timeout),
        ("sink.processor.result-max", old.result_max != new.result_max),
        ("sink.processor.ready", old.ready != new.ready),
    ]
}

fn of_jobs(old: &JobsSink, new: &JobsSink) -> [(&'static str, bool); 2] {
    [
        ("sink.jobs.priority", old.priority != new.priority),
        ("sink.jobs.version", old.version != new.version),
    ]
}
