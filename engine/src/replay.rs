//! Roles for replay: the specs of a role with the very policies that production decides by.

use roundtrip_core::job::Job;
use roundtrip_testkit::replay::{AnalysePipeline, CarePipeline, PaceFrom, Pipeline, QueuePipeline, Role};

use crate::dsl::spec::{JobsSource, PipelineSpec, RoleSpec, SinkSpec, SourceSpec};
use crate::error::Result;
use crate::run::policy::{self, Middle};
use crate::source::lanes;

/// A role as replay plays it, and the names of its pipelines that replay has no part for.
pub fn role(spec: &RoleSpec) -> Result<(Role, Vec<String>)> {
    let (mut pipelines, mut left) = (Vec::new(), Vec::new());
    for (name, pipeline) in &spec.pipelines {
        match part(pipeline, spec)? {
            Some(part) => pipelines.push((name.clone(), part)),
            None => left.push(name.clone()),
        }
    }
    let role = Role {
        name: spec.name.clone(),
        shards: spec.store.shards,
        news_after: spec.stream.interval,
        pipelines,
    };
    Ok((role, left))
}

/// Whether a record is what its client signed: what replay asks where a recording does not say.
pub fn verify(job: &Job) -> Result<(), String> {
    lanes::verified(job)
}

fn part(spec: &PipelineSpec, role: &RoleSpec) -> Result<Option<Pipeline>> {
    let (bucket, shards) = (role.store.bucket.as_str(), role.store.shards);
    let middle = Middle { spec };
    let part = match (&spec.source, &spec.sink) {
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
        ) => return Ok(None),
    };
    Ok(Some(part))
}

fn care(source: &JobsSource, duty: roundtrip_core::caretaker::Duty) -> Pipeline {
    let from = source.clone();
    Pipeline::Care(CarePipeline {
        duty,
        lane: Some(source.lane),
        pace: PaceFrom::new(move |since| policy::jobs_pace(&from, since)),
        interest: policy::jobs_interest(source),
        batch_max: usize::try_from(source.batch_max).unwrap_or(usize::MAX),
    })
}
