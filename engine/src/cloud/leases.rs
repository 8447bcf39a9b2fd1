//! The rows about the stream's shards, in the jobs table itself: who reads each, until when, and how far.
//!
//! They lie under a partition key that is no client's and have no lane, so that nobody takes them for jobs.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use roundtrip_core::at::Timestamp;
use roundtrip_core::lifecycle::{Value, attribute as a};
use roundtrip_core::stream::{BadRecord, Lease, Place};

use super::fault::Fault;
use super::item::{self, Item};

/// The partition key of the rows; their sort key is the shard's id.
pub const PARTITION: &str = "roundtrip#stream";

/// How long a row is kept after its last write. A shard is gone a day after it was closed.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Rows a reader looks at, at most: far more than a stream keeps shards for.
const PAGES_MAX: usize = 100;

const HOLDER: &str = "holder";
const UNTIL: &str = "until";
const AFTER: &str = "after";
const FINISHED: &str = "finished";
const BAD: &str = "bad";

/// The answer to a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was made; how far the shard has been read.
    Done(Option<Place>),
    /// Its condition did not hold: somebody else has the lease.
    Lost,
}

/// The rows about shards.
#[derive(Clone, Debug)]
pub struct Leases {
    client: Client,
    table: String,
    reader: String,
}

impl Leases {
    /// The rows in this table, written by this reader.
    pub fn new(client: Client, table: impl Into<String>, reader: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
            reader: reader.into(),
        }
    }

    /// All rows, read consistently.
    pub async fn list(&self) -> Result<Vec<Lease>, Fault> {
        let (mut rows, mut from) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("#client = :partition")
                .expression_attribute_names("#client", a::CLIENT)
                .expression_attribute_values(":partition", text(PARTITION))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| Fault::of(&error))?;
            rows.extend(page.items().iter().filter_map(read));
            from = item::next_page(page.last_evaluated_key());
            if from.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// Takes a lease, only if its row is as it was seen.
    pub async fn take(
        &self,
        shard: &str,
        seen: Option<&Lease>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Answer, Fault> {
        let request = self
            .update(shard, now)
            .expression_attribute_values(":until", moment(until));
        let request = request
            .update_expression("SET #holder = :me, #until = :until, #expires = :expires")
            .expression_attribute_values(":me", text(&self.reader))
            .return_values(ReturnValue::AllNew);
        let request = match seen {
            None => request
                .condition_expression("attribute_not_exists(#client)")
                .expression_attribute_names("#client", a::CLIENT),
            Some(Lease { holder: None, .. }) => request
                .condition_expression("attribute_exists(#client) AND attribute_not_exists(#holder)")
                .expression_attribute_names("#client", a::CLIENT),
            Some(Lease {
                holder: Some(holder),
                until,
                ..
            }) => request
                .condition_expression("#holder = :seen AND #until = :seen_until")
                .expression_attribute_values(":seen", text(holder))
                .expression_attribute_values(":seen_until", moment(*until)),
        };
        answer(request).await
    }

    /// Renews a lease of ours and writes the place.
    pub async fn renew(
        &self,
        shard: &str,
        now: Timestamp,
        until: Timestamp,
        place: Option<&Place>,
        bad: Option<&BadRecord>,
    ) -> Result<Answer, Fault> {
        let request = self
            .update(shard, now)
            .expression_attribute_values(":until", moment(until));
        answer(self.written(request, place, bad, "#holder = :me, #until = :until", "")).await
    }

    /// Gives a lease of ours back and writes the place.
    pub async fn release(
        &self,
        shard: &str,
        now: Timestamp,
        place: Option<&Place>,
        bad: Option<&BadRecord>,
    ) -> Result<Answer, Fault> {
        let request = self
            .update(shard, now)
            .expression_attribute_values(":until", moment(now));
        answer(self.written(request, place, bad, "#until = :until", " REMOVE #holder")).await
    }

    fn update(&self, shard: &str, now: Timestamp) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key(a::CLIENT, text(PARTITION))
            .key(a::FILE, text(shard))
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#expires", a::EXPIRES)
            .expression_attribute_values(":expires", item::attribute(&Value::Expiry(now + KEPT)))
    }

    /// The write of a holder: only if it still is the holder.
    fn written(
        &self,
        request: UpdateItemFluentBuilder,
        place: Option<&Place>,
        bad: Option<&BadRecord>,
        set: &str,
        remove: &str,
    ) -> UpdateItemFluentBuilder {
        let mut set = format!("SET {set}, #expires = :expires");
        let mut request = request
            .condition_expression("#holder = :me")
            .expression_attribute_values(":me", text(&self.reader));
        match place {
            Some(Place::After(sequence)) => {
                set += ", #after = :after";
                request = request
                    .expression_attribute_names("#after", AFTER)
                    .expression_attribute_values(":after", text(sequence));
            }
            Some(Place::End) => {
                set += ", #finished = :finished";
                request = request
                    .expression_attribute_names("#finished", FINISHED)
                    .expression_attribute_values(":finished", AttributeValue::Bool(true));
            }
            None => {}
        }
        if let Some(BadRecord { sequence, why }) = bad {
            set += ", #bad = :bad";
            request = request
                .expression_attribute_names("#bad", BAD)
                .expression_attribute_values(":bad", text(&format!("{sequence}: {why}")));
        }
        request.update_expression(set + remove)
    }
}

async fn answer(request: UpdateItemFluentBuilder) -> Result<Answer, Fault> {
    match request.send().await {
        Ok(output) => Ok(Answer::Done(output.attributes().and_then(place))),
        Err(error) => {
            let lost = error.as_service_error();
            if lost.is_some_and(UpdateItemError::is_conditional_check_failed_exception) {
                Ok(Answer::Lost)
            } else {
                Err(Fault::of(&error))
            }
        }
    }
}

/// A row; none where it is not one of ours. Without a readable end the lease has ended.
fn read(item: &Item) -> Option<Lease> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    Some(Lease {
        shard: text(a::FILE)?,
        holder: text(HOLDER),
        until: text(UNTIL).as_deref().and_then(item::moment).unwrap_or_default(),
        place: place(item),
    })
}

fn place(item: &Item) -> Option<Place> {
    if item.get(FINISHED).and_then(|value| value.as_bool().ok()) == Some(&true) {
        return Some(Place::End);
    }
    let after = item.get(AFTER)?.as_s().ok()?;
    Some(Place::After(after.clone()))
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn moment(moment: Timestamp) -> AttributeValue {
    AttributeValue::S(item::iso(moment))
}
