//! A command as the processor.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use roundtrip::error::{Exit, render};
use roundtrip::sink::processor::{Answer, Processor};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use crate::world::{World, analyse, analyse_until, command, reason, result, shell};

/// A named pipe that a script holds open as descriptor 3: its first line tells that the script runs, its end
/// that the script and all it started are gone.
struct Watched {
    path: PathBuf,
    lines: BufReader<pipe::Receiver>,
}

impl Watched {
    fn new(folder: &Path) -> Self {
        let path = folder.join("watched");
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo");
        assert!(made.success());
        let receiver = pipe::OpenOptions::new().open_receiver(&path).expect("a pipe");
        Self {
            path,
            lines: BufReader::new(receiver),
        }
    }

    fn script(&self, script: &str) -> String {
        format!("exec 3>'{}'; echo up >&3; {script}", self.path.display())
    }

    async fn up(&mut self) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).await.expect("a pipe") == 0 {
            // Nobody has opened the other end yet.
            tokio::task::yield_now().await;
        }
    }

    async fn gone(&mut self) {
        self.lines.read_to_end(&mut Vec::new()).await.expect("a pipe");
    }
}

#[tokio::test]
async fn the_file_comes_on_standard_input() {
    let world = World::new();
    let answer = analyse(&shell("cat; echo ' and out'"), world.file(b"in").await).await;
    assert!(
        matches!(&answer, Answer::Result { content_type: Some(kind), .. } if kind == "text/plain; charset=utf-8")
    );
    assert_eq!(result(answer), "in and out\n");
    let json = analyse(&shell("echo '{\"cells\": 12}'"), world.file(b"").await).await;
    assert!(matches!(&json, Answer::Result { content_type: Some(kind), .. } if kind == "application/json"));
    let binary = analyse(&shell("printf '\\000'"), world.file(b"").await).await;
    assert!(matches!(
        &binary,
        Answer::Result {
            content_type: None,
            ..
        }
    ));
}

#[tokio::test]
async fn the_file_comes_by_its_path_when_it_is_proven() {
    let world = World::new();
    let (mut writer, reader) = world.growing(Some(3));
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    let spec = command(&["cat", "--", "{file}"]);
    let mut analysis = pin!(analyse(&spec, reader));
    assert!(poll!(&mut analysis).is_pending());
    writer.prove().unwrap();
    assert_eq!(result(analysis.await), "abc");
}

#[tokio::test]
async fn a_command_may_close_its_input_early() {
    let world = World::new();
    let large = vec![7; 3_000_000];
    for script in [
        "exec <&-; echo enough",
        "head -c 1 >/dev/null; echo enough",
        "echo enough",
    ] {
        assert_eq!(
            result(analyse(&shell(script), world.file(&large).await).await),
            "enough\n",
            "{script}"
        );
    }
}

#[tokio::test]
async fn an_early_result_of_an_unproven_file_is_none() {
    let world = World::new();
    let mut watched = Watched::new(world.folder.path());
    let spec = shell(&watched.script("echo looks fine"));
    let (writer, reader) = world.growing(Some(3));
    let analysis = tokio::spawn(async move { analyse(&spec, reader).await });
    watched.up().await;
    watched.gone().await;
    writer.fail("chunk 0 was replaced");
    assert_eq!(reason(analysis.await.unwrap()), "unproven: chunk 0 was replaced");
}

#[tokio::test]
async fn exit_statuses_are_the_jobs_fault_and_signals_are_not() {
    let world = World::new();
    let mut reasons = Vec::new();
    for script in [
        "exit 3",
        "echo 'no cells' >&2; exit 1",
        "kill -9 $$",
        "echo 'out of memory' >&2; kill -TERM $$",
    ] {
        reasons.push(reason(analyse(&shell(script), world.file(b"abc").await).await));
    }
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    job fault: exit status 3
    job fault: exit status 1: no cells
    failed: the command was ended by signal 9
    failed: the command was ended by signal 15: out of memory
    "#);
}

#[tokio::test]
async fn the_end_of_standard_error_is_kept() {
    let world = World::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done >&2; exit 1";
    let why = reason(analyse(&shell(script), world.file(b"abc").await).await);
    assert!(why.ends_with("line 19999"));
    assert_eq!(why.chars().count(), "job fault: exit status 1: ".len() + 2_000);
}

