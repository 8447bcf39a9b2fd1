//! The rows of thresholds: what was told last. Their conditions decide which watcher tells.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::queue::{Row, State};
use tracing::warn;

use super::Jobs;
use crate::cloud::fault::Fault;
use crate::cloud::item::{self, Item};

/// The partition of the rows; a row's sort key is the threshold's name.
const PARTITION: &str = "roundtrip#notify";

/// Rows that are read, at most: more than the thresholds one pipeline may have.
const ROWS_MAX: i32 = 1_000;

const STATE: &str = "state";
const SINCE: &str = "since";
const TELLING: &str = "telling";

impl Jobs {
    /// Every threshold's row by its name, read consistently.
    pub async fn notices(&self) -> Result<BTreeMap<String, Row>, Fault> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#client = :notify")
            .expression_attribute_names("#client", a::CLIENT)
            .expression_attribute_values(":notify", text(PARTITION))
            .limit(ROWS_MAX)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        let mut rows = BTreeMap::new();
        for item in output.items() {
            let name = get(item, a::FILE).unwrap_or_default();
            if let Some(row) = read(item) {
                rows.insert(name.to_owned(), row);
            } else {
                warn!(
                    threshold = name,
                    "the row in {PARTITION} is not readable: delete it"
                );
            }
        }
        Ok(rows)
    }

    /// Writes a threshold's row if it still is as seen; gives whether it was.
    pub async fn switch_notice(&self, name: &str, seen: Option<Row>, row: Row) -> Result<bool, Fault> {
        let update = self
            .notice(name, seen)
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#since", SINCE)
            .expression_attribute_names("#telling", TELLING)
            .expression_attribute_values(":to", text(row.state.as_str()))
            .expression_attribute_values(":at", text(&item::iso(row.since)));
        let update = match row.telling {
            Some(until) => update
                .update_expression("SET #state = :to, #since = :at, #telling = :until")
                .expression_attribute_values(":until", text(&item::iso(until))),
            None => update.update_expression("SET #state = :to, #since = :at REMOVE #telling"),
        };
        applied(update).await
    }

    /// Says in a threshold's row that it was told, if it still is as written; gives whether it was.
    pub async fn settle_notice(&self, name: &str, row: Row) -> Result<bool, Fault> {
        let update = self.notice(name, Some(row)).update_expression("REMOVE #telling");
        applied(update).await
    }

    /// An update of a row, on the condition that it is as seen.
    fn notice(&self, name: &str, seen: Option<Row>) -> UpdateItemFluentBuilder {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(a::CLIENT, text(PARTITION))
            .key(a::FILE, text(name));
        let Some(seen) = seen else {
            return update
                .condition_expression("attribute_not_exists(#client)")
                .expression_attribute_names("#client", a::CLIENT);
        };
        let update = update
            .expression_attribute_names("#state", STATE)
            .expression_attribute_names("#since", SINCE)
            .expression_attribute_names("#telling", TELLING)
            .expression_attribute_values(":state", text(seen.state.as_str()))
            .expression_attribute_values(":since", text(&item::iso(seen.since)));
        match seen.telling {
            Some(until) => update
                .condition_expression("#state = :state AND #since = :since AND #telling = :telling")
                .expression_attribute_values(":telling", text(&item::iso(until))),
            None => update.condition_expression(
                "#state = :state AND #since = :since AND attribute_not_exists(#telling)",
            ),
        }
    }
}

async fn applied(update: UpdateItemFluentBuilder) -> Result<bool, Fault> {
    match update.send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Some(_) | None => Err(Fault::of(&error)),
        },
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn get<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn read(item: &Item) -> Option<Row> {
    let telling = match item.get(TELLING) {
        None => None,
        Some(value) => Some(item::moment(value.as_s().ok()?)?),
    };
    Some(Row {
        state: State::parse(get(item, STATE)?)?,
        since: item::moment(get(item, SINCE)?)?,
        telling,
    })
}
