//! What is measured, held to what was recorded and to what must not be kept silent.

use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::pace::PacePolicy;
use serde_json::Value;

use super::*;

const RECORDED: &str = include_str!("../../../../recordings/real-round-trip.jsonl");

/// Bytes of the results in the recording before they were sealed.
const RECORDED_RESULT_BYTES: usize = 126;

/// How far a record has come.
type Stage = (String, bool, bool);

/// Bytes of a value as DynamoDB counts them.
fn bytes(value: &Value) -> usize {
    let (kind, held) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "S" => held.as_str().unwrap().len(),
        "N" => 1 + held.as_str().unwrap().len().div_ceil(2),
        "L" => {
            3 + held
                .as_array()
                .unwrap()
                .iter()
                .map(|one| 1 + bytes(one))
                .sum::<usize>()
        }
        "M" => {
            let pairs = held.as_object().unwrap().iter();
            3 + pairs
                .map(|(name, one)| 1 + name.len() + bytes(one))
                .sum::<usize>()
        }
        "BOOL" => 1,
        other => panic!("no record of ours holds {other}"),
    }
}

/// The first record of each stage.
fn recorded() -> BTreeMap<Stage, usize> {
    let mut sizes = BTreeMap::new();
    for line in RECORDED.lines().skip(1) {
        let entry: Value = serde_json::from_str(line).unwrap();
        let Some(record) = entry["dynamodb"]["NewImage"].as_object() else {
            continue;
        };
        let Some(status) = record.get(a::STATUS) else {
            continue;
        };
        let has = |name: &str| record.contains_key(name);
        let stage = (
            status["S"].as_str().unwrap().to_owned(),
            has(a::DOWNLOADED),
            has(a::CLEANED),
        );
        let size = record.iter().map(|(name, held)| name.len() + bytes(held)).sum();
        sizes.entry(stage).or_insert(size);
    }
    sizes
}

#[test]
fn records_are_as_large_as_recorded_ones() {
    let what = Scale {
        result_bytes: RECORDED_RESULT_BYTES,
        ..Scale::new(1, 1)
    };
    let scenario = what.scenario();
    let mut world = begin(&scenario, &what, 1);
    world.go(|_| ());
    let mut modelled = BTreeMap::new();
    for (_, news) in world.services.stream.all() {
        let record = news.after.as_ref().unwrap();
        let has = |name: &str| record.get(name).is_some();
        let status = record.text(a::STATUS).unwrap().to_owned();
        let stage = (status, has(a::DOWNLOADED), has(a::CLEANED));
        modelled.entry(stage).or_insert(record.bytes());
    }
    let recorded = recorded();
    assert_eq!(recorded.len(), 5, "{recorded:?}");
    assert_eq!(
        modelled.keys().collect::<Vec<_>>(),
        recorded.keys().collect::<Vec<_>>()
    );
    for (stage, size) in recorded {
        let off = modelled[&stage].abs_diff(size) * 100 / size;
        assert!(
            off <= 2,
            "{stage:?}: {} is modelled, {size} is real",
            modelled[&stage]
        );
    }
}

/// One client makes more jobs than its partition takes in.
#[test]
fn a_job_whose_creation_is_throttled_is_made_later_and_its_wait_counts() {
    let what = Scale {
        clients: 1,
        rate: Some(4_000.0),
        analysis_max: Duration::from_secs(1),
        ..Scale::new(40, 1_400)
    };
    let mut finished = 0;
    let measured = measure(&what, Prices::default(), 1, |ended| finished = ended);
    assert_eq!(
        (measured.jobs, measured.finished, finished),
        (1_400, 1_400, 1_400)
    );
    assert!(measured.requests_per_job["create"] > 1.2, "{measured:?}");
    assert!(measured.claim_p99_ms > 500, "{measured:?}");
}

#[test]
fn jobs_come_at_random_and_as_many_as_were_asked_for() {
    let what = Scale {
        rate: Some(50.0),
        analysis_max: Duration::from_secs(1),
        ..Scale::new(100, 1_000)
    };
    let scenario = what.scenario();
    let mut world = begin(&scenario, &what, 1);
    let mut moments = Vec::new();
    world.go(|world| {
        if world.judge.created > moments.len() as u64 {
            moments.push(world.now);
        }
    });
    let gaps: Vec<i64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
    let mean = gaps.iter().sum::<i64>() / 999;
    assert!((18..=22).contains(&mean), "{mean} ms");
    // Of an exponential distribution, 63 of 100 are shorter than the mean.
    let shorter = gaps.iter().filter(|gap| **gap < mean).count();
    assert!((580..=680).contains(&shorter), "{shorter}");
}

/// Fetchers that look when they start and then not for a month.
#[test]
fn a_run_that_is_cut_short_says_so() {
    let mut what = Scale::new(1, 10);
    what.policies.analyse.pace = PacePolicy::every(Duration::from_hours(720));
    let measured = measure(&what, Prices::default(), 1, |_| ());
    assert_eq!((measured.jobs, measured.created, measured.finished), (10, 10, 0));
    assert!(!measured.holds());
    let told = measured.faults();
    assert!(
        told[0].contains("of 10 jobs 10 were made and 0 ended"),
        "{told:?}"
    );
}

#[test]
fn a_promise_that_breaks_is_told() {
    let what = Scale::new(1, 2);
    let scenario = what.scenario();
    let mut world = begin(&scenario, &what, 1);
    let key = JobKey {
        client: names::client(0),
        file: names::file(1, 1),
    };
    // No job has this chunk, and it is too young to be swept.
    world.services.bucket.put(START, key.chunk(0), Object::Chunk(1));
    world.go(|_| ());
    let measured = world.measured(&what, Prices::default());
    assert_eq!((measured.finished, measured.holds()), (2, false));
    assert_eq!(measured.faults().len(), 1);
    assert!(
        measured.faults()[0].contains("lies in the bucket"),
        "{measured:?}"
    );
}
