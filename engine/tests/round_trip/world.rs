//! What the tests share: folders, the embedded services, roles in this process, and looks at what there is.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip::cloud::{Clients, setup};
use roundtrip::dsl::spec::RoleSpec;
use roundtrip::dsl::{self, Layers};
use roundtrip::error::Result;
use roundtrip::run::progress::{Counts, Progress};
use roundtrip::run::role::Role;
use roundtrip::stack::Stack;
use roundtrip_core::names::OWNER;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const BUCKET: &str = "roundtrip";
pub(crate) const TABLE: &str = "roundtrip-jobs";

/// How long anything may take on a busy machine before a test gives up.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Between two looks at a condition.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Settings that suit a test: nothing rests for long.
const BRISK: &[&str] = &[
    "upload.source.directory.settle=\"20ms\"",
    "upload.source.directory.rescan=\"500ms\"",
    "upload.retry.interval=\"20ms\"",
    "receive.source.results.interval=\"20ms\"",
    "receive.source.results.interval-max=\"100ms\"",
    "analyse.source.jobs.interval=\"20ms\"",
    "analyse.source.jobs.interval-max=\"100ms\"",
    "analyse.retry.interval=\"20ms\"",
    "analyse.retry.interval-max=\"100ms\"",
    "cleanup.source.jobs.every=\"100ms\"",
    "restart-stalled.source.jobs.every=\"100ms\"",
    "restart-stalled.retry.interval=\"20ms\"",
    "admit.source.foreign.every=\"100ms\"",
    "sweep.source.objects.every=\"100ms\"",
];

/// A record as it stands in the table.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Folders, the embedded services, and a client that looks at them.
pub(crate) struct World {
    stack: Stack,
    pub(crate) clients: Clients,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(&folder.path().join("stack"), None).await.unwrap();
        let clients = Clients::for_endpoints(stack.endpoints()).await;
        setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
        let world = Self {
            stack,
            clients,
            folder,
        };
        std::fs::create_dir(world.path("inbox")).unwrap();
        world
    }

    /// A client whom S3 refuses everything.
    pub(crate) async fn refused(&self) -> Clients {
        let mut endpoints = self.stack.endpoints().clone();
        "wrong".clone_into(&mut endpoints.secret_key);
        Clients::for_endpoints(&endpoints).await
    }

    /// A path in the world's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the world, with the folders on the way.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A shipped role or a role file, brisk, with these settings over it.
    pub(crate) fn role(&self, role: &str, set: &[&str]) -> RoleSpec {
        let pipelines: &[&str] = match role {
            "client" => &["upload", "receive"],
            "fetcher" => &["analyse"],
            "watcher" => &["cleanup", "restart-stalled", "admit", "sweep"],
            _ => &[],
        };
        let is_ours = |set: &&&str| pipelines.contains(&set.split('.').next().unwrap());
        let mut all: Vec<String> = BRISK.iter().filter(is_ours).map(|&set| set.to_owned()).collect();
        let path = |key: &str, name: &str| {
            format!(
                "{key}={}",
                toml_edit::Value::from(self.path(name).to_str().unwrap())
            )
        };
        match role {
            "client" => {
                all.push(path("upload.source.directory.path", "inbox"));
                all.push(path("receive.sink.directory.path", "results"));
            }
            "fetcher" => all.push("analyse.sink.processor.builtin=fingerprint".to_owned()),
            _ => {}
        }
        all.extend(set.iter().map(|&set| set.to_owned()));
        let layers = Layers {
            profile: (!pipelines.is_empty()).then(|| "local".to_owned()),
            set: all,
            environment: Vec::new(),
        };
        dsl::load_role(role, &layers).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// Runs a role in this process until it is told to end; its state is `state` in the world's folder.
    pub(crate) async fn start(&self, spec: &RoleSpec, state: &str) -> Running {
        let progress = Progress::default();
        let role = Role::prepare(spec, &self.clients, &self.path(state), progress.clone())
            .await
            .unwrap();
        let (finish, stop) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(role.run(finish.clone(), stop.clone()));
        Running {
            finish,
            stop,
            progress,
            task: Some(task),
        }
    }

    /// Runs a role as `--once` does.
    pub(crate) async fn once(&self, spec: &RoleSpec, state: &str) -> Counts {
        self.start(spec, state).await.finish().await
    }

    /// The whole round trip with the shipped roles: the client's files become results, and everything is
    /// cleaned up. Settings go to the role whose pipeline they name.
    pub(crate) async fn round_trip(&self, set: &[&str]) -> Counts {
        let of = |pipelines: &[&str]| -> Vec<&str> {
            let ours = |set: &&str| pipelines.contains(&set.split('.').next().unwrap());
            set.iter().copied().filter(ours).collect()
        };
        let fetcher = self.role("fetcher", &of(&["analyse"]));
        let watcher = self.role("watcher", &of(&["cleanup", "restart-stalled", "admit", "sweep"]));
        let client = self.role("client", &of(&["upload", "receive"]));
        let fetcher = self.start(&fetcher, "fetcher").await;
        let watcher = self.start(&watcher, "watcher").await;
        let counts = self.once(&client, "client").await;
        fetcher.finish().await;
        watcher.finish().await;
        counts
    }

    /// Every job's record, by its file id.
    pub(crate) async fn records(&self) -> HashMap<String, Item> {
        let (jobs, _) = self.rows().await;
        jobs
    }

    /// Every job's record, and the rows that watchers keep for themselves, by their sort keys.
    pub(crate) async fn rows(&self) -> (HashMap<String, Item>, HashMap<String, Item>) {
        let mut pages = self
            .clients
            .dynamodb
            .scan()
            .table_name(TABLE)
            .into_paginator()
            .send();
        let (mut records, mut others) = (HashMap::new(), HashMap::new());
        while let Some(page) = pages.next().await {
            for item in page.unwrap().items.unwrap_or_default() {
                let rows = if is_job(&item) { &mut records } else { &mut others };
                rows.insert(text(&item, "file").to_owned(), item);
            }
        }
        (records, others)
    }

    /// The only record there is.
    pub(crate) async fn record(&self) -> Item {
        let mut records = self.records().await;
        assert_eq!(records.len(), 1, "{:?}", statuses(&records));
        records.drain().next().unwrap().1
    }

    /// Every object in the bucket but the name of its table.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let mut pages = self
            .clients
            .s3
            .list_objects_v2()
            .bucket(BUCKET)
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            keys.extend(
                page.contents()
                    .iter()
                    .map(|object| object.key().unwrap().to_owned())
                    .filter(|key| key != OWNER),
            );
        }
        keys
    }

    /// Puts a record as it is, whoever may have made it.
    pub(crate) async fn put_record(&self, item: Item) {
        let put = self.clients.dynamodb.put_item().table_name(TABLE);
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// Puts an object as it is.
    pub(crate) async fn put_object(&self, key: &str, body: Vec<u8>) {
        let put = self.clients.s3.put_object().bucket(BUCKET).key(key);
        put.body(body.into()).send().await.unwrap();
    }

    /// Holds every job to the end of its life: this status, cleaned, and nothing left in the bucket.
    pub(crate) async fn assert_cleaned(&self, jobs: usize, status: &str) {
        let records = self.records().await;
        assert_eq!(records.len(), jobs);
        for (file, record) in &records {
            assert_eq!(text(record, "status"), status, "{file}: {record:?}");
            assert!(record.contains_key("cleaned"), "{file}: {record:?}");
            assert!(!record.contains_key("lane"), "{file}: {record:?}");
        }
        assert_eq!(self.objects().await, Vec::<String>::new());
    }

    /// Holds a result of the built-in processor against the file's content.
    pub(crate) fn assert_fingerprint(&self, result: &str, content: &[u8]) {
        let text = self.read(result);
        assert_fingerprint(result, &text, content);
    }

    pub(crate) async fn stop(self) -> TempDir {
        self.stack.stop().await;
        self.folder
    }
}

