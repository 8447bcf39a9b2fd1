//! The fleet's rows in the jobs table: one for each pipeline that claims, written by itself.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet::{Report, Sighting};
use roundtrip_core::lifecycle::{Value, attribute as a};

use super::fault::Fault;
use super::item::{self, Item};

pub use roundtrip_core::fleet::PARTITION;

/// How long after its last report a fetcher's row is kept.
const ROW_KEPT: std::time::Duration = std::time::Duration::from_hours(24);

/// Rows one request brings, at most, when a fetcher looks whether another is there.
const NEIGHBOURS_PAGE: i32 = 25;

/// Pages of rows a fetcher reads, at most, to find another that is alive.
const NEIGHBOURS_PAGES_MAX: u32 = 8;

/// Rows of the fleet that are shown, at most.
pub const SHOWN_MAX: usize = 10_000;

/// Who writes a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `processor-<uuid>`.
    pub processor: String,
    /// The pipeline: a process may run several.
    pub pipeline: String,
    /// The role's name.
    pub role: String,
    /// The machine's name.
    pub host: String,
    /// When the process started.
    pub started: Timestamp,
    /// Time between reports.
    pub report: std::time::Duration,
}

/// A fetcher as its row tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetcher {
    /// `processor-<uuid>`.
    pub processor: String,
    /// The pipeline.
    pub pipeline: String,
    /// The role's name.
    pub role: String,
    /// The program's version.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it reported last.
    pub seen: Option<Timestamp>,
    /// Milliseconds between its reports.
    pub report_ms: u64,
    /// What it holds, as far as the row names it.
    pub held: Vec<Held>,
    /// How much it holds.
    pub held_count: u64,
    /// Results it committed.
    pub done: u64,
    /// Attempts that failed there.
    pub failed: u64,
    /// Until when it claims nothing, since its jobs kept failing.
    pub resting_until: Option<Timestamp>,
}

/// A job a fetcher holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The file id.
    pub file: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Fetcher {
    /// Whether it was seen within the last few of its reports.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        let report_ms = self.report_ms;
        self.seen
            .is_some_and(|seen| Sighting { seen, report_ms }.is_alive(now))
    }

    /// Whether it claims nothing now, since its jobs kept failing.
    pub fn is_resting(&self, now: Timestamp) -> bool {
        self.resting_until.is_some_and(|until| until > now)
    }
}

/// The fleet's rows.
#[derive(Clone, Debug)]
pub struct Fleet {
    client: Client,
    table: String,
}

impl Fleet {
    /// The rows in the table of this name.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Writes a fetcher's row.
    pub async fn report(&self, identity: &Identity, report: &Report, now: Timestamp) -> Result<(), Fault> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row(identity, report, now)))
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(())
    }

    /// Takes a fetcher's row away: it ended.
    pub async fn leave(&self, identity: &Identity) -> Result<(), Fault> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(identity)))
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        Ok(())
    }

    /// Whether another process has a fetcher that is alive and claims. Reads a bounded number of rows, from the
    /// fetcher's own on: in a large fleet the first neighbours answer, and not always the same ones.
    pub async fn has_others(&self, identity: &Identity, now: Timestamp) -> Result<bool, Fault> {
        let (mut from, mut wrapped) = (Some(key(identity)), false);
        for _ in 0..NEIGHBOURS_PAGES_MAX {
            let (fetchers, next) = self.page(Some(NEIGHBOURS_PAGE), from).await?;
            let another = fetchers.iter().any(|fetcher| {
                fetcher.processor != identity.processor && fetcher.is_alive(now) && !fetcher.is_resting(now)
            });
            if another {
                return Ok(true);
            }
            if next.is_none() {
                if wrapped {
                    break;
                }
                wrapped = true;
            }
            from = next;
        }
        Ok(false)
    }

    /// Every fetcher that has a row, up to [`SHOWN_MAX`].
    pub async fn list(&self) -> Result<Vec<Fetcher>, Fault> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let (fetchers, next) = self.page(None, from).await?;
            all.extend(fetchers);
            if next.is_none() || all.len() >= SHOWN_MAX {
                all.truncate(SHOWN_MAX);
                return Ok(all);
            }
            from = next;
        }
    }

    async fn page(
        &self,
        limit: Option<i32>,
        from: Option<Item>,
    ) -> Result<(Vec<Fetcher>, Option<Item>), Fault> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#client = :fleet")
            .expression_attribute_names("#client", a::CLIENT)
            .expression_attribute_values(":fleet", AttributeValue::S(PARTITION.to_owned()))
            .set_limit(limit)
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        let next = item::next_page(output.last_evaluated_key());
        Ok((output.items().iter().map(read).collect(), next))
    }
}

