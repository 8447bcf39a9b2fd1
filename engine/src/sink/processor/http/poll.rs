//! A processor that accepts a file now and has the result later: 202 with a place to look.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode, Url};

use super::super::Answer;
use super::response::{explain, retry_after};
use super::{Http, host, is_http};

/// The wait between looks where the processor names none.
const WAIT: Duration = Duration::from_secs(1);
/// The longest it grows to.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// No wait is shorter, whatever the processor says.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// Looks without an answer, one after the other, before the analysis counts as lost.
const MISSES_MAX: u32 = 5;

/// Where to look next, and when.
struct Watch {
    place: Url,
    wait: Duration,
    misses: u32,
    followed: bool,
}

/// What a look brought.
enum Seen {
    Later(Duration),
    Missed(Answer, Option<Duration>),
    Final(Response),
    Lost(Answer),
}

impl Http {
    /// Looks at the place a 202 (or 303) names until the result is there. The analysis's timeout bounds it.
    pub(super) async fn poll(&self, first: Response) -> Answer {
        let place = match location(&first, &self.url) {
            Ok(place) => place,
            Err(answer) => return answer,
        };
        let followed = first.status() == StatusCode::SEE_OTHER;
        let mut pause = if followed {
            Duration::ZERO
        } else {
            retry_after(&first).unwrap_or(WAIT).max(WAIT_MIN)
        };
        let mut watch = Watch {
            place,
            wait: WAIT,
            misses: 0,
            followed,
        };
        drop(first);
        loop {
            tokio::time::sleep(pause).await;
            match self.look(&mut watch).await {
                Seen::Later(next) => {
                    watch.misses = 0;
                    pause = next;
                }
                Seen::Missed(answer, after) => {
                    watch.misses += 1;
                    if watch.misses >= MISSES_MAX {
                        return answer;
                    }
                    pause = watch.next(after);
                }
                Seen::Final(response) => return self.read(response).await,
                Seen::Lost(answer) => return answer,
            }
        }
    }

    async fn look(&self, watch: &mut Watch) -> Seen {
        let response = match self.client.get(watch.place.clone()).send().await {
            Ok(response) => response,
            Err(error) => return Seen::Missed(self.lost(error), None),
        };
        let status = response.status();
        let after = retry_after(&response);
        match status {
            StatusCode::ACCEPTED => {
                if response.headers().contains_key(LOCATION)
                    && let Err(answer) = watch.go_on(&response)
                {
                    return Seen::Lost(answer);
                }
                Seen::Later(watch.next(after))
            }
            StatusCode::SEE_OTHER if !watch.followed => {
                watch.followed = true;
                watch
                    .go_on(&response)
                    .map_or_else(Seen::Lost, |()| Seen::Later(Duration::ZERO))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let why = explain(response).await;
                Seen::Lost(Answer::failed(format!(
                    "the processor no longer knows the analysis: {why}"
                )))
            }
            _ if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                let why = explain(response).await;
                Seen::Missed(Answer::Failed { why, after }, after)
            }
            _ => Seen::Final(response),
        }
    }
}

impl Watch {
    fn go_on(&mut self, response: &Response) -> Result<(), Answer> {
        self.place = location(response, &self.place)?;
        Ok(())
    }

    /// The wait before the next look; without a word from the processor each is longer than the one before.
    fn next(&mut self, after: Option<Duration>) -> Duration {
        self.wait = (self.wait * 3 / 2).min(WAIT_MAX);
        after.unwrap_or(self.wait).max(WAIT_MIN)
    }
}

/// The place a response names, which must be on the host that was asked: results come from the configured
/// processor or not at all.
fn location(response: &Response, asked: &Url) -> Result<Url, Answer> {
    let status = response.status();
    let Some(value) = response.headers().get(LOCATION) else {
        return Err(Answer::failed(format!(
            "the processor answered {status} without a Location to look at"
        )));
    };
    let place = value
        .to_str()
        .ok()
        .and_then(|text| asked.join(text).ok())
        .filter(is_http);
    match place {
        Some(place) if host(&place) == host(asked) => Ok(place),
        Some(place) => {
            let other = host(&place);
            Err(Answer::failed(format!(
                "the processor answered {status} with a Location on another host, {other}"
            )))
        }
        None => Err(Answer::failed(format!(
            "the processor answered {status} with a Location that is no HTTP address"
        ))),
    }
}
