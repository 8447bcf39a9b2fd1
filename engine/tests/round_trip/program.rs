//! The compiled program: `roundtrip local` as a person starts it, in an environment of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use roundtrip_core::names::OWNER;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::world::{BUCKET, Item, TABLE};

/// Folders for `roundtrip local`.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inbox")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the inbox.
    pub(crate) fn put(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("inbox").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn result(&self, name: impl AsRef<Path>) -> String {
        let path = self.path("results").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `roundtrip local` with these arguments over brisk settings.
    pub(crate) fn local<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = program();
        command
            .arg("local")
            .arg("--inbox")
            .arg(self.path("inbox"))
            .arg("--results")
            .arg(self.path("results"))
            .arg("--state")
            .arg(self.path("state"))
            .args(["--set", "upload.source.directory.settle=100ms"])
            .args(["--set", "analyse.retry.interval=20ms"])
            .args(["--set", "cleanup.source.jobs.every=200ms"])
            .args(arguments);
        command
    }

    /// Runs `roundtrip local --once` to its end.
    pub(crate) fn once(&self, arguments: &[&str]) -> Output {
        let arguments = arguments.iter().copied().chain(["--once"]);
        self.local(arguments).output().unwrap()
    }

    /// Starts `roundtrip local` and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        let child = self
            .local(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Program(child)
    }

    /// Looks at what a stopped program left in its services.
    pub(crate) async fn look(&self) -> Left {
        let stack = roundtrip::stack::Stack::start(&self.path("state/stack"), None)
            .await
            .unwrap();
        let clients = roundtrip::cloud::Clients::for_endpoints(stack.endpoints()).await;
        let scan = clients.dynamodb.scan().table_name(TABLE).send().await.unwrap();
        let jobs = scan.items().iter().filter(|item| crate::world::is_job(item));
        let records: Vec<Item> = jobs.cloned().collect();
        assert!(
            scan.last_evaluated_key().is_none(),
            "one page is enough for a test"
        );
        let list = clients.s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        let objects = list
            .contents()
            .iter()
            .map(|object| object.key().unwrap().to_owned())
            .filter(|key| key != OWNER)
            .collect();
        stack.stop().await;
        Left { records, objects }
    }

    /// Files of the fetcher that a stop should not have left.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        let mut files = crate::world::files_below(&self.path("state/spool"));
        // The lock of the whole spool holds nothing of anybody's file.
        files.retain(|file| file != Path::new(".lock"));
        files
    }
}

/// What a stopped program left in its services.
pub(crate) struct Left {
    pub(crate) records: Vec<Item>,
    pub(crate) objects: Vec<String>,
}

impl Left {
    /// Holds every job to the end of its life: this status, cleaned, and nothing left in the bucket.
    pub(crate) fn assert_cleaned(&self, jobs: usize, status: &str) {
        let wrong = self.records.iter().filter(|record| {
            crate::world::text(record, "status") != status || !record.contains_key("cleaned")
        });
        assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Item>::new());
        assert_eq!(self.records.len(), jobs, "{:#?}", self.records);
        assert_eq!(self.objects, Vec::<String>::new());
    }
}

/// A running program, killed when dropped.
pub(crate) struct Program(Child);

impl Program {
    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ctrl-C; gives the exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        self.0.wait().unwrap().code()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program in an environment of its own: nothing of the tester's settings reaches it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// What a person sees.
pub(crate) fn seen(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "exit code {:?}\n{}---\n{}",
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

pub(crate) fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", seen(output));
}
