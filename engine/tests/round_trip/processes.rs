//! The three roles as processes of their own, beside `roundtrip stack`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::processors::{reply, serve};
use crate::program::{assert_code, program};
use crate::world::{assert_fingerprint, files_below, noise, sha256, until_now};

/// A folder, a stack on it, and the lines the stack prints.
pub(crate) struct Site {
    folder: TempDir,
    port: u16,
    stack: Process,
    exports: BTreeMap<String, String>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inbox")).unwrap();
        let port = free_ports();
        let (stack, exports) = start_stack(folder.path(), port);
        let site = Self {
            folder,
            port,
            stack,
            exports,
        };
        assert_code(&site.run(&["setup"]), 0);
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .current_dir(self.folder.path())
            .envs(&self.exports)
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        let mut command = self.command(arguments);
        Process(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    /// Whether the bucket holds the name of its table and nothing else.
    fn bucket_is_empty(&self) -> bool {
        std::fs::read_dir(self.path("stack/s3/blobs")).unwrap().count() == 1
    }

    /// How many results there are, those not finished left out.
    pub(crate) fn results(&self) -> usize {
        let mut files = files_below(&self.path("results"));
        files.retain(|file| !file.to_string_lossy().starts_with('.'));
        files.len()
    }

    /// The stack is killed and comes back where it was.
    fn restart_stack(&mut self) {
        self.stack.0.kill().unwrap();
        self.stack.0.wait().unwrap();
        (self.stack, _) = start_stack(self.folder.path(), self.port);
    }
}

/// The first of two free ports in a row. Somebody may take them in between; that is rare.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return port;
        }
    }
}

fn start_stack(folder: &Path, port: u16) -> (Process, BTreeMap<String, String>) {
    let mut child = program()
        .args(["stack", "--state", "stack", "--port", &port.to_string()])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut exports = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "# ready" {
            break;
        }
        let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
        exports.insert(name.to_owned(), value.trim_matches('\'').to_owned());
    }
    assert!(!exports.is_empty(), "the stack is up");
    (Process(child), exports)
}

/// A process, killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Stops it as a service manager does; gives the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap().code()
    }

    /// The sockets it listens on.
    fn listeners(&self) -> usize {
        let links = std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap();
        let inodes: Vec<String> = links
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                Some(
                    link.to_str()?
                        .strip_prefix("socket:[")?
                        .trim_end_matches(']')
                        .to_owned(),
                )
            })
            .collect();
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let rows = tables.iter().flat_map(|table| table.lines().skip(1));
        let listening = rows.filter(|row| {
            let fields: Vec<&str> = row.split_whitespace().collect();
            // 0A is LISTEN.
            fields[3] == "0A" && inodes.iter().any(|inode| inode == fields[9])
        });
        listening.count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) const CLIENT: &[&str] = &[
    "run",
    "client",
    "--profile",
    "local",
    "--state",
    "client",
    "--set",
    "upload.source.directory.settle=100ms",
];
const WATCHER: &[&str] = &["run", "watcher", "--profile", "local", "--state", "watcher"];
pub(crate) const FETCHER: &[&str] = &[
    "run",
    "fetcher",
    "--profile",
    "local",
    "--state",
    "fetcher",
    "--set",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_bring_the_results_and_none_of_them_listens() {
    let site = Site::new();
    let content = noise(1, 5_000_000);
    std::fs::write(site.path("inbox/large.raw"), &content).unwrap();
    std::fs::write(site.path("inbox/empty"), "").unwrap();
    let url = serve(|body| reply(200, "text/plain", sha256(&body))).await;
    let fetcher = site.start(&[FETCHER, &[&format!("analyse.sink.processor.url={url}")]].concat());
    let watcher = site.start(WATCHER);
    let client = site.start(CLIENT);
    until_now("the results are here", || site.results() == 2);
    let read = |name: &str| std::fs::read_to_string(site.path(name)).unwrap();
    assert_eq!(read("results/large.raw.txt"), sha256(&content));
    assert_eq!(read("results/empty.txt"), sha256(b""));
    if cfg!(target_os = "linux") {
        let listeners = [&client, &fetcher, &watcher, &site.stack].map(Process::listeners);
        assert_eq!(listeners, [0, 0, 0, 2]);
    }
    until_now("the bucket is empty", || site.bucket_is_empty());
    assert_eq!([client, fetcher, watcher].map(Process::terminate), [Some(0); 3]);
    // Each role ends by itself when asked to.
    for role in [
        CLIENT,
        WATCHER,
        &[FETCHER, &["analyse.sink.processor.command=cat"]].concat(),
    ] {
        assert_code(&site.run(&[role, &["--once"]].concat()), 0);
    }
    assert_eq!(site.stack.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_outlive_their_services() {
    let mut site = Site::new();
    let files: Vec<(String, Vec<u8>)> = (0..20)
        .map(|number| (format!("{number:02}.raw"), noise(number, 100_000)))
        .collect();
    for (name, content) in &files {
        std::fs::write(site.path("inbox").join(name), content).unwrap();
    }
    let lease = [
        "--set",
        "analyse.claim.lease=2s",
        "--set",
        "analyse.claim.heartbeat=500ms",
    ];
    let set = [&["analyse.sink.processor.builtin=fingerprint"], lease.as_slice()].concat();
    let fetcher = site.start(&[FETCHER, &set].concat());
    let watcher = site.start(WATCHER);
    let client = site.start(CLIENT);
    for count in [1, 8] {
        until_now("some results are here", || site.results() >= count);
        site.restart_stack();
    }
    until_now("all results are here", || site.results() == files.len());
    for (name, content) in &files {
        let result = std::fs::read_to_string(site.path(&format!("results/{name}.json"))).unwrap();
        assert_fingerprint(name, &result, content);
    }
    assert_eq!([client, fetcher, watcher].map(Process::terminate), [Some(0); 3]);
    // The first round cleans up what finished last. A put that was repeated because its answer was lost may have
    // landed after the watcher had been there (ARCHITECTURE.md, "Known limits"): the second sweeps that up.
    let sweep = ["--once", "--set", "sweep.source.objects.age-min=0s"];
    for _ in 0..2 {
        assert_code(&site.run(&[WATCHER, &sweep].concat()), 0);
    }
    assert!(site.bucket_is_empty());
}
