//! The world of a pipeline that publishes how long the queue is: counts, publishes, tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use roundtrip_core::machine::Decision;
use roundtrip_core::queue::{Action, Event, Metric, Notice, Queue, Row};
use tracing::{debug, info, warn};

use super::driver::{Work, World, now};
use crate::cloud::jobs::Jobs;
use crate::cloud::metrics::Metrics;
use crate::sink::notifier::{Message, Notifier};
use crate::source::queue::Census;

/// The world of a pipeline that publishes how long the queue is.
pub(super) struct QueueWorld {
    pub(super) jobs: Jobs,
    pub(super) census: Census,
    /// Where numbers go; to the log where there is none.
    pub(super) metrics: Option<Metrics>,
    /// Who is told, by the threshold's name.
    pub(super) notifiers: BTreeMap<String, Arc<Notifier>>,
}

impl World<Queue> for QueueWorld {
    async fn next(&mut self) -> Event {
        std::future::pending().await
    }

    fn perform(&mut self, Decision { action, reason }: Decision<Action>) -> Work<Event> {
        match action {
            Action::Count => self.count(),
            Action::Publish(numbers) => self.publish(numbers),
            Action::Switch { threshold, seen, row } => {
                info!(
                    threshold,
                    state = row.state.as_str(),
                    why = reason.rule,
                    key = reason.key,
                    "notify"
                );
                self.switch(threshold, seen, row)
            }
            Action::Notify(notice) => self.notify(notice),
            Action::Settle { threshold, row } => {
                debug!(threshold, why = reason.rule, key = reason.key, "settled");
                self.settle(threshold, row)
            }
        }
    }
}

impl QueueWorld {
    fn count(&self) -> Work<Event> {
        let (census, jobs) = (self.census.clone(), self.jobs.clone());
        let has_thresholds = !self.notifiers.is_empty();
        Work::task(async move {
            let rows = async {
                if has_thresholds {
                    jobs.notices().await
                } else {
                    Ok(BTreeMap::new())
                }
            };
            match tokio::try_join!(census.take(now()), rows) {
                Ok((taken, rows)) => {
                    if taken.truncated {
                        warn!(
                            key = "source.lanes.pages-max",
                            "the queue is longer than was read: the counts are lower bounds"
                        );
                    }
                    let counts = taken.counts;
                    Event::Counted { counts, rows }
                }
                Err(fault) => {
                    warn!(%fault, "cannot count the queue");
                    Event::CountFailed(fault.to_string())
                }
            }
        })
    }

    fn publish(&self, numbers: Vec<(Metric, f64)>) -> Work<Event> {
        let metrics = self.metrics.clone();
        let table = self.jobs.table().to_owned();
        Work::task(async move {
            let listed: Vec<String> = numbers
                .iter()
                .map(|(metric, value)| format!("{}={value}", metric.as_str()))
                .collect();
            debug!(table, "{}", listed.join(" "));
            if let Some(metrics) = metrics
                && let Err(fault) = metrics.publish(&numbers, now()).await
            {
                warn!(%fault, "cannot publish the queue's length; the next round tries again");
            }
            Event::Published
        })
    }

    fn switch(&self, threshold: String, seen: Option<Row>, row: Row) -> Work<Event> {
        let jobs = self.jobs.clone();
        Work::task(async move {
            match jobs.switch_notice(&threshold, seen, row).await {
                Ok(true) => Event::Switched(threshold),
                Ok(false) => {
                    debug!(threshold, "another watcher tells");
                    Event::SwitchLost(threshold)
                }
                Err(fault) => {
                    warn!(threshold, %fault, "cannot tell; the next round tries again");
                    Event::SwitchFailed(threshold, fault.to_string())
                }
            }
        })
    }

    fn notify(&self, notice: Notice) -> Work<Event> {
        let notifier = self.notifiers.get(&notice.threshold).cloned();
        let message = Message::new(&notice, self.jobs.table());
        Work::task(async move {
            let told = match notifier {
                Some(notifier) => notifier.tell(&message).await,
                None => Err("nobody is named to tell".to_owned()),
            };
            match told {
                Ok(()) => Event::Notified(notice.threshold),
                Err(why) => {
                    warn!(threshold = notice.threshold, why, "not told: {}", message.line());
                    Event::NotifyFailed(notice.threshold, why)
                }
            }
        })
    }

    fn settle(&self, threshold: String, row: Row) -> Work<Event> {
        let jobs = self.jobs.clone();
        Work::task(async move {
            match jobs.settle_notice(&threshold, row).await {
                Ok(true) => {}
                Ok(false) => debug!(threshold, "another watcher has taken over"),
                Err(fault) => {
                    warn!(threshold, %fault, "told, but the row does not say so: it may be told again");
                }
            }
            Event::Settled(threshold)
        })
    }
}
