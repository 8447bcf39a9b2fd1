//! Roles for replay: the specs of a role with the very policies that production decides by.

use roundtrip_core::caretaker::Duty;
use roundtrip_core::job::Job;
use roundtrip_core::pace::Pace;
use roundtrip_testkit::replay::{
    AnalysePipeline, CarePipeline, CollectPipeline, PaceFrom, Pipeline, QueuePipeline, Replay, Role,
    Settings, Survey, UploadPipeline,
};

use crate::dsl::spec::{JobsSource, PipelineSpec, RoleSpec, SinkSpec, SourceSpec};
use crate::error::{Error, Result};
use crate::run::policy::{self, Middle};
use crate::source::lanes;

/// A role as replay plays it.
pub fn role(spec: &RoleSpec) -> Result<Role> {
    let pipelines = spec.pipelines.iter();
    let pipelines = pipelines.map(|(name, pipeline)| Ok((name.clone(), part(pipeline, spec)?)));
    Ok(Role {
        name: spec.name.clone(),
        shards: spec.store.shards,
        news_after: spec.stream.interval,
        pipelines: pipelines.collect::<Result<_>>()?,
    })
}

/// The replay of a role. `survey` reads the recording beforehand, where the role needs that.
pub fn start(spec: &RoleSpec, settings: Settings, survey: impl FnOnce() -> Result<Survey>) -> Result<Replay> {
    let role = role(spec)?;
    let needs_survey = role.needs_survey();
    let replay = Replay::new(role, settings, verify);
    Ok(if needs_survey {
        replay.with(survey()?)
    } else {
        replay
    })
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
            | SourceSpec::Lanes(_),
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
