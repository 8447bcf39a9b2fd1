//! The processor as a command: one process a file.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use super::http::{fits, too_large};
use super::{Alive, Answer, excerpt};
use crate::error::{Error, Result};
use crate::sink::content;
use crate::spool::{SpoolError, SpoolReader};

mod running;

use running::{Parts, Running};

/// What stands for the file's path in an argument.
const PLACEHOLDER: &str = "{file}";

/// Characters of standard error that reach the job's error.
const STDERR_CHARS_MAX: usize = 2_000;
/// Bytes of it that are kept: UTF-8 has up to four a character.
const STDERR_BYTES_MAX: usize = 4 * STDERR_CHARS_MAX;
/// Bytes a read from the child brings, at most.
const READ_BYTES_MAX: usize = 64 * 1024;

/// How long output may still come from what a child left behind when it ended.
const OUTPUT_GRACE: Duration = Duration::from_secs(5);

/// Environment variables that the command does not see: our credentials and our settings.
const WITHHELD: [&str; 2] = ["AWS_", "ROUNDTRIP_"];

/// A command processor.
///
/// The command runs in our working directory with our environment, without the variables that start with
/// `AWS_` or `ROUNDTRIP_`, and in a process group of its own. `{file}` in an argument becomes the path of the
/// whole file; without it the file comes on standard input, as it arrives. Standard output is the result. An
/// exit status other than 0 is the job's fault; a death by signal is not.
#[derive(Debug)]
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
    result_max: u64,
}

impl Command {
    pub(super) fn new(command: &[String], result_max: u64) -> Result<Self> {
        let Some((program, arguments)) = command.split_first().filter(|(program, _)| !program.is_empty())
        else {
            return Err(Error::config("`sink.processor.command` names no program"));
        };
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            result_max,
        })
    }

    /// Whether the command reads the file by its path, and so needs all of it.
    pub(super) fn takes_path(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| argument.contains(PLACEHOLDER))
    }

    /// Whether the program can be found and run.
    pub(super) fn ready(&self) -> Result<()> {
        if find(&self.program, std::env::var_os("PATH").as_deref()).is_some() {
            return Ok(());
        }
        let what = format!(
            "the processor's command `{}` is not there, or may not be run",
            self.program
        );
        let hint = "`sink.processor.command` names a program on PATH, or the path of one with its executable bit set";
        Err(Error::config(what).hint(hint))
    }

    /// Runs the command on a file. Dropping the future ends the child: SIGTERM, and SIGKILL after 3 seconds. `alive` is held
    /// until it has ended.
    pub(super) async fn analyse(&self, file: &SpoolReader, alive: Alive) -> Answer {
        let mut running = match Running::start(self.command(file.path()), alive) {
            Ok(running) => running,
            Err(error) => {
                return Answer::away(format!(
                    "the command `{}` cannot be started: {error}",
                    self.program
                ));
            }
        };
        let Parts {
            child,
            stdin,
            stdout,
            stderr,
        } = running.parts();
        let mut heard = Heard::default();
        let listening = heard.listen(stdout, stderr, self.result_max);
        match talk(child, feed(stdin, file), listening).await {
            Ok(status) => {
                running.finish();
                verdict(status, heard)
            }
            Err(answer) => answer,
        }
    }

    fn command(&self, path: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(self.arguments.iter().map(|argument| with_path(argument, path)));
        for name in withheld(std::env::vars_os().map(|(name, _)| name)) {
            command.env_remove(name);
        }
        let stdin = if self.takes_path() {
            Stdio::null()
        } else {
            Stdio::piped()
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command
    }
}

/// Feeds the child and listens to it until it ends; whatever is left unsaid then has a short grace.
async fn talk(
    child: &mut Child,
    feeding: impl Future<Output = Result<(), SpoolError>>,
    listening: impl Future<Output = Result<(), Answer>>,
) -> Result<ExitStatus, Answer> {
    let mut feeding = pin!(feeding);
    let mut listening = pin!(listening);
    let (mut fed, mut listened) = (false, false);
    let status = loop {
        tokio::select! {
            outcome = &mut feeding, if !fed => {
                outcome.map_err(|error| Answer::from_spool(&error))?;
                fed = true;
            }
            outcome = &mut listening, if !listened => {
                outcome?;
                listened = true;
            }
            status = child.wait() => {
                break status.map_err(|error| Answer::failed(format!("the command was lost: {error}")))?;
            }
        }
    };
    if !listened && let Ok(outcome) = tokio::time::timeout(OUTPUT_GRACE, listening).await {
        outcome?;
    }
    Ok(status)
}

