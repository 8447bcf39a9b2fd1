//! Who is told of the queue: `[notify.*]`.

use std::time::Duration;

use roundtrip_core::queue::Threshold;

/// `[notify.*]`: who is told when a number crosses a threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifySpec {
    /// When.
    pub threshold: Threshold,
    /// Who.
    pub target: NotifyTarget,
    /// How long telling may take.
    pub timeout: Duration,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyTarget {
    /// `webhook = "https://..."`: a POST of JSON there.
    Webhook {
        /// Where.
        url: String,
    },
    /// `webhook-env = "ALERT_URL"`: the same, to the address that an environment variable holds.
    WebhookFromEnvironment {
        /// The variable.
        variable: String,
    },
    /// `command = [...]`: run with JSON on its standard input.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// `sns = "arn:..."`: a message to this topic.
    Sns {
        /// The topic.
        topic: String,
        /// The region it is in.
        region: String,
    },
    /// `log = "warn"`: a line in the log.
    Log {
        /// At level warn; else info.
        warn: bool,
    },
}
