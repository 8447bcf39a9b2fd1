//! A role: the pipelines one process runs, from their preparation to their end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::build::{Running, build, follow_stream};
use super::driver::Order;
use super::needs::Needs;
use super::parts::{Parts, new_processor};
use super::progress::Progress;
use super::protection::Agent;
use crate::cloud::fleet::Fleet;
use crate::cloud::jobs::Jobs;
use crate::cloud::objects::Objects;
use crate::cloud::{Clients, setup};
use crate::dsl::spec::{RoleSpec, SinkSpec, SourceSpec};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::spool::SpoolDir;
use crate::wire::keys::ClientKey;

/// A role whose pipelines are built and whose services answered.
pub struct Role {
    name: String,
    pipelines: Vec<Running>,
    at_once: CancellationToken,
}

impl Role {
    /// Checks that folders, services and the processor are there, and builds the pipelines.
    pub async fn prepare(
        spec: &RoleSpec,
        clients: &Clients,
        state: &Path,
        progress: Progress,
    ) -> Result<Self> {
        let needs = Needs::of(spec.pipelines.values());
        private_folder(state)?;
        refuse_state_in_inbox(spec, state)?;
        setup::check(clients, &spec.store.bucket, &spec.store.table).await?;
        let processor = new_processor();
        let (key, ledger) = if needs.client {
            let key = ClientKey::load_or_create(&state.join(&spec.identity.key))?;
            (
                Some(Arc::new(key)),
                Some(Ledger::open(&state.join("ledger.sqlite"))?),
            )
        } else {
            (None, None)
        };
        let agent = if needs.spool {
            Agent::of_environment()?
        } else {
            None
        };
        let spool = if needs.spool {
            Some(Arc::new(SpoolDir::open(state, &processor)?))
        } else {
            None
        };
        let parts = Parts {
            jobs: Jobs::new(clients.dynamodb.clone(), &spec.store.table),
            fleet: Fleet::new(clients.dynamodb.clone(), &spec.store.table),
            role: spec.name.as_str().into(),
            objects: Objects::new(clients.s3.clone(), &spec.store.bucket),
            clients: clients.clone(),
            shards: spec.store.shards,
            processor,
            key,
            ledger,
            spool,
            agent,
            progress,
        };
        let ships = |source: &SourceSpec| matches!(source, SourceSpec::Directory(_));
        let uploads = spec
            .pipelines
            .iter()
            .filter(|(_, pipeline)| ships(&pipeline.source));
        let uploads: Vec<String> = uploads.map(|(name, _)| name.clone()).collect();
        let (mut pipelines, mut followers) = (Vec::new(), Vec::new());
        let mut claims = false;
        for pipeline in spec.pipelines.values() {
            let mut parts = parts.clone();
            if matches!(pipeline.sink, SinkSpec::Processor(_)) && std::mem::replace(&mut claims, true) {
                parts.processor = new_processor();
            }
            pipelines.push(build(pipeline, &parts, &uploads, &mut followers).await?);
        }
        pipelines.extend(follow_stream(spec, clients, &parts, followers));
        Ok(Self {
            name: spec.name.clone(),
            pipelines,
            at_once: CancellationToken::new(),
        })
    }

    /// Once this is cancelled, nothing under way is waited for any longer: it is brought to a safe end at once.
    #[must_use]
    pub fn stopping_at_once(self, at_once: CancellationToken) -> Self {
        Self { at_once, ..self }
    }

    /// Runs the pipelines until `finish` is cancelled and one more full round is done, or until `stop` is
    /// cancelled and what was under way has come to a safe end.
    pub async fn run(self, finish: CancellationToken, stop: CancellationToken) -> Result<()> {
        let (makers, maker_orders) = watch::channel(Order::Serve);
        let (others, other_orders) = watch::channel(Order::Serve);
        let mut tasks = JoinSet::new();
        let mut making = 0_usize;
        for pipeline in self.pipelines {
            let makes_jobs = pipeline.makes_jobs;
            making += usize::from(makes_jobs);
            let orders = if makes_jobs {
                maker_orders.clone()
            } else {
                other_orders.clone()
            };
            tasks.spawn(async move { (makes_jobs, pipeline.run(orders).await) });
        }
        info!(role = self.name, pipelines = tasks.len(), "runs");
        let tell = |order| {
            makers.send_replace(order);
            others.send_replace(order);
        };
        let (mut outcome, mut phase) = (Ok(()), Phase::Serving);
        loop {
            tokio::select! {
                biased;
                () = self.at_once.cancelled(), if phase != Phase::Stopping => {
                    phase = Phase::Stopping;
                    tell(Order::Stop);
                }
                () = stop.cancelled(), if !matches!(phase, Phase::Draining | Phase::Stopping) => {
                    phase = Phase::Draining;
                    tell(Order::Drain);
                }
                () = finish.cancelled(), if phase == Phase::Serving => {
                    phase = Phase::Finishing;
                    makers.send_replace(Order::Finish);
                    if making == 0 {
                        others.send_replace(Order::Finish);
                    }
                }
                ended = tasks.join_next() => {
                    let Some(ended) = ended else { return outcome };
                    let broken = |error| (false, Err(Error::failed("a pipeline broke off").because(error)));
                    let (makes_jobs, ended) = ended.unwrap_or_else(broken);
                    making = making.saturating_sub(usize::from(makes_jobs));
                    if let Err(error) = ended {
                        outcome = outcome.and(Err(error));
                        if phase != Phase::Stopping {
                            phase = Phase::Draining;
                            tell(Order::Drain);
                        }
                    } else if makes_jobs && making == 0 && phase == Phase::Finishing {
                        // Those that wait for results end only when those that make jobs have made them all.
                        others.send_replace(Order::Finish);
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Finishing,
    Draining,
    Stopping,
}

/// Makes the state folder, readable by its owner alone.
fn private_folder(state: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(state).map_err(|error| {
        Error::config(format!("the state folder {} cannot be made", state.display()))
            .because(error)
            .hint("name a folder that this user may write with --state")
    })
}

/// The state folder is written to all the time: in a watched folder that would be sent. What the pipelines
/// themselves write was held against their inboxes when the role was loaded.
fn refuse_state_in_inbox(spec: &RoleSpec, state: &Path) -> Result<()> {
    let is_hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    for pipeline in spec.pipelines.values() {
        let SourceSpec::Directory(source) = &pipeline.source else {
            continue;
        };
        let (state, inbox) = (resolved(state), resolved(&source.path));
        let Ok(inner) = state.strip_prefix(&inbox) else {
            continue;
        };
        if source.hidden || !inner.iter().any(is_hidden) {
            let (state, inbox) = (state.display(), inbox.display());
            let what = format!("the state folder {state} lies in the watched folder {inbox}");
            return Err(Error::config(what).hint("name a folder outside of it with --state"));
        }
    }
    Ok(())
}

/// A path with links resolved as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute
        .ancestors()
        .find_map(|part| Some((part, part.canonicalize().ok()?)));
    match existing {
        Some((part, real)) => real.join(absolute.strip_prefix(part).unwrap_or(Path::new(""))),
        None => absolute,
    }
}
