//! Records that are no jobs and do not let themselves be ended.

use super::*;
use crate::lifecycle::{Term, attribute};

fn no_job(malformed: Malformed) -> Event {
    Event::Found(Findings {
        malformed: vec![malformed],
        ..Findings::default()
    })
}

/// What a look does about this record.
fn look(worker: &mut Worker, ms: i64, malformed: Malformed) -> Vec<String> {
    worker.tick(at(ms));
    worker.handle(at(ms), no_job(malformed));
    let mut wanted = short(worker);
    wanted.retain(|action| !action.starts_with("look"));
    wanted
}

/// A worker to which the table gave this answer, also to the shorter refusals.
fn answered(outcome: &Outcome) -> Worker {
    let mut worker = worker();
    assert_eq!(look(&mut worker, 0, malformed(3)), ["refuse 3"]);
    for ms in 1..4 {
        worker.handle(at(ms), written(3, Write::Refuse, outcome.clone()));
    }
    actions(&mut worker);
    worker
}

#[test]
fn a_refusal_that_the_table_does_not_take_is_made_shorter() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), no_job(malformed(3)));
    let mut sizes = Vec::new();
    for ms in 1..5 {
        for action in actions(&mut worker) {
            let Action::Write(change) = action else { continue };
            assert!(change.remove.contains(&attribute::LANE), "it leaves its lane");
            sizes.push((change.set.len(), change.remove.len()));
        }
        worker.handle(at(ms), written(3, Write::Refuse, refused()));
    }
    assert_eq!(
        sizes,
        [(5, 2), (5, 3), (2, 3)],
        "then without a history, then without a word"
    );
    worker.stop(at(5));
    assert!(worker.is_idle());
}

#[test]
fn a_record_that_cannot_be_ended_is_not_tried_at_every_look() {
    for outcome in [refused(), Outcome::Lost(None)] {
        let mut worker = answered(&outcome);
        assert!(look(&mut worker, 10_000, malformed(3)).is_empty(), "{outcome:?}");
        worker.stop(at(10_001));
        assert!(worker.is_idle());
    }
    for outcome in [failed(), Outcome::Lost(Some(Box::new(job(3))))] {
        let mut worker = answered(&outcome);
        assert_eq!(
            look(&mut worker, 10_000, malformed(3)),
            ["refuse 3"],
            "{outcome:?}"
        );
    }
}

/// A view of the table that was old loses; what it is now is not tried before.
#[test]
fn a_record_that_has_changed_is_tried_again() {
    let mut worker = answered(&Outcome::Lost(None));
    let seen = vec![Term::Missing(attribute::LANE)];
    let changed = Malformed { seen, ..malformed(3) };
    assert_eq!(look(&mut worker, 10_000, changed), ["refuse 3"]);
}

#[test]
fn a_job_that_somebody_else_refused_takes_up_no_room() {
    let mut worker = worker();
    worker.tick(at(0));
    worker.handle(at(0), offers([forged(3)]));
    worker.handle(at(1), written(3, Write::Refuse, Outcome::Lost(None)));
    actions(&mut worker);
    assert_eq!(look(&mut worker, 10_000, malformed(3)), ["refuse 3"]);
}

#[test]
fn what_no_look_brings_any_more_is_forgotten() {
    let after = |looks: i64| {
        let mut worker = answered(&refused());
        for look in 1..=looks {
            worker.tick(at(10_000 * look));
            worker.handle(at(10_000 * look), found([]));
        }
        actions(&mut worker);
        look(&mut worker, 10_000 * (looks + 1), malformed(3))
    };
    assert!(after(98).is_empty());
    assert_eq!(after(100), ["refuse 3"]);
}
