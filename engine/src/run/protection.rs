//! Asks the agent of Amazon ECS to protect this task from being scaled in, or no longer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use roundtrip_core::protection::Protect;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// The variable in which the agent tells a container where it listens.
const AGENT_URI: &str = "ECS_AGENT_URI";

/// How long the agent may take: it asks a service for it. Short enough for the end of a fetcher that drains.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read, at most.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Characters of an answer that is not understood and is told of.
const EXCERPT_CHARS_MAX: usize = 200;

/// The agent of the task this process runs in.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    client: Client,
    url: String,
    /// The pipelines of this process whose wish for protection was granted, and until when: the task is let go when
    /// there is none. Held over a whole request: they reach the agent in the order in which they are noted.
    wanted_by: Arc<Mutex<BTreeMap<String, Instant>>>,
}

impl Agent {
    /// The agent that this process's environment names; none outside of ECS.
    pub(super) fn of_environment() -> Result<Option<Self>> {
        let uri = std::env::var(AGENT_URI).ok().filter(|uri| !uri.is_empty());
        uri.map(|uri| Self::at(&uri)).transpose()
    }

    fn at(uri: &str) -> Result<Self> {
        // The agent listens on a link-local address, which no proxy reaches.
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build();
        let client = client
            .map_err(|error| Error::failed("cannot set up HTTP for the agent of ECS").because(error))?;
        let url = format!("{}/task-protection/v1/state", uri.trim_end_matches('/'));
        Ok(Self {
            client,
            url,
            wanted_by: Arc::default(),
        })
    }

    /// Asks in the name of a pipeline; gives why it was refused.
    pub(super) async fn ask(&self, pipeline: &str, protect: Protect) -> std::result::Result<(), String> {
        let mut wanted_by = self.wanted_by.lock().await;
        let now = Instant::now();
        wanted_by.retain(|_, until| *until > now);
        match protect {
            Protect::For { minutes } => {
                // The agent knows one end for the whole task: another pipeline's is not brought forward.
                let until = now + Duration::from_secs(minutes.saturating_mul(60));
                let last = wanted_by.values().copied().fold(until, Instant::max);
                let minutes = (last - now).as_secs().div_ceil(60);
                self.put(&json!({"ProtectionEnabled": true, "ExpiresInMinutes": minutes}))
                    .await?;
                wanted_by.insert(pipeline.to_owned(), until);
                Ok(())
            }
            Protect::Off => {
                wanted_by.remove(pipeline);
                if !wanted_by.is_empty() {
                    return Ok(());
                }
                self.put(&json!({"ProtectionEnabled": false})).await
            }
        }
    }

    async fn put(&self, wanted: &Value) -> std::result::Result<(), String> {
        let request = self
            .client
            .put(&self.url)
            .header("content-type", "application/json");
        let sent = request.body(wanted.to_string()).send().await;
        let mut answer = sent.map_err(|error| format!("the agent does not answer: {}", chain(&error)))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| chain(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_BYTES_MAX {
                body.truncate(ANSWER_BYTES_MAX);
                break;
            }
        }
        judge(status.as_u16(), &body)
    }
}

