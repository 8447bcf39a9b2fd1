//! What claims jobs and gives their files to the processor.

use roundtrip_core::worker::Worker;

use super::{lanes, owned};
use crate::dsl::spec::{JobsSource, ProcessorSink};
use crate::error::Result;
use crate::run::analyse::Analyse;
use crate::run::driver::now;
use crate::run::fetch::FetchPolicy;
use crate::run::membership::Membership;
use crate::run::parts::Parts;
use crate::run::policy::{self, Middle};
use crate::sink::processor::Processor;

pub(super) async fn analyse(
    source: &JobsSource,
    sink: &ProcessorSink,
    middle: &Middle<'_>,
    parts: &Parts,
) -> Result<(Worker, Analyse)> {
    let claim = middle.need(middle.spec.claim.as_ref(), "claim")?;
    let (concurrency_max, _) = middle.transport()?;
    middle.codec()?;
    let policy = policy::worker(middle, &parts.processor, parts.objects.bucket())?;
    let fetch = FetchPolicy {
        concurrency_max,
        stall: claim.stall,
        bounds: policy::bounds(middle)?,
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
