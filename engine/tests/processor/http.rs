//! An HTTP service as the processor.

use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;
use roundtrip::error::{Exit, render};
use roundtrip::sink::processor::{Answer, Processor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::world::{World, analyse, analyse_until, http, reason, reply, result, serve};

/// What the service saw of a request, in lines.
async fn seen(request: Request<Incoming>) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for name in [
        "content-type",
        "content-length",
        "transfer-encoding",
        "content-disposition",
    ] {
        if let Some(value) = request.headers().get(name) {
            let _ = writeln!(text, "{name}: {}", value.to_str().expect("text"));
        }
    }
    let body = request
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    let _ = write!(text, "{} bytes", body.len());
    text
}

/// A service that says one thing, whatever it is sent, and reads everything before.
async fn says(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> String {
    serve(move |request| async move {
        seen(request).await;
        reply(status, headers, body)
    })
    .await
}

/// A service on bare TCP: it sends this text once it has seen the head of a request, and hangs up.
async fn hangs_up_after(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_head(&mut stream).await;
        stream.write_all(text.as_bytes()).await.expect("a listener");
    });
    url
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
}

#[tokio::test]
async fn a_file_is_posted_with_length_and_kind() {
    let world = World::new();
    let url =
        serve(async |request| reply(200, &[("content-type", "text/x-seen")], &seen(request).await)).await;
    let png = world.file(b"\x89PNG\r\n\x1a\n and more").await;
    let answer = analyse(&http(&format!("{url}analyse?fast=1")), png).await;
    assert!(
        matches!(&answer, Answer::Result { content_type, .. } if content_type.as_deref() == Some("text/x-seen"))
    );
    insta::assert_snapshot!(result(answer), @r#"
    POST /analyse?fast=1
    content-type: image/png
    content-length: 17
    17 bytes
    "#);

    let mut spec = http(&url);
    spec.content_type = Some("image/x-ours".to_owned());
    spec.send_name = true;
    let empty = world.file(b"").await;
    insta::assert_snapshot!(result(analyse(&spec, empty).await), @r#"
    POST /
    content-type: image/x-ours
    content-length: 0
    content-disposition: attachment; filename*=UTF-8''%C3%A9.tif
    0 bytes
    "#);
}

#[tokio::test]
async fn a_file_goes_out_while_it_comes_in() {
    let world = World::new();
    let (started, mut starts) = mpsc::unbounded_channel();
    let url = serve(move |request| {
        let started = started.clone();
        async move {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            started.send(first).unwrap();
            let rest = body.collect().await.unwrap().to_bytes();
            reply(200, &[], &format!("and {} more", rest.len()))
        }
    })
    .await;
    let (mut writer, reader) = world.growing(Some(6));
    let mut spec = http(&url);
    // Else the kind is told from the first 8 KiB, here the whole file.
    spec.content_type = Some("text/plain".to_owned());
    let analysis = tokio::spawn(async move { analyse(&spec, reader).await });
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(starts.recv().await.unwrap(), "abc");
    writer.append(Bytes::from_static(b"def")).await.unwrap();
    writer.prove().unwrap();
    assert_eq!(result(analysis.await.unwrap()), "and 3 more");
}

#[tokio::test]
async fn a_file_of_unknown_size_waits_until_it_is_known() {
    let world = World::new();
    let url = serve(async |request| reply(200, &[], &seen(request).await)).await;
    let (mut writer, reader) = world.growing(None);
    let spec = http(&url);
    let mut analysis = pin!(analyse(&spec, reader));
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    assert!(poll!(&mut analysis).is_pending());
    writer.prove().unwrap();
    assert!(result(analysis.await).contains("content-length: 3"));
}

#[tokio::test]
async fn each_status_means_what_it_says() {
    let world = World::new();
    let mut meanings = String::new();
    for (status, headers, body) in [
        (201, &[][..], "made"),
        (204, &[], ""),
        (400, &[], "  no \x1b[31mTIFF\r\n"),
        (401, &[], "who are you?"),
        (403, &[], ""),
        (404, &[], ""),
        (405, &[], ""),
        (407, &[], ""),
        (408, &[], "slow"),
        (409, &[("retry-after", "3")], ""),
        (413, &[("retry-after", "9")], "too large"),
        (415, &[], ""),
        (422, &[], "no cells"),
        (425, &[], ""),
        (429, &[], "busy"),
        (429, &[("retry-after", "7")], "busy"),
        (500, &[], "broken"),
        (502, &[("retry-after", "7")], ""),
        (503, &[], "starting"),
        (503, &[("retry-after", "7")], "starting"),
        (307, &[("location", "http://elsewhere/")], ""),
    ] {
        let answer = analyse(
            &http(&says(status, headers, body).await),
            world.file(b"abc").await,
        )
        .await;
        let meaning = if let Answer::Result { body, .. } = &answer {
            format!("result of {} bytes", body.len())
        } else {
            reason(answer)
        };
        let _ = writeln!(meanings, "{status}: {meaning}");
    }
    insta::assert_snapshot!(meanings, @r#"
    201: result of 4 bytes
    204: result of 0 bytes
    400: job fault: the processor answered 400 Bad Request: no �[31mTIFF
    401: turned away: the processor answered 401 Unauthorized: who are you? (unless this is about the file, check `sink.processor.url`, and whom and what the processor lets ask)
    403: turned away: the processor answered 403 Forbidden (unless this is about the file, check `sink.processor.url`, and whom and what the processor lets ask)
    404: turned away: the processor answered 404 Not Found (unless this is about the file, check `sink.processor.url`, and whom and what the processor lets ask)
    405: turned away: the processor answered 405 Method Not Allowed (unless this is about the file, check `sink.processor.url`, and whom and what the processor lets ask)
    407: turned away: the processor answered 407 Proxy Authentication Required (unless this is about the file, check `sink.processor.url`, and whom and what the processor lets ask)
    408: failed: the processor answered 408 Request Timeout: slow
    409: turned away [after 3s]: the processor answered 409 Conflict (unless this is about the file, check `sink.processor.url`, and whom and what the processor lets ask)
    413: job fault: the processor answered 413 Payload Too Large: too large
    415: job fault: the processor answered 415 Unsupported Media Type
    422: job fault: the processor answered 422 Unprocessable Entity: no cells
    425: failed: the processor answered 425 Too Early
    429: away: the processor answered 429 Too Many Requests: busy
    429: away [after 7s]: the processor answered 429 Too Many Requests: busy
    500: failed: the processor answered 500 Internal Server Error: broken
    502: failed [after 7s]: the processor answered 502 Bad Gateway
    503: failed: the processor answered 503 Service Unavailable: starting
    503: away [after 7s]: the processor answered 503 Service Unavailable: starting
    307: turned away: the processor answered 307 Temporary Redirect to http://elsewhere/: set `sink.processor.url` to where it is
    "#);
}

#[tokio::test]
async fn the_start_of_a_long_error_is_kept() {
    let world = World::new();
    let long: &'static str = "é".repeat(10_000).leak();
    let why = reason(analyse(&http(&says(400, &[], long).await), world.file(b"abc").await).await);
    assert_eq!(why.chars().filter(|&character| character == 'é').count(), 500);
    assert!(!why.contains('\u{fffd}'));
}

#[tokio::test]
async fn nobody_there_is_nobodys_fault() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://lab:secret@{address}/analyse?token=secret");
    let why = reason(analyse(&http(&url), world.file(b"abc").await).await);
    assert!(
        why.starts_with(&format!(
            "away: the processor at http://{address}/analyse cannot be reached"
        )),
        "{why}"
    );
    assert!(why.contains("refused") && !why.contains("secret"), "{why}");

    let error = Processor::new(&http(&url)).unwrap().ready().await.unwrap_err();
    assert_eq!(error.exit, Exit::TryAgain);
    let text = render(&error).replace(&address.to_string(), "HOST");
    insta::assert_snapshot!(text, @r#"
    Error: the processor at http://HOST/analyse is not there
    Caused by: Connection refused (os error 111)
    Hint: start it, or set `sink.processor.url` to where it listens; `sink.processor.ready` says how long to wait for it
    "#);
}

#[tokio::test]
async fn a_processor_that_comes_later_is_waited_for() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut spec = http(&format!("http://{}/", socket.local_addr().unwrap()));
    spec.ready = Duration::from_mins(1);
    let processor = Processor::new(&spec).unwrap();
    let mut ready = pin!(processor.ready());
    assert!(poll!(&mut ready).is_pending());
    let _listener = socket.listen(1).unwrap();
    ready.await.unwrap();
}

#[test]
fn what_is_no_http_address_is_refused() {
    for url in ["", "processor:8000", "ftp://processor/", "http://", "/analyse"] {
        assert_eq!(
            Processor::new(&http(url)).unwrap_err().exit,
            Exit::Config,
            "{url}"
        );
    }
}

#[tokio::test]
async fn an_early_refusal_counts_once_the_file_is_proven() {
    let world = World::new();
    let (answered, mut answers) = mpsc::unbounded_channel();
    let url = serve(move |request| {
        answered.send(()).unwrap();
        // Read on after the answer: a service that hangs up resets what the client is still sending.
        tokio::spawn(request.into_body().collect());
        async { reply(413, &[], "we take 1 MB") }
    })
    .await;
    let (mut writer, reader) = world.growing(Some(2_000_000));
    let spec = http(&url);
    let mut analysis = tokio::spawn(async move { analyse(&spec, reader).await });
    writer.append(vec![7; 1_000_000].into()).await.unwrap();
    answers.recv().await.unwrap();
    assert!(poll!(&mut analysis).is_pending());
    writer.append(vec![7; 1_000_000].into()).await.unwrap();
    writer.prove().unwrap();
    let expected = "job fault: the processor answered 413 Payload Too Large: we take 1 MB";
    assert_eq!(reason(analysis.await.unwrap()), expected);
}

#[tokio::test]
async fn a_hasty_result_of_an_unproven_file_is_none() {
    let world = World::new();
    let (answered, mut answers) = mpsc::unbounded_channel();
    let url = serve(move |_unread| {
        answered.send(()).unwrap();
        async { reply(200, &[], "looks fine") }
    })
    .await;
    let (mut writer, reader) = world.growing(Some(6));
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    let analysis = tokio::spawn(async move { analyse(&http(&url), reader).await });
    // The head needs the whole of so short a file.
    writer.append(Bytes::from_static(b"dex")).await.unwrap();
    answers.recv().await.unwrap();
    writer.fail("the file is not what its client signed");
    assert_eq!(
        reason(analysis.await.unwrap()),
        "unproven: the file is not what its client signed"
    );
}

#[tokio::test]
async fn a_failed_file_breaks_the_request_off() {
    let world = World::new();
    let (saw, mut sights) = mpsc::unbounded_channel();
    let url = serve(move |request| {
        let saw = saw.clone();
        async move {
            saw.send(true).unwrap();
            saw.send(request.into_body().collect().await.is_ok()).unwrap();
            reply(200, &[], "as if nothing had happened")
        }
    })
    .await;
    let (mut writer, reader) = world.growing(Some(20_000));
    let analysis = tokio::spawn(async move { analyse(&http(&url), reader).await });
    writer.append(vec![7; 20_000].into()).await.unwrap();
    assert_eq!(sights.recv().await, Some(true));
    writer.fail("chunk 1 was replaced");
    assert_eq!(reason(analysis.await.unwrap()), "unproven: chunk 1 was replaced");
    assert_eq!(
        sights.recv().await,
        Some(false),
        "the service took the file for complete"
    );
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_may_go_better() {
    let world = World::new();
    for text in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
    ] {
        let url = hangs_up_after(text).await;
        let why = reason(analyse(&http(&url), world.file(&[7; 3]).await).await);
        assert!(why.starts_with("failed: the connection "), "{text:?}: {why}");
    }
}

#[tokio::test]
async fn a_result_has_a_limit() {
    let world = World::new();
    let full: &'static str = "x".repeat(1_000).leak();
    assert_eq!(
        result(analyse(&http(&says(200, &[], full).await), world.file(b"abc").await).await),
        full
    );
    let over: &'static str = "x".repeat(1_001).leak();
    let why = reason(analyse(&http(&says(200, &[], over).await), world.file(b"abc").await).await);
    assert_eq!(
        why,
        "job fault: the result is larger than 1000 bytes (sink.processor.result-max)"
    );
}

/// A service that answers nobody, and tells when a request came and when its connection was gone.
async fn silent() -> (String, mpsc::UnboundedReceiver<&'static str>) {
    let (tell, told) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_head(&mut stream).await;
        tell.send("came").expect("a test");
        // The end of what the client sends; a reset is an end too.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        tell.send("gone").expect("a test");
    });
    (url, told)
}

#[tokio::test]
async fn an_analysis_that_takes_too_long_is_given_up() {
    let world = World::new();
    let (url, mut told) = silent().await;
    let mut spec = http(&url);
    spec.timeout = Duration::from_millis(200);
    let why = reason(analyse(&spec, world.file(b"abc").await).await);
    assert_eq!(
        why,
        "failed: the analysis took longer than 200ms (sink.processor.timeout)"
    );
    assert_eq!(told.recv().await, Some("came"));
    assert_eq!(told.recv().await, Some("gone"));
}

#[tokio::test]
async fn stopping_drops_the_request() {
    let world = World::new();
    let (url, mut told) = silent().await;
    let stop = CancellationToken::new();
    let file = world.file(b"abc").await;
    let analysis = tokio::spawn({
        let stop = stop.clone();
        async move { analyse_until(&http(&url), file, stop).await }
    });
    assert_eq!(told.recv().await, Some("came"));
    stop.cancel();
    assert_eq!(analysis.await.unwrap(), None);
    assert_eq!(told.recv().await, Some("gone"));
}
