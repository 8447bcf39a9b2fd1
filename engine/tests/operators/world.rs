//! The embedded stack with jobs in every state, and the program as an operator runs it.

use std::process::Command;
use std::time::Duration;

use roundtrip::cloud::item::iso;
use roundtrip::cloud::jobs::{Answer, Jobs};
use roundtrip::cloud::{Clients, setup};
use roundtrip::run::driver::now;
use roundtrip::stack::Stack;
use roundtrip::wire::keys::ClientKey;
use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Job, Lane, LaneKind, Status};
use roundtrip_core::lifecycle::{self, Change};
use roundtrip_core::names::{FileId, JobKey};
use roundtrip_core::plan::{Codec, FORMAT, Outline};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "roundtrip";
pub(crate) const TABLE: &str = "roundtrip-jobs";
pub(crate) const LEASE: Duration = Duration::from_mins(5);

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct World {
    stack: Stack,
    pub(crate) clients: Clients,
    pub(crate) folder: TempDir,
    pub(crate) jobs: Jobs,
    pub(crate) key: ClientKey,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(&folder.path().join("stack"), None).await.unwrap();
        let clients = Clients::for_endpoints(stack.endpoints()).await;
        setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
        Self {
            jobs: Jobs::new(clients.dynamodb.clone(), TABLE),
            stack,
            clients,
            folder,
            key: ClientKey::generate().unwrap(),
        }
    }

    /// Runs the program with the stack's endpoints and nothing of the tester's AWS settings.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        let endpoints = self.stack.endpoints();
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtrip"));
        command.args(arguments).env_clear().envs([
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent/config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials"),
            ("AWS_ENDPOINT_URL_S3", &endpoints.s3),
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
            ("AWS_REGION", &endpoints.region),
            ("AWS_ACCESS_KEY_ID", &endpoints.access_key),
            ("AWS_SECRET_ACCESS_KEY", &endpoints.secret_key),
        ]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// A signed job of one chunk that was created so many seconds ago, not in the table yet.
    pub(crate) fn job(&self, number: u32, age: i64) -> Job {
        let key = JobKey {
            client: self.key.client_id().clone(),
            file: FileId::parse(&file(number)).unwrap(),
        };
        let created_at = Timestamp(now().0 - age * 1_000);
        let outline = Outline {
            format: FORMAT,
            client: key.client.clone(),
            file: key.file.clone(),
            size: 5,
            chunk_size: 8 << 20,
            codec: Codec::Zstd,
            name: Some("scan 1.tif".to_owned()),
        };
        let mut job = Job {
            key,
            status: Status::Queued,
            version: "2.5.21".to_owned(),
            created: iso(created_at),
            created_at: Some(created_at),
            bucket: BUCKET.to_owned(),
            chunks: 1,
            signature: String::new(),
            processor: None,
            assigned: None,
            downloaded: None,
            processed: None,
            results: None,
            results_type: None,
            error: None,
            outline_signature: Some(self.key.sign(&outline.text())),
            outline: Some(outline.text()),
            lane: Some(Lane {
                kind: LaneKind::Ready,
                shard: number % 8,
            }),
            due: Some(created_at),
            retries: 0,
            failures: 0,
            history: Vec::new(),
            cleaning: None,
            cleaned: None,
            priority: 0,
        };
        job.signature = self.key.sign(&job.signed_text());
        job
    }

    /// Makes a write, which must pass; gives the record as it is afterwards.
    pub(crate) async fn apply(&self, change: &Change) -> Job {
        let answer = self.jobs.apply(change).await.unwrap();
        assert!(matches!(answer, Answer::Done(_)), "{change:?}: {answer:?}");
        let key = JobKey {
            client: self.key.client_id().clone(),
            file: FileId::parse(&change.key.file).unwrap(),
        };
        self.jobs.get(&key).await.unwrap().unwrap()
    }

    pub(crate) async fn created(&self, number: u32, age: i64) -> Job {
        self.apply(&lifecycle::create(&self.job(number, age))).await
    }

    pub(crate) async fn claimed(&self, number: u32, by: &str) -> Job {
        let job = self.created(number, 60).await;
        self.apply(&lifecycle::claim(&job, by, now(), LEASE)).await
    }

    pub(crate) async fn put(&self, key: &str, body: Vec<u8>) {
        let put = self.clients.s3.put_object().bucket(BUCKET).key(key);
        put.body(body.into()).send().await.unwrap();
    }

    /// Puts the only chunk of a job.
    pub(crate) async fn upload(&self, job: &Job) {
        let chunk = zstd::encode_all(&b"hello"[..], 3).unwrap();
        self.put(&job.key.chunk(0), chunk).await;
    }
}

/// A file id with its number at the end.
pub(crate) fn file(number: u32) -> String {
    format!("file-{number:08}-0000-4000-8000-000000000000")
}

/// What was said, without what differs from run to run.
macro_rules! assert_said {
    ($said:expr, $name:expr) => {{
        let said = $said;
        insta::with_settings!({
            omit_expression => true,
            filters => vec![
                (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[time]"),
                (r"client-04[0-9a-f]{8}([0-9a-f]{120})?", "[client]"),
                (r"processor-[0-9a-f]{8}-[0-9a-f-]{27}", "[processor]"),
                (r"(\d+(ms|s|m|min|h|day|days) ?)+ ago", "[ago]"),
                (r"in (\d+(ms|s|m|h) ?)+", "[ahead]"),
                (r"  (\d+(ms|s|m|h|days?) ?)+  ", "  [span]  "),
                (r"since (\d+(ms|s|m|h) ?)+", "since [span]"),
                (r" {2,}", "  "),
            ],
        }, {
            let code = said.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
            insta::assert_snapshot!($name, format!("exit {code}\n{}--\n{}", said.out, said.err));
        });
    }};
}

pub(crate) use assert_said;
