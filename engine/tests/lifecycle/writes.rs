//! Every write of the lifecycle, made by someone who saw the job as it was once.

use roundtrip_core::job::{Job, LaneKind};
use roundtrip_core::lifecycle::{self, Change, RecordKey, Term, Value, attribute, operator};

use crate::states::{LEASE, MINE, failed, finished, foreign, held, lane, queued, second, urgent};

/// A write, and what its maker knows.
pub(crate) struct Attempted {
    pub(crate) by: &'static str,
    pub(crate) change: Change,
}

pub(crate) fn all() -> Vec<Attempted> {
    let (mine, now) = (held(MINE, 0), second(500));
    let attempted = |by, change| Attempted { by, change };
    let fetcher = "fetcher, of its first claim";
    let watcher = "watcher, who saw the first claim's lease end";
    // A foreign fetcher took it where it stood, without a lane.
    let astray = Job {
        lane: None,
        due: None,
        ..held(MINE, 0)
    };
    vec![
        attempted("client", lifecycle::create(&queued())),
        attempted(
            "fetcher, who saw it queued",
            lifecycle::claim(&queued(), MINE, now, LEASE),
        ),
        attempted(fetcher, lifecycle::heartbeat(&mine, MINE, now, LEASE)),
        attempted(fetcher, lifecycle::downloaded(&mine, MINE, now)),
        attempted(
            fetcher,
            lifecycle::complete(&mine, MINE, now, "04:aa:bb:cc", None),
        ),
        attempted(fetcher, lifecycle::fail(&mine, MINE, now, 1, "not an image")),
        attempted(
            fetcher,
            lifecycle::release(&mine, MINE, now, now, 1, "out of memory"),
        ),
        attempted(watcher, lifecycle::requeue(&mine, now, now, "no heartbeat")),
        attempted(watcher, lifecycle::give_up(&mine, now, "too many were lost")),
        attempted("watcher, who saw it failed", lifecycle::cleaning(&failed(), now)),
        attempted(
            "watcher, who saw it finished",
            lifecycle::cleaned(&finished(), now, LEASE),
        ),
        attempted("watcher, who saw it finished", lifecycle::keep(&finished(), now)),
        attempted(
            "watcher, who saw it without a lane",
            lifecycle::admit(&foreign(), now, 3),
        ),
        attempted(
            "watcher, who saw it queued and its upload late",
            lifecycle::close(&queued(), lane(LaneKind::Done), now, MINE, "never complete"),
        ),
        attempted(
            "watcher, who saw it queued and urgent and its upload late",
            lifecycle::close(&urgent(), lane(LaneKind::Done), now, MINE, "never complete"),
        ),
        attempted(
            "watcher, who saw it without a lane and its upload late",
            lifecycle::close(&foreign(), lane(LaneKind::Done), now, MINE, "never complete"),
        ),
        attempted(
            "watcher, who saw it held without a lane",
            lifecycle::adopt(&astray, lane(LaneKind::Leased), now),
        ),
        attempted(
            "anyone, who saw it queued and forged",
            lifecycle::refuse(&queued(), now, MINE, "forged"),
        ),
        attempted(
            "anyone, who could not read it",
            lifecycle::refuse_malformed(RecordKey::from(&queued().key), Vec::new(), now, "no bucket"),
        ),
        attempted(
            "anyone, who saw it queued and could not read it",
            lifecycle::refuse_malformed(
                RecordKey::from(&queued().key),
                vec![Term::Is(
                    attribute::STATUS,
                    Value::Text(queued().status.as_str().to_owned()),
                )],
                now,
                "no bucket",
            ),
        ),
        attempted(
            "operator, who saw it queued",
            operator::cancel(&queued(), now, "").unwrap(),
        ),
        attempted(
            "operator, who saw the first claim",
            operator::cancel(&mine, now, "").unwrap(),
        ),
        attempted(
            "operator, who saw the first claim",
            operator::requeue(&mine, now).unwrap(),
        ),
        attempted(
            "operator, who saw it failed",
            operator::requeue(&failed(), now).unwrap(),
        ),
    ]
}
