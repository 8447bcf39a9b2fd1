//! Judges `[notify.*]`.

use std::collections::BTreeMap;
use std::time::Duration;

use roundtrip_core::queue::{Metric, Threshold};

use super::value::{At, TICK};
use super::{Bench, below, sink};
use crate::dsl::document::Part;
use crate::dsl::raw;
use crate::dsl::spec::{NotifySpec, NotifyTarget};
use crate::dsl::units::{Rate, Span};

/// Thresholds of one pipeline, at most: their rows are read each round.
const THRESHOLDS_MAX: usize = 50;

/// How long telling may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest number there is a threshold for.
const NUMBER_MAX: f64 = 1e9;

pub(super) fn build(
    bench: &mut Bench<'_>,
    path: &[String],
    raw: Option<BTreeMap<String, raw::Notify>>,
) -> BTreeMap<String, NotifySpec> {
    let raw = raw.unwrap_or_default();
    if raw.len() > THRESHOLDS_MAX {
        let what = format!("{} thresholds are too many", raw.len());
        let help = format!("a pipeline has at most {THRESHOLDS_MAX}");
        bench.wrong(below(path, &["notify"]), Part::Key, what, help);
    }
    let mut found = BTreeMap::new();
    for (name, raw) in raw {
        let path = below(path, &["notify", &name]);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !name.bytes().all(plain) || !(1..=64).contains(&name.len()) {
            let what = format!("a threshold cannot be named `{name}`");
            let help = "use lower-case letters, digits and hyphens, such as `ready-high`";
            bench.wrong(path, Part::Key, what, help);
        } else if let Some(spec) = one(At::new(bench, path), raw) {
            found.insert(name, spec);
        }
    }
    found
}

fn one(mut at: At<'_, '_>, raw: raw::Notify) -> Option<NotifySpec> {
    let metrics = Metric::ALL.map(|metric| (metric.as_str(), metric));
    if raw.metric.is_none() && !at.bench.is_misspelt(&at.path, "metric") {
        at.value_wrong("metric", "it is not set", "write metric = \"JobsReady\"");
    }
    let metric = at.word("metric", raw.metric.clone(), &metrics);
    let limits = limits(&mut at, raw.above, raw.below);
    let hold = at.span("for", raw.r#for.or(Some(Span(Duration::ZERO))), Duration::ZERO);
    let timeout = at.span("timeout", raw.timeout.or(Some(Span(TIMEOUT))), TICK);
    let target = target(&mut at, raw);
    let (above, below) = limits?;
    Some(NotifySpec {
        threshold: Threshold {
            metric: metric?,
            above,
            hold,
            below,
        },
        target: target?,
        timeout,
    })
}

fn limits(at: &mut At<'_, '_>, above: Option<Rate>, below: Option<Rate>) -> Option<(f64, f64)> {
    let Some(Rate(above)) = above else {
        if !at.bench.is_misspelt(&at.path, "above") {
            at.value_wrong("above", "it is not set", "write above = 100");
        }
        return None;
    };
    let Rate(below) = below.unwrap_or(Rate(above));
    let mut sound = true;
    for (key, value) in [("above", above), ("below", below)] {
        // No number is below zero: such a threshold would never come down.
        if !(value > 0.0 && value <= NUMBER_MAX) {
            let help = format!("choose a number above 0, at most {NUMBER_MAX}; 0.5 tells any job from none");
            at.value_wrong(key, &format!("{value} is out of range"), &help);
            sound = false;
            break;
        }
    }
    if sound && below > above {
        let help = "what went up at `above` comes down at `below`: lower `below` or raise `above`";
        at.value_wrong("below", &format!("{below} is more than `above` ({above})"), help);
    }
    sound.then_some((above, below))
}

fn target(at: &mut At<'_, '_>, raw: raw::Notify) -> Option<NotifyTarget> {
    let given = [
        ("webhook", raw.webhook.is_some()),
        ("webhook-env", raw.webhook_env.is_some()),
        ("command", raw.command.is_some()),
        ("sns", raw.sns.is_some()),
        ("log", raw.log.is_some()),
    ];
    let mut named = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key);
    match (named.next(), named.next()) {
        (None, _) => at.nobody_told(&given.map(|(key, _)| key)),
        (Some(first), Some(second)) => at.value_wrong(
            second,
            &format!("it stands beside `{first}`"),
            "one is told of a threshold: keep one of the two, or add another threshold",
        ),
        (Some(_), None) => {}
    }
    if let Some(url) = raw.webhook {
        let help = "write where to send it: webhook = \"https://example.org/alerts\", or keep a secret address out \
                    of files with webhook-env";
        sink::http_url(at, "webhook", &url, help);
        return Some(NotifyTarget::Webhook { url });
    }
    if let Some(variable) = raw.webhook_env {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if variable.is_empty() || !variable.bytes().all(letter) {
            let help = "name the environment variable that holds the address: webhook-env = \"ALERT_URL\"";
            at.secret("webhook-env", "it names no environment variable", help);
        }
        return Some(NotifyTarget::WebhookFromEnvironment { variable });
    }
    if let Some(command) = raw.command {
        let command = command.0;
        if command.first().is_none_or(|program| program.trim().is_empty()) {
            at.value_wrong("command", "it names no program", "write command = [\"tell-me\"]");
        }
        return Some(NotifyTarget::Command { command });
    }
    if let Some(topic) = raw.sns {
        return sns(at, topic);
    }
    let levels = [("warn", true), ("info", false)];
    let warn = at.word("log", raw.log, &levels)?;
    Some(NotifyTarget::Log { warn })
}

/// `arn:aws:sns:REGION:ACCOUNT:NAME`
fn sns(at: &mut At<'_, '_>, topic: String) -> Option<NotifyTarget> {
    let parts: Vec<&str> = topic.split(':').collect();
    let region = match parts.as_slice() {
        ["arn", _, "sns", region, account, name]
            if !region.is_empty() && !account.is_empty() && !name.is_empty() =>
        {
            (*region).to_owned()
        }
        _ => {
            let help = "write the ARN of a topic: \"arn:aws:sns:eu-central-1:123456789012:alerts\"";
            at.value_wrong("sns", &format!("{topic:?} is no topic"), help);
            return None;
        }
    };
    Some(NotifyTarget::Sns { topic, region })
}
