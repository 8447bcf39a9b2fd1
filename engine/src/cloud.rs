//! The cloud side: S3 and DynamoDB through the AWS SDK, whether they are AWS or the embedded stack.

pub mod clients;
pub mod fault;
mod http;
pub mod setup;

pub use clients::Clients;
pub use fault::Fault;
