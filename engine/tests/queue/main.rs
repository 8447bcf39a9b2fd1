//! How long the queue is: counted on the embedded stack, published to a scripted CloudWatch, told to a webhook.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod cloudwatch;
mod numbers;
mod thresholds;
mod world;
