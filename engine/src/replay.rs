//! Roles for replay: the specs of a role with the very policies that production decides by.

use std::path::Path;

use roundtrip_core::caretaker::Duty;
use roundtrip_core::job::Job;
use roundtrip_core::pace::Pace;
use roundtrip_testkit::replay::{
    AnalysePipeline, CarePipeline, CollectPipeline, Line, PaceFrom, Pipeline, QueuePipeline, Replay, Role,
    Settings, Summary, Survey, UploadPipeline,
};

use crate::dsl::spec::{JobsSource, PipelineSpec, RoleSpec, SinkSpec, SourceSpec};
use crate::error::{Error, Result};
use crate::recordings::{self, Source};
use crate::run::policy::{self, Middle};
use crate::source::lanes;

/// A role as replay plays it.
pub fn role(spec: &RoleSpec) -> Result<Role> {
    // What lies in the bucket no recording tells: a sweep has nothing to decide on.
    let sweeps = |pipeline: &PipelineSpec| matches!(pipeline.source, SourceSpec::Objects(_));
    let pipelines = spec.pipelines.iter().filter(|(_, pipeline)| !sweeps(pipeline));
    let pipelines = pipelines.map(|(name, pipeline)| Ok((name.clone(), part(pipeline, spec)?)));
    Ok(Role {
        name: spec.name.clone(),
        shards: spec.store.shards,
        news_after: spec.stream.interval,
        pipelines: pipelines.collect::<Result<_>>()?,
    })
}

/// The replay of a role on a recording, which a role that claims jobs needs to be read beforehand.
pub fn start(spec: &RoleSpec, settings: Settings, recording: &Source) -> Result<Replay> {
    let role = role(spec)?;
    let needs_survey = role.needs_survey();
    let replay = Replay::new(role, settings, verify);
    if !needs_survey {
        return Ok(replay);
    }
    recording.keep()?;
    let mut survey = Survey::new();
    for happening in recording.open()? {
        survey.take(happening.map_err(|error| recordings::unreadable(recording.path(), error))?);
    }
    Ok(replay.with(survey))
}

/// The decisions a role takes on a recording, and what is to be known about that.
pub fn decisions(
    spec: &RoleSpec,
    settings: Settings,
    recording: &Path,
) -> Result<(Vec<Line>, Summary, Vec<String>)> {
    let source = Source::new(recording);
    let mut replay = start(spec, settings, &source)?;
    let mut lines = Vec::new();
    let mut happenings = source.open()?;
    for happening in &mut happenings {
        replay.happen(happening.map_err(|error| recordings::unreadable(recording, error))?);
        lines.append(&mut replay.lines());
    }
    replay.finish();
    lines.append(&mut replay.lines());
    Ok((lines, replay.summary().clone(), happenings.notes()))
}

/// The TOML keys that differ between two roles and that no replay judges: a recording tells neither when the pieces of a
/// file come nor when a process is told to stop.
pub fn unjudged(old: &RoleSpec, new: &RoleSpec) -> Vec<String> {
    let both = new.pipelines.iter();
    let both = both.filter_map(|(name, new)| Some((name, old.pipelines.get(name)?, new)));
    both.flat_map(|(name, old, new)| {
        let mut keys = Vec::new();
        if let (Some(old), Some(new)) = (&old.claim, &new.claim) {
            keys.extend((old.feed != new.feed).then_some("claim.feed"));
            keys.extend((old.feed_wait != new.feed_wait).then_some("claim.feed-wait"));
            keys.extend((old.drain != new.drain).then_some("claim.drain"));
            keys.extend((old.protection != new.protection).then_some("claim.protection"));
        }
        keys.extend((old.transport != new.transport).then_some("transport"));
        keys.into_iter().map(move |key| format!("{name}.{key}"))
    })
    .collect()
}

/// Whether a record is what its client signed: what replay asks where a recording does not say.
pub fn verify(job: &Job) -> Result<(), String> {
    lanes::verified(job)
}

fn part(spec: &PipelineSpec, role: &RoleSpec) -> Result<Pipeline> {
    let (bucket, shards) = (role.store.bucket.as_str(), role.store.shards);
    let middle = Middle { spec };
    Ok(match (&spec.source, &spec.sink) {
        (SourceSpec::Directory(source), SinkSpec::Jobs(sink)) => Pipeline::Upload(UploadPipeline {
            policy: policy::upload(source, sink, &middle)?,
            chunk_size: middle.chunk_size()?,
            codec: middle.codec()?.codec,
        }),
        (SourceSpec::Results(source), SinkSpec::Directory(_)) => {
            let (interval, interval_max) = (source.interval, source.interval_max);
            Pipeline::Collect(CollectPipeline {
                pace: PaceFrom::new(move |_| Pace::new(interval, interval_max)),
                retry: policy::delivery(source),
            })
        }
        (SourceSpec::Jobs(source), SinkSpec::Processor(_)) => {
            let from = source.clone();
            Pipeline::Analyse(Box::new(AnalysePipeline {
                worker: policy::worker(&middle, "", bucket)?,
                fleet: policy::fleet(middle.claim()?),
                pace: PaceFrom::new(move |since| policy::jobs_pace(&from, since)),
                batch_max: usize::try_from(source.batch_max).unwrap_or(usize::MAX),
            }))
        }
        (SourceSpec::Jobs(source), SinkSpec::Delete(sink)) => care(source, policy::clean(sink)),
        (SourceSpec::Jobs(source), SinkSpec::Requeue) => care(source, policy::requeue(&middle)?),
        (SourceSpec::Foreign(source), SinkSpec::Admit(sink)) => {
            let schedule = source.schedule.clone();
            Pipeline::Care(CarePipeline {
                duty: policy::admit(sink, shards),
                lane: None,
                pace: PaceFrom::new(move |since| policy::pace(&schedule, since)),
                interest: policy::foreign_interest(source),
                batch_max: usize::MAX,
            })
        }
        (SourceSpec::Lanes(source), SinkSpec::Metrics(_)) => {
            let schedule = source.schedule.clone();
            Pipeline::Queue(QueuePipeline {
                policy: policy::queue(&middle)?,
                pace: PaceFrom::new(move |since| policy::pace(&schedule, since)),
            })
        }
        (
            SourceSpec::Directory(_)
            | SourceSpec::Jobs(_)
            | SourceSpec::Results(_)
            | SourceSpec::Foreign(_)
            | SourceSpec::Lanes(_)
            | SourceSpec::Objects(_),
            _,
        ) => {
            let what = format!("replay has no part for the pipeline `{}`", spec.name);
            return Err(Error::config(what).hint("take it out of a copy of the role, and replay that"));
        }
    })
}

fn care(source: &JobsSource, duty: Duty) -> Pipeline {
    let from = source.clone();
    Pipeline::Care(CarePipeline {
        duty,
        lane: Some(source.lane),
        pace: PaceFrom::new(move |since| policy::jobs_pace(&from, since)),
        interest: policy::jobs_interest(source),
        batch_max: usize::try_from(source.batch_max).unwrap_or(usize::MAX),
    })
}
