//! The states a job can be in, each reached by the writes that lead there.

use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Job, Lane, LaneKind, Status};
use roundtrip_core::lifecycle::{self, Change, operator};
use roundtrip_core::names::{ClientId, FileId, JobKey};

/// The fetcher whose writes are tried, and another.
pub(crate) const MINE: &str = "processor-00000000-0000-4000-8000-000000000001";
pub(crate) const THEIRS: &str = "processor-00000000-0000-4000-8000-000000000002";

pub(crate) const LEASE: Duration = Duration::from_mins(5);

/// So many seconds after the job was created.
pub(crate) fn second(second: i64) -> Timestamp {
    Timestamp(1_790_000_000_000 + second * 1_000)
}

/// A job as its client makes it.
pub(crate) fn queued() -> Job {
    Job {
        key: JobKey {
            client: ClientId::parse(&format!("client-04{}", "ab".repeat(64))).unwrap(),
            file: FileId::parse("file-00000000-0000-0000-0000-000000000000").unwrap(),
        },
        status: Status::Queued,
        version: "2.5.21".to_owned(),
        created: "2026-09-21T14:13:20.000Z".to_owned(),
        created_at: Some(second(0)),
        bucket: "roundtrip".to_owned(),
        chunks: 3,
        signature: "30aa".to_owned(),
        processor: None,
        assigned: None,
        downloaded: None,
        processed: None,
        results: None,
        results_type: None,
        error: None,
        outline: None,
        outline_signature: None,
        lane: Some(lane(LaneKind::Ready)),
        due: Some(second(0)),
        retries: 0,
        failures: 0,
        history: Vec::new(),
        cleaning: None,
        cleaned: None,
        priority: 0,
    }
}

pub(crate) fn lane(kind: LaneKind) -> Lane {
    Lane { kind, shard: 3 }
}

/// A job that its client wants taken before others.
pub(crate) fn urgent() -> Job {
    Job {
        priority: 5,
        ..queued()
    }
}

/// A foreign client's, which knows no lanes.
pub(crate) fn foreign() -> Job {
    Job {
        lane: None,
        due: None,
        ..queued()
    }
}

/// What a fetcher knows of a job it claimed ten seconds after its creation.
pub(crate) fn held(processor: &str, retries: u32) -> Job {
    Job {
        status: Status::Processing,
        processor: Some(processor.to_owned()),
        assigned: Some(second(10)),
        lane: Some(lane(LaneKind::Leased)),
        due: Some(second(10) + LEASE),
        retries,
        ..queued()
    }
}

/// What the watcher sees of a job that is finished.
pub(crate) fn finished() -> Job {
    Job {
        status: Status::Completed,
        results: Some("04:aa:bb:cc".to_owned()),
        processed: Some(second(60)),
        lane: Some(lane(LaneKind::Done)),
        due: Some(second(60)),
        ..held(MINE, 0)
    }
}

/// What the watcher and an operator see of a job that failed.
pub(crate) fn failed() -> Job {
    Job {
        status: Status::Error,
        results: None,
        error: Some("not an image".to_owned()),
        failures: 1,
        ..finished()
    }
}

/// A state by the writes that lead to it.
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) changes: Vec<Change>,
}

/// A fetcher takes the job: as it was made, or since it was lost before.
fn claim(processor: &str, retries: u32) -> Change {
    let due = if retries == 0 {
        queued().due
    } else {
        Some(second(400))
    };
    let job = Job {
        retries,
        due,
        ..queued()
    };
    lifecycle::claim(&job, processor, second(10), LEASE)
}

pub(crate) fn all() -> Vec<State> {
    let create = lifecycle::create(&queued());
    let mine = held(MINE, 0);
    let lost = lifecycle::requeue(&mine, second(400), second(400), "no heartbeat");
    let complete = |processor, retries| {
        lifecycle::complete(
            &held(processor, retries),
            processor,
            second(60),
            "04:aa:bb:cc",
            None,
        )
    };
    let fail = lifecycle::fail(&mine, MINE, second(60), 1, "not an image");
    let cancelled = operator::cancel(&mine, second(30), "").unwrap();
    let cleaned = lifecycle::cleaned(&finished(), second(90), LEASE);
    let state = |name, changes: &[&Change]| State {
        name,
        changes: changes.iter().map(|change| (*change).clone()).collect(),
    };
    vec![
        state("absent", &[]),
        state("queued", &[&create]),
        state("queued, urgent", &[&lifecycle::create(&urgent())]),
        state("queued, no lane", &[&lifecycle::create(&foreign())]),
        state("mine", &[&create, &claim(MINE, 0)]),
        state(
            "mine, heartbeat since seen",
            &[
                &create,
                &claim(MINE, 0),
                &lifecycle::heartbeat(&mine, MINE, second(70), LEASE),
            ],
        ),
        state(
            "mine, not in its lane",
            &[&lifecycle::create(&foreign()), &foreign_claim()],
        ),
        state(
            "released by me",
            &[
                &create,
                &claim(MINE, 0),
                &lifecycle::release(&mine, MINE, second(20), second(25), 1, "out of memory"),
            ],
        ),
        state("requeued", &[&create, &claim(MINE, 0), &lost]),
        state(
            "another's since",
            &[&create, &claim(MINE, 0), &lost, &claim(THEIRS, 1)],
        ),
        state(
            "mine again since",
            &[&create, &claim(MINE, 0), &lost, &claim(MINE, 1)],
        ),
        state("completed by me", &[&create, &claim(MINE, 0), &complete(MINE, 0)]),
        state(
            "completed by another",
            &[
                &create,
                &claim(MINE, 0),
                &lost,
                &claim(THEIRS, 1),
                &complete(THEIRS, 1),
            ],
        ),
        state("failed by me", &[&create, &claim(MINE, 0), &fail]),
        state(
            "failed, being cleaned",
            &[
                &create,
                &claim(MINE, 0),
                &fail,
                &lifecycle::cleaning(&failed(), second(61)),
            ],
        ),
        state(
            "given up",
            &[
                &create,
                &claim(MINE, 0),
                &lifecycle::give_up(&mine, second(400), "too many were lost"),
            ],
        ),
        state("cancelled", &[&create, &claim(MINE, 0), &cancelled]),
        state(
            "refused",
            &[&create, &lifecycle::refuse(&queued(), second(5), MINE, "forged")],
        ),
        state(
            "cleaned",
            &[&create, &claim(MINE, 0), &complete(MINE, 0), &cleaned],
        ),
    ]
}

/// A foreign fetcher's claim of a foreign job: it knows no lanes and leaves none.
fn foreign_claim() -> Change {
    let mut change = lifecycle::claim(&foreign(), MINE, second(10), LEASE);
    change.set.retain(|(name, _)| !["lane", "due"].contains(name));
    change
}
