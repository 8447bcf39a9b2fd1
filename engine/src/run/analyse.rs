//! The world of a pipeline that claims jobs and hands their files to the processor.

mod carry;

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtrip_core::lifecycle::{Change, RecordKey, Write};
use roundtrip_core::machine::{Decision, Reason};
use roundtrip_core::worker::{Action, Event, Outcome, Worker, WorkerPolicy};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::driver::{Work, World};
use super::fetch::FetchPolicy;
use super::membership::Membership;
use super::parts::Parts;
use super::progress::OUTCOME;
use super::protection::Agent;
use crate::cloud::fault::Fault;
use crate::cloud::jobs::Answer;
use crate::sink::processor::Processor;
use crate::source::lanes::Lanes;
use crate::spool::SpoolDir;

/// Reports of bytes on their way, waiting for the machine: more are dropped, since a later one says more.
const REPORTS_MAX: usize = 64;

/// What the world of a fetcher consists of.
pub(super) struct Analyse {
    pub(super) parts: Parts,
    pub(super) spool: Arc<SpoolDir>,
    pub(super) lanes: Lanes,
    pub(super) policy: WorkerPolicy,
    pub(super) fetch: FetchPolicy,
    pub(super) processor: Arc<Processor>,
    pub(super) membership: Membership,
    /// Where this process runs in a task of ECS: its agent, and this pipeline's name.
    agent: Option<(Agent, String)>,
    work: BTreeMap<RecordKey, Handles>,
    reports: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
}

/// How work on a job is steered.
#[derive(Clone, Debug)]
struct Handles {
    engage: Arc<Notify>,
    stop: CancellationToken,
}

impl Analyse {
    pub(super) fn new(
        parts: Parts,
        spool: Arc<SpoolDir>,
        lanes: Lanes,
        policy: WorkerPolicy,
        fetch: FetchPolicy,
        processor: Processor,
        membership: Membership,
    ) -> Self {
        let (processor, reports) = (Arc::new(processor), mpsc::channel(REPORTS_MAX));
        Self {
            parts,
            spool,
            lanes,
            policy,
            fetch,
            processor,
            membership,
            agent: None,
            work: BTreeMap::new(),
            reports,
        }
    }

    /// The same, in a task that this agent protects.
    pub(super) fn in_task(self, agent: Option<Agent>, pipeline: &str) -> Self {
        let agent = agent.map(|agent| (agent, pipeline.to_owned()));
        Self { agent, ..self }
    }

    fn look(&self, limit: usize, priority_max: u8) -> Work<Event> {
        let (lanes, policy, objects) = (
            self.lanes.clone(),
            self.policy.claim.clone(),
            self.parts.objects.clone(),
        );
        Work::task(async move {
            match lanes.claimable(limit, priority_max, &policy, &objects).await {
                Ok(findings) => Event::Found(findings),
                Err(fault) => {
                    warn!(%fault, "cannot look for jobs");
                    Event::LookFailed(fault.to_string())
                }
            }
        })
    }

    fn write(&self, change: Change, reason: Reason) -> Work<Event> {
        let jobs = self.parts.jobs.clone();
        Work::task(async move {
            let outcome = match jobs.apply(&change).await {
                Ok(Answer::Done(job)) => {
                    say(&change, &reason);
                    Outcome::Done(job)
                }
                Ok(Answer::Lost(job)) => {
                    debug!(
                        file = change.key.file,
                        "{}: someone else was first",
                        change.write.as_str()
                    );
                    Outcome::Lost(job)
                }
                Err(fault) => {
                    warn!(write = change.write.as_str(), file = change.key.file, %fault, "cannot write to the job");
                    match fault {
                        Fault::Unacceptable(why) => Outcome::Refused(why),
                        Fault::Transient(why)
                        | Fault::Permanent(why)
                        | Fault::Denied(why)
                        | Fault::Missing(why)
                        | Fault::Absent(why) => Outcome::Failed(why),
                    }
                }
            };
            Event::Written {
                key: change.key,
                write: change.write,
                outcome,
            }
        })
    }
}