/// A refusal may come with a status that looks like success: what the answer says counts.
fn judge(status: u16, body: &[u8]) -> std::result::Result<(), String> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |part: &str, name: &str| answer[part][name].as_str().map(str::to_owned);
    if answer["failure"].is_object() {
        let reason = text("failure", "Reason").unwrap_or_default();
        let detail = text("failure", "Detail").map_or_else(String::new, |detail| format!(": {detail}"));
        return Err(format!("{reason}{detail}"));
    }
    if answer["error"].is_object() {
        let code = text("error", "Code").unwrap_or_default();
        return Err(format!(
            "{code}: {}",
            text("error", "Message").unwrap_or_default()
        ));
    }
    if (200..300).contains(&status) {
        return Ok(());
    }
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .take(EXCERPT_CHARS_MAX)
        .collect();
    Err(format!("HTTP {status}: {}", text.trim()))
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const ON: Protect = Protect::For { minutes: 10 };

    /// An agent that answers the n-th request with the n-th status, then with 200, and keeps what it was asked.
    struct Fake {
        agent: Agent,
        asked: Arc<Mutex<Vec<String>>>,
        at_once_max: Arc<AtomicUsize>,
    }

    impl Fake {
        async fn start(statuses: &'static [u16]) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let agent = Agent::at(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
            let asked = Arc::new(Mutex::new(Vec::new()));
            let (at_once, at_once_max) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let fake = Self {
                agent,
                asked: Arc::clone(&asked),
                at_once_max: Arc::clone(&at_once_max),
            };
            tokio::spawn(async move {
                let mut statuses = statuses.iter().copied();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let status = statuses.next().unwrap_or(200);
                    let (asked, at_once) = (Arc::clone(&asked), Arc::clone(&at_once));
                    at_once_max.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
                    tokio::spawn(async move {
                        let mut socket = BufReader::new(socket);
                        let body = request(&mut socket).await;
                        asked.lock().await.push(body);
                        // Others have time to come in between.
                        for _ in 0..1_000 {
                            tokio::task::yield_now().await;
                        }
                        at_once.fetch_sub(1, SeqCst);
                        let answer =
                            format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        socket.write_all(answer.as_bytes()).await.unwrap();
                    });
                }
            });
            fake
        }

        /// What it was asked since the last time: minutes, or 0 for no protection.
        async fn asked(&self) -> Vec<u64> {
            let bodies = std::mem::take(&mut *self.asked.lock().await);
            let minutes = |body: &String| {
                let body: Value = serde_json::from_str(body).unwrap();
                assert_eq!(body["ProtectionEnabled"], body["ExpiresInMinutes"].is_u64());
                body["ExpiresInMinutes"].as_u64().unwrap_or(0)
            };
            bodies.iter().map(minutes).collect()
        }
    }

    /// The body of a request.
    async fn request(socket: &mut BufReader<TcpStream>) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            socket.read_line(&mut line).await.unwrap();
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    #[tokio::test]
    async fn a_task_is_let_go_when_no_pipeline_wants_it_protected() {
        let fake = Fake::start(&[]).await;
        fake.agent.ask("a", ON).await.unwrap();
        fake.agent.ask("b", ON).await.unwrap();
        assert_eq!(fake.asked().await, [10, 10]);
        fake.agent.ask("a", Protect::Off).await.unwrap();
        assert_eq!(fake.asked().await, [0_u64; 0], "b still wants it");
        fake.agent.ask("b", Protect::Off).await.unwrap();
        assert_eq!(fake.asked().await, [0]);
    }

    #[tokio::test]
    async fn a_pipeline_that_was_refused_keeps_nothing() {
        let fake = Fake::start(&[200, 409]).await;
        fake.agent.ask("a", ON).await.unwrap();
        fake.agent.ask("b", ON).await.unwrap_err();
        fake.agent.ask("a", Protect::Off).await.unwrap();
        assert_eq!(fake.asked().await, [10, 10, 0]);
    }

    /// What was granted before holds until its end.
    #[tokio::test]
    async fn a_renewal_that_is_refused_gives_nothing_up() {
        let fake = Fake::start(&[200, 200, 409]).await;
        fake.agent.ask("a", ON).await.unwrap();
        fake.agent.ask("b", ON).await.unwrap();
        fake.agent.ask("b", ON).await.unwrap_err();
        fake.agent.ask("a", Protect::Off).await.unwrap();
        assert_eq!(fake.asked().await, [10, 10, 10], "b has it still");
        fake.agent
            .wanted_by
            .lock()
            .await
            .insert("b".to_owned(), Instant::now());
        fake.agent.ask("a", Protect::Off).await.unwrap();
        assert_eq!(fake.asked().await, [0], "its time is over");
    }

    #[tokio::test]
    async fn the_longest_wish_counts() {
        let fake = Fake::start(&[]).await;
        fake.agent.ask("a", Protect::For { minutes: 60 }).await.unwrap();
        fake.agent.ask("b", ON).await.unwrap();
        assert_eq!(fake.asked().await, [60, 60]);
    }

    #[tokio::test]
    async fn requests_follow_each_other() {
        let fake = Fake::start(&[]).await;
        fake.agent.ask("a", ON).await.unwrap();
        for _ in 0..10 {
            let (off, on) = tokio::join!(fake.agent.ask("a", Protect::Off), fake.agent.ask("b", ON));
            off.and(on).unwrap();
            assert_eq!(
                fake.asked().await.last(),
                Some(&10),
                "b is protected whoever came first"
            );
            let (off, on) = tokio::join!(fake.agent.ask("b", Protect::Off), fake.agent.ask("a", ON));
            off.and(on).unwrap();
            assert_eq!(fake.asked().await.last(), Some(&10));
        }
        assert_eq!(fake.at_once_max.load(SeqCst), 1);
    }

    #[test]
    fn an_answer_says_why() {
        let cases = [
            (
                200,
                r#"{"protection":{"ProtectionEnabled":true,"TaskArn":"arn"}}"#,
                Ok(()),
            ),
            (200, "", Ok(())),
            (
                200,
                r#"{"failure":{"Arn":"arn","Detail":null,"Reason":"TASK_NOT_VALID"}}"#,
                Err("TASK_NOT_VALID"),
            ),
            (
                400,
                r#"{"error":{"Arn":"arn","Code":"ThrottlingException","Message":"Rate exceeded"}}"#,
                Err("ThrottlingException: Rate exceeded"),
            ),
            (404, "404 page not found\n", Err("HTTP 404: 404 page not found")),
        ];
        for (status, body, expected) in cases {
            let judged = judge(status, body.as_bytes());
            assert_eq!(judged, expected.map_err(str::to_owned), "{body}");
        }
    }
}
