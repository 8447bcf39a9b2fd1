//! A command that is run for each crossing.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::error::{Error, Result};
use crate::sink::processor::{end, withheld};

/// Characters of standard error that reach the log.
const STDERR_CHARS_MAX: usize = 500;
/// Bytes of it that are kept: UTF-8 has up to four a character.
const STDERR_BYTES_MAX: u64 = 4 * STDERR_CHARS_MAX as u64;
/// How long it may still come when the command has ended.
const STDERR_GRACE: Duration = Duration::from_secs(1);

/// A command. It gets the message as JSON on standard input, in our working directory with our environment,
/// without the variables that start with `AWS_` or `ROUNDTRIP_`.
#[derive(Debug)]
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    pub(super) fn new(name: &str, command: &[String]) -> Result<Self> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Error::config(format!("`notify.{name}.command` names no program")));
        };
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
        })
    }

    /// Runs to its end; any status but 0 is a failure. Dropping the future kills it.
    pub(super) async fn run(&self, json: Vec<u8>) -> Result<(), String> {
        let mut command = tokio::process::Command::new(&self.program);
        for name in withheld(std::env::vars_os().map(|(name, _)| name)) {
            command.env_remove(name);
        }
        let mut child = command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("the command `{}` cannot be started: {error}", self.program))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A command that does not read what it is told is free not to.
                let _ = stdin.write_all(&json).await;
            }
        };
        let listening = tokio::spawn(async move {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                // What cannot be read is not told; the status counts.
                let _ = (&mut stderr).take(STDERR_BYTES_MAX).read_to_end(&mut said).await;
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            said
        });
        let ((), status) = tokio::join!(feed, child.wait());
        // What the command left running may hold its standard error open for ever.
        let said = match tokio::time::timeout(STDERR_GRACE, listening).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let status = status.map_err(|error| format!("the command `{}`: {error}", self.program))?;
        if status.success() {
            return Ok(());
        }
        let said = end(&said, STDERR_CHARS_MAX);
        let colon = if said.is_empty() { "" } else { ": " };
        Err(format!(
            "the command `{}` ended with {status}{colon}{said}",
            self.program
        ))
    }
}
