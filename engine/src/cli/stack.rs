//! `roundtrip stack`: the embedded services for several processes, until stopped.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Exit, Result};
use crate::stack::{Endpoints, Stack};

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder that holds everything; made when missing
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The port of S3; DynamoDB takes the next one [default: the last ones of this folder, or free ones]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=65534))]
    port: Option<u16>,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit> {
    tokio::runtime::Runtime::new()
        .map_err(|error| Error::away("cannot start the program's threads").because(error))?
        .block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<Exit> {
    // Before the first line is printed, so that whoever reads it may stop us at once.
    let handlers =
        || -> io::Result<_> { Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) };
    let (mut interrupted, mut terminated) =
        handlers().map_err(|error| Error::failed("cannot listen for signals").because(error))?;
    let stack = Stack::start(&arguments.state, arguments.port).await?;
    if let Err(error) = print(stack.endpoints()) {
        // Whoever started it may have read enough, or know the ports already.
        tracing::warn!(%error, "the export lines could not be printed");
    }
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    stack.stop().await;
    Ok(Exit::Done)
}

fn print(endpoints: &Endpoints) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(exports(endpoints).as_bytes())?;
    out.flush()
}

fn exports(endpoints: &Endpoints) -> String {
    let values = [
        ("AWS_ENDPOINT_URL_S3", endpoints.s3.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", &endpoints.dynamodb),
        ("AWS_REGION", &endpoints.region),
        ("AWS_ACCESS_KEY_ID", &endpoints.access_key),
        ("AWS_SECRET_ACCESS_KEY", &endpoints.secret_key),
        ("ROUNDTRIP_BUCKET", super::setup::BUCKET),
        ("ROUNDTRIP_TABLE", super::setup::TABLE),
    ];
    let mut text = String::new();
    for (name, value) in values {
        text.push_str("export ");
        text.push_str(name);
        text.push('=');
        text.push_str(&quoted(value));
        text.push('\n');
    }
    text.push_str("# ready\n");
    text
}

/// The value as a POSIX shell reads it back, whatever is in it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_lines_a_shell_can_read() {
        let endpoints = Endpoints {
            s3: "http://127.0.0.1:9000".to_owned(),
            dynamodb: "http://127.0.0.1:9001".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "RTKEY".to_owned(),
            secret_key: "it's".to_owned(),
        };
        insta::assert_snapshot!(exports(&endpoints), @r"
        export AWS_ENDPOINT_URL_S3='http://127.0.0.1:9000'
        export AWS_ENDPOINT_URL_DYNAMODB='http://127.0.0.1:9001'
        export AWS_ENDPOINT_URL_DYNAMODB_STREAMS='http://127.0.0.1:9001'
        export AWS_REGION='us-east-1'
        export AWS_ACCESS_KEY_ID='RTKEY'
        export AWS_SECRET_ACCESS_KEY='it'\''s'
        export ROUNDTRIP_BUCKET='roundtrip'
        export ROUNDTRIP_TABLE='roundtrip-jobs'
        # ready
        ");
        assert!(!format!("{endpoints:?}").contains("it's"));
    }
}
