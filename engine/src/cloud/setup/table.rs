//! The table of jobs: made, compared, completed.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};

use super::{ACTIVE_WAIT_MAX, DUE, EXPIRES, LANE, LANES, Outcome, PARTITION_KEY, Report, SORT_KEY};
use crate::cloud::Fault;
use crate::error::{Error, Result};

mod compare;

use compare::{compare, differs, index, stream};

const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

pub(super) async fn ensure(client: &Client, name: &str, report: &mut Report) -> Result<()> {
    let (table, outcome) = match describe(client, name).await? {
        Some(table) => (active(client, name, table).await?, Outcome::Found),
        None => (create(client, name).await?, Outcome::Made),
    };
    compare(name, &table)?;
    report.note(format!("table `{name}`"), outcome);

    if index(&table).is_some() {
        report.note(format!("index `{LANES}` of `{name}`"), outcome);
    } else {
        add_index(client, name).await?;
        report.note(format!("index `{LANES}` of `{name}`"), Outcome::Made);
    }

    if stream(&table).is_some() {
        report.note(format!("stream of `{name}`"), outcome);
    } else {
        add_stream(client, name).await?;
        report.note(format!("stream of `{name}`"), Outcome::Made);
    }

    let outcome = ensure_ttl(client, name).await?;
    report.note(format!("TTL attribute `{EXPIRES}` of `{name}`"), outcome);
    Ok(())
}

pub(super) async fn check(client: &Client, name: &str) -> Result<()> {
    let Some(table) = describe(client, name).await? else {
        return Err(
            Fault::Missing("it does not exist".to_owned()).during(format!("cannot use the table `{name}`"))
        );
    };
    compare(name, &table)?;
    let lacking = match (index(&table), stream(&table)) {
        (Some(_), Some(_)) => return Ok(()),
        (None, _) => format!("index `{LANES}`"),
        (Some(_), None) => "stream".to_owned(),
    };
    Err(Error::config(format!("the table `{name}` has no {lacking}")).hint("add it with `roundtrip setup`"))
}

async fn describe(client: &Client, name: &str) -> Result<Option<TableDescription>> {
    match client.describe_table().table_name(name).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) => {
            if error
                .as_service_error()
                .is_some_and(DescribeTableError::is_resource_not_found_exception)
            {
                return Ok(None);
            }
            Err(Fault::of(&error).during(format!("cannot look at the table `{name}`")))
        }
    }
}

async fn create(client: &Client, name: &str) -> Result<TableDescription> {
    let doing = || format!("cannot make the table `{name}`");
    let request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(built(attributes())?))
        .set_key_schema(Some(built(keys(PARTITION_KEY, SORT_KEY))?))
        .global_secondary_indexes(built(
            GlobalSecondaryIndex::builder()
                .index_name(LANES)
                .set_key_schema(Some(built(keys(LANE, DUE))?))
                .projection(Projection::builder().projection_type(ProjectionType::All).build())
                .build(),
        )?)
        .stream_specification(built(stream_specification())?);
    if let Err(error) = request.send().await {
        // Another setup may have been first.
        let raced = error
            .as_service_error()
            .is_some_and(CreateTableError::is_resource_in_use_exception);
        if !raced {
            return Err(Fault::of(&error).during(doing()));
        }
    }
    let deadline = Instant::now() + ACTIVE_WAIT_MAX;
    let mut wait = WAIT_MIN;
    loop {
        // A table just made may not be seen at once.
        if let Some(table) = describe(client, name).await? {
            return active(client, name, table).await;
        }
        pause(&mut wait, deadline, name).await?;
    }
}

async fn add_index(client: &Client, name: &str) -> Result<()> {
    let action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(LANES)
        .set_key_schema(Some(built(keys(LANE, DUE))?))
        .projection(Projection::builder().projection_type(ProjectionType::All).build());
    let update = GlobalSecondaryIndexUpdate::builder()
        .create(built(action.build())?)
        .build();
    let request = client
        .update_table()
        .table_name(name)
        .set_attribute_definitions(Some(built(attributes())?))
        .global_secondary_index_updates(update);
    request
        .send()
        .await
        .map_err(|error| Fault::of(&error).during(format!("cannot add the index `{LANES}` to `{name}`")))?;
    settled(client, name).await
}

