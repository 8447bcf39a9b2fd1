//! How many jobs lie where: counted by the service, so that no record travels.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet::{self, Sighting};
use roundtrip_core::job::{Lane, PRIORITY_MAX};
use roundtrip_core::lifecycle::attribute as a;

use super::Jobs;
use crate::cloud::fault::Fault;
use crate::cloud::item::{self, Item};

/// When a fetcher reported itself last, in its row.
const SEEN: &str = "seen";

/// Milliseconds between its reports.
const REPORT_MS: &str = "report_ms";

/// A count, and whether it is all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are, at least.
    pub number: u64,
    /// Whether the pages did not suffice to count them all.
    pub truncated: bool,
}

impl Jobs {
    /// How many jobs lie in one shard of a lane, due or not, as far as `pages_max` pages tell.
    pub async fn count(&self, lane: Lane, pages_max: u32) -> Result<Count, Fault> {
        let query = self.in_lane(lane).key_condition_expression("#lane = :lane");
        counted(query, pages_max).await
    }

    /// When the job of one shard of a lane became due that is due longest; none where none is due. One request, and
    /// one more for each priority that waits there.
    pub async fn oldest(&self, lane: Lane, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        let (mut below, mut oldest) = (PRIORITY_MAX, None);
        loop {
            let Some((priority, due)) = self.first(lane, below, now).await? else {
                return Ok(oldest);
            };
            oldest = oldest.into_iter().chain(due.filter(|due| *due <= now)).min();
            match priority.min(below).checked_sub(1) {
                Some(next) => below = next,
                None => return Ok(oldest),
            }
        }
    }

    /// Priority and moment of the first job of one shard of a lane, of those up to a priority.
    async fn first(
        &self,
        lane: Lane,
        priority_max: u8,
        now: Timestamp,
    ) -> Result<Option<(u8, Option<Timestamp>)>, Fault> {
        let output = self
            .turns(lane, priority_max, now)
            .projection_expression("#due")
            .limit(1)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        let due = output.items().first().and_then(|item| item.get(a::DUE));
        Ok(due.and_then(|due| due.as_s().ok()).map(|due| item::place(due)))
    }

    /// How many fetchers are alive, each by its own time between reports, as far as `pages_max` pages tell. No more of a
    /// row travels than when it was written.
    pub async fn fetchers(&self, now: Timestamp, pages_max: u32) -> Result<Count, Fault> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#client = :fleet")
            .projection_expression("#seen, #report")
            .expression_attribute_names("#client", a::CLIENT)
            .expression_attribute_names("#seen", SEEN)
            .expression_attribute_names("#report", REPORT_MS)
            .expression_attribute_values(":fleet", AttributeValue::S(fleet::PARTITION.to_owned()));
        let (mut count, mut from) = (Count::default(), None);
        for _ in 0..pages_max {
            let page = query.clone().set_exclusive_start_key(from);
            let output = page.send().await.map_err(|error| Fault::of(&error))?;
            let alive = output.items().iter().filter_map(sighting);
            let alive = alive.filter(|sighting| sighting.is_alive(now)).count();
            count.number += u64::try_from(alive).unwrap_or(u64::MAX);
            from = item::next_page(output.last_evaluated_key());
            if from.is_none() {
                return Ok(count);
            }
        }
        count.truncated = true;
        Ok(count)
    }
}

fn sighting(row: &Item) -> Option<Sighting> {
    let seen = item::moment(row.get(SEEN)?.as_s().ok()?)?;
    let report_ms = row.get(REPORT_MS).and_then(|value| value.as_n().ok());
    let report_ms = report_ms.and_then(|ms| ms.parse().ok()).unwrap_or_default();
    Some(Sighting { seen, report_ms })
}

/// Asks for counts alone, page by page.
async fn counted(query: QueryFluentBuilder, pages_max: u32) -> Result<Count, Fault> {
    let mut count = Count::default();
    let mut from = None;
    for _ in 0..pages_max {
        let page = query.clone().select(Select::Count).set_exclusive_start_key(from);
        let output = page.send().await.map_err(|error| Fault::of(&error))?;
        count.number += u64::try_from(output.count()).unwrap_or(0);
        from = item::next_page(output.last_evaluated_key());
        if from.is_none() {
            return Ok(count);
        }
    }
    count.truncated = true;
    Ok(count)
}