/// A role that runs in this process.
pub(crate) struct Running {
    finish: CancellationToken,
    stop: CancellationToken,
    pub(crate) progress: Progress,
    task: Option<JoinHandle<Result<()>>>,
}

impl Running {
    /// Lets it end as `--once` does.
    pub(crate) async fn finish(mut self) -> Counts {
        self.finish.cancel();
        self.ended().await
    }

    /// Stops it as a signal does.
    pub(crate) async fn stop(mut self) -> Counts {
        self.stop.cancel();
        self.ended().await
    }

    async fn ended(&mut self) -> Counts {
        let task = self.task.take().unwrap();
        let ended = tokio::time::timeout(WAIT_MAX, task).await;
        ended.expect("the role ends").unwrap().unwrap();
        self.progress.counts()
    }
}

impl Drop for Running {
    /// Where a test drops it, the role is gone as if its process were killed.
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Looks until the condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + WAIT_MAX;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Looks until the condition holds, where nothing is awaited.
pub(crate) fn until_now(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Whether a row of the table is a client's.
pub(crate) fn is_job(item: &Item) -> bool {
    !text(item, "client").starts_with("roundtrip#")
}

/// A text of a record, empty where there is none.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}

/// What became of the attempts on a job, oldest first.
pub(crate) fn history(item: &Item) -> Vec<&str> {
    let attempts = item.get("history").and_then(|value| value.as_l().ok());
    attempts.into_iter().flatten().map(what).collect()
}

fn what(attempt: &AttributeValue) -> &str {
    attempt.as_m().unwrap()["what"].as_s().unwrap()
}

pub(crate) fn statuses(records: &HashMap<String, Item>) -> Vec<&str> {
    records.values().map(|record| text(record, "status")).collect()
}

pub(crate) fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

pub(crate) fn assert_fingerprint(name: &str, result: &str, content: &[u8]) {
    let result: serde_json::Value = serde_json::from_str(result).unwrap();
    assert_eq!(result["size"], content.len(), "{name}");
    assert_eq!(result["sha256"], sha256(content), "{name}");
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Every file below a folder, relative to it, in order.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .flatten();
    files
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_owned())
        .collect()
}
