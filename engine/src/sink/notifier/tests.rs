use roundtrip_core::at::Timestamp;
use roundtrip_core::queue::{Metric, Threshold};

use super::*;
use crate::stack::Endpoints;

fn notice() -> Notice {
    Notice {
        threshold: "ready-high".to_owned(),
        metric: Metric::JobsReady,
        state: State::Up,
        value: 101.0,
        limit: 100.0,
        since: Timestamp(1_700_000_000_000),
    }
}

async fn notifier(target: NotifyTarget, timeout: Duration) -> Result<Notifier> {
    let endpoints = Endpoints {
        s3: "http://127.0.0.1:9".to_owned(),
        dynamodb: "http://127.0.0.1:9".to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "secret".to_owned(),
    };
    let threshold = Threshold {
        metric: Metric::JobsReady,
        above: 100.0,
        hold: Duration::ZERO,
        below: 50.0,
    };
    let spec = NotifySpec {
        threshold,
        target,
        timeout,
    };
    let clients = Clients::for_endpoints(&endpoints).await;
    let variables = |name: &str| (name == "ALERT_URL").then(|| "not an address with hunter2".to_owned());
    Notifier::new("ready-high", &spec, &clients, variables)
}

async fn told(script: &str, timeout: Duration) -> Result<(), String> {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let notifier = notifier(NotifyTarget::Command { command }, timeout)
        .await
        .unwrap();
    notifier.tell(&Message::new(&notice(), "jobs")).await
}

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_message_for_programs_and_one_for_people() {
    let message = Message::new(&notice(), "jobs");
    insta::assert_snapshot!(String::from_utf8(message.json()).unwrap(), @r#"{"threshold":"ready-high","metric":"JobsReady","state":"up","value":101.0,"limit":100.0,"since":"2023-11-14T22:13:20.000Z","table":"jobs"}"#);
    insta::assert_snapshot!(message.line(), @"ready-high: JobsReady of jobs is 101, above 100");
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_fails_says_why() {
    assert_eq!(told("grep -q ready-high", LONG).await, Ok(()));
    assert_eq!(told("exit 0", LONG).await, Ok(()), "it need not listen");
    insta::assert_snapshot!(
        told("echo no mail today >&2; exit 3", LONG).await.unwrap_err(),
        @"the command `sh` ended with exit status: 3: no mail today"
    );
    insta::assert_snapshot!(
        told("exec sleep 600", Duration::from_millis(50)).await.unwrap_err(),
        @"no answer within 0.05 s"
    );
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_at_the_start_without_the_secret() {
    let mut texts = Vec::new();
    for target in [
        NotifyTarget::WebhookFromEnvironment {
            variable: "ALERT_URL".to_owned(),
        },
        NotifyTarget::WebhookFromEnvironment {
            variable: "OTHER_URL".to_owned(),
        },
        NotifyTarget::Sns {
            topic: "arn:aws:sns:eu-central-1:123456789012:alerts".to_owned(),
            region: "eu-central-1".to_owned(),
        },
    ] {
        texts.push(notifier(target, LONG).await.unwrap_err().to_string());
    }
    insta::assert_snapshot!(texts.join("\n"), @r"
    `notify.ready-high`: the webhook's address is no HTTP address
    `notify.ready-high.webhook-env`: OTHER_URL is not set
    `notify.ready-high.sns`: the table does not lie in AWS, and no SNS is named
    ");
}
