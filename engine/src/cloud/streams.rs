//! The stream of the jobs table: its shards, iterators and records.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::types::{ShardIteratorType, StreamStatus};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use roundtrip_core::stream::{BadRecord, From, Shard};
use roundtrip_testkit::recording::Entry;

use super::fault::Fault;

mod json;
mod record;

pub use record::{Change, Kind};

/// Why the stream did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The iterator is too old: ask for another.
    #[error("the iterator has expired")]
    Expired,
    /// The records at this place are not kept any more.
    #[error("the records are not kept any more")]
    Trimmed,
    /// The shard, or the whole stream, is not there.
    #[error("the stream or shard is not there")]
    Gone,
    /// Too many requests.
    #[error("the stream asks to be read less")]
    Throttled,
    /// Anything else.
    #[error("{0}")]
    Fault(Fault),
}

/// A page of the list of shards.
#[derive(Clone, Debug, Default)]
pub struct Shards {
    /// The shards.
    pub shards: Vec<Shard>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

/// What one read brought.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Records that could be read, in their order.
    pub changes: Vec<Change>,
    /// Records that could not.
    pub bad: Vec<BadRecord>,
    /// The sequence number of the last record, readable or not.
    pub last: Option<String>,
    /// Where the next read begins; none at the end of a closed shard.
    pub next: Option<String>,
}

/// What one read brought, as a recording keeps it.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// Records that could be read, in their order.
    pub entries: Vec<Entry<'static>>,
    /// Records that could not.
    pub bad: Vec<BadRecord>,
    /// Where the next read begins; none at the end of a closed shard.
    pub next: Option<String>,
}

impl Entries {
    fn take(&mut self, entry: Result<Entry<'static>, BadRecord>) {
        match entry {
            Ok(entry) => self.entries.push(entry),
            Err(bad) => self.bad.push(bad),
        }
    }
}

/// The stream of one table.
#[derive(Clone, Debug)]
pub struct Streams {
    client: Client,
    tables: aws_sdk_dynamodb::Client,
    table: String,
    /// The stream's name, once it is known.
    arn: Arc<Mutex<Option<String>>>,
}

impl Streams {
    /// The stream of this table.
    pub fn new(client: Client, tables: aws_sdk_dynamodb::Client, table: impl Into<String>) -> Self {
        Self {
            client,
            tables,
            table: table.into(),
            arn: Arc::default(),
        }
    }

    /// What the stream tells of a change, as the service names it.
    pub async fn view(&self) -> Result<Option<String>, Refusal> {
        let request = self.client.describe_stream().stream_arn(self.arn().await?);
        let output = request.send().await.map_err(|error| refusal(&error))?;
        let view = output
            .stream_description
            .and_then(|stream| stream.stream_view_type);
        Ok(view.map(|view| view.as_str().to_owned()))
    }

    /// A page of the list of shards, after this one.
    pub async fn shards(&self, after: Option<String>) -> Result<Shards, Refusal> {
        let answer = self
            .client
            .describe_stream()
            .stream_arn(self.arn().await?)
            .set_exclusive_start_shard_id(after)
            .send()
            .await;
        let output = answer.map_err(|error| {
            self.forget();
            refusal(&error)
        })?;
        let Some(stream) = output.stream_description() else {
            return Ok(Shards::default());
        };
        // A stream that was switched off can still be read for a day, and says nothing of the one that came after it.
        if let Some(StreamStatus::Disabled | StreamStatus::Disabling) = stream.stream_status() {
            self.forget();
        }
        let shards = stream.shards().iter().filter_map(|shard| {
            Some(Shard {
                id: shard.shard_id()?.to_owned(),
                parent: shard.parent_shard_id().map(str::to_owned),
            })
        });
        Ok(Shards {
            shards: shards.collect(),
            next: stream.last_evaluated_shard_id().map(str::to_owned),
        })
    }

