//! What a processor's response means for the job.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::super::{Answer, excerpt};
use super::{Http, chain};

/// Characters of an error body that reach the job's error.
const EXCERPT_CHARS_MAX: usize = 500;
/// Bytes of an error body that are read for it: UTF-8 has up to four a character.
const EXCERPT_BYTES_MAX: usize = 4 * EXCERPT_CHARS_MAX;
/// What a status that need not speak of the file calls for.
const ASKED_WRONG: &str = "unless this is about the file, check `sink.processor.url`, and whom and what the processor \
                           lets ask";
/// No request to come back later is followed beyond this.
const AFTER_MAX: Duration = Duration::from_hours(24);

impl Http {
    /// Reads a response that is the end of the analysis.
    pub(super) async fn read(&self, response: Response) -> Answer {
        let status = response.status();
        let after = retry_after(&response);
        if status.is_success() {
            return self.result(response).await;
        }
        if status.is_redirection() {
            return Answer::TurnedAway {
                why: moved(&response),
                after,
            };
        }
        let why = explain(response).await;
        match status {
            StatusCode::TOO_MANY_REQUESTS => Answer::Away { why, after },
            StatusCode::SERVICE_UNAVAILABLE if after.is_some() => Answer::Away { why, after },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Answer::Failed { why, after },
            // These speak of what was sent.
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => Answer::JobFault(why),
            // The others may speak of the request: a wrong path or a missing token would end every job of the queue.
            _ if status.is_client_error() => Answer::TurnedAway {
                why: format!("{why} ({ASKED_WRONG})"),
                after,
            },
            _ => Answer::Failed { why, after },
        }
    }

    async fn result(&self, mut response: Response) -> Answer {
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if !fits(body.len(), piece.len(), self.result_max) => {
                    return Answer::JobFault(too_large(self.result_max));
                }
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return Answer::Result { content_type, body },
                Err(error) => {
                    let chain = chain(&error.without_url());
                    return Answer::failed(format!(
                        "the connection was lost in the middle of the result: {chain}"
                    ));
                }
            }
        }
    }
}

/// Whether `more` bytes beside those already `held` keep a result within its limit.
pub(in crate::sink::processor) fn fits(held: usize, more: usize, limit: u64) -> bool {
    u64::try_from(held.saturating_add(more)).is_ok_and(|total| total <= limit)
}

/// The error of a result beyond its limit.
pub(in crate::sink::processor) fn too_large(limit: u64) -> String {
    format!("the result is larger than {limit} bytes (sink.processor.result-max)")
}

/// The status and the start of the body.
pub(super) async fn explain(mut response: Response) -> String {
    let mut text = format!("the processor answered {}", response.status());
    let mut body = Vec::new();
    // A body that breaks off still explains something.
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() >= EXCERPT_BYTES_MAX {
            break;
        }
    }
    let excerpt = excerpt::start(&body, EXCERPT_CHARS_MAX);
    if !excerpt.is_empty() {
        text.push_str(": ");
        text.push_str(&excerpt);
    }
    text
}

/// `Retry-After`: seconds, or an HTTP date.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    parse_retry_after(value, jiff::Timestamp::now())
}

fn parse_retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    let after = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(value)
            .ok()?;
        // A date that has passed means: at once.
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(after.min(AFTER_MAX))
}

/// A redirect is a matter of configuration: the body cannot be sent twice, and not to just anyone.
fn moved(response: &Response) -> String {
    let place = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nowhere");
    let place = excerpt::start(place.as_bytes(), EXCERPT_CHARS_MAX);
    format!(
        "the processor answered {} to {place}: set `sink.processor.url` to where it is",
        response.status()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("99999999999", Some(24 * 60 * 60)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(
                parse_retry_after(value, now).map(|after| after.as_secs()),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_result_may_fill_its_limit() {
        assert!(fits(3, 2, 5));
        assert!(!fits(3, 3, 5));
    }
}
