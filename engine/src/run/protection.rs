//! Asks the agent of Amazon ECS to protect this task from being scaled in, or no longer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use roundtrip_core::protection::Protect;
use serde_json::{Value, json};

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
    /// The pipelines of this process that want the task protected: it is let go when none does.
    wanted_by: Arc<Mutex<BTreeSet<String>>>,
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
        if self.is_kept_by_others(pipeline, protect) {
            return Ok(());
        }
        let wanted = match protect {
            Protect::For { minutes } => json!({"ProtectionEnabled": true, "ExpiresInMinutes": minutes}),
            Protect::Off => json!({"ProtectionEnabled": false}),
        };
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

impl Agent {
    /// Notes what a pipeline wants; whether that changes nothing, since another one still wants the protection.
    fn is_kept_by_others(&self, pipeline: &str, protect: Protect) -> bool {
        let mut wanted_by = self.wanted_by.lock().unwrap_or_else(PoisonError::into_inner);
        match protect {
            Protect::For { .. } => {
                wanted_by.insert(pipeline.to_owned());
                false
            }
            Protect::Off => {
                wanted_by.remove(pipeline);
                !wanted_by.is_empty()
            }
        }
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
    use super::*;

    #[test]
    fn a_task_is_let_go_when_no_pipeline_wants_it_protected() {
        let agent = Agent::at("http://127.0.0.1:9/").unwrap();
        let on = Protect::For { minutes: 10 };
        assert!(!agent.is_kept_by_others("a", on));
        assert!(!agent.is_kept_by_others("b", on));
        assert!(agent.is_kept_by_others("a", Protect::Off));
        assert!(!agent.is_kept_by_others("b", Protect::Off));
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
