//! The world of a pipeline that sweeps the bucket: lists, asks the table, deletes.

use roundtrip_core::machine::{Decision, Reason};
use roundtrip_core::names::{JobKey, OWNER};
use roundtrip_core::sweep::{Action, Event, Object, Sweep, Tally};
use tracing::{debug, error, info, warn};

use super::driver::{Work, World};
use crate::source::objects::Holdings;

/// The world of a pipeline that sweeps the bucket.
pub(super) struct SweepWorld {
    pub(super) holdings: Holdings,
}

impl World<Sweep> for SweepWorld {
    async fn next(&mut self) -> Event {
        std::future::pending().await
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        match action {
            Action::AskOwner => self.ask_owner(),
            Action::Refuse { owner } => {
                self.refuse(&owner, &reason);
                Work::None
            }
            Action::List { after } => {
                debug!(why = reason.rule, key = reason.key, "lists the bucket");
                self.list(after)
            }
            Action::Ask(jobs) => self.ask(jobs),
            Action::Delete(objects) => self.delete(objects, reason),
            Action::Spare(objects) => {
                spare(&objects, &reason);
                Work::None
            }
            Action::Report(tally) => {
                report(tally, &reason);
                Work::None
            }
        }
    }
}

impl SweepWorld {
    fn ask_owner(&self) -> Work<Event> {
        let objects = self.holdings.objects.clone();
        Work::task(async move {
            match objects.owner().await {
                Ok(owner) => Event::OwnerTold(owner),
                Err(fault) => {
                    warn!(%fault, object = OWNER, "cannot read whose bucket it is; nothing is swept until then");
                    Event::OwnerFailed(fault.to_string())
                }
            }
        })
    }

    fn refuse(&self, owner: &str, reason: &Reason) {
        let (table, bucket) = (self.holdings.jobs.table(), self.holdings.objects.bucket());
        error!(
            why = reason.rule,
            key = reason.key,
            "the bucket `{bucket}` is not swept: it belongs to the table `{owner}`, this role has the table `{table}`; \
             correct store.table or store.bucket, or, where `{owner}` is no longer in use, delete the object `{OWNER}` \
             and run `roundtrip setup`"
        );
    }

    fn list(&self, after: Option<String>) -> Work<Event> {
        let holdings = self.holdings.clone();
        Work::task(async move {
            match holdings.page(after).await {
                Ok((objects, next)) => Event::Listed { objects, next },
                Err(fault) => {
                    warn!(%fault, "cannot list the bucket");
                    Event::ListFailed(fault.to_string())
                }
            }
        })
    }

    fn ask(&self, jobs: Vec<JobKey>) -> Work<Event> {
        let holdings = self.holdings.clone();
        Work::task(async move {
            match holdings.standings(&jobs).await {
                Ok(standings) => Event::Answered(standings),
                Err(fault) => {
                    warn!(%fault, "cannot read the jobs that objects belong to");
                    Event::AskFailed(fault.to_string())
                }
            }
        })
    }

    fn delete(&self, objects: Vec<Object>, reason: Reason) -> Work<Event> {
        let holdings = self.holdings.clone();
        Work::task(async move {
            let count = objects.len() as u64;
            let bytes: u64 = objects.iter().map(|object| object.size).sum();
            let keys: Vec<String> = objects.into_iter().map(|object| object.key).collect();
            for key in &keys {
                debug!(object = key, why = reason.rule, "sweeps");
            }
            match holdings.objects.delete_all(keys).await {
                Ok(()) => {
                    let (rule, key) = (reason.rule, reason.key);
                    info!(count, bytes, why = rule, key, "objects deleted that no job needs");
                    Event::Deleted(count)
                }
                Err(fault) => {
                    warn!(count, %fault, "not all of these objects were deleted; the next sweep finds the rest");
                    Event::DeleteFailed(count, fault.to_string())
                }
            }
        })
    }
}

fn spare(objects: &[Object], reason: &Reason) {
    let (count, bytes) = (
        objects.len(),
        objects.iter().map(|object| object.size).sum::<u64>(),
    );
    for object in objects {
        debug!(object = object.key, why = reason.rule, "spares");
    }
    let (why, key) = (&reason.rule, reason.key);
    info!(
        count,
        bytes,
        why,
        key,
        "objects would be deleted, but are not: run `roundtrip setup` for this table and bucket"
    );
}

fn report(tally: Tally, reason: &Reason) {
    let Tally {
        listed,
        foreign,
        spared,
        deleted,
        failed,
    } = tally;
    let (why, key) = (reason.rule.as_str(), reason.key);
    if spared > 0 {
        warn!(
            spared,
            "objects that no job knows are left alone, since nothing says whose bucket it is: run `roundtrip setup`"
        );
    }
    if !key.is_empty() {
        warn!(listed, foreign, spared, deleted, failed, why, key, "sweep");
    } else if foreign + deleted + failed > 0 {
        info!(
            listed,
            foreign, deleted, failed, why, "sweep; foreign objects are left alone"
        );
    } else {
        debug!(listed, why, "sweep");
    }
}