    /// An iterator that begins there.
    pub async fn iterator(&self, shard: &str, from: &From) -> Result<String, Refusal> {
        let request = self
            .client
            .get_shard_iterator()
            .stream_arn(self.arn().await?)
            .shard_id(shard);
        let request = match from {
            From::After(sequence) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(sequence),
            From::Oldest => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            From::Newest => request.shard_iterator_type(ShardIteratorType::Latest),
        };
        let output = request.send().await.map_err(|error| refusal(&error))?;
        let none = || Refusal::Fault(Fault::Transient("the answer holds no iterator".to_owned()));
        output.shard_iterator.ok_or_else(none)
    }

    /// Reads records. One that cannot be understood is told apart and keeps nobody from the others.
    pub async fn records(&self, iterator: &str) -> Result<Records, Refusal> {
        let of_sdk = |output: GetRecordsOutput| {
            let mut records = Records {
                next: output.next_shard_iterator,
                ..Records::default()
            };
            for record in output.records.unwrap_or_default() {
                records.take(record::of_sdk(record));
            }
            records
        };
        self.read(iterator, of_sdk, json::records).await
    }

    /// Reads records as a recording keeps them.
    pub async fn entries(&self, iterator: &str) -> Result<Entries, Refusal> {
        let of_sdk = |output: GetRecordsOutput| {
            let mut entries = Entries {
                next: output.next_shard_iterator,
                ..Entries::default()
            };
            for record in output.records.unwrap_or_default() {
                entries.take(record::entry_of_sdk(record));
            }
            entries
        };
        self.read(iterator, of_sdk, json::entries).await
    }

    async fn read<T>(
        &self,
        iterator: &str,
        of_sdk: impl FnOnce(GetRecordsOutput) -> T,
        of_json: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Refusal> {
        match self.client.get_records().shard_iterator(iterator).send().await {
            Ok(output) => Ok(of_sdk(output)),
            // One malformed record makes the whole answer unreadable: it is read again, record by record.
            Err(error) if succeeded(&error) => {
                let body = error.raw_response().and_then(|answer| answer.body().bytes());
                let unreadable =
                    || Refusal::Fault(Fault::Transient("the answer could not be read".to_owned()));
                body.and_then(of_json).ok_or_else(unreadable)
            }
            Err(error) => Err(refusal(&error)),
        }
    }

    /// A table that was made anew, or whose stream was, has another stream: the next question asks for its name.
    fn forget(&self) {
        *self.arn.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn arn(&self) -> Result<String, Refusal> {
        if let Some(arn) = self.arn.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(arn);
        }
        let answer = self.tables.describe_table().table_name(&self.table).send().await;
        let table = answer.map_err(|error| Refusal::Fault(Fault::of(&error)))?.table;
        let arn = table.and_then(|table| table.latest_stream_arn);
        let none = || {
            Refusal::Fault(Fault::Missing(format!(
                "the table `{}` has no stream",
                self.table
            )))
        };
        let arn = arn.ok_or_else(none)?;
        *self.arn.lock().unwrap_or_else(PoisonError::into_inner) = Some(arn.clone());
        Ok(arn)
    }
}

impl Records {
    fn take(&mut self, record: Result<Change, BadRecord>) {
        let sequence = match &record {
            Ok(change) => &change.sequence,
            Err(bad) => &bad.sequence,
        };
        if !sequence.is_empty() {
            self.last = Some(sequence.clone());
        }
        match record {
            Ok(change) => self.changes.push(change),
            Err(bad) => self.bad.push(bad),
        }
    }
}

/// Whether the service answered with a success that the SDK made an error, since it could not read it.
fn succeeded<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error
        .raw_response()
        .is_some_and(|answer| answer.status().is_success())
}

fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Refusal {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match code.unwrap_or_default() {
        "ExpiredIteratorException" => Refusal::Expired,
        "TrimmedDataAccessException" => Refusal::Trimmed,
        "ResourceNotFoundException" => Refusal::Gone,
        "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded" => Refusal::Throttled,
        _ => Refusal::Fault(Fault::of(error)),
    }
}