impl World<Worker> for Analyse {
    async fn next(&mut self) -> Event {
        match self.reports.1.recv().await {
            Some(event) => event,
            // The world holds a sender itself.
            None => std::future::pending().await,
        }
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        match action {
            Action::Look { limit, priority_max } => self.look(limit, priority_max),
            Action::Write(change) => {
                if matches!(change.write, Write::Complete | Write::Fail | Write::Release) {
                    self.work.remove(&change.key);
                }
                self.write(change, reason)
            }
            Action::Fetch(job) => {
                let handles = Handles {
                    engage: Arc::new(Notify::new()),
                    stop: CancellationToken::new(),
                };
                self.work.insert(RecordKey::from(&job.key), handles.clone());
                let load = carry::Load {
                    job: *job,
                    objects: self.parts.objects.clone(),
                    spool: Arc::clone(&self.spool),
                    fetch: self.fetch.clone(),
                    processor: Arc::clone(&self.processor),
                    engage: handles.engage,
                    stop: handles.stop,
                    reports: self.reports.0.clone(),
                };
                Work::task(async move {
                    let key = load.job.key.clone();
                    let ending = Box::pin(carry::carry(load)).await;
                    Event::Ended(key, ending)
                })
            }
            Action::Engage(key) => {
                if let Some(handles) = self.work.get(&RecordKey::from(&key)) {
                    self.parts.progress.analysing(&key.file);
                    handles.engage.notify_one();
                }
                Work::None
            }
            Action::Report(report) => {
                match reason.key {
                    "claim.report" => debug!(why = reason.rule, key = reason.key, "report"),
                    key => warn!(why = reason.rule, key, "report"),
                }
                let membership = self.membership.clone();
                Work::task(async move {
                    let others = membership.report(&report).await;
                    Event::Reported(
                        others
                            .inspect_err(|fault| warn!(%fault, "cannot report to the fleet"))
                            .ok(),
                    )
                })
            }
            Action::Protect(protect) => {
                debug!(?protect, why = reason.rule, key = reason.key, "task protection");
                let Some((agent, pipeline)) = self.agent.clone() else {
                    return Work::None;
                };
                Work::task(async move {
                    let asked = agent.ask(&pipeline, protect).await;
                    if let Err(why) = &asked {
                        warn!(
                            ?protect,
                            why, "the task's protection from scale-in could not be changed: work goes on"
                        );
                    }
                    Event::Protected(asked.is_ok())
                })
            }
            Action::Stop(key) => {
                if let Some(handles) = self.work.remove(&RecordKey::from(&key)) {
                    info!(file = %key.file, why = reason.rule, "stops work");
                    handles.stop.cancel();
                } else {
                    warn!(
                        file = %key.file,
                        why = reason.rule,
                        key = (!reason.key.is_empty()).then_some(reason.key),
                        "lets the job go: its lease ends, and the watcher gives it to another"
                    );
                }
                Work::None
            }
        }
    }
}

/// What an operator reads of a write that was made.
fn say(change: &Change, reason: &Reason) {
    let (write, file) = (change.write.as_str(), change.key.file.as_str());
    let why = reason.rule.as_str();
    let key = (!reason.key.is_empty()).then_some(reason.key);
    match change.write {
        Write::Refuse | Write::Fail => {
            warn!(target: OUTCOME, file, why = text_of(change).unwrap_or(why), key, "{write}");
        }
        // Only what no setting decided is a matter of course: this fetcher is told to stop.
        Write::Release if key.is_some() => {
            warn!(file, what = text_of(change), why, key, "{write}");
        }
        Write::Claim | Write::Complete | Write::Release => info!(file, why, key, "{write}"),
        Write::Create
        | Write::Heartbeat
        | Write::Downloaded
        | Write::Requeue
        | Write::GiveUp
        | Write::Cleaning
        | Write::Cleaned
        | Write::Keep
        | Write::Admit
        | Write::Adopt
        | Write::Cancel => debug!(file, why, key, "{write}"),
    }
}

/// What a write puts into the record about what happened: the error, or the last line of the history.
fn text_of(change: &Change) -> Option<&str> {
    use roundtrip_core::lifecycle::{Value, attribute};
    change.set.iter().rev().find_map(|(name, value)| match value {
        Value::Text(text) if *name == attribute::ERROR => Some(text.as_str()),
        Value::History(history) if change.write == Write::Release => {
            history.last().map(|attempt| attempt.why.as_str())
        }
        Value::Text(_)
        | Value::Number(_)
        | Value::Time(_)
        | Value::Turn { .. }
        | Value::Expiry(_)
        | Value::History(_) => None,
    })
}
