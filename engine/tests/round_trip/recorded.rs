//! What the running engine decided, and what replay decides on the recording of it: one and the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use roundtrip::cloud::item;
use roundtrip::cloud::jobs::{Answer, Jobs};
use roundtrip::cloud::streams::Streams;
use roundtrip::dsl::spec::RoleSpec;
use roundtrip::recorder::{Recorder, Start};
use roundtrip::recordings;
use roundtrip::replay::decisions;
use roundtrip::run::driver::now;
use roundtrip_core::lifecycle;
use roundtrip_testkit::recording::{Entry, Writer};
use roundtrip_testkit::replay::{History, Line, Outcome, Settings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{TABLE, World, noise, until};

const WATCHER: &[&str] = &[
    "requeue", "give-up", "cleaning", "cleaned", "keep", "admit", "adopt",
];
/// Not `downloaded`: it is on its way together with the last write, and refused where that one is faster.
const FETCHER: &[&str] = &["claim", "complete", "fail", "release", "refuse"];

/// Records a table's stream until it is told that all has happened, and what the stream tells of that.
struct Tape {
    over: oneshot::Sender<()>,
    entries: JoinHandle<Vec<Entry<'static>>>,
}

impl Tape {
    async fn begin(world: &World) -> Self {
        let streams = Streams::new(
            world.clients.streams.clone(),
            world.clients.dynamodb.clone(),
            TABLE,
        );
        let mut recorder = Recorder::begin(streams, Start::Oldest).await.unwrap();
        let (over, mut ended) = oneshot::channel();
        let entries = tokio::spawn(async move {
            let mut entries = Vec::new();
            while ended.try_recv().is_err() {
                entries.extend(recorder.next().await.unwrap());
            }
            assert!(recorder.finish(Duration::from_secs(30), &mut entries).await);
            entries
        });
        Self { over, entries }
    }

    async fn end(self, path: &Path) -> Vec<Entry<'static>> {
        self.over.send(()).unwrap();
        let entries = self.entries.await.unwrap();
        let mut writer = Writer::new(std::fs::File::create(path).unwrap());
        for entry in &entries {
            writer.entry(entry).unwrap();
        }
        entries
    }
}

/// What was decided about each file, with the reasons that are written down.
fn by_file<'a>(lines: impl Iterator<Item = &'a Line>, actions: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.filter(|line| actions.contains(&line.action.as_str())) {
        let why = match line.action.as_str() {
            "requeue" | "give-up" => line.reason.as_str(),
            _ => "",
        };
        let said = format!("{} {why}", line.action);
        files.entry(line.file.clone()).or_default().push(said);
    }
    files
}

/// Holds what a role wrote in production against what it decides on the recording.
fn assert_agrees(path: &Path, spec: &RoleSpec, actions: &[&str]) {
    let mut history = History::new();
    let happenings = recordings::open(path).unwrap();
    let recorded: Vec<Line> = happenings
        .filter_map(|happening| history.read(happening.unwrap()))
        .collect();
    let (replayed, ..) = decisions(spec, Settings::default(), path).unwrap();
    let done = replayed.iter().filter(|line| line.outcome == Outcome::Done);
    let recorded = by_file(recorded.iter(), actions);
    assert!(!recorded.is_empty());
    assert_eq!(by_file(done, actions), recorded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_decides_what_the_running_watcher_decided() {
    let world = World::new().await;
    let tape = Tape::begin(&world).await;
    for name in ["a", "b", "c"] {
        world.write(&format!("inbox/{name}.bin"), noise(7, 200_000));
    }
    let client = world.start(&world.role("client", &[]), "client").await;
    until("the files are sent", async || {
        let objects = world.objects().await;
        objects.iter().filter(|key| key.ends_with("/manifest")).count() == 3
    })
    .await;
    // A fetcher takes one of them and is never heard of again.
    let record = world.records().await.into_values().next().unwrap();
    let lost = "processor-00000000-0000-4000-8000-000000000000";
    let claim = lifecycle::claim(
        &item::read(&record).unwrap(),
        lost,
        now(),
        Duration::from_millis(300),
    );
    let jobs = Jobs::new(world.clients.dynamodb.clone(), TABLE);
    assert!(matches!(jobs.apply(&claim).await.unwrap(), Answer::Done(_)));
    let spec = world.role("watcher", &[]);
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    let watcher = world.start(&spec, "watcher").await;
    client.finish().await;
    fetcher.finish().await;
    watcher.finish().await;
    world.assert_cleaned(3, "COMPLETED").await;
    let path = world.path("recording.jsonl");
    tape.end(&path).await;
    assert_agrees(&path, &spec, WATCHER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_decides_what_the_running_fetcher_decided() {
    let world = World::new().await;
    let tape = Tape::begin(&world).await;
    for name in ["a", "b", "c", "d"] {
        world.write(&format!("inbox/{name}.bin"), noise(7, 200_000));
    }
    let spec = world.role("fetcher", &[]);
    let fetcher = world.start(&spec, "fetcher").await;
    let watcher = world.start(&world.role("watcher", &[]), "watcher").await;
    world.once(&world.role("client", &[]), "client").await;
    fetcher.finish().await;
    watcher.finish().await;
    let path = world.path("recording.jsonl");
    tape.end(&path).await;
    assert_agrees(&path, &spec, FETCHER);
}
