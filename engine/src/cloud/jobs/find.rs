//! Reads for a person who looks for jobs: whole lanes, a client's jobs, the whole table.

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::job::Lane;
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::{ClientId, RESERVED_PREFIX};

use super::{IS_JOB, Jobs, LANES_INDEX, Page};
use crate::cloud::fault::Fault;
use crate::cloud::item::{self, Item};

impl Jobs {
    /// One page of a lane, whatever is due when, the longest due first. Eventually consistent.
    pub async fn lane(&self, lane: Lane, limit: u32, from: Option<Item>) -> Result<Page, Fault> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LANES_INDEX)
            .key_condition_expression("#lane = :lane")
            .expression_attribute_names("#lane", a::LANE)
            .expression_attribute_values(":lane", AttributeValue::S(lane.to_string()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(page(output.items(), output.last_evaluated_key()))
    }

    /// One page of a client's jobs whose file id begins with `prefix`, which must not be empty; read
    /// consistently.
    pub async fn of_client(
        &self,
        client: &ClientId,
        prefix: &str,
        from: Option<Item>,
    ) -> Result<Page, Fault> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#client = :client AND begins_with(#file, :prefix)")
            .expression_attribute_names("#client", a::CLIENT)
            .expression_attribute_names("#file", a::FILE)
            .expression_attribute_values(":client", AttributeValue::S(client.to_string()))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
            .consistent_read(true)
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(page(output.items(), output.last_evaluated_key()))
    }

    /// One page of a scan over every job.
    pub async fn all(&self, from: Option<Item>) -> Result<Page, Fault> {
        let output = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(IS_JOB)
            .expression_attribute_names("#client", a::CLIENT)
            .expression_attribute_values(":ours", AttributeValue::S(RESERVED_PREFIX.to_owned()))
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(page(output.items(), output.last_evaluated_key()))
    }
}

fn page(items: &[Item], next: Option<&Item>) -> Page {
    Page {
        records: items.iter().map(item::read).collect(),
        next: next.filter(|key| !key.is_empty()).cloned(),
    }
}
