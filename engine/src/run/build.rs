//! Builds the running part of a pipeline from its spec: one builder for every chain.

use std::future::Future;
use std::pin::Pin;

use roundtrip_core::machine::Machine;
use tokio::sync::watch;

use super::driver::{Order, World, drive};
use super::feed::Follower;
use super::parts::Parts;
use super::policy::{self, Middle};
use crate::dsl::spec::{JobsSource, PipelineSpec, SinkSpec, SourceSpec};
use crate::error::{Error, Result};
use crate::source::lanes::Lanes;

mod analysis;
mod files;
mod follow;
mod upkeep;

pub(super) use follow::follow_stream;

/// A pipeline that is ready to run.
pub(super) struct Running {
    /// Whether others of the role wait for what it makes: it is asked to finish first.
    pub(super) makes_jobs: bool,
    task: Task,
}

type Task =
    Box<dyn FnOnce(watch::Receiver<Order>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

impl Running {
    /// A machine of the core in its world.
    fn of<M, W>(name: &str, (machine, world): (M, W)) -> Self
    where
        M: Machine + Send + 'static,
        M::Event: Send,
        M::Action: Send,
        W: World<M> + 'static,
    {
        let name = name.to_owned();
        Self {
            makes_jobs: false,
            task: task(move |orders| async move { drive(&name, machine, world, orders).await }),
        }
    }

    /// Runs until it is idle after [`Order::Finish`] or [`Order::Drain`].
    pub(super) async fn run(self, orders: watch::Receiver<Order>) -> Result<()> {
        (self.task)(orders).await
    }
}

/// Builds a pipeline. `uploads` are the names of the role's pipelines that ship files.
/// Pipelines that follow the table's stream are added to `followers`.
pub(super) async fn build(
    spec: &PipelineSpec,
    parts: &Parts,
    uploads: &[String],
    followers: &mut Vec<Follower>,
) -> Result<Running> {
    let (name, middle) = (spec.name.clone(), Middle { spec });
    Ok(match (&spec.source, &spec.sink) {
        (SourceSpec::Directory(source), SinkSpec::Jobs(sink)) => Running {
            makes_jobs: true,
            ..Running::of(&name, files::ship(&name, source, sink, &middle, parts).await?)
        },
        (SourceSpec::Results(source), SinkSpec::Directory(sink)) => {
            Running::of(&name, files::collect(source, sink, parts, uploads).await?)
        }
        (SourceSpec::Jobs(source), SinkSpec::Processor(sink)) => {
            let (machine, world) = analysis::analyse(source, sink, &middle, parts).await?;
            let membership = world.membership.clone();
            Running {
                makes_jobs: false,
                task: task(move |orders| async move {
                    let ended = drive(&name, machine, world, orders).await;
                    membership.leave().await;
                    ended
                }),
            }
        }
        (SourceSpec::Jobs(source), SinkSpec::Delete(sink)) => {
            Running::of(&name, upkeep::care(source, policy::clean(sink), parts, followers))
        }
        (SourceSpec::Jobs(source), SinkSpec::Requeue) => {
            let duty = policy::requeue(&middle)?;
            Running::of(&name, upkeep::care(source, duty, parts, followers))
        }
        (SourceSpec::Foreign(source), SinkSpec::Admit(sink)) => {
            Running::of(&name, upkeep::admit(source, sink, parts, followers))
        }
        (SourceSpec::Lanes(source), SinkSpec::Metrics(sink)) => {
            Running::of(&name, upkeep::queue(source, *sink, &middle, parts)?)
        }
        (SourceSpec::Objects(source), SinkSpec::Sweep) => {
            Running::of(&name, upkeep::sweep(source, &middle, parts)?)
        }
        // The chain check has refused the rest with what is missing; this is for specs made in code.
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
                "the sink of pipeline `{name}` does not take what its source gives"
            )));
        }
    })
}

fn task<F>(run: impl FnOnce(watch::Receiver<Order>) -> F + Send + 'static) -> Task
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Box::new(move |orders| Box::pin(run(orders)))
}

fn owned<T: Clone>(part: Option<&T>, what: &str) -> Result<T> {
    part.cloned()
        .ok_or_else(|| Error::config(format!("the role has no {what} for this pipeline")))
}

fn lanes(source: &JobsSource, parts: &Parts) -> Lanes {
    Lanes::new(parts.jobs.clone(), source.lane, parts.shards, source.batch_max)
}
