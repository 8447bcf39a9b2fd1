//! A webhook: one POST of JSON a crossing.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};

use crate::error::{Error, Result};
use crate::sink::processor::client;

/// A webhook. Its address may be a secret: nothing here shows it.
pub(super) struct Webhook {
    client: Client,
    url: Url,
}

impl Webhook {
    pub(super) fn new(name: &str, url: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "`notify.{name}`: the webhook's address is no HTTP address"
            ))
            .hint("write it as https://host/path")
        };
        let url = Url::parse(url).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong());
        }
        let client = client(&url).map_err(|error| {
            let what = format!("`notify.{name}`: the HTTP client for the webhook cannot be made");
            Error::config(what).because(error.without_url())
        })?;
        Ok(Self { client, url })
    }

    /// Posts; any answer but a 2xx is a failure, redirects included.
    pub(super) async fn post(&self, json: Vec<u8>) -> Result<(), String> {
        let request = self.client.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(json);
        let response = request
            .send()
            .await
            .map_err(|error| reason(&error.without_url()))?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the webhook answered {status}"))
        }
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook")
    }
}

/// An error with what caused it.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
