//! Pipelines for replay and simulation: specs with the very policies that production decides by.

use roundtrip_core::caretaker::Duty;
use roundtrip_testkit::pipelines::{
    AnalysePipeline, CarePipeline, CollectPipeline, Pipeline, QueuePipeline, SweepPipeline, UploadPipeline,
};

use crate::dsl::spec::{JobsSource, PipelineSpec, RoleSpec, SinkSpec, SourceSpec, StoreSpec};
use crate::error::{Error, Result};
use crate::run::policy::{self, Middle};

/// The pipeline as it is played.
pub(crate) fn pipeline(spec: &PipelineSpec, role: &RoleSpec) -> Result<Pipeline> {
    let StoreSpec {
        bucket,
        table,
        shards,
    } = &role.store;
    let middle = Middle { spec };
    Ok(match (&spec.source, &spec.sink) {
        (SourceSpec::Directory(source), SinkSpec::Jobs(sink)) => Pipeline::Upload(UploadPipeline {
            policy: policy::upload(source, sink, &middle)?,
            rescan: source.rescan,
            chunk_size: middle.chunk_size()?,
            codec: middle.codec()?.codec,
        }),
        (SourceSpec::Results(source), SinkSpec::Directory(_)) => Pipeline::Collect(CollectPipeline {
            pace: policy::results_pace(source),
            retry: policy::delivery(source),
        }),
        (SourceSpec::Jobs(source), SinkSpec::Processor(sink)) => {
            Pipeline::Analyse(Box::new(AnalysePipeline {
                worker: policy::worker(&middle, "", bucket)?,
                fleet: policy::fleet(middle.claim()?),
                pace: policy::jobs_pace(source),
                batch_max: usize::try_from(source.batch_max).unwrap_or(usize::MAX),
                timeout: sink.timeout,
                bounds: policy::bounds(&middle)?,
            }))
        }
        (SourceSpec::Jobs(source), SinkSpec::Delete(sink)) => care(source, policy::clean(sink)),
        (SourceSpec::Jobs(source), SinkSpec::Requeue) => care(source, policy::requeue(&middle)?),
        (SourceSpec::Foreign(source), SinkSpec::Admit(sink)) => Pipeline::Care(CarePipeline {
            duty: policy::admit(sink, *shards),
            lane: None,
            pace: policy::pace(&source.schedule),
            interest: policy::foreign_interest(source),
            batch_max: usize::try_from(source.pages_max).unwrap_or(usize::MAX),
        }),
        (SourceSpec::Lanes(source), SinkSpec::Metrics(_)) => Pipeline::Queue(QueuePipeline {
            policy: policy::queue(&middle)?,
            pace: policy::pace(&source.schedule),
        }),
        (SourceSpec::Objects(source), SinkSpec::Sweep) => Pipeline::Sweep(SweepPipeline {
            policy: policy::sweep(source, &middle, table)?,
            pace: policy::pace(&source.schedule),
        }),
        // The chain check has refused the rest; this is for specs made in code.
        (
            SourceSpec::Directory(_)
            | SourceSpec::Jobs(_)
            | SourceSpec::Results(_)
            | SourceSpec::Foreign(_)
            | SourceSpec::Lanes(_)
            | SourceSpec::Objects(_),
            _,
        ) => {
            return Err(Error::config(format!(
                "the sink of pipeline `{}` does not take what its source gives",
                spec.name
            )));
        }
    })
}

fn care(source: &JobsSource, duty: Duty) -> Pipeline {
    Pipeline::Care(CarePipeline {
        duty,
        lane: Some(source.lane),
        pace: policy::jobs_pace(source),
        interest: policy::jobs_interest(source),
        batch_max: usize::try_from(source.batch_max).unwrap_or(usize::MAX),
    })
}
