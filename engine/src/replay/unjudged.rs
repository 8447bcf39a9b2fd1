//! What differs between two roles and no replay judges, since no recording tells what comes of it.

use crate::dsl::Values;
use crate::dsl::spec::{PipelineSpec, RoleSpec, SinkSpec, SourceSpec};

/// The keys that a replay judges, as they are called within a pipeline; a dot at the end stands for all below.
const JUDGED: [&str; 38] = [
    "source.directory.settle",
    "source.directory.waiting-max",
    "source.directory.rescan",
    "source.jobs.",
    "source.results.interval",
    "source.results.interval-max",
    "source.foreign.every",
    "source.foreign.cron",
    "source.foreign.timezone",
    "source.foreign.stream",
    "source.lanes.every",
    "source.lanes.cron",
    "source.lanes.timezone",
    "claim.versions",
    "claim.start",
    "claim.in-flight-max",
    "claim.downloads-max",
    "claim.analyses-max",
    "claim.lease",
    "claim.heartbeat",
    "claim.upload-max",
    "claim.report",
    "claim.failing-max",
    "claim.failing-rest",
    "retry.attempts-max",
    "retry.interval",
    "retry.backoff-rate",
    "retry.interval-max",
    "retry.jitter",
    "chunker.fixed.size",
    "codec.zstd",
    "codec.none",
    "transport.s3.file-size-max",
    "sink.jobs.announce",
    "sink.processor.timeout",
    "sink.delete.results-keep",
    "sink.delete.retention",
    "sink.admit.lease",
];

/// Of what all pipelines of a role share. Its name decides nothing.
const JUDGED_OF_ALL: [&str; 3] = ["store.shards", "stream.interval", "name"];

/// The TOML keys that differ and that no replay judges: a recording tells neither which files lay in the folder or which
/// objects in the bucket, nor when the pieces of a file came, nor what a processor would have done in more time. Pipelines
/// that only one of them has are no such keys: all that they decide differs.
pub fn unjudged(
    (old, old_values): (&RoleSpec, &Values),
    (new, new_values): (&RoleSpec, &Values),
) -> Vec<String> {
    let mut keys: Vec<String> = old_values
        .keys()
        .chain(new_values.keys())
        .filter(|key| old_values.get(*key) != new_values.get(*key))
        // Without zstd there is no level; that there is none is judged.
        .filter(|key| {
            let is_in_both = old_values.contains_key(*key) && new_values.contains_key(*key);
            is_in_both || !key.ends_with(".codec.zstd.level")
        })
        .filter(|key| match pipelines(key, old, new) {
            Some((key, Some(old), Some(new))) => !is_judged(key, old, new),
            Some(_) => false,
            None => !JUDGED_OF_ALL.contains(&key.as_str()),
        })
        .cloned()
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// A key within its pipeline, and that pipeline of both roles; none where all pipelines share it.
fn pipelines<'a>(
    key: &'a str,
    old: &'a RoleSpec,
    new: &'a RoleSpec,
) -> Option<(&'a str, Option<&'a PipelineSpec>, Option<&'a PipelineSpec>)> {
    let (name, key) = key.split_once('.')?;
    let (old, new) = (old.pipelines.get(name), new.pipelines.get(name));
    (old.is_some() || new.is_some()).then_some((key, old, new))
}

fn is_judged(key: &str, old: &PipelineSpec, new: &PipelineSpec) -> bool {
    // What lies in the bucket no recording tells.
    if matches!(new.source, SourceSpec::Objects(_)) {
        return false;
    }
    // Chunks that could not be sent are in no record.
    if key.starts_with("retry.") && matches!(new.sink, SinkSpec::Jobs(_)) {
        return false;
    }
    if let ("sink.processor.timeout", SinkSpec::Processor(old), SinkSpec::Processor(new)) =
        (key, &old.sink, &new.sink)
    {
        return new.timeout <= old.timeout;
    }
    key.starts_with("notify.")
        || JUDGED
            .iter()
            .any(|judged| *judged == key || (judged.ends_with('.') && key.starts_with(judged)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsl::{self, Layers};

    /// What of a change to a shipped role is not judged.
    fn of(role: &str, set: &[&str]) -> Vec<String> {
        let load = |set: &[&str]| {
            let set = set.iter().map(|set| (*set).to_owned()).collect();
            let layers = Layers {
                set,
                ..Layers::default()
            };
            let values = dsl::values(role, &layers).unwrap();
            (dsl::load_dry(role, &layers).unwrap(), values)
        };
        let ((old, old_values), (new, new_values)) = (load(&[]), load(set));
        unjudged((&old, &old_values), (&new, &new_values))
    }

    #[test]
    fn a_pipeline_that_only_one_of_them_has_is_told_by_its_decisions() {
        let load = |role| {
            let layers = Layers::default();
            (
                dsl::load_dry(role, &layers).unwrap(),
                dsl::values(role, &layers).unwrap(),
            )
        };
        let (fetcher, watcher) = (load("fetcher"), load("watcher"));
        for (old, new) in [(&fetcher, &watcher), (&watcher, &fetcher)] {
            let keys = unjudged((&old.0, &old.1), (&new.0, &new.1));
            assert_eq!(keys, [""; 0]);
        }
    }

    /// Every key of the defaults that somebody may set is either judged or named.
    #[test]
    fn what_differs_is_judged_or_named() {
        for (role, set) in [
            ("watcher", "admit.sink.admit.upload-max=1m"),
            ("watcher", "cleanup.sink.delete.upload-max=1h"),
            ("watcher", "sweep.source.objects.every=1h"),
            ("watcher", "sweep.retry.attempts-max=9"),
            ("watcher", "stream.lease=1m"),
            ("watcher", "store.bucket=another"),
            ("client", "upload.retry.attempts-max=9"),
            ("client", "upload.source.directory.files-max=9"),
            ("client", "upload.sink.jobs.send-name=true"),
            ("client", "upload.codec.zstd.level=9"),
            ("client", "identity.key=another.pem"),
            ("fetcher", "analyse.claim.stall=9m"),
            ("fetcher", "analyse.sink.processor.timeout=31m"),
            ("fetcher", "analyse.sink.processor.content-type=image/tiff"),
        ] {
            let key = set.split('=').next().unwrap_or_default();
            assert_eq!(of(role, &[set]), [key], "{role} {set}");
        }
        for (role, set) in [
            ("watcher", "restart-stalled.retry.attempts-max=9"),
            ("watcher", "store.shards=9"),
            ("watcher", "cleanup.source.jobs.every=9m"),
            ("client", "upload.chunker.fixed.size=1MiB"),
            ("fetcher", "analyse.sink.processor.timeout=29m"),
            ("fetcher", "analyse.retry.interval=9s"),
        ] {
            assert_eq!(of(role, &[set]), [""; 0], "{role} {set}");
        }
    }
}
