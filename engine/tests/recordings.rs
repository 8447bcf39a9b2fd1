//! Every history in `testkit/recordings` through the shipped roles: the decisions are snapshots.
//!
//! Adding a recording is adding a file: `INSTA_UPDATE=always cargo test -p roundtrip --test recordings` writes its
//! snapshot, to be read and committed.
#![expect(clippy::unwrap_used, reason = "a test says what broke by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use roundtrip::dsl::{Layers, load_dry};
use roundtrip::recordings::open;
use roundtrip::replay::decisions;
use roundtrip_testkit::replay::{History, Line, Outcome, Settings};

/// More changes of the published numbers than this are told as their count and a hash.
const METRICS_MAX: usize = 60;

/// More decisions than this are told as counts and a hash.
const LINES_MAX: usize = 1_000;

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/recordings");
    let mut recordings: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")
        })
        .collect();
    recordings.sort();
    recordings
}

fn name(recording: &Path) -> String {
    let name = recording.file_name().unwrap().to_string_lossy();
    name.trim_end_matches(".zst")
        .trim_end_matches(".jsonl")
        .to_owned()
}

fn replayed(role: &str, recording: &Path) -> Vec<Line> {
    let spec = load_dry(role, &Layers::default()).unwrap();
    decisions(&spec, Settings::default(), recording).unwrap().0
}

/// The decisions as text. Numbers are published every minute: they are told where they change.
fn text(lines: &[Line]) -> String {
    let (published, told): (Vec<&Line>, Vec<&Line>) =
        lines.iter().partition(|line| line.action == "publish-metric");
    let mut text = String::new();
    if told.len() > LINES_MAX {
        let mut counts: BTreeMap<(&str, &str, Outcome), usize> = BTreeMap::new();
        for line in &told {
            *counts
                .entry((&line.pipeline, &line.action, line.outcome))
                .or_default() += 1;
        }
        for ((pipeline, action, outcome), count) in counts {
            let _ = writeln!(text, "{pipeline} {action} {} x {count}", outcome.as_str());
        }
        let whole: String = told.iter().map(|line| line.text() + "\n").collect();
        let _ = writeln!(text, "hash {:016x}", hash(&whole));
    } else {
        for line in told {
            let _ = writeln!(text, "{}", line.text());
        }
    }
    if !published.is_empty() {
        let _ = writeln!(text, "publish-metric x {}", published.len());
    }
    let mut changes = published.clone();
    changes.dedup_by_key(|line| &line.reason);
    if changes.len() > METRICS_MAX {
        let whole: String = changes.iter().map(|line| line.text() + "\n").collect();
        let _ = writeln!(text, "{} changes, hash {:016x}", changes.len(), hash(&whole));
    } else {
        for line in changes {
            let _ = writeln!(text, "{}", line.text());
        }
    }
    text
}

/// FNV-1a: the same for every version of everything.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_shipped_roles_decide_on_every_history_as_they_did() {
    let recordings = recordings();
    assert!(recordings.len() >= 25, "{} recordings", recordings.len());
    for recording in recordings {
        let mut told = String::new();
        for role in ["watcher", "fetcher", "client"] {
            let once = replayed(role, &recording);
            let again = replayed(role, &recording);
            assert!(once == again, "{} tells {role} two things", recording.display());
            let _ = writeln!(told, "# {role}\n{}", text(&once));
        }
        insta::assert_snapshot!(name(&recording), told);
    }
}

/// The stream may tell everything again, some of it after later records.
#[test]
fn what_is_told_again_changes_no_decision() {
    let folder = tempfile::tempdir().unwrap();
    for recording in recordings() {
        let Ok(text) = std::fs::read_to_string(&recording) else {
            continue;
        };
        let is_record = |line: &&str| !line.starts_with("{\"recording\"");
        let again: Vec<&str> = text.lines().filter(is_record).collect();
        let twice = folder.path().join(recording.file_name().unwrap());
        std::fs::write(&twice, format!("{}\n{}\n", text.trim_end(), again.join("\n"))).unwrap();
        for role in ["watcher", "fetcher", "client"] {
            let (once, twice) = (replayed(role, &recording), replayed(role, &twice));
            assert!(once == twice, "{} for {role}", recording.display());
        }
    }
}

#[test]
fn duplicates_decide_as_what_was_told_once() {
    let doubled = recordings()
        .into_iter()
        .find(|path| name(path) == "duplicates")
        .unwrap();
    let text = std::fs::read_to_string(&doubled).unwrap();
    let mut told = BTreeSet::new();
    let lines = text.lines().filter(|line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["eventID"]
            .as_str()
            .is_none_or(|id| told.insert(id.to_owned()))
    });
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() < text.lines().count());
    let folder = tempfile::tempdir().unwrap();
    let once = folder.path().join("once.jsonl");
    std::fs::write(&once, lines.join("\n")).unwrap();
    for role in ["watcher", "fetcher", "client"] {
        assert_eq!(replayed(role, &once), replayed(role, &doubled), "{role}");
    }
}

/// What was decided about each file, in its order, by those who decide so.
fn by_file<'a>(lines: impl Iterator<Item = &'a Line>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let watcher = [
        "requeue", "give-up", "cleaning", "cleaned", "keep", "admit", "adopt",
    ];
    for line in lines.filter(|line| watcher.contains(&line.action.as_str())) {
        files.entry(&line.file).or_default().push(&line.action);
    }
    files
}

#[test]
fn the_watcher_decides_what_the_recorded_one_did() {
    let is_real = |path: &PathBuf| name(path).starts_with("real-");
    let real: Vec<PathBuf> = recordings().into_iter().filter(is_real).collect();
    assert!(real.len() >= 5, "{} real recordings", real.len());
    for recording in real {
        let mut history = History::new();
        let happenings = open(&recording).unwrap();
        let recorded: Vec<Line> = happenings
            .filter_map(|happening| history.read(happening.unwrap()))
            .collect();
        let replayed = replayed("watcher", &recording);
        let done = replayed.iter().filter(|line| line.outcome == Outcome::Done);
        assert_eq!(by_file(done), by_file(recorded.iter()), "{}", recording.display());
    }
}
