//! The world of a pipeline that looks after jobs: deletes, requeues, admits.

use roundtrip_core::caretaker::{Action, Caretaker, Event};
use roundtrip_core::lifecycle::{RecordKey, Write};
use roundtrip_core::machine::Decision;
use tracing::{debug, info, warn};

use super::driver::{Work, World};
use super::feed::Feed;
use super::parts::Parts;
use crate::cloud::fault::Fault;
use crate::cloud::jobs::Answer;
use crate::source::foreign::Foreign;
use crate::source::lanes::{Lanes, Look};

/// Where jobs to look after come from.
#[derive(Clone)]
pub(super) enum Source {
    /// A lane.
    Lanes(Lanes),
    /// No lane.
    Foreign(Foreign),
}

impl Source {
    async fn look(&self, on: bool) -> Result<Look, Fault> {
        match self {
            Self::Lanes(lanes) => lanes.due(on).await,
            Self::Foreign(foreign) => foreign.look().await,
        }
    }
}

/// The world of a pipeline that looks after jobs.
pub(super) struct Care {
    pub(super) parts: Parts,
    pub(super) source: Source,
    /// Where it hears of jobs between its looks.
    pub(super) feed: Option<Feed>,
}

impl World<Caretaker> for Care {
    async fn next(&mut self) -> Event {
        match &mut self.feed {
            Some(feed) => feed.next().await,
            None => std::future::pending().await,
        }
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        match action {
            Action::Look { on } => {
                let source = self.source.clone();
                Work::task(async move {
                    match source.look(on).await {
                        Ok(Look {
                            offers,
                            malformed,
                            more,
                        }) => Event::Found {
                            offers,
                            malformed,
                            more,
                        },
                        Err(fault) => {
                            warn!(%fault, "cannot look for jobs");
                            Event::LookFailed(fault.to_string())
                        }
                    }
                })
            }
            Action::Delete(job, extent) => {
                let objects = self.parts.objects.clone();
                Work::task(async move {
                    let key = RecordKey::from(&job.key);
                    match objects.sweep(&job.key, extent).await {
                        Ok(swept) => {
                            let (count, rule, decided_by) = (swept.objects, reason.rule, reason.key);
                            info!(
                                file = key.file,
                                count,
                                why = rule,
                                key = decided_by,
                                "objects deleted"
                            );
                            Event::Deleted(key, swept)
                        }
                        Err(fault) => failed(key, &fault),
                    }
                })
            }
            Action::Write(change) => {
                let jobs = self.parts.jobs.clone();
                Work::task(async move {
                    let (why, decided_by) = (reason.rule, reason.key);
                    let (write, file) = (change.write.as_str(), change.key.file.as_str());
                    match jobs.apply(&change).await {
                        Ok(Answer::Done(_)) => match change.write {
                            Write::Refuse | Write::GiveUp | Write::Cancel => {
                                warn!(file, why, key = decided_by, "{write}");
                            }
                            Write::Requeue | Write::Admit | Write::Adopt => {
                                info!(file, why, key = decided_by, "{write}");
                            }
                            Write::Create
                            | Write::Claim
                            | Write::Heartbeat
                            | Write::Downloaded
                            | Write::Complete
                            | Write::Fail
                            | Write::Release
                            | Write::Cleaning
                            | Write::Cleaned
                            | Write::Keep => debug!(file, why, key = decided_by, "{write}"),
                        },
                        Ok(Answer::Lost(_)) => {
                            debug!(file, "{write}: someone else was first");
                            return Event::Lost(change.key);
                        }
                        Err(fault @ Fault::Unacceptable(_)) => {
                            warn!(file, %fault, "{write}: the table refuses it");
                            return Event::Refused(Box::new(change), fault.to_string());
                        }
                        Err(fault) => return failed(change.key, &fault),
                    }
                    Event::Written(change.key)
                })
            }
        }
    }
}

fn failed(key: RecordKey, fault: &Fault) -> Event {
    warn!(file = key.file, %fault, "the job waits for the next look");
    Event::Failed(key, fault.to_string())
}
