//! Judges a role as a whole: what its pipelines need of one another.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::{Bench, below};
use crate::dsl::document::Part;
use crate::dsl::read::nearest;
use crate::dsl::spec::{DirectorySource, PipelineSpec, RoleSpec, SinkSpec, SourceSpec};
use crate::dsl::units::show_span;

/// Notes what does not fit between pipelines.
pub(super) fn check(bench: &mut Bench<'_>, role: &RoleSpec) {
    let mut folders: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for pipeline in role.pipelines.values() {
        if let SourceSpec::Objects(source) = &pipeline.source {
            sweeps_before_admit_closes(bench, role, pipeline, source.age_min);
        }
        if let SourceSpec::Results(source) = &pipeline.source {
            for name in &source.of {
                of_names_an_upload(bench, role, pipeline, name);
            }
        }
        let SinkSpec::Directory(sink) = &pipeline.sink else {
            continue;
        };
        if !sink.path.as_os_str().is_empty()
            && let Some(other) = folders.insert(plain(&sink.path), &pipeline.name)
        {
            let path = below(&at(pipeline), &["sink", "directory", "path"]);
            let what = format!(
                "results in {} would overwrite those of `{other}`: files of two inboxes may have the same name",
                sink.path.display()
            );
            let help = "choose another folder, or let one pipeline collect all of them (`source.results.of`): it makes a \
                        folder for each inbox";
            bench.wrong(path, Part::Value, what, help);
        }
        for upload in role.pipelines.values() {
            let SourceSpec::Directory(source) = &upload.source else {
                continue;
            };
            if feeds(source, &sink.path) {
                let path = below(&at(pipeline), &["sink", "directory", "path"]);
                let (results, inbox) = (sink.path.display(), source.path.display());
                let what = format!(
                    "results in {results} would be uploaded again: `{}` takes the files of {inbox}",
                    upload.name
                );
                let help = "choose a folder outside, or exclude it there: source.directory.exclude";
                bench.wrong(path, Part::Value, what, help);
            }
        }
    }
}

fn at(pipeline: &PipelineSpec) -> Vec<String> {
    vec!["pipelines".into(), pipeline.name.clone()]
}

fn of_names_an_upload(bench: &mut Bench<'_>, role: &RoleSpec, pipeline: &PipelineSpec, name: &str) {
    let uploads = role
        .pipelines
        .values()
        .filter(|other| matches!(other.sink, SinkSpec::Jobs(_)));
    let uploads: Vec<&str> = uploads.map(|other| other.name.as_str()).collect();
    if uploads.contains(&name) {
        return;
    }
    let help = match nearest(name, uploads.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if uploads.is_empty() => "this role uploads nothing: leave `of` out".into(),
        None => format!("its uploads: {}", uploads.join(", ")),
    };
    let path = below(&at(pipeline), &["source", "results", "of"]);
    bench.wrong(
        path,
        Part::Value,
        format!("`source.results.of`: the role has no upload pipeline {name:?}"),
        help,
    );
}

/// Objects of a job that waits for its upload have to stay until `admit` closes it. What the command line or the
/// environment says of the two is for one run, such as a test's, and its own affair.
fn sweeps_before_admit_closes(
    bench: &mut Bench<'_>,
    role: &RoleSpec,
    pipeline: &PipelineSpec,
    age_min: Duration,
) {
    let path = below(&at(pipeline), &["source", "objects", "age-min"]);
    for other in role.pipelines.values() {
        let SinkSpec::Admit(admit) = &other.sink else {
            continue;
        };
        let upload_max = below(&at(other), &["sink", "admit", "upload-max"]);
        let written = bench.stack.is_written(&path) && bench.stack.is_written(&upload_max);
        if written && age_min < admit.upload_max && !bench.is_refused(&path) {
            let what = format!(
                "`source.objects.age-min`: {} is shorter than `sink.admit.upload-max` of `{}` ({})",
                show_span(age_min),
                other.name,
                show_span(admit.upload_max)
            );
            let help = "objects of an upload that may still become a job would be deleted: lengthen `age-min`, twice \
                        `upload-max` is a good choice, or shorten `upload-max`";
            bench.wrong(path.clone(), Part::Value, what, help);
        }
    }
}

/// Whether a file written into `folder` would be taken by the source.
fn feeds(source: &DirectorySource, folder: &Path) -> bool {
    if source.path.as_os_str().is_empty() || folder.as_os_str().is_empty() {
        return false;
    }
    let (inbox, results) = (plain(&source.path), plain(folder));
    let Ok(within) = results.strip_prefix(&inbox) else {
        return false;
    };
    let hidden = within
        .components()
        .any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
    let sample = within.join("result.json");
    let excluded = source.exclude.iter().any(|glob| {
        let glob = globset::GlobBuilder::new(glob).literal_separator(true).build();
        glob.is_ok_and(|glob| glob.compile_matcher().is_match(&sample))
    });
    !excluded && (source.hidden || !hidden)
}

/// A path from the root, without `.` and `..`; links are not followed.
fn plain(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut parts = PathBuf::new();
    for part in whole.components() {
        if part == Component::ParentDir {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}
