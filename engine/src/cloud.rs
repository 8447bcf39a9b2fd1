//! The cloud side: S3 and DynamoDB through the AWS SDK, whether they are AWS or the embedded stack.

pub mod clients;
mod expression;
pub mod fault;
pub mod fleet;
mod http;
pub mod item;
pub mod jobs;
pub mod leases;
pub mod metrics;
pub mod objects;
pub mod setup;
pub mod streams;

pub use clients::Clients;
pub use fault::Fault;
