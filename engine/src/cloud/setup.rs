//! Makes the table and the bucket the roles need, and checks that they are there.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Clients;
use crate::error::Result;

mod bucket;
mod table;

/// The table's partition key: the client's id.
pub const PARTITION_KEY: &str = "client";

/// The table's sort key: the file's id.
pub const SORT_KEY: &str = "file";

/// The sparse index of jobs that something is due for.
pub const LANES: &str = "lanes";

/// The partition key of [`LANES`].
pub const LANE: &str = "lane";

/// The sort key of [`LANES`].
pub const DUE: &str = "due";

/// The attribute after whose time (seconds since 1970) an item expires.
pub const EXPIRES: &str = "expires";

/// After how many days S3 drops an upload that was never completed.
pub const UNFINISHED_UPLOAD_DAYS: i32 = 7;

/// How long the table may take until it can be used. Filling the index of a large table takes longest.
const ACTIVE_WAIT_MAX: Duration = Duration::from_mins(10);

/// What [`ensure`] made and found, in the order it looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One for each thing.
    pub steps: Vec<Step>,
}

/// One thing of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is: ``table `roundtrip-jobs` ``.
    pub thing: String,
    /// What was done about it.
    pub outcome: Outcome,
    /// Why it was left out, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was done about one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was not there and is now.
    Made,
    /// It was there.
    Found,
    /// The service has no such thing, or another setting of the owner's stands; it works without.
    LeftOut,
}

impl Report {
    fn note(&mut self, thing: impl Into<String>, outcome: Outcome) {
        self.steps.push(Step {
            thing: thing.into(),
            outcome,
            reason: None,
        });
    }

    fn left_out(&mut self, thing: impl Into<String>, reason: impl Into<String>) {
        self.steps.push(Step {
            thing: thing.into(),
            outcome: Outcome::LeftOut,
            reason: Some(reason.into()),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let outcome = match step.outcome {
                Outcome::Made => "made",
                Outcome::Found => "found",
                Outcome::LeftOut => "left out",
            };
            write!(f, "{outcome:<8}  {}", step.thing)?;
            if let Some(reason) = &step.reason {
                write!(f, " ({reason})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Makes the table with its index, stream and TTL, and the bucket with its rules and the name of its table; what is
/// there is left as it is. May be run at any time, also by several at once.
///
/// # Errors
/// Exit 78 when a table of that name has other keys, another index or another stream (nothing is changed
/// then), or when the credentials do not allow it; exit 75 when a service is away or takes too long.
pub async fn ensure(clients: &Clients, bucket: &str, table: &str) -> Result<Report> {
    let mut report = Report { steps: Vec::new() };
    table::ensure(&clients.dynamodb, table, &mut report).await?;
    bucket::ensure(&clients.s3, bucket, &mut report).await?;
    bucket::claim(&clients.s3, bucket, table, &mut report).await?;
    Ok(report)
}

/// Looks, without changing anything, whether the bucket and the table can be used.
///
/// # Errors
/// Exit 78 when one of them is missing or not as [`ensure`] makes it, or the credentials are refused; exit 75
/// when a service is away.
pub async fn check(clients: &Clients, bucket: &str, table: &str) -> Result<()> {
    let (table, bucket) = tokio::join!(
        table::check(&clients.dynamodb, table),
        bucket::check(&clients.s3, bucket)
    );
    table.and(bucket)
}