fn key(identity: &Identity) -> Item {
    let Identity {
        processor, pipeline, ..
    } = identity;
    HashMap::from([
        (a::CLIENT.to_owned(), AttributeValue::S(PARTITION.to_owned())),
        (
            a::FILE.to_owned(),
            AttributeValue::S(format!("{processor}#{pipeline}")),
        ),
    ])
}

fn row(identity: &Identity, report: &Report, now: Timestamp) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let time = |moment: Timestamp| AttributeValue::S(item::iso(moment));
    let number = |number: u64| AttributeValue::N(number.to_string());
    let held = report.held.iter().map(|(job, since)| {
        let mut entry = HashMap::from([("file".to_owned(), text(job.file.as_str()))]);
        if let Some(since) = since {
            entry.insert("since".to_owned(), time(*since));
        }
        AttributeValue::M(entry)
    });
    let interval = u64::try_from(identity.report.as_millis()).unwrap_or(u64::MAX);
    let mut row = key(identity);
    row.extend(
        [
            ("processor", text(&identity.processor)),
            ("pipeline", text(&identity.pipeline)),
            ("role", text(&identity.role)),
            ("version", text(env!("CARGO_PKG_VERSION"))),
            ("host", text(&identity.host)),
            ("started", time(identity.started)),
            ("seen", time(now)),
            ("report_ms", number(interval)),
            ("held", AttributeValue::L(held.collect())),
            (
                "held_count",
                number(u64::try_from(report.held_count).unwrap_or(u64::MAX)),
            ),
            ("done", number(report.done)),
            ("failed", number(report.failed)),
            (a::EXPIRES, item::attribute(&Value::Expiry(now + ROW_KEPT))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(until) = report.resting_until {
        row.insert("resting_until".to_owned(), time(until));
    }
    row
}

/// Reads a row; what is missing or of another type is taken as empty, for it is shown and no more.
fn read(row: &Item) -> Fetcher {
    let text = |name: &str| row.get(name).and_then(|value| value.as_s().ok()).cloned();
    let time = |name: &str| text(name).as_deref().and_then(item::moment);
    let number = |name: &str| {
        let number = row.get(name).and_then(|value| value.as_n().ok());
        number.and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    let held = |entry: &AttributeValue| {
        let entry = entry.as_m().ok()?;
        let text = |name: &str| entry.get(name).and_then(|value| value.as_s().ok());
        Some(Held {
            file: text("file")?.clone(),
            since: text("since").and_then(|since| item::moment(since)),
        })
    };
    let list = row.get("held").and_then(|value| value.as_l().ok());
    Fetcher {
        processor: text("processor").unwrap_or_default(),
        pipeline: text("pipeline").unwrap_or_default(),
        role: text("role").unwrap_or_default(),
        version: text("version").unwrap_or_default(),
        host: text("host").unwrap_or_default(),
        started: time("started"),
        seen: time("seen"),
        report_ms: number("report_ms"),
        held: list
            .map(|list| list.iter().filter_map(held).collect())
            .unwrap_or_default(),
        held_count: number("held_count"),
        done: number("done"),
        failed: number("failed"),
        resting_until: time("resting_until"),
    }
}
