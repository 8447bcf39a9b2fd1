//! What lies in a lane, asked for through its index, and what lies in none.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Lane, PRIORITY_MAX, Status};
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::RESERVED_PREFIX;

use super::{Jobs, LANES_INDEX, Page};
use crate::cloud::fault::Fault;
use crate::cloud::item::{self, Item};

/// A scan's filter that leaves out rows that are no jobs.
const IS_JOB: &str = "NOT begins_with(#client, :ours)";

impl Jobs {
    /// Jobs of a lane that were due before or at `now`, the longest due first. Eventually consistent: the
    /// condition of the write that follows decides.
    pub async fn due(
        &self,
        lane: Lane,
        now: Timestamp,
        limit: u32,
        from: Option<Item>,
    ) -> Result<Page, Fault> {
        self.due_below(lane, PRIORITY_MAX, now, limit, from).await
    }

    /// The same, of jobs of a ready lane up to this priority: the most urgent first, and among equals the longest
    /// due first. Urgent ones are given also where they are due later: `now` bounds ordinary ones alone.
    pub async fn due_below(
        &self,
        lane: Lane,
        priority_max: u8,
        now: Timestamp,
        limit: u32,
        from: Option<Item>,
    ) -> Result<Page, Fault> {
        let query = if priority_max < PRIORITY_MAX {
            self.turns(lane, priority_max, now)
        } else {
            self.in_lane(lane)
                .key_condition_expression("#lane = :lane AND #due <= :now")
                .expression_attribute_names("#due", a::DUE)
                .expression_attribute_values(":now", AttributeValue::S(item::iso(now)))
        };
        page(query, limit, from).await
    }

    /// Jobs of a lane that have another status than belongs there: a foreign fetcher, which does not know lanes, has
    /// or had them. With them those that were created before or at `old`, judged by their text (ISO 8601, UTC); none where
    /// there is no such moment.
    pub async fn astray_or_old(
        &self,
        lane: Lane,
        belongs: Status,
        old: Option<Timestamp>,
        limit: u32,
        from: Option<Item>,
    ) -> Result<Page, Fault> {
        let query = self
            .in_lane(lane)
            .key_condition_expression("#lane = :lane")
            .filter_expression("#status <> :belongs OR #created <= :old")
            .expression_attribute_names("#status", a::STATUS)
            .expression_attribute_names("#created", a::CREATED)
            .expression_attribute_values(":belongs", AttributeValue::S(belongs.as_str().to_owned()))
            .expression_attribute_values(":old", AttributeValue::S(item::iso(old.unwrap_or_default())));
        page(query, limit, from).await
    }

    /// One page of a lane, whatever is due when, the longest due first. Eventually consistent.
    pub async fn lane(&self, lane: Lane, limit: u32, from: Option<Item>) -> Result<Page, Fault> {
        let query = self.in_lane(lane).key_condition_expression("#lane = :lane");
        page(query, limit, from).await
    }

    /// One page of a scan for records that have no lane and were never cleaned: a foreign client's. Rows that
    /// are no client's are left out.
    pub async fn without_lane(&self, from: Option<Item>) -> Result<Page, Fault> {
        let output = self
            .scan(&["attribute_not_exists(#lane)", "attribute_not_exists(#cleaned)"])
            .expression_attribute_names("#lane", a::LANE)
            .expression_attribute_names("#cleaned", a::CLEANED)
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(Page::of(output.items(), output.last_evaluated_key()))
    }

    /// A query of a lane; its condition, in which `#lane = :lane` stands for the lane, is still to be set.
    pub(super) fn in_lane(&self, lane: Lane) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(LANES_INDEX)
            .expression_attribute_names("#lane", a::LANE)
            .expression_attribute_values(":lane", AttributeValue::S(lane.to_string()))
    }

    /// A query of the jobs of a ready lane up to this priority, of the ordinary ones those that are due.
    pub(super) fn turns(&self, lane: Lane, priority_max: u8, now: Timestamp) -> QueryFluentBuilder {
        self.in_lane(lane)
            .key_condition_expression("#lane = :lane AND #due BETWEEN :begin AND :now")
            .expression_attribute_names("#due", a::DUE)
            .expression_attribute_values(":begin", AttributeValue::S(item::turn_prefix(priority_max)))
            .expression_attribute_values(":now", AttributeValue::S(item::iso(now)))
    }

    /// A scan for records of which all of this holds; rows that are no jobs are left out.
    pub(super) fn scan(&self, conditions: &[&str]) -> ScanFluentBuilder {
        let conditions: Vec<&str> = conditions.iter().copied().chain([IS_JOB]).collect();
        self.client
            .scan()
            .table_name(&self.table)
            .filter_expression(conditions.join(" AND "))
            .expression_attribute_names("#client", a::CLIENT)
            .expression_attribute_values(":ours", AttributeValue::S(RESERVED_PREFIX.to_owned()))
    }
}

async fn page(query: QueryFluentBuilder, limit: u32, from: Option<Item>) -> Result<Page, Fault> {
    let output = query
        .limit(i32::try_from(limit).unwrap_or(i32::MAX))
        .set_exclusive_start_key(from)
        .send()
        .await
        .map_err(|error| Fault::of(&error))?;
    Ok(Page::of(output.items(), output.last_evaluated_key()))
}
