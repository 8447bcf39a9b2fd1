//! An embedded stack with jobs made by hand, and an HTTP service that answers as it is told and keeps what came.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use roundtrip::cloud::{Clients, setup};
use roundtrip::dsl::{Layers, load_role};
use roundtrip::run::progress::Progress;
use roundtrip::run::role::Role;
use roundtrip::stack::Stack;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const BUCKET: &str = "roundtrip";
pub(crate) const TABLE: &str = "roundtrip-jobs";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// An HTTP service on a free port. It answers with the statuses in turn, and then with 200.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
    arrived: Arc<Notify>,
}

impl Service {
    pub(crate) async fn start(headers: &'static [(&'static str, &'static str)], body: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
            statuses: Arc::default(),
            arrived: Arc::default(),
        };
        let (seen, statuses, arrived) = (
            service.seen.clone(),
            service.statuses.clone(),
            service.arrived.clone(),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, statuses, arrived) = (seen.clone(), statuses.clone(), arrived.clone());
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (seen, statuses, arrived) = (seen.clone(), statuses.clone(), arrived.clone());
                    async move {
                        let (head, content) = request.into_parts();
                        let request = Seen {
                            path: head.uri.path().to_owned(),
                            headers: head.headers,
                            body: content.collect().await.unwrap().to_bytes().to_vec(),
                        };
                        seen.lock().unwrap().push(request);
                        arrived.notify_one();
                        let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
                        let mut reply = Response::builder().status(status);
                        for (name, value) in headers {
                            reply = reply.header(*name, *value);
                        }
                        Ok::<_, Infallible>(reply.body(Full::new(Bytes::from_static(body))).unwrap())
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        service
    }

    pub(crate) fn answers(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    /// Waits until something came.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// What came since this was asked last.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// An embedded stack, with a scripted CloudWatch beside it.
pub(crate) struct World {
    folder: TempDir,
    clients: Clients,
    pub(crate) cloudwatch: Service,
    _stack: Stack,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(&folder.path().join("stack"), None).await.unwrap();
        let mut clients = Clients::for_endpoints(stack.endpoints()).await;
        setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
        let headers = &[
            ("smithy-protocol", "rpc-v2-cbor"),
            ("content-type", "application/cbor"),
        ];
        let cloudwatch = Service::start(headers, b"\xbf\xff").await;
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version_latest()
            .endpoint_url(&cloudwatch.url)
            .region(aws_sdk_cloudwatch::config::Region::new("eu-central-1"))
            .credentials_provider(aws_sdk_cloudwatch::config::Credentials::new(
                "key", "secret", None, None, "test",
            ))
            .retry_config(aws_sdk_cloudwatch::config::retry::RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        clients.cloudwatch = Some(aws_sdk_cloudwatch::Client::from_conf(config.build()));
        Self {
            folder,
            clients,
            cloudwatch,
            _stack: stack,
        }
    }

    /// A row with text attributes; what is written twice is replaced.
    pub(crate) async fn put(&self, attributes: &[(&str, &str)]) {
        let item: HashMap<String, AttributeValue> = attributes
            .iter()
            .map(|&(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
            .collect();
        let request = self.clients.dynamodb.put_item().table_name(TABLE);
        request.set_item(Some(item)).send().await.unwrap();
    }

    /// The row of a fetcher that reported so many seconds ago and does so every `report_ms`.
    pub(crate) async fn fetcher(&self, name: &str, seconds: i64, report_ms: u64) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self.clients.dynamodb.put_item().table_name(TABLE);
        let request = request
            .item("client", text("roundtrip#fleet"))
            .item("file", text(name))
            .item("seen", text(&ago(seconds)))
            .item("report_ms", AttributeValue::N(report_ms.to_string()));
        request.send().await.unwrap();
    }

    /// A job in a lane, due so many seconds ago.
    pub(crate) async fn job(&self, file: &str, lane: &str, seconds: i64) {
        let due = ago(seconds);
        let job = [
            ("client", "somebody"),
            ("file", file),
            ("status", "QUEUED"),
            ("lane", lane),
            ("due", &due),
        ];
        self.put(&job).await;
    }

    pub(crate) async fn delete(&self, client: &str, file: &str) {
        let request = self.clients.dynamodb.delete_item().table_name(TABLE);
        let key = |text: &str| AttributeValue::S(text.to_owned());
        request
            .key("client", key(client))
            .key("file", key(file))
            .send()
            .await
            .unwrap();
    }

    /// A row's text attributes, sorted by name.
    pub(crate) async fn row(&self, client: &str, file: &str) -> Vec<(String, String)> {
        let request = self.clients.dynamodb.get_item().table_name(TABLE);
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let answer = request
            .key("client", key(client))
            .key("file", key(file))
            .send()
            .await
            .unwrap();
        let mut row: Vec<_> = answer
            .item
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, value.as_s().unwrap().clone()))
            .collect();
        row.sort();
        row
    }

    /// One full round of a watcher with these pipelines, written beside `[store]`.
    pub(crate) async fn round(&self, pipelines: &str) {
        self.prepare(pipelines)
            .await
            .run(finished(), CancellationToken::new())
            .await
            .unwrap();
    }

    pub(crate) async fn prepare(&self, pipelines: &str) -> Role {
        let file = self.folder.path().join("watcher.toml");
        std::fs::write(&file, format!("name = \"watcher\"\n{pipelines}")).unwrap();
        let role = load_role(file.to_str().unwrap(), &Layers::default()).unwrap();
        Role::prepare(
            &role,
            &self.clients,
            &self.folder.path().join("state"),
            Progress::default(),
        )
        .await
        .unwrap()
    }
}

/// The order to make one full round.
pub(crate) fn finished() -> CancellationToken {
    let finish = CancellationToken::new();
    finish.cancel();
    finish
}

pub(crate) fn ago(seconds: i64) -> String {
    let moment = Timestamp::now()
        .checked_sub(SignedDuration::from_secs(seconds))
        .unwrap();
    format!("{moment:.3}")
}
