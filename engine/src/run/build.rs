//! Builds the running part of a pipeline from its spec: one builder for every chain.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use roundtrip_core::caretaker::{Caretaker, Duty};
use roundtrip_core::collect::Collect;
use roundtrip_core::queue::Queue;
use roundtrip_core::sweep::Sweep;
use roundtrip_core::upload::Upload;
use roundtrip_core::worker::Worker;
use tokio::sync::watch;
use tracing::info;

use super::analyse::Analyse;
use super::care::{Care, Source};
use super::collect::{self, CollectWorld};
use super::driver::{Order, drive, now};
use super::feed::{Feed, Follower, feed};
use super::fetch::FetchPolicy;
use super::membership::Membership;
use super::parts::Parts;
use super::policy::{self, Middle};
use super::queue::QueueWorld;
use super::ship::{Cargo, Ship};
use super::stream::reader;
use super::sweep::SweepWorld;
use crate::cloud::Clients;
use crate::cloud::leases::Leases;
use crate::cloud::metrics::Metrics;
use crate::cloud::streams::Streams;
use crate::dsl::spec::{
    AdmitSink, DirectorySink, DirectorySource, ForeignSource, JobsSink, JobsSource, LanesSource, MetricsSink,
    MetricsTo, ObjectsSource, PipelineSpec, ProcessorSink, ResultsSource, RoleSpec, SinkSpec, SourceSpec,
};
use crate::error::{Error, Result};
use crate::sink::directory::ResultsDirectory;
use crate::sink::notifier::Notifier;
use crate::sink::processor::Processor;
use crate::source::directory::Directory;
use crate::source::foreign::Foreign;
use crate::source::lanes::Lanes;
use crate::source::news::Interest;
use crate::source::objects::Holdings;
use crate::source::queue::Census;

/// A pipeline that is ready to run.
pub(super) struct Running {
    /// Whether others of the role wait for what it makes: it is asked to finish first.
    pub(super) makes_jobs: bool,
    task: Task,
}

