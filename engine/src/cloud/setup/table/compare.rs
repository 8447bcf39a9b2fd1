//! Whether a table is one of jobs, and what it lacks.

use aws_sdk_dynamodb::types::{
    GlobalSecondaryIndexDescription, KeySchemaElement, KeyType, ProjectionType, ScalarAttributeType,
    StreamViewType, TableDescription,
};

use super::super::{DUE, LANE, LANES, PARTITION_KEY, SORT_KEY};
use crate::error::{Error, Result};

/// Refuses a table that is something else.
pub(super) fn compare(name: &str, table: &TableDescription) -> Result<()> {
    let text = |name: &str| {
        let definitions = table.attribute_definitions.as_deref().unwrap_or_default();
        definitions
            .iter()
            .find(|definition| definition.attribute_name == name)
            .is_none_or(|definition| definition.attribute_type == ScalarAttributeType::S)
    };
    let found = table.key_schema.as_deref().unwrap_or_default();
    if !is_schema(found, PARTITION_KEY, SORT_KEY) {
        let found = schema(found);
        return Err(differs(
            name,
            &format!("its keys are {found}, not {PARTITION_KEY} (HASH), {SORT_KEY} (RANGE)"),
        ));
    }
    if let Some(index) = index(table) {
        let found = index.key_schema.as_deref().unwrap_or_default();
        if !is_schema(found, LANE, DUE) {
            let found = schema(found);
            let text =
                format!("the keys of its index `{LANES}` are {found}, not {LANE} (HASH), {DUE} (RANGE)");
            return Err(differs(name, &text));
        }
        let projection = index
            .projection
            .as_ref()
            .and_then(|projection| projection.projection_type.as_ref());
        if projection.is_some_and(|projection| *projection != ProjectionType::All) {
            return Err(differs(
                name,
                &format!("its index `{LANES}` does not project all attributes"),
            ));
        }
    }
    if let Some(key) = [PARTITION_KEY, SORT_KEY, LANE, DUE]
        .into_iter()
        .find(|key| !text(key))
    {
        return Err(differs(name, &format!("its key `{key}` is not a string")));
    }
    match stream(table) {
        Some(view) if *view != StreamViewType::NewAndOldImages => Err(differs(
            name,
            &format!(
                "its stream carries {view}, not {}",
                StreamViewType::NewAndOldImages
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn differs(name: &str, how: &str) -> Error {
    Error::config(format!("the table `{name}` is not a table of jobs: {how}"))
        .hint("choose another name with --table or ROUNDTRIP_TABLE, or delete the table if nobody needs it")
}

pub(super) fn index(table: &TableDescription) -> Option<&GlobalSecondaryIndexDescription> {
    let indexes = table.global_secondary_indexes.as_deref().unwrap_or_default();
    indexes
        .iter()
        .find(|index| index.index_name.as_deref() == Some(LANES))
}

pub(super) fn stream(table: &TableDescription) -> Option<&StreamViewType> {
    let stream = table
        .stream_specification
        .as_ref()
        .filter(|stream| stream.stream_enabled)?;
    stream.stream_view_type.as_ref()
}

fn is_schema(found: &[KeySchemaElement], partition: &str, sort: &str) -> bool {
    let has = |name: &str, kind: &KeyType| {
        found
            .iter()
            .any(|element| element.attribute_name == name && element.key_type == *kind)
    };
    found.len() == 2 && has(partition, &KeyType::Hash) && has(sort, &KeyType::Range)
}

fn schema(found: &[KeySchemaElement]) -> String {
    let texts: Vec<_> = found
        .iter()
        .map(|element| format!("{} ({})", element.attribute_name, element.key_type))
        .collect();
    texts.join(", ")
}
