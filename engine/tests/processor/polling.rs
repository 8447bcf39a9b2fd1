//! A service that accepts a file now and has the result later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;

use crate::world::{Reply, World, analyse, http, reason, reply, result, serve};

/// A service that gives these replies one after the other, and the requests it had.
async fn script(replies: Vec<Reply>) -> (String, Arc<Mutex<Vec<String>>>) {
    let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let url = serve(move |request| {
        seen.lock()
            .expect("no panic")
            .push(format!("{} {}", request.method(), request.uri()));
        let reply = replies.lock().expect("no panic").pop_front();
        async move {
            request.into_body().collect().await.expect("a whole body");
            reply.unwrap_or_else(|| self::reply(410, &[], "nothing more to say"))
        }
    })
    .await;
    (url, requests)
}

#[tokio::test]
async fn the_place_is_looked_at_until_the_result_is_there() {
    let world = World::new();
    let (url, requests) = script(vec![
        reply(
            202,
            &[("location", "../runs/7"), ("retry-after", "0")],
            "accepted",
        ),
        reply(202, &[("retry-after", "0")], ""),
        reply(503, &[("retry-after", "0")], "a moment"),
        reply(202, &[("location", "/runs/7/state"), ("retry-after", "0")], ""),
        reply(303, &[("location", "/runs/7/result")], ""),
        reply(200, &[("content-type", "application/json")], "{\"cells\":12}"),
    ])
    .await;
    let answer = analyse(&http(&format!("{url}v1/analyse")), world.file(b"abc").await).await;
    assert_eq!(result(answer), "{\"cells\":12}");
    let requests = requests.lock().unwrap().join("\n");
    insta::assert_snapshot!(requests, @r#"
    POST /v1/analyse
    GET /runs/7
    GET /runs/7
    GET /runs/7
    GET /runs/7/state
    GET /runs/7/result
    "#);
}

#[tokio::test]
async fn a_result_elsewhere_is_fetched_once() {
    let world = World::new();
    let (url, _) = script(vec![
        reply(303, &[("location", "/result")], ""),
        reply(200, &[], "here"),
    ])
    .await;
    assert_eq!(
        result(analyse(&http(&url), world.file(b"abc").await).await),
        "here"
    );
}

#[tokio::test]
async fn a_place_that_leads_nowhere_ends_the_analysis() {
    let world = World::new();
    let mut reasons = Vec::new();
    let accepted = || reply(202, &[("location", "/runs/7"), ("retry-after", "0")], "");
    for replies in [
        vec![reply(202, &[], "on my word")],
        vec![reply(202, &[("location", "http://169.254.169.254/secrets")], "")],
        vec![reply(202, &[("location", "file:///etc/passwd")], "")],
        vec![accepted(), reply(404, &[], "which run?")],
        vec![accepted(), reply(410, &[], "")],
        vec![accepted(), reply(422, &[], "no cells in it")],
        vec![accepted(), reply(303, &[("location", "http://elsewhere/")], "")],
        vec![accepted(), reply(302, &[("location", "/login")], "")],
    ] {
        let (url, _) = script(replies).await;
        reasons.push(reason(analyse(&http(&url), world.file(b"abc").await).await));
    }
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    failed: the processor answered 202 Accepted without a Location to look at
    failed: the processor answered 202 Accepted with a Location on another host, 169.254.169.254
    failed: the processor answered 202 Accepted with a Location that is no HTTP address
    failed: the processor no longer knows the analysis: the processor answered 404 Not Found: which run?
    failed: the processor no longer knows the analysis: the processor answered 410 Gone
    job fault: the processor answered 422 Unprocessable Entity: no cells in it
    failed: the processor answered 303 See Other with a Location on another host, elsewhere
    turned away: the processor answered 302 Found to /login: set `sink.processor.url` to where it is
    "#);
}

#[tokio::test]
async fn a_place_that_keeps_failing_is_given_up() {
    let world = World::new();
    let mut replies = vec![reply(202, &[("location", "/runs/7"), ("retry-after", "0")], "")];
    replies.extend((0..9).map(|_| reply(500, &[("retry-after", "0")], "broken")));
    let (url, requests) = script(replies).await;
    let why = reason(analyse(&http(&url), world.file(b"abc").await).await);
    assert_eq!(
        why,
        "failed [after 0ns]: the processor answered 500 Internal Server Error: broken"
    );
    assert_eq!(requests.lock().unwrap().len(), 6);
}
