//! Reads for a person who looks for jobs: a client's jobs, the whole table.

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::ClientId;

use super::{Jobs, Page};
use crate::cloud::fault::Fault;
use crate::cloud::item::Item;

impl Jobs {
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
        Ok(Page::of(output.items(), output.last_evaluated_key()))
    }

    /// One page of a scan over every job.
    pub async fn all(&self, from: Option<Item>) -> Result<Page, Fault> {
        let output = self
            .scan(&[])
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(Page::of(output.items(), output.last_evaluated_key()))
    }
}