/// Writes the file to the child. If the file fails, the pipe stays open: an end would look like the file's end.
async fn feed(stdin: &mut Option<ChildStdin>, file: &SpoolReader) -> Result<(), SpoolError> {
    let Some(pipe) = stdin.as_mut() else { return Ok(()) };
    let mut pieces = pin!(file.stream());
    while let Some(piece) = pieces.try_next().await? {
        if pipe.write_all(&piece).await.is_err() {
            // The child has read enough, or is gone; its exit status tells.
            break;
        }
    }
    *stdin = None;
    Ok(())
}

/// What the child said.
#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Heard {
    /// Reads both outputs to their ends: of the one everything up to the limit, of the other the last part.
    async fn listen(
        &mut self,
        stdout: Option<&mut ChildStdout>,
        stderr: Option<&mut ChildStderr>,
        result_max: u64,
    ) -> Result<(), Answer> {
        let Self {
            stdout: result,
            stderr: complaint,
        } = self;
        let results = read(stdout, |piece| {
            if !fits(result.len(), piece.len(), result_max) {
                return Err(Answer::JobFault(too_large(result_max)));
            }
            result.extend_from_slice(piece);
            Ok(())
        });
        let complaints = read(stderr, |piece| {
            complaint.extend_from_slice(piece);
            if complaint.len() > 2 * STDERR_BYTES_MAX {
                complaint.drain(..complaint.len() - STDERR_BYTES_MAX);
            }
            Ok(())
        });
        tokio::try_join!(results, complaints).map(|((), ())| ())
    }
}

/// Reads a pipe to its end; one that breaks has ended too.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    mut keep: impl FnMut(&[u8]) -> Result<(), Answer>,
) -> Result<(), Answer> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(length) => keep(&buffer[..length])?,
        }
    }
}

fn verdict(status: ExitStatus, heard: Heard) -> Answer {
    if status.success() {
        let content_type = content::of_result(&heard.stdout).map(str::to_owned);
        return Answer::Result {
            content_type,
            body: heard.stdout,
        };
    }
    let complaint = excerpt::end(&heard.stderr, STDERR_CHARS_MAX);
    let separator = if complaint.is_empty() { "" } else { ": " };
    match status.code() {
        Some(code) => Answer::JobFault(format!("exit status {code}{separator}{complaint}")),
        None => Answer::failed(format!(
            "the command was ended by {}{separator}{complaint}",
            signal(status)
        )),
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .signal()
        .map_or_else(|| "a signal".to_owned(), |signal| format!("signal {signal}"))
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> String {
    "the system".to_owned()
}

/// An argument with the file's path in place of `{file}`; the path may be no Unicode.
fn with_path(argument: &str, path: &Path) -> OsString {
    let mut parts = argument.split(PLACEHOLDER);
    let mut text = OsString::from(parts.next().unwrap_or_default());
    for part in parts {
        text.push(path);
        text.push(part);
    }
    text
}

/// The variables that are kept from the command.
pub(in crate::sink) fn withheld(names: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    names.filter(|name| {
        let name = name.to_string_lossy().to_uppercase();
        WITHHELD.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// Where the program lies: a path as it is, a name as PATH gives it.
fn find(program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let named = Path::new(program);
    if named.components().count() > 1 || named.is_absolute() {
        return is_executable(named).then(|| named.to_owned());
    }
    std::env::split_paths(path?)
        .map(|folder| folder.join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
        .find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_settings_are_withheld() {
        let names = [
            "PATH",
            "AWS_SECRET_ACCESS_KEY",
            "ROUNDTRIP_TABLE",
            "HOME",
            "MY_AWS_NOTE",
            "aws_profile",
        ];
        let kept_back: Vec<_> = withheld(names.into_iter().map(OsString::from)).collect();
        assert_eq!(
            kept_back,
            ["AWS_SECRET_ACCESS_KEY", "ROUNDTRIP_TABLE", "aws_profile"]
        );
    }

    #[test]
    fn the_path_takes_every_placeholder() {
        let path = Path::new("/spool/a b");
        assert_eq!(with_path("{file}", path), "/spool/a b");
        assert_eq!(
            with_path("in={file},again={file}.", path),
            "in=/spool/a b,again=/spool/a b."
        );
        assert_eq!(with_path("-v", path), "-v");
    }

    #[cfg(unix)]
    #[test]
    fn only_what_may_be_run_is_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("analyse");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let path = Some(folder.path().as_os_str());
        assert_eq!(find("analyse", path), None);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find("analyse", path).as_ref(), Some(&program));
        assert_eq!(find(program.to_str().unwrap(), None), Some(program));
        assert_eq!(
            find(folder.path().to_str().unwrap(), path),
            None,
            "a folder is no program"
        );
    }
}
