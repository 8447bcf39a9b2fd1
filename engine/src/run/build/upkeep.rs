//! What looks after the table and the bucket: jobs that are due, foreign jobs, the queue's length, stray objects.

use std::sync::Arc;

use roundtrip_core::caretaker::{Caretaker, Duty};
use roundtrip_core::queue::Queue;
use roundtrip_core::sweep::Sweep;
use tracing::info;

use super::follow::follow;
use super::lanes;
use crate::cloud::metrics::Metrics;
use crate::dsl::spec::{
    AdmitSink, ForeignSource, JobsSource, LanesSource, MetricsSink, MetricsTo, ObjectsSource,
};
use crate::error::Result;
use crate::run::care::{Care, Source};
use crate::run::driver::now;
use crate::run::feed::Follower;
use crate::run::parts::Parts;
use crate::run::policy::{self, Middle};
use crate::run::queue::QueueWorld;
use crate::run::sweep::SweepWorld;
use crate::sink::notifier::Notifier;
use crate::source::foreign::Foreign;
use crate::source::objects::Holdings;
use crate::source::queue::Census;

pub(super) fn care(
    source: &JobsSource,
    duty: Duty,
    parts: &Parts,
    followers: &mut Vec<Follower>,
) -> (Caretaker, Care) {
    let pace = policy::jobs_pace(source).since(now());
    let world = Care {
        parts: parts.clone(),
        source: Source::Lanes(lanes(source, parts)),
        feed: policy::jobs_interest(source).map(|interest| follow(interest, followers)),
    };
    (Caretaker::new(duty, &*parts.processor, pace), world)
}

pub(super) fn admit(
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

pub(super) fn queue(
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

pub(super) fn sweep(
    source: &ObjectsSource,
    middle: &Middle<'_>,
    parts: &Parts,
) -> Result<(Sweep, SweepWorld)> {
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