#[tokio::test]
async fn a_result_has_a_limit() {
    let world = World::new();
    let why = reason(analyse(&command(&["yes"]), world.file(b"abc").await).await);
    assert_eq!(
        why,
        "job fault: the result is larger than 1000 bytes (sink.processor.result-max)"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_is_nobodys_fault() {
    let world = World::new();
    let spec = command(&["roundtrip-no-such-program", "{file}"]);
    let why = reason(analyse(&spec, world.file(b"abc").await).await);
    assert!(
        why.starts_with("away: the command `roundtrip-no-such-program` cannot be started: "),
        "{why}"
    );

    let error = Processor::new(&spec).unwrap().ready().await.unwrap_err();
    assert_eq!(error.exit, Exit::Config);
    insta::assert_snapshot!(render(&error), @r#"
    Error: the processor's command `roundtrip-no-such-program` is not there, or may not be run
    Hint: `sink.processor.command` names a program on PATH, or the path of one with its executable bit set
    "#);
    Processor::new(&command(&["sh"])).unwrap().ready().await.unwrap();
    assert_eq!(Processor::new(&command(&[])).unwrap_err().exit, Exit::Config);
}

/// The child must not take the end of the pipe for the end of the file: it ignores SIGTERM here, and would go on
/// to its last line if its input ended before SIGKILL.
#[tokio::test]
async fn a_failed_file_kills_the_command_without_an_end_of_input() {
    let world = World::new();
    let mut watched = Watched::new(world.folder.path());
    let marker = world.folder.path().join("marker");
    let script = format!("trap '' TERM; cat >/dev/null; touch '{}'", marker.display());
    let spec = shell(&watched.script(&script));
    let (mut writer, reader) = world.growing(Some(3));
    let analysis = tokio::spawn(async move { analyse(&spec, reader).await });
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    watched.up().await;
    writer.fail("chunk 0 was replaced");
    assert_eq!(reason(analysis.await.unwrap()), "unproven: chunk 0 was replaced");
    watched.gone().await;
    assert!(!marker.exists(), "the command took the part for the whole");
}

#[tokio::test]
async fn stopping_ends_the_command_and_all_it_started() {
    let world = World::new();
    let mut watched = Watched::new(world.folder.path());
    let spec = shell(&watched.script("sleep 1000 & sleep 1000 | cat"));
    let file = world.file(b"abc").await;
    let stop = CancellationToken::new();
    let analysis = tokio::spawn({
        let stop = stop.clone();
        async move { analyse_until(&spec, file, stop).await }
    });
    watched.up().await;
    stop.cancel();
    assert_eq!(analysis.await.unwrap(), None);
    watched.gone().await;
}

/// The next file must not begin beside it.
#[tokio::test]
async fn a_stopped_analysis_is_over_when_its_command_has_ended() {
    let world = World::new();
    let mut watched = Watched::new(world.folder.path());
    let marker = world.folder.path().join("marker");
    let script = format!(
        "trap 'sleep 0.5; echo bye; echo bye >&2; touch \"{}\"; exit' TERM; {}",
        marker.display(),
        watched.script("while :; do sleep 0.05; done")
    );
    let spec = shell(&script);
    let file = world.file(b"abc").await;
    let stop = CancellationToken::new();
    let analysis = tokio::spawn({
        let stop = stop.clone();
        async move { analyse_until(&spec, file, stop).await }
    });
    watched.up().await;
    stop.cancel();
    assert_eq!(analysis.await.unwrap(), None);
    assert!(marker.exists(), "it was still cleaning up");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended() {
    let world = World::new();
    let mut watched = Watched::new(world.folder.path());
    let mut spec = shell(&watched.script("sleep 1000"));
    spec.timeout = Duration::from_secs(1);
    let why = reason(analyse(&spec, world.file(b"abc").await).await);
    assert_eq!(
        why,
        "failed: the analysis took longer than 1s (sink.processor.timeout)"
    );
    watched.up().await;
    watched.gone().await;
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let world = World::new();
    let mut watched = Watched::new(world.folder.path());
    let spec = shell(&watched.script("sleep 1000 & echo done"));
    assert_eq!(result(analyse(&spec, world.file(b"abc").await).await), "done\n");
    watched.up().await;
    watched.gone().await;
}

#[tokio::test]
async fn the_command_runs_in_its_own_group_without_our_secrets() {
    let world = World::new();
    let names = result(
        analyse(
            &shell("env | cut -d= -f1 | grep -E '^(AWS_|ROUNDTRIP_)' || echo none"),
            world.file(b"").await,
        )
        .await,
    );
    assert_eq!(names, "none\n");
}
