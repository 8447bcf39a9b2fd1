//! Processors as `roundtrip local` is given them: commands, and a small HTTP service.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::program::{Desk, assert_code, seen};
use crate::world::{assert_fingerprint, files_below, history, noise, text};

pub(crate) type Reply = Response<Full<Bytes>>;

pub(crate) fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let response = Response::builder()
        .status(status)
        .header("content-type", content_type);
    response.body(Full::new(body.into())).unwrap()
}

/// Serves HTTP on a free port of this machine until the test ends, each whole body answered by `answer`.
pub(crate) async fn serve(answer: impl Fn(Bytes) -> Reply + Clone + Send + 'static) -> String {
    serve_requests(move |_, body| answer(body)).await
}

/// The same, where method and path matter: `PUT /path`.
pub(crate) async fn serve_requests(
    answer: impl Fn(String, Bytes) -> Reply + Clone + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let asked = format!("{} {}", request.method(), request.uri().path());
                    let body = request.into_body().collect().await;
                    let reply = match body {
                        Ok(body) => answer(asked, body.to_bytes()),
                        Err(_) => reply(400, "text/plain", "the body broke off"),
                    };
                    Ok::<_, Infallible>(reply)
                }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_answers_in_every_way() {
    let desk = Desk::new();
    for name in ["json", "text", "rejected", "flaky", "long", "longer"] {
        desk.put(format!("{name}.in"), name);
    }
    let (long, longer) = (noise(1, 500_000), noise(2, 5_000_000));
    let results = (Bytes::from(long.clone()), Bytes::from(longer.clone()));
    let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let counts = Arc::clone(&asked);
    let url = serve(move |body| {
        let file = String::from_utf8(body.to_vec()).unwrap();
        let mut counts = counts.lock().unwrap();
        let times = counts.entry(file.clone()).or_default();
        *times += 1;
        match (file.as_str(), *times) {
            ("json", _) => reply(200, "application/json; charset=utf-8", "{\"cells\":3}"),
            ("text", _) => reply(200, "text/plain", "three cells"),
            ("rejected", _) => reply(422, "text/plain", "not an image of cells"),
            ("flaky", 1 | 2) => reply(500, "text/plain", "out of memory"),
            ("flaky", _) => reply(200, "text/plain", "at last"),
            ("long", _) => reply(200, "application/octet-stream", results.0.clone()),
            ("longer", _) => reply(200, "application/octet-stream", results.1.clone()),
            (file, _) => reply(400, "text/plain", format!("what is {file}?")),
        }
    })
    .await;
    let output = desk.once(&["--processor", &url]);
    assert_code(&output, 1);

    assert_eq!(desk.result("json.in.json"), "{\"cells\":3}");
    assert_eq!(desk.result("text.in.txt"), "three cells");
    assert_eq!(desk.result("flaky.in.txt"), "at last");
    let error = desk.result("rejected.in.error.txt");
    assert!(
        error.contains("422") && error.contains("not an image of cells"),
        "{error}"
    );
    assert_eq!(std::fs::read(desk.path("results/long.in.bin")).unwrap(), long);
    assert_eq!(std::fs::read(desk.path("results/longer.in.bin")).unwrap(), longer);
    assert_eq!(files_below(&desk.path("results")).len(), 6);
    let asked = asked.lock().unwrap().clone();
    let times: Vec<(&str, usize)> = asked
        .iter()
        .map(|(file, times)| (file.as_str(), *times))
        .collect();
    let expected = [
        ("flaky", 3),
        ("json", 1),
        ("long", 1),
        ("longer", 1),
        ("rejected", 1),
        ("text", 1),
    ];
    assert_eq!(times, expected);

    let left = desk.look().await;
    assert_eq!(left.objects, Vec::<String>::new());
    let through_the_bucket = left.records.iter().filter(|record| {
        let lies_at = format!("{}/{}/results", text(record, "client"), text(record, "file"));
        text(record, "results") == lies_at
    });
    assert_eq!(through_the_bucket.count(), 2);
    let mut stories: Vec<_> = left.records.iter().map(history).collect();
    stories.sort_unstable();
    let once: &[&str] = &["complete"];
    assert_eq!(
        stories,
        [
            once,
            once,
            once,
            once,
            &["fail"],
            &["release", "release", "complete"]
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_leaves_its_last_words() {
    let desk = Desk::new();
    desk.put("good.txt", "good");
    desk.put("bad.txt", "bad");
    let command =
        "sh -c 'read word; test \"$word\" = good && echo \"$word\" || { echo no such cell >&2; exit 3; }'";
    let output = desk.once(&["--command", command]);
    assert_code(&output, 1);
    assert_eq!(desk.result("good.txt.txt"), "good\n");
    let error = desk.result("bad.txt.error.txt");
    assert!(error.contains("exit status 3: no such cell"), "{error}");
    assert!(seen(&output).contains("bad.txt failed -> "), "{}", seen(&output));
    let left = desk.look().await;
    let mut statuses: Vec<_> = left.records.iter().map(|record| text(record, "status")).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["COMPLETED", "ERROR"]);
    assert_eq!(left.objects, Vec::<String>::new());

    // What failed is not tried for ever: a new run leaves it, a new content is a new job.
    assert_code(&desk.once(&["--command", command]), 0);
    desk.put("bad.txt", "good");
    assert_code(&desk.once(&["--command", command]), 0);
    assert_eq!(desk.result("bad.txt.txt"), "good\n");
    assert!(!desk.path("results/bad.txt.error.txt").exists());
}

#[test]
fn a_command_reads_the_file_by_its_path() {
    let desk = Desk::new();
    let content = noise(7, 200_000);
    desk.put("by path.dat", &content);
    let copy = desk.path("copy");
    let command = format!(
        "sh -c 'cp \"$1\" \"$2\" && echo {{}}' - {{file}} {}",
        copy.display()
    );
    let output = desk.once(&["--command", &command, "--set", "upload.chunker.fixed.size=64 KiB"]);
    assert_code(&output, 0);
    assert_eq!(std::fs::read(copy).unwrap(), content);
    assert_eq!(desk.result("by path.dat.json"), "{}\n");
    assert_eq!(desk.spooled(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_service_nothing_starts_and_nothing_is_lost() {
    let desk = Desk::new();
    desk.put("early.txt", "early");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut local = desk.local(["--processor", &url, "--set", "analyse.sink.processor.ready=0s"]);
    let output = local.arg("--once").output().unwrap();
    assert_code(&output, 75);
    assert!(seen(&output).contains("is not there"), "{}", seen(&output));
    // Nothing is lost: with a processor the same file has its result.
    assert_code(&desk.once(&[]), 0);
    assert_fingerprint("early.txt", &desk.result("early.txt.json"), b"early");
}