async fn add_stream(client: &Client, name: &str) -> Result<()> {
    let request = client
        .update_table()
        .table_name(name)
        .stream_specification(built(stream_specification())?);
    request
        .send()
        .await
        .map_err(|error| Fault::of(&error).during(format!("cannot turn on the stream of `{name}`")))?;
    settled(client, name).await
}

async fn ensure_ttl(client: &Client, name: &str) -> Result<Outcome> {
    let answer = client
        .describe_time_to_live()
        .table_name(name)
        .send()
        .await
        .map_err(|error| Fault::of(&error).during(format!("cannot look at the TTL of `{name}`")))?;
    if let Some(ttl) = answer.time_to_live_description {
        let on = matches!(
            ttl.time_to_live_status,
            Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
        );
        match ttl.attribute_name.as_deref() {
            Some(EXPIRES) if on => return Ok(Outcome::Found),
            Some(other) if on => {
                return Err(differs(
                    name,
                    &format!("its TTL attribute is `{other}`, not `{EXPIRES}`"),
                ));
            }
            _ => {}
        }
    }
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(EXPIRES);
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(built(specification.build())?)
        .send()
        .await
        .map_err(|error| Fault::of(&error).during(format!("cannot turn on the TTL of `{name}`")))?;
    Ok(Outcome::Made)
}

async fn settled(client: &Client, name: &str) -> Result<()> {
    match describe(client, name).await? {
        Some(table) => active(client, name, table).await.map(drop),
        None => Err(Error::away(format!("the table `{name}` was deleted meanwhile"))),
    }
}

/// Waits until the table and its index can be used.
async fn active(client: &Client, name: &str, mut table: TableDescription) -> Result<TableDescription> {
    let deadline = Instant::now() + ACTIVE_WAIT_MAX;
    let mut wait = WAIT_MIN;
    loop {
        let index_ready = index(&table).is_none_or(|index| {
            // Some endpoints leave an index's status out.
            index
                .index_status
                .as_ref()
                .is_none_or(|status| *status == IndexStatus::Active)
        });
        match table.table_status {
            None | Some(TableStatus::Active) if index_ready => return Ok(table),
            Some(TableStatus::Deleting) => {
                return Err(Error::away(format!("the table `{name}` is being deleted"))
                    .hint("run setup again when it is gone"));
            }
            _ => {}
        }
        pause(&mut wait, deadline, name).await?;
        table = describe(client, name)
            .await?
            .ok_or_else(|| Error::away(format!("the table `{name}` was deleted meanwhile")))?;
    }
}

async fn pause(wait: &mut Duration, deadline: Instant, name: &str) -> Result<()> {
    if Instant::now() >= deadline {
        return Err(Error::away(format!(
            "the table `{name}` is not ready after {} s",
            ACTIVE_WAIT_MAX.as_secs()
        ))
        .hint("run setup again: it goes on where it is"));
    }
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(WAIT_MAX);
    Ok(())
}

fn keys(partition: &str, sort: &str) -> Result<Vec<KeySchemaElement>, BuildError> {
    [(partition, KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            KeySchemaElement::builder()
                .attribute_name(name)
                .key_type(kind)
                .build()
        })
        .collect()
}

/// Those that are part of a key.
fn attributes() -> Result<Vec<AttributeDefinition>, BuildError> {
    [PARTITION_KEY, SORT_KEY, LANE, DUE]
        .into_iter()
        .map(|name| {
            AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(ScalarAttributeType::S)
                .build()
        })
        .collect()
}

fn stream_specification() -> Result<StreamSpecification, BuildError> {
    StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
}

/// The builders check that required fields are set, which they are here.
fn built<T>(part: Result<T, BuildError>) -> Result<T> {
    part.map_err(|error| Error::failed("a request could not be put together").because(error))
}
