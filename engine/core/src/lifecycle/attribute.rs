//! Attribute names, as they stand in a record.

#![expect(missing_docs, reason = "each constant is its own name in the record")]

pub const STATUS: &str = "status";
pub const VERSION: &str = "version";
pub const CREATED: &str = "created";
pub const BUCKET: &str = "bucket";
pub const FILE: &str = "file";
pub const CHUNKS: &str = "chunks";
pub const CLIENT: &str = "client";
pub const SIGNATURE: &str = "signature";
pub const PROCESSOR: &str = "processor";
pub const ASSIGNED: &str = "assigned";
pub const DOWNLOADED: &str = "downloaded";
pub const RESULTS: &str = "results";
pub const RESULTS_TYPE: &str = "results_type";
pub const ERROR: &str = "error";
pub const PROCESSED: &str = "processed";
pub const OUTLINE: &str = "outline";
pub const OUTLINE_SIGNATURE: &str = "outline_signature";
pub const LANE: &str = "lane";
pub const DUE: &str = "due";
pub const RETRIES: &str = "retries";
pub const FAILURES: &str = "failures";
pub const HISTORY: &str = "history";
pub const CLEANING: &str = "cleaning";
pub const CLEANED: &str = "cleaned";
pub const EXPIRES: &str = "expires";
pub const PRIORITY: &str = "priority";
