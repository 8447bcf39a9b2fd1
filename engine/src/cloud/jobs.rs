//! The jobs table: conditional writes, lanes, and reads by key.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use roundtrip_core::claim::Malformed;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::{Change, RecordKey, Write, attribute as a};
use roundtrip_core::names::JobKey;

use super::expression::Expression;
use super::fault::Fault;
use super::item::{self, Item};

mod count;
mod find;
mod lanes;
mod notices;

pub use count::Count;

/// The index over lanes.
pub const LANES_INDEX: &str = "lanes";

/// Keys one `BatchGetItem` takes.
pub const BATCH_GET_MAX: usize = 100;

/// A record, or why it is none.
pub type Record = Result<Job, Malformed>;

/// The answer to a conditional write.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was made; the record as it is now, where the write asks for it.
    Done(Option<Box<Job>>),
    /// Its condition did not hold; the record as it is, where there is a readable one.
    Lost(Option<Box<Job>>),
}

/// One page of records and where the next begins.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Records.
    pub records: Vec<Record>,
    /// Where the next page begins; none at the end.
    pub next: Option<Item>,
}

impl Page {
    fn of(items: &[Item], last: Option<&Item>) -> Self {
        Self {
            records: items.iter().map(item::read).collect(),
            next: item::next_page(last),
        }
    }
}

/// The jobs table.
#[derive(Clone, Debug)]
pub struct Jobs {
    client: Client,
    table: String,
}

impl Jobs {
    /// The table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Makes one conditional write. Repeating it is safe: its condition fails, or it sets the same again.
    pub async fn apply(&self, change: &Change) -> Result<Answer, Fault> {
        let expression = Expression::of(change);
        let returned = if change.write == Write::Claim {
            ReturnValue::AllNew
        } else {
            ReturnValue::None
        };
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(a::CLIENT, AttributeValue::S(change.key.client.clone()))
            .key(a::FILE, AttributeValue::S(change.key.file.clone()))
            .update_expression(expression.update)
            .condition_expression(expression.condition)
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values((!expression.values.is_empty()).then_some(expression.values))
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match result {
            Ok(output) => Ok(Answer::Done(output.attributes().and_then(readable))),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(lost)) => {
                    Ok(Answer::Lost(lost.item().and_then(readable)))
                }
                Some(_) | None => Err(Fault::of(&error)),
            },
        }
    }

    /// One record, read consistently; none where there is none or it is no job.
    pub async fn get(&self, key: &JobKey) -> Result<Option<Job>, Fault> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key_item(&RecordKey::from(key))))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(output.item().and_then(|item| item::read(item).ok()))
    }

    /// Up to [`BATCH_GET_MAX`] records, read consistently. Gives those the service answered for: keys that it
    /// left unprocessed are named in the second list, to be asked for again.
    pub async fn get_many(&self, keys: &[JobKey]) -> Result<(Vec<Record>, Vec<RecordKey>), Fault> {
        if keys.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let wanted = keys.iter().map(|key| key_item(&RecordKey::from(key))).collect();
        let request = KeysAndAttributes::builder()
            .set_keys(Some(wanted))
            .consistent_read(true)
            .build()
            .map_err(|error| Fault::Permanent(error.to_string()))?;
        let output = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        let records = output.responses().and_then(|tables| tables.get(&self.table));
        let records = records
            .map(|items| items.iter().map(item::read).collect())
            .unwrap_or_default();
        let left = output
            .unprocessed_keys()
            .and_then(|tables| tables.get(&self.table));
        let left = left
            .map(|left| left.keys().iter().map(item::record_key).collect())
            .unwrap_or_default();
        Ok((records, left))
    }
}

fn readable(item: &Item) -> Option<Box<Job>> {
    item::read(item).ok().map(Box::new)
}

fn key_item(key: &RecordKey) -> Item {
    Item::from([
        (a::CLIENT.to_owned(), AttributeValue::S(key.client.clone())),
        (a::FILE.to_owned(), AttributeValue::S(key.file.clone())),
    ])
}
