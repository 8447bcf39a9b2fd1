//! The core against histories and models: what it decided, what it would decide.

pub mod report;
