//! A stream that does what a test says: the DynamoDB Streams protocol over HTTP, its shards in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};

use crate::world::Item;

/// Records one read brings.
const PAGE: usize = 3;

/// One shard.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    id: String,
    parent: Option<String>,
    records: Vec<Value>,
    closed: bool,
    /// So many of the oldest records are not kept any more.
    trimmed: usize,
}

/// What the stream does, and what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Script {
    shards: Vec<Shard>,
    /// The next request of this kind is answered with this error.
    refusals: VecDeque<(&'static str, &'static str)>,
    /// Every request, in short: `read s 3`, `from s after 2`.
    asked: Vec<String>,
}

impl Script {
    /// Adds an open shard.
    pub(crate) fn shard(&mut self, id: &str, parent: Option<&str>) {
        self.shards.push(Shard {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            ..Shard::default()
        });
    }

    fn of(&mut self, id: &str) -> &mut Shard {
        self.shards.iter_mut().find(|shard| shard.id == id).unwrap()
    }

    /// Appends the record that a job was finished.
    pub(crate) fn finished(&mut self, id: &str, job: &Item) {
        let mut before = job.clone();
        before.remove("lane");
        let (old, new) = (image(&before), image(job));
        let keys = json!({"client": new["client"], "file": new["file"]});
        self.record(id, json!({"Keys": keys, "OldImage": old, "NewImage": new}));
    }

    /// Appends a record with this body.
    pub(crate) fn record(&mut self, id: &str, mut body: Value) {
        let shard = self.of(id);
        body["SequenceNumber"] = json!(sequence(shard.records.len()));
        shard
            .records
            .push(json!({"eventName": "MODIFY", "dynamodb": body}));
    }

    pub(crate) fn close(&mut self, id: &str) {
        self.of(id).closed = true;
    }

    /// Drops the oldest records of a shard.
    pub(crate) fn trim(&mut self, id: &str, records: usize) {
        self.of(id).trimmed = records;
    }

    /// Refuses the next request of a kind: `GetRecords`, `ExpiredIteratorException`.
    pub(crate) fn refuse(&mut self, operation: &'static str, error: &'static str) {
        self.refusals.push_back((operation, error));
    }

    /// Requests so far that begin like this.
    pub(crate) fn asked(&self, prefix: &str) -> Vec<&str> {
        let asked = self.asked.iter().map(String::as_str);
        asked.filter(|asked| asked.starts_with(prefix)).collect()
    }

    /// Where a request first stands among all.
    pub(crate) fn first(&self, prefix: &str) -> usize {
        let position = self.asked.iter().position(|asked| asked.starts_with(prefix));
        position.unwrap_or_else(|| panic!("nobody asked {prefix}: {:?}", self.asked))
    }

    fn answer(&mut self, operation: &str, request: &Value) -> Result<Value, &'static str> {
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let (asked, answer) = match operation {
            "DescribeStream" => (
                "shards".to_owned(),
                Ok(self.describe(&text("ExclusiveStartShardId"))),
            ),
            "GetShardIterator" => {
                let (id, kind) = (text("ShardId"), text("ShardIteratorType"));
                let after = text("SequenceNumber").trim_start_matches('0').to_owned();
                let asked = format!("from {id} {kind} {after}").trim_end().to_owned();
                let shard = self.of(&id);
                let begin = match kind.as_str() {
                    "AFTER_SEQUENCE_NUMBER" => after.parse::<usize>().unwrap(),
                    "TRIM_HORIZON" => shard.trimmed,
                    _ => shard.records.len(),
                };
                let answer = if begin < shard.trimmed {
                    Err("TrimmedDataAccessException")
                } else {
                    Ok(json!({"ShardIterator": format!("{id} {begin}")}))
                };
                (asked, answer)
            }
            "GetRecords" => {
                let iterator = text("ShardIterator");
                let (id, begin) = iterator.split_once(' ').unwrap();
                let answer = self.read(id, begin.parse().unwrap());
                (format!("read {iterator}"), Ok(answer))
            }
            other => panic!("not spoken here: {other}"),
        };
        self.asked.push(asked);
        let refused = self.refusals.front().is_some_and(|(kind, _)| *kind == operation);
        if let Some((_, error)) = refused.then(|| self.refusals.pop_front()).flatten() {
            return Err(error);
        }
        answer
    }

    /// The list of shards, two a page.
    fn describe(&self, after: &str) -> Value {
        let begin = self
            .shards
            .iter()
            .position(|shard| shard.id == after)
            .map_or(0, |at| at + 1);
        let page: Vec<&Shard> = self.shards[begin..].iter().take(2).collect();
        let shards: Vec<Value> = page
            .iter()
            .map(|shard| match &shard.parent {
                Some(parent) => json!({"ShardId": shard.id, "ParentShardId": parent}),
                None => json!({"ShardId": shard.id}),
            })
            .collect();
        let mut stream = json!({"StreamArn": "arn", "StreamStatus": "ENABLED", "Shards": shards});
        if begin + page.len() < self.shards.len() {
            stream["LastEvaluatedShardId"] = json!(page.last().unwrap().id);
        }
        json!({"StreamDescription": stream})
    }

    fn read(&mut self, id: &str, begin: usize) -> Value {
        let shard = self.of(id);
        let records: Vec<&Value> = shard.records.iter().skip(begin).take(PAGE).collect();
        let end = begin + records.len();
        let mut answer = json!({"Records": records});
        if !shard.closed || end < shard.records.len() {
            answer["NextShardIterator"] = json!(format!("{id} {end}"));
        }
        answer
    }
}

/// The sequence number of the n-th record of a shard, from 0: as long as the service's own.
fn sequence(index: usize) -> String {
    format!("{:021}", index + 1)
}

fn image(item: &Item) -> Value {
    let value = |value: &AttributeValue| match value.as_n() {
        Ok(number) => json!({"N": number}),
        Err(text) => json!({"S": text.as_s().unwrap()}),
    };
    let attributes = item
        .iter()
        .map(|(name, attribute)| (name.clone(), value(attribute)));
    Value::Object(attributes.collect())
}

/// A running script.
#[derive(Clone)]
pub(crate) struct Server {
    script: Arc<Mutex<Script>>,
    pub(crate) client: aws_sdk_dynamodbstreams::Client,
}

impl Server {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script));
        let served = Arc::clone(&script);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let script = Arc::clone(&served);
                let service = service_fn(move |request| respond(Arc::clone(&script), request));
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    // A connection that breaks off is the other end's business.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let config = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("script"))
            .credentials_provider(Credentials::new("script", "script", None, None, "script"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(url)
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Self {
            script,
            client: aws_sdk_dynamodbstreams::Client::from_conf(config.build()),
        }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }
}

async fn respond(
    script: Arc<Mutex<Script>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let operation = target.strip_prefix("DynamoDBStreams_20120810.").unwrap();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let answer = script.lock().unwrap().answer(operation, &request);
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (
            400,
            json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{error}"), "message": error}),
        ),
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Full::new(Bytes::from(body.to_string())));
    Ok(response.unwrap())
}
