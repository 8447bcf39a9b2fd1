//! The processor as an HTTP service: one streamed POST a file.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Client, Response, StatusCode, Url, redirect};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Answer, Input};
use crate::dsl::spec::ProcessorSink;
use crate::error::{Error, Result};
use crate::sink::content;
use crate::spool::{SpoolError, SpoolReader};

mod poll;
mod response;

pub(super) use response::{fits, too_large};

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The first wait between two looks whether the processor is there.
const READY_WAIT: Duration = Duration::from_millis(100);
/// The longest.
const READY_WAIT_MAX: Duration = Duration::from_secs(2);

/// An HTTP processor.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    content_type: Option<HeaderValue>,
    send_name: bool,
    result_max: u64,
    ready: Duration,
}

impl Http {
    pub(super) fn new(url: &str, spec: &ProcessorSink) -> Result<Self> {
        let url = Url::parse(url)
            .map_err(|error| bad_url(url).because(error))
            .and_then(|parsed| {
                if is_http(&parsed) {
                    Ok(parsed)
                } else {
                    Err(bad_url(url))
                }
            })?;
        let content_type = spec.content_type.as_deref().map(header).transpose()?;
        let client = client(&url).map_err(|error| {
            Error::config("the HTTP client for the processor cannot be made").because(error)
        })?;
        let &ProcessorSink {
            send_name,
            result_max,
            ready,
            ..
        } = spec;
        Ok(Self {
            client,
            url,
            content_type,
            send_name,
            result_max,
            ready,
        })
    }

    /// Connects and hangs up again, with growing waits, until that works or the time is over.
    pub(super) async fn ready(&self) -> Result<()> {
        let end = Instant::now() + self.ready;
        let mut wait = READY_WAIT;
        loop {
            let limit = end.saturating_duration_since(Instant::now()).max(READY_WAIT_MAX);
            let cause = match tokio::time::timeout(limit, self.connect()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => std::io::ErrorKind::TimedOut.into(),
            };
            if Instant::now() + wait > end {
                let what = format!("the processor at {} is not there", self.shown());
                let hint = "start it, or set `sink.processor.url` to where it listens; `sink.processor.ready` says how long to wait for it";
                return Err(Error::away(what).hint(hint).because(cause));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(READY_WAIT_MAX);
        }
    }

    async fn connect(&self) -> std::io::Result<()> {
        let host = host(&self.url);
        let port = self.url.port_or_known_default().unwrap_or(80);
        TcpStream::connect((host, port)).await.map(drop)
    }

    /// Sends the file and reads the answer. Dropping the future drops the connection.
    pub(super) async fn analyse(&self, input: &Input) -> Answer {
        let abort = CancellationToken::new();
        let _abort_on_drop = abort.clone().drop_guard();
        match self.post(input, abort).await {
            Ok(response) => self.finish(response).await,
            Err(answer) => answer,
        }
    }

    async fn post(&self, input: &Input, abort: CancellationToken) -> Result<Response, Answer> {
        let broken = Arc::new(OnceLock::new());
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, self.content_type(&input.file).await?)
            .body(Body::wrap_stream(body(&input.file, abort, Arc::clone(&broken))));
        if let Some(size) = input.file.size() {
            request = request.header(CONTENT_LENGTH, size);
        }
        if let Some(name) = input.name.as_deref().filter(|_| self.send_name) {
            request = request.header(CONTENT_DISPOSITION, disposition(name));
        }
        request.send().await.map_err(|error| match broken.get() {
            Some(cause) => Answer::from_spool(cause),
            None => self.lost(error),
        })
    }

    async fn finish(&self, response: Response) -> Answer {
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::SEE_OTHER => self.poll(response).await,
            _ => self.read(response).await,
        }
    }

    async fn content_type(&self, file: &SpoolReader) -> Result<HeaderValue, Answer> {
        if let Some(content_type) = &self.content_type {
            return Ok(content_type.clone());
        }
        let head = file.head().await.map_err(|error| Answer::from_spool(&error))?;
        let kind = content::of_signature(&head).unwrap_or("application/octet-stream");
        Ok(HeaderValue::from_static(kind))
    }

    /// What a request without a response means.
    fn lost(&self, error: reqwest::Error) -> Answer {
        let nobody = error.is_connect();
        let chain = chain(&error.without_url());
        if nobody {
            Answer::away(format!(
                "the processor at {} cannot be reached: {chain}",
                self.shown()
            ))
        } else {
            Answer::failed(format!("the connection to the processor was lost: {chain}"))
        }
    }

    /// The URL without what may be secret in it.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        // Only URLs without a host refuse this; ours has one.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        url.to_string()
    }
}

/// The request's body: follows the spool, and breaks off when the analysis is given up, so that a server never
/// takes the part for the whole and no connection outlives its analysis.
fn body(
    file: &SpoolReader,
    abort: CancellationToken,
    broken: Arc<OnceLock<SpoolError>>,
) -> impl Stream<Item = Result<Bytes, SpoolError>> + Send + 'static {
    let pieces = file.stream().inspect_err(move |error| {
        // Only the first error counts, and there is only one.
        let _ = broken.set(error.clone());
    });
    stream::try_unfold((pieces.boxed(), abort), |(mut pieces, abort)| async move {
        tokio::select! {
            biased;
            () = abort.cancelled() => Err(SpoolError::Abandoned),
            piece = pieces.try_next() => Ok(piece?.map(|piece| (piece, (pieces, abort)))),
        }
    })
}

pub(in crate::sink) fn client(url: &Url) -> reqwest::Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("roundtrip/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_MAX)
        // A streamed body cannot be sent again, so no analysis may begin on a connection that the server is
        // just closing.
        .pool_max_idle_per_host(0);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // A container without certificates can still reach a processor beside it.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

fn bad_url(url: &str) -> Error {
    Error::config(format!("`sink.processor.url` is no HTTP address: {url}"))
        .hint("write it as http://host:port/path")
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn header(content_type: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(content_type).map_err(|error| {
        Error::config(format!(
            "`sink.processor.content-type` cannot be sent: {content_type:?}"
        ))
        .because(error)
    })
}

/// The host as the resolver takes it: an IPv6 address without its brackets.
fn host(url: &Url) -> &str {
    url.host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

fn is_loopback(url: &Url) -> bool {
    let host = host(url);
    let named = host == "localhost" || host.ends_with(".localhost");
    named
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// `Content-Disposition` with the file's name in UTF-8 (RFC 8187), without the folders it lay in.
fn disposition(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let mut value = String::from("attachment; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

/// An error and its causes in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let part = inner.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = inner.source();
    }
    text
}
