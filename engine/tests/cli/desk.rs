//! What the tests share: a folder to run the program in, and services for it to reach.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use roundtrip::cloud::{Clients, setup};
use roundtrip::stack::Stack;
use tempfile::TempDir;

/// A folder the program runs in, in an environment of its own.
pub(crate) struct Desk {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Desk {
    /// A desk with an inbox, and no services.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inbox")).unwrap();
        // No configuration of the tester's, and no service to ask for credentials.
        let home = folder.path().to_str().unwrap().to_owned();
        let environment = vec![("AWS_EC2_METADATA_DISABLED", "true".to_owned()), ("HOME", home)];
        Self { folder, environment }
    }

    /// The desk with these services.
    pub(crate) fn with(mut self, services: &Services) -> Self {
        let endpoints = services.stack.endpoints();
        self.set("AWS_ENDPOINT_URL_S3", &endpoints.s3);
        self.set("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb);
        self.set("AWS_REGION", &endpoints.region);
        self.set("AWS_ACCESS_KEY_ID", &endpoints.access_key);
        self.set("AWS_SECRET_ACCESS_KEY", &endpoints.secret_key);
        self
    }

    /// Sets an environment variable, in place of an earlier value.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.retain(|(set, _)| *set != name);
        self.environment.push((name, value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program and gives what a person sees: exit code, standard output, standard error.
    pub(crate) fn seen(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output
            .status
            .code()
            .map_or_else(|| output.status.to_string(), |code| code.to_string());
        // The folder's own path differs each time.
        let error = text(&output.stderr).replace(self.folder.path().to_str().unwrap(), "[desk]");
        match text(&output.stdout).as_str() {
            "" => format!("exit code {code}\n{error}"),
            out => format!("exit code {code}\n{out}---\n{error}"),
        }
    }
}

/// Holds what a person sees against a snapshot, ports left out.
macro_rules! assert_seen {
    ($seen:expr, @$expected:literal) => {
        insta::with_settings!({ filters => vec![(r"127\.0\.0\.1:\d{5}", "127.0.0.1:[port]")] }, {
            insta::assert_snapshot!($seen, @$expected);
        });
    };
}
pub(crate) use assert_seen;

/// The embedded services in this process, with bucket and table.
pub(crate) struct Services {
    stack: Stack,
    _folder: TempDir,
}

impl Services {
    pub(crate) fn dynamodb(&self) -> &str {
        &self.stack.endpoints().dynamodb
    }

    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(folder.path(), None).await.unwrap();
        let clients = Clients::for_endpoints(stack.endpoints()).await;
        setup::ensure(&clients, "roundtrip", "roundtrip-jobs")
            .await
            .unwrap();
        Self {
            stack,
            _folder: folder,
        }
    }
}

/// A running program, killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks until a file is there.
pub(crate) fn until_exists(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !path.exists() {
        assert!(
            Instant::now() < deadline,
            "waited too long for {}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
