//! The lifecycle's table as DynamoDB sees it: for each write, in which states of the job its condition holds.
//!
//! Runs on the embedded DynamoDB; `ROUNDTRIP_TEST_ENDPOINT` names another to hold against the same snapshot.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod states;
mod writes;

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip::cloud::item;
use roundtrip::cloud::jobs::{Answer, Jobs};
use roundtrip::cloud::{Clients, setup};
use roundtrip::stack::{Endpoints, Stack};
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::Change;

const TABLE: &str = "roundtrip-jobs";

type Item = HashMap<String, AttributeValue>;

/// A table, and what it lies in.
struct Bench {
    clients: Clients,
    jobs: Jobs,
    /// Ends with the test.
    _stack: Option<(Stack, tempfile::TempDir)>,
}

impl Bench {
    async fn new() -> Self {
        let (endpoints, stack) = if let Ok(url) = std::env::var("ROUNDTRIP_TEST_ENDPOINT") {
            (elsewhere(url), None)
        } else {
            let folder = tempfile::tempdir().unwrap();
            let stack = Stack::start(folder.path(), None).await.unwrap();
            (stack.endpoints().clone(), Some((stack, folder)))
        };
        let clients = Clients::for_endpoints(&endpoints).await;
        setup::ensure(&clients, "roundtrip", TABLE).await.unwrap();
        Self {
            jobs: Jobs::new(clients.dynamodb.clone(), TABLE),
            clients,
            _stack: stack,
        }
    }

    async fn apply(&self, change: &Change) -> bool {
        match self.jobs.apply(change).await.unwrap() {
            Answer::Done(_) => true,
            Answer::Lost(_) => false,
        }
    }

    /// The record of this file as it lies in the table.
    async fn record(&self, change: &Change) -> Item {
        let key = [("client", &change.key.client), ("file", &change.key.file)];
        let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())));
        let request = self
            .clients
            .dynamodb
            .get_item()
            .table_name(TABLE)
            .consistent_read(true);
        let output = request.set_key(Some(HashMap::from(key))).send().await.unwrap();
        output.item.unwrap_or_default()
    }

    async fn put(&self, item: Item) {
        let request = self.clients.dynamodb.put_item().table_name(TABLE);
        request.set_item(Some(item)).send().await.unwrap();
    }

    /// The record after these writes, each of which must pass.
    async fn after(&self, changes: &[Change]) -> Item {
        let Some(last) = changes.last() else {
            return Item::new();
        };
        for change in changes {
            assert!(self.apply(change).await, "{change:?}");
        }
        self.record(last).await
    }
}

fn elsewhere(url: String) -> Endpoints {
    Endpoints {
        s3: url.clone(),
        dynamodb: url,
        region: "us-east-1".to_owned(),
        access_key: "test".to_owned(),
        secret_key: "test".to_owned(),
    }
}

/// Where a record stands: status, lane and generation.
fn place(item: &Item) -> String {
    let Ok(Job {
        status,
        lane,
        retries,
        failures,
        ..
    }) = item::read(item)
    else {
        return "unreadable".to_owned();
    };
    let lane = lane.map_or("no lane", |lane| lane.kind.as_str());
    format!(
        "{} in {lane}, retries {retries}, failures {failures}",
        status.as_str()
    )
}

#[tokio::test]
async fn each_write_passes_in_these_states_and_no_other() {
    let bench = Bench::new().await;
    let mut text = "The states of a job:\n".to_owned();
    let mut records = Vec::new();
    for (number, state) in (1..).zip(states::all()) {
        let changes: Vec<_> = state.changes.iter().map(|change| of(change, number, 0)).collect();
        let record = bench.after(&changes).await;
        let place = if record.is_empty() {
            String::new()
        } else {
            place(&record)
        };
        writeln!(text, "  {:<28} {place}", state.name).unwrap();
        records.push((number, state.name, record));
    }
    text.push_str(
        "\nEach write, and where it passes; in every other state it is refused and changes nothing:\n",
    );
    for (column, write) in (1..).zip(writes::all()) {
        writeln!(text, "{} ({})", write.change.write.as_str(), write.by).unwrap();
        for (row, state, record) in &records {
            let change = of(&write.change, *row, column);
            if !record.is_empty() {
                let mut copy = record.clone();
                copy.insert("file".to_owned(), AttributeValue::S(change.key.file.clone()));
                bench.put(copy).await;
            }
            let before = bench.record(&change).await;
            let passed = bench.apply(&change).await;
            let after = bench.record(&change).await;
            if passed {
                writeln!(text, "  {state:<28} -> {}", place(&after)).unwrap();
            } else {
                assert_eq!(
                    before,
                    after,
                    "{} was refused in state {state}",
                    change.write.as_str()
                );
            }
        }
    }
    insta::assert_snapshot!("the_table", text);
}

/// The same write to a record of its own.
fn of(change: &Change, row: u32, column: u32) -> Change {
    let mut change = change.clone();
    change.key.file = format!("file-00000000-0000-0000-{row:04}-{column:012}");
    change
}
