//! How a recording ends: every shard is read on until it has come to the present.

use std::collections::BTreeSet;
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_testkit::recording::Entry;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use super::{PACE_MS, PRESENT_MS, READ_EVERY, Recorder};
use crate::run::driver::now;

/// How long after a write the stream may tell of it: the last reads wait so long.
const NEWS_AFTER: Duration = Duration::from_millis(500);

impl Recorder {
    /// Reads on until every shard has come to the present, for so long at most, and puts what comes behind `entries`;
    /// whether that is all. If it is not, nothing is there that is later than what is missing.
    ///
    /// Cancel-safe: `entries` has then what came until then.
    pub async fn finish(&mut self, wait: Duration, entries: &mut Vec<Entry<'static>>) -> bool {
        let until = Instant::now() + wait;
        let end = now();
        let mut over = BTreeSet::new();
        sleep(NEWS_AFTER.min(wait)).await;
        loop {
            let round = timeout_at(until, self.last_round(end, &mut over)).await;
            entries.extend(self.release());
            let is_read = !self.is_unsure && self.reading.keys().all(|shard| over.contains(shard));
            if is_read || !matches!(round, Ok(true)) {
                break;
            }
            sleep(READ_EVERY).await;
        }
        let is_all = !self.is_unsure && self.waiting.is_empty() && self.merge.held() == 0;
        is_all && self.reading.keys().all(|shard| over.contains(shard))
    }

    /// Reads once each shard that has not come to the present yet; whether there is anything to be read at all.
    async fn last_round(&mut self, end: Timestamp, over: &mut BTreeSet<String>) -> bool {
        if self.is_unsure
            && let Err(error) = self.look_for_shards().await
        {
            warn!(%error, "what followed is missing");
            return false;
        }
        let due = self.reading.keys().filter(|shard| !over.contains(*shard));
        let due = due.filter(|shard| self.merge.wants(shard)).cloned().collect();
        for (shard, has_news) in self.read_shards(due).await {
            let Some(reading) = self.reading.get(&shard) else {
                continue;
            };
            let is_after = |moment: i64| reading.last.is_some_and(|last| last.0 >= moment);
            let is_near = is_after(end.0 - PRESENT_MS) || self.merge.is_quiet(&shard);
            // The end is by our clock, and the stream's may be ahead of it: what is later may have more behind it.
            let keeps_pace = reading.advance_ms.is_some_and(|advance| advance <= PACE_MS);
            let has_come = is_near && (!has_news || is_after(end.0) && keeps_pace);
            // One that others follow has an end, and that is yet to come.
            let is_parent = |parent: &String| *parent == shard;
            let has_children = self
                .waiting
                .iter()
                .any(|child| child.parent.as_ref().is_some_and(is_parent));
            if has_come && !has_children {
                self.merge.let_be(&shard);
                over.insert(shard);
            }
        }
        true
    }
}