type Task =
    Box<dyn FnOnce(watch::Receiver<Order>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

impl Running {
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
    let running = |makes_jobs, task| Running { makes_jobs, task };
    match (&spec.source, &spec.sink) {
        (SourceSpec::Directory(source), SinkSpec::Jobs(sink)) => {
            let (machine, world) = ship(&name, source, sink, &middle, parts).await?;
            Ok(running(
                true,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
        }
        (SourceSpec::Results(source), SinkSpec::Directory(sink)) => {
            let (machine, world) = collector(source, sink, parts, uploads)?;
            Ok(running(
                false,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
        }
        (SourceSpec::Jobs(source), SinkSpec::Processor(sink)) => {
            let (machine, world) = analyse(source, sink, &middle, parts).await?;
            let membership = world.membership.clone();
            Ok(running(
                false,
                task(move |orders| async move {
                    let ended = drive(&name, machine, world, orders).await;
                    membership.leave().await;
                    ended
                }),
            ))
        }
        (SourceSpec::Jobs(source), SinkSpec::Delete(sink)) => {
            let (machine, world) = care(source, policy::clean(sink), parts, followers);
            Ok(running(
                false,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
        }
        (SourceSpec::Jobs(source), SinkSpec::Requeue) => {
            let (machine, world) = care(source, policy::requeue(&middle)?, parts, followers);
            Ok(running(
                false,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
        }
        (SourceSpec::Foreign(source), SinkSpec::Admit(sink)) => {
            let (machine, world) = admit(source, sink, parts, followers);
            Ok(running(
                false,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
        }
        (SourceSpec::Lanes(source), SinkSpec::Metrics(sink)) => {
            let (machine, world) = queue(source, *sink, &middle, parts)?;
            Ok(running(
                false,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
        }
        (SourceSpec::Objects(source), SinkSpec::Sweep) => {
            let (machine, world) = sweep(source, &middle, parts)?;
            Ok(running(
                false,
                task(move |orders| async move { drive(&name, machine, world, orders).await }),
            ))
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
        ) => Err(Error::config(format!(
            "the sink of pipeline `{name}` does not take what its source gives"
        ))),
    }
}

fn task<F>(run: impl FnOnce(watch::Receiver<Order>) -> F + Send + 'static) -> Task
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Box::new(move |orders| Box::pin(run(orders)))
}

async fn ship(
    name: &str,
    source: &DirectorySource,
    sink: &JobsSink,
    middle: &Middle<'_>,
    parts: &Parts,
) -> Result<(Upload, Ship)> {
    let codec = middle.codec()?;
    let (concurrency_max, _) = middle.transport()?;
    let cargo = Cargo {
        chunk_size: middle.chunk_size()?,
        codec: codec.codec,
        level: codec.level,
        concurrency_max,
        version: sink.version.clone(),
        send_name: sink.send_name,
        priority: sink.priority,
    };
    let policy = policy::upload(source, sink, middle)?;
    let directory = Directory::open(source)?;
    let (key, ledger) = (
        owned(parts.key.as_ref(), "key")?,
        owned(parts.ledger.as_ref(), "ledger")?,
    );
    let world = Ship::new(name, directory, parts.clone(), key, ledger, cargo).await?;
    Ok((Upload::new(policy), world))
}

fn collector(
    source: &ResultsSource,
    sink: &DirectorySink,
    parts: &Parts,
    uploads: &[String],
) -> Result<(Collect, CollectWorld)> {
    let of = if source.of.is_empty() {
        uploads.to_vec()
    } else {
        source.of.clone()
    };
    let shared = collect::Shared {
        parts: parts.clone(),
        key: owned(parts.key.as_ref(), "key")?,
        ledger: owned(parts.ledger.as_ref(), "ledger")?,
        of,
        folder: ResultsDirectory::open(sink)?,
    };
    let machine = Collect::new(
        policy::results_pace(source).since(now()),
        policy::delivery(source),
    );
    Ok((
        machine,
        CollectWorld {
            shared: Arc::new(shared),
        },
    ))
}

async fn analyse(
    source: &JobsSource,
    sink: &ProcessorSink,
    middle: &Middle<'_>,
    parts: &Parts,
) -> Result<(Worker, Analyse)> {
    let claim = middle.need(middle.spec.claim.as_ref(), "claim")?;
    let (concurrency_max, file_size_max) = middle.transport()?;
    middle.codec()?;
    let policy = policy::worker(middle, &parts.processor, parts.objects.bucket())?;
    let fetch = FetchPolicy {
        concurrency_max,
        stall: claim.stall,
        chunk_size_max: middle.chunk_size()?,
        file_size_max,
        manifest: claim.manifest,
    };
    let processor = Processor::new(sink)?;
    processor.ready().await?;
    let spool = owned(parts.spool.as_ref(), "spool")?;
    let machine =
        Worker::new(policy.clone(), policy::jobs_pace(source).since(now())).in_fleet(policy::fleet(claim));
    let machine = match &parts.agent {
        Some(_) => machine.protected(policy::protection(claim, policy.retry.clone())),
        None => machine,
    };
    let membership = Membership::new(parts, &middle.spec.name, claim.report);
    Ok((
        machine,
        Analyse::new(
            parts.clone(),
            spool,
            lanes(source, parts),
            policy,
            fetch,
            processor,
            membership,
        )
        .in_task(parts.agent.clone(), &middle.spec.name),
    ))
}

fn lanes(source: &JobsSource, parts: &Parts) -> Lanes {
    Lanes {
        jobs: parts.jobs.clone(),
        kind: source.lane,
        shards: parts.shards,
        batch_max: source.batch_max,
    }
}

fn care(source: &JobsSource, duty: Duty, parts: &Parts, followers: &mut Vec<Follower>) -> (Caretaker, Care) {
    let pace = policy::jobs_pace(source).since(now());
    let world = Care {
        parts: parts.clone(),
        source: Source::Lanes(lanes(source, parts)),
        feed: policy::jobs_interest(source).map(|interest| follow(interest, followers)),
    };
    (Caretaker::new(duty, &*parts.processor, pace), world)
}

fn follow(interest: Interest, followers: &mut Vec<Follower>) -> Feed {
    let (follower, feed) = feed(interest);
    followers.push(follower);
    feed
}

/// The reader of the table's stream, for the pipelines that follow it; none where there are none.
pub(super) fn follow_stream(
    spec: &RoleSpec,
    clients: &Clients,
    parts: &Parts,
    followers: Vec<Follower>,
) -> Option<Running> {
    if followers.is_empty() {
        return None;
    }
    let policy = policy::stream(&spec.stream, &parts.processor);
    let table = &spec.store.table;
    let streams = Streams::new(clients.streams.clone(), clients.dynamodb.clone(), table);
    let leases = Leases::new(clients.dynamodb.clone(), table, &policy.reader);
    let (machine, world) = reader(policy, streams, leases, parts.jobs.clone(), followers);
    Some(Running {
        makes_jobs: false,
        task: task(move |orders| async move { drive("stream", machine, world, orders).await }),
    })
}

fn admit(
    source: &ForeignSource,
    sink: &AdmitSink,
    parts: &Parts,
    followers: &mut Vec<Follower>,
) -> (Caretaker, Care) {
    let pace = policy::pace(&source.schedule).since(now());
    let (jobs, objects) = (parts.jobs.clone(), parts.objects.clone());
    let foreign = Foreign::new(jobs, objects, parts.shards, source.pages_max, sink.upload_max);
    let world = Care {
        parts: parts.clone(),
        source: Source::Foreign(foreign),
        feed: policy::foreign_interest(source).map(|interest| follow(interest, followers)),
    };
    (
        Caretaker::new(policy::admit(sink, parts.shards), &*parts.processor, pace),
        world,
    )
}

fn queue(
    source: &LanesSource,
    sink: MetricsSink,
    middle: &Middle<'_>,
    parts: &Parts,
) -> Result<(Queue, QueueWorld)> {
    let notify = &middle.spec.notify;
    let policy = policy::queue(middle)?;
    let notifiers = notify.iter().map(|(name, spec)| {
        let notifier = Notifier::new(name, spec, &parts.clients, |variable| {
            std::env::var(variable).ok()
        })?;
        Ok((name.clone(), Arc::new(notifier)))
    });
    let metrics = match (sink.to, &parts.clients.cloudwatch) {
        (MetricsTo::CloudWatch, Some(client)) => Some(Metrics::new(client.clone(), parts.jobs.table())),
        (MetricsTo::CloudWatch, None) => {
            info!(
                "the table does not lie in AWS and no CloudWatch is named: the queue's length goes to the log"
            );
            None
        }
        (MetricsTo::Log, _) => None,
    };
    let world = QueueWorld {
        jobs: parts.jobs.clone(),
        census: Census {
            jobs: parts.jobs.clone(),
            shards: parts.shards,
            pages_max: source.pages_max,
        },
        metrics,
        notifiers: notifiers.collect::<Result<_>>()?,
    };
    Ok((
        Queue::new(policy, policy::pace(&source.schedule).since(now())),
        world,
    ))
}

fn sweep(source: &ObjectsSource, middle: &Middle<'_>, parts: &Parts) -> Result<(Sweep, SweepWorld)> {
    let policy = policy::sweep(source, middle, parts.jobs.table())?;
    let holdings = Holdings {
        jobs: parts.jobs.clone(),
        objects: parts.objects.clone(),
    };
    Ok((
        Sweep::new(policy, policy::pace(&source.schedule).since(now())),
        SweepWorld { holdings },
    ))
}

fn owned<T: Clone>(part: Option<&T>, what: &str) -> Result<T> {
    part.cloned()
        .ok_or_else(|| Error::config(format!("the role has no {what} for this pipeline")))
}

/// What a role's pipelines need of the parts they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// A key and a ledger: something is shipped or collected.
    pub(super) client: bool,
    /// A spool: something is analysed.
    pub(super) spool: bool,
}

impl Needs {
    /// What these pipelines need.
    pub(super) fn of<'a>(pipelines: impl Iterator<Item = &'a PipelineSpec>) -> Self {
        let mut needs = Self {
            client: false,
            spool: false,
        };
        for pipeline in pipelines {
            match (&pipeline.source, &pipeline.sink) {
                (SourceSpec::Directory(_) | SourceSpec::Results(_), _) => needs.client = true,
                (_, SinkSpec::Processor(_)) => needs.spool = true,
                (
                    SourceSpec::Jobs(_)
                    | SourceSpec::Foreign(_)
                    | SourceSpec::Lanes(_)
                    | SourceSpec::Objects(_),
                    _,
                ) => {}
            }
        }
        needs
    }
}
