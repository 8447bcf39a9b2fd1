//! Numbers for CloudWatch.

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use roundtrip_core::at::Timestamp;
use roundtrip_core::queue::Metric;

use super::fault::Fault;

/// The namespace of every metric.
pub const NAMESPACE: &str = "Roundtrip";

/// The only dimension: each combination is billed, and every table has few numbers.
const DIMENSION: &str = "Table";

/// Publishes the numbers of one table.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: Client,
    table: String,
}

impl Metrics {
    /// Numbers of this table.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        Self { client, table }
    }

    /// Publishes numbers as of `now`, all in one request; it takes at most 1,000.
    pub async fn publish(&self, numbers: &[(Metric, f64)], now: Timestamp) -> Result<(), Fault> {
        let dimension = Dimension::builder().name(DIMENSION).value(&self.table).build();
        let data = numbers.iter().map(|(metric, value)| {
            let unit = if metric.is_time() {
                StandardUnit::Seconds
            } else {
                StandardUnit::Count
            };
            MetricDatum::builder()
                .metric_name(metric.as_str())
                .dimensions(dimension.clone())
                .timestamp(DateTime::from_millis(now.0))
                .value(*value)
                .unit(unit)
                .build()
        });
        self.client
            .put_metric_data()
            .namespace(NAMESPACE)
            .set_metric_data(Some(data.collect()))
            .send()
            .await
            .map(drop)
            .map_err(|error| Fault::of(&error))
    }
}
