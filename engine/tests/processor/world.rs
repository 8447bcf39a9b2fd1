//! What the tests share: a spool, processors, and a small HTTP service on a free port.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use roundtrip::dsl::spec::{ProcessorKind, ProcessorSink};
use roundtrip::sink::processor::{Answer, Input, Processor, alive};
use roundtrip::spool::{SpoolDir, SpoolReader, SpoolWriter};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A spool in a folder of its own.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    spool: SpoolDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let spool = SpoolDir::open(folder.path(), "processor-1").expect("a spool");
        Self { folder, spool }
    }

    /// A file that is still being written.
    pub(crate) fn growing(&self, size: Option<u64>) -> (SpoolWriter, SpoolReader) {
        self.spool.create("file-1", size).expect("a spooled file")
    }

    /// A proven file.
    pub(crate) async fn file(&self, content: &[u8]) -> SpoolReader {
        let (mut writer, reader) = self.growing(Some(content.len() as u64));
        writer
            .append(Bytes::copy_from_slice(content))
            .await
            .expect("room in the spool");
        writer.prove().expect("a whole file");
        reader
    }
}

pub(crate) fn spec(kind: ProcessorKind) -> ProcessorSink {
    ProcessorSink {
        kind,
        timeout: Duration::from_mins(1),
        content_type: None,
        send_name: false,
        result_max: 1_000,
        ready: Duration::ZERO,
    }
}

pub(crate) fn http(url: &str) -> ProcessorSink {
    spec(ProcessorKind::Http { url: url.to_owned() })
}

pub(crate) fn shell(script: &str) -> ProcessorSink {
    command(&["sh", "-c", script])
}

pub(crate) fn command(words: &[&str]) -> ProcessorSink {
    spec(ProcessorKind::Command {
        command: words.iter().map(|&word| word.to_owned()).collect(),
    })
}

pub(crate) async fn analyse(spec: &ProcessorSink, file: SpoolReader) -> Answer {
    let never = CancellationToken::new();
    analyse_until(spec, file, never).await.expect("nobody stops it")
}

/// An analysis that ends when it is told to, without an answer; nothing of it runs any more then.
pub(crate) async fn analyse_until(
    spec: &ProcessorSink,
    file: SpoolReader,
    stop: CancellationToken,
) -> Option<Answer> {
    let input = Input {
        file,
        name: Some("two words/é.tif".to_owned()),
    };
    let processor = Processor::new(spec).expect("a processor");
    let (alive, gone) = alive();
    let answer = tokio::select! {
        () = stop.cancelled() => None,
        answer = processor.analyse(input, alive) => Some(answer),
    };
    gone.wait().await;
    answer
}

/// The text of a result.
pub(crate) fn result(answer: Answer) -> String {
    let Answer::Result { body, .. } = answer else {
        panic!("expected a result, not {answer:?}")
    };
    String::from_utf8(body).expect("text")
}

/// The reason of an answer that is no result, after its kind.
pub(crate) fn reason(answer: Answer) -> String {
    let after =
        |after: Option<Duration>| after.map_or_else(String::new, |after| format!(" [after {after:?}]"));
    match answer {
        Answer::Result { .. } => panic!("expected no result"),
        Answer::JobFault(why) => format!("job fault: {why}"),
        Answer::Failed { why, after: wait } => format!("failed{}: {why}", after(wait)),
        Answer::Away { why, after: wait } => format!("away{}: {why}", after(wait)),
        Answer::TurnedAway { why, after: wait } => format!("turned away{}: {why}", after(wait)),
        Answer::Unproven(why) => format!("unproven: {why}"),
        Answer::Unfit(why) => format!("unfit: {why}"),
    }
}

pub(crate) type Reply = Response<Full<Bytes>>;

/// Serves HTTP on a free port of this machine until the test ends; the URL ends with `/`.
pub(crate) async fn serve<F, R>(answer: F) -> String
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let reply = answer(request);
                async move { Ok::<_, Infallible>(reply.await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    url
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("a valid reply")
}
