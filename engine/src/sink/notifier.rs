//! Who is told of a crossed threshold: a webhook, a command, an SNS topic or the log.

use std::time::Duration;

use roundtrip_core::queue::{Notice, State};
use serde::Serialize;
use tracing::{info, warn};

use crate::cloud::Clients;
use crate::cloud::fault::Fault;
use crate::cloud::item::iso;
use crate::dsl::spec::{NotifySpec, NotifyTarget};
use crate::error::{Error, Result};

mod command;
mod webhook;

use command::Command;
use webhook::Webhook;

/// What is told, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// The threshold's name.
    pub threshold: String,
    /// Which number crossed it.
    pub metric: &'static str,
    /// "up" or "down".
    pub state: &'static str,
    /// The number.
    pub value: f64,
    /// The limit that was crossed.
    pub limit: f64,
    /// When it crossed, ISO 8601.
    pub since: String,
    /// The jobs table.
    pub table: String,
}

impl Message {
    /// What a notice tells of a table.
    pub fn new(notice: &Notice, table: &str) -> Self {
        Self {
            threshold: notice.threshold.clone(),
            metric: notice.metric.as_str(),
            state: notice.state.as_str(),
            value: notice.value,
            limit: notice.limit,
            since: iso(notice.since),
            table: table.to_owned(),
        }
    }

    /// In one line, for people.
    pub fn line(&self) -> String {
        let side = if self.state == State::Up.as_str() {
            "above"
        } else {
            "below"
        };
        let Self {
            threshold,
            metric,
            value,
            limit,
            table,
            ..
        } = self;
        format!("{threshold}: {metric} of {table} is {value}, {side} {limit}")
    }

    fn json(&self) -> Vec<u8> {
        // Texts and finite numbers always make JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// One that can be told.
#[derive(Debug)]
pub struct Notifier {
    target: Target,
    timeout: Duration,
}

#[derive(Debug)]
enum Target {
    Webhook(Webhook),
    Command(Command),
    Sns {
        client: aws_sdk_sns::Client,
        topic: String,
        region: String,
    },
    Log {
        warn: bool,
    },
}

impl Notifier {
    /// Makes ready whom the threshold `name` names; `read` gives environment variables.
    ///
    /// # Errors
    /// Exit 78 when the variable with the webhook's address is not set or holds none, or SNS cannot be reached.
    pub fn new(
        name: &str,
        spec: &NotifySpec,
        clients: &Clients,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let target = match &spec.target {
            NotifyTarget::Webhook { url } => Target::Webhook(Webhook::new(name, url)?),
            NotifyTarget::WebhookFromEnvironment { variable } => {
                let url = read(variable).filter(|url| !url.is_empty()).ok_or_else(|| {
                    Error::config(format!("`notify.{name}.webhook-env`: {variable} is not set"))
                        .hint(format!("put the address of the webhook into {variable}"))
                })?;
                Target::Webhook(Webhook::new(name, &url)?)
            }
            NotifyTarget::Command { command } => Target::Command(Command::new(name, command)?),
            NotifyTarget::Sns { topic, region } => Target::Sns {
                client: clients.sns.clone().ok_or_else(|| {
                    let what =
                        format!("`notify.{name}.sns`: the table does not lie in AWS, and no SNS is named");
                    Error::config(what).hint("set AWS_ENDPOINT_URL_SNS, or tell somebody else")
                })?,
                topic: topic.clone(),
                region: region.clone(),
            },
            NotifyTarget::Log { warn } => Target::Log { warn: *warn },
        };
        let timeout = spec.timeout;
        Ok(Self { target, timeout })
    }

    /// Tells once, within the threshold's time.
    pub async fn tell(&self, message: &Message) -> Result<(), String> {
        match tokio::time::timeout(self.timeout, self.send(message)).await {
            Ok(told) => told,
            Err(_) => Err(format!("no answer within {} s", self.timeout.as_secs_f64())),
        }
    }

    async fn send(&self, message: &Message) -> Result<(), String> {
        match &self.target {
            Target::Webhook(webhook) => webhook.post(message.json()).await,
            Target::Command(command) => command.run(message.json()).await,
            Target::Sns {
                client,
                topic,
                region,
            } => publish(client, topic, region, message).await,
            Target::Log { warn: true } => {
                warn!(
                    threshold = message.threshold,
                    state = message.state,
                    "{}",
                    message.line()
                );
                Ok(())
            }
            Target::Log { warn: false } => {
                info!(
                    threshold = message.threshold,
                    state = message.state,
                    "{}",
                    message.line()
                );
                Ok(())
            }
        }
    }
}

/// A topic is published to in its own region, wherever the table lies.
async fn publish(
    client: &aws_sdk_sns::Client,
    topic: &str,
    region: &str,
    message: &Message,
) -> Result<(), String> {
    let Message { threshold, state, .. } = message;
    let region = aws_sdk_sns::config::Region::new(region.to_owned());
    client
        .publish()
        .topic_arn(topic)
        // At most 100 characters: a threshold's name has up to 64.
        .subject(format!("Roundtrip: {threshold} is {state}"))
        .message(String::from_utf8_lossy(&message.json()))
        .customize()
        .config_override(aws_sdk_sns::Config::builder().region(region))
        .send()
        .await
        .map(drop)
        .map_err(|error| Fault::of(&error).to_string())
}

#[cfg(test)]
mod tests;
