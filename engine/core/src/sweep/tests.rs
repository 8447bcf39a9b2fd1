mod bucket;

use std::fmt::Write as _;

use super::*;
use crate::fixture::{
    START, actions, at, completed, decisions, job, key, retry, seconds, sequences, survives,
};
use crate::job::{Job, LaneKind, Status};
use crate::names::OWNER;
use proptest::prelude::*;

const AGE_MIN: Duration = Duration::from_secs(1_000);
const AGE_MIN_MS: i64 = 1_000_000;
const NOTHING: [&str; 0] = [];

fn sweep(pages_max: u32) -> Sweep {
    let policy = SweepPolicy {
        table: "jobs".to_owned(),
        age_min: AGE_MIN,
        pages_max,
        retry: retry(3),
    };
    Sweep::new(policy, Pace::new(seconds(100), seconds(100)))
}

/// Lets time pass; the bucket is this table's, where that is asked.
fn look(sweep: &mut Sweep, at: At) {
    sweep.tick(at);
    sweep.handle(at, owner(Some("jobs")));
}

fn owner(table: Option<&str>) -> Event {
    Event::OwnerTold(table.map(ToOwned::to_owned))
}

fn object(key: impl Into<String>, modified: Timestamp) -> Object {
    Object {
        key: key.into(),
        size: 10,
        modified,
    }
}

fn page(objects: impl IntoIterator<Item = Object>, next: Option<&str>) -> Event {
    Event::Listed {
        objects: objects.into_iter().collect(),
        next: next.map(ToOwned::to_owned),
    }
}

fn answer(standings: impl IntoIterator<Item = (u32, Standing)>) -> Event {
    let standings = standings.into_iter();
    Event::Answered(standings.map(|(file, standing)| (key(file), standing)).collect())
}

/// A job that was cleaned up at the start.
fn cleaned(file: u32, status: Status) -> Job {
    Job {
        status,
        lane: None,
        due: None,
        cleaned: Some(START),
        ..completed(file)
    }
}

/// Actions in short, the question for the owner left out; objects by what stands behind their last slash.
fn short(sweep: &mut Sweep) -> Vec<String> {
    let last = |name: &str| name.rsplit(['/', '-']).next().unwrap_or_default().to_owned();
    let number = |job: &JobKey| last(job.file.as_str()).trim_start_matches('0').to_owned();
    let names = |objects: &[Object]| {
        let names: Vec<_> = objects.iter().map(|object| last(&object.key)).collect();
        names.join(", ")
    };
    let short = |action: Action| match action {
        Action::AskOwner => unreachable!("it is left out"),
        Action::Refuse { owner } => format!("refuse: {owner}'s"),
        Action::List { after } => after.map_or("list".to_owned(), |after| format!("list after {after}")),
        Action::Ask(jobs) => format!("ask {}", jobs.iter().map(number).collect::<Vec<_>>().join(", ")),
        Action::Delete(objects) => format!("delete {}", names(&objects)),
        Action::Spare(objects) => format!("spare {}", names(&objects)),
        Action::Report(Tally {
            listed,
            foreign,
            spared: 0,
            deleted,
            failed,
        }) => format!("{listed} listed, {foreign} foreign, {deleted} deleted, {failed} failed"),
        Action::Report(tally) => format!("{} spared, {} deleted", tally.spared, tally.deleted),
    };
    let actions = actions(sweep)
        .into_iter()
        .filter(|action| *action != Action::AskOwner);
    actions.map(short).collect()
}

#[test]
fn an_object_at_the_age_is_left_alone_and_a_millisecond_later_its_job_is_asked_for() {
    for (age, wanted) in [
        (AGE_MIN_MS, "1 listed, 0 foreign, 0 deleted, 0 failed"),
        (AGE_MIN_MS + 1, "ask 1"),
    ] {
        let mut sweep = sweep(10);
        look(&mut sweep, at(age));
        assert_eq!(short(&mut sweep), ["list"]);
        sweep.handle(at(age), page([object(key(1).chunk(0), START)], None));
        assert_eq!(short(&mut sweep), [wanted]);
    }
}

#[test]
fn what_becomes_of_each_object_of_each_job() {
    let in_lane = |status, kind| Job {
        status,
        lane: Some(crate::fixture::lane(kind)),
        ..completed(1)
    };
    let unplaced = |status| Job {
        cleaned: None,
        ..cleaned(1, status)
    };
    let known = |job: Job| Standing::Known(Box::new(job));
    let standings = [
        ("no record", Standing::Missing),
        ("a record that is no job", Standing::Unreadable),
        ("QUEUED in ready", known(job(1))),
        ("QUEUED in no lane", known(unplaced(Status::Queued))),
        (
            "QUEUED again after it was cleaned",
            known(cleaned(1, Status::Queued)),
        ),
        ("PROCESSING", known(in_lane(Status::Processing, LaneKind::Leased))),
        ("PROCESSING in no lane", known(unplaced(Status::Processing))),
        (
            "COMPLETED in done",
            known(in_lane(Status::Completed, LaneKind::Done)),
        ),
        (
            "COMPLETED by a foreign fetcher",
            known(unplaced(Status::Completed)),
        ),
        ("COMPLETED and cleaned", known(cleaned(1, Status::Completed))),
        ("ERROR in done", known(in_lane(Status::Error, LaneKind::Done))),
        ("ERROR and cleaned", known(cleaned(1, Status::Error))),
    ];
    let now = at(AGE_MIN_MS + 1);
    let mut table = String::new();
    for (name, standing) in standings {
        let mut sweep = sweep(10);
        look(&mut sweep, now);
        let job = key(1);
        let objects = [job.chunk(0), job.manifest(), job.results()].map(|name| object(name, START));
        sweep.handle(now, page(objects, None));
        short(&mut sweep);
        sweep.handle(now, answer([(1, standing.clone())]));
        let deleted = decisions(&mut sweep).into_iter().filter_map(|decision| {
            let Action::Delete(objects) = decision.action else {
                return None;
            };
            let names: Vec<_> = objects
                .iter()
                .filter_map(|object| object.key.rsplit('/').next())
                .collect();
            let Reason { rule, key } = decision.reason;
            Some(format!("\n  {}: {rule} ({key})", names.join(", ")))
        });
        let deleted: String = deleted.collect();
        let deleted = if deleted.is_empty() {
            " all of it stays"
        } else {
            &deleted
        };
        writeln!(table, "{name}:{deleted}").unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_sweep_goes_page_by_page_and_reports_what_is_not_ours_once() {
    let old = START;
    let mut sweep = sweep(10);
    let now = at(AGE_MIN_MS + 1);
    look(&mut sweep, now);
    let first = [
        object("backup/a", old),
        object(key(1).chunk(0), old),
        object(key(2).chunk(0), now.now),
    ];
    sweep.handle(now, page(first, Some("p")));
    assert_eq!(short(&mut sweep), ["list", "ask 1"]);
    look(&mut sweep, at(AGE_MIN_MS + 500_000));
    assert_eq!(short(&mut sweep), NOTHING, "one page at a time");
    sweep.handle(now, answer([(1, Standing::Missing)]));
    assert_eq!(short(&mut sweep), ["delete 0"]);
    sweep.handle(now, Event::Deleted(1));
    assert_eq!(short(&mut sweep), ["list after p"]);
    sweep.handle(now, page([object("z", old)], None));
    assert_eq!(short(&mut sweep), ["4 listed, 2 foreign, 1 deleted, 0 failed"]);
    assert_eq!(
        sweep.wake_at(),
        Some(at(AGE_MIN_MS + 1 + 87_500).now),
        "the next sweep has its time"
    );
}

#[test]
fn a_look_lists_so_many_pages_and_the_next_goes_on_behind_them() {
    let mut sweep = sweep(2);
    look(&mut sweep, at(0));
    sweep.handle(at(0), page([], Some("a")));
    sweep.handle(at(0), page([], Some("b")));
    assert_eq!(short(&mut sweep), ["list", "list after a"]);
    let next = sweep.wake_at().unwrap();
    assert_eq!(next, at(87_500).now);
    look(&mut sweep, at(87_500));
    sweep.handle(at(87_500), page([], None));
    assert_eq!(
        short(&mut sweep),
        ["list after b", "0 listed, 0 foreign, 0 deleted, 0 failed"]
    );
}

#[test]
fn finished_it_sweeps_the_whole_bucket_once_whatever_it_was_at() {
    for half_way in [false, true] {
        let mut sweep = sweep(1);
        look(&mut sweep, at(0));
        sweep.handle(at(0), page([], Some("a")));
        if half_way {
            look(&mut sweep, at(100_000));
        }
        short(&mut sweep);
        sweep.finish(at(100_000));
        sweep.handle(at(100_000), owner(Some("jobs")));
        if half_way {
            sweep.handle(at(100_000), page([], None));
            sweep.handle(at(100_000), owner(Some("jobs")));
            assert_eq!(
                short(&mut sweep),
                ["0 listed, 0 foreign, 0 deleted, 0 failed", "list"]
            );
        } else {
            assert_eq!(short(&mut sweep), ["list"]);
        }
        for next in [Some("a"), Some("b"), None] {
            assert!(!sweep.is_idle());
            sweep.handle(at(100_000), page([], next));
        }
        assert_eq!(
            short(&mut sweep),
            [
                "list after a",
                "list after b",
                "0 listed, 0 foreign, 0 deleted, 0 failed"
            ]
        );
        assert!(sweep.is_idle());
        assert_eq!(sweep.wake_at(), None);
    }
}

#[test]
fn a_page_that_cannot_be_read_is_read_again_and_then_the_sweep_is_broken_off() {
    let old = || page([object(key(1).chunk(0), START)], Some("p"));
    let now = AGE_MIN_MS + 1;
    let mut sweep = sweep(10);
    look(&mut sweep, at(now));
    sweep.handle(at(now), page([], Some("o")));
    sweep.handle(at(now), Event::ListFailed("away".to_owned()));
    assert_eq!(short(&mut sweep), ["list", "list after o"]);
    assert_eq!(sweep.wake_at(), Some(at(now + 5_000).now));
    look(&mut sweep, at(now + 5_000));
    sweep.handle(at(now + 5_000), old());
    assert_eq!(short(&mut sweep), ["list after o", "ask 1"]);
    sweep.handle(at(now + 5_000), Event::AskFailed("away".to_owned()));
    assert_eq!(
        sweep.wake_at(),
        Some(at(now + 15_000).now),
        "it failed twice in a row"
    );
    look(&mut sweep, at(now + 15_000));
    sweep.handle(at(now + 15_000), Event::ListFailed("away".to_owned()));
    let broken = decisions(&mut sweep).pop().unwrap();
    assert_eq!(broken.reason.key, "retry.attempts-max");
    assert_eq!(broken.action, Action::Report(Tally::default()));
    look(&mut sweep, at(now + 200_000));
    assert_eq!(
        short(&mut sweep),
        ["list after o"],
        "the next sweep goes on where this one stopped"
    );
}

#[test]
fn what_could_not_be_deleted_does_not_hold_up_the_rest() {
    let now = at(10_000_000);
    let mut sweep = sweep(10);
    look(&mut sweep, now);
    let objects = [key(1).chunk(0), key(2).results(), key(3).manifest()].map(|name| object(name, START));
    sweep.handle(now, page(objects, Some("p")));
    let done = Standing::Known(Box::new(cleaned(2, Status::Completed)));
    sweep.handle(
        now,
        answer([(1, Standing::Missing), (2, done), (3, Standing::Unreadable)]),
    );
    assert_eq!(
        short(&mut sweep),
        ["list", "ask 1, 2, 3", "delete 0", "delete results"]
    );
    sweep.handle(now, Event::DeleteFailed(1, "denied".to_owned()));
    assert_eq!(short(&mut sweep), NOTHING);
    sweep.handle(now, Event::Deleted(1));
    sweep.handle(now, page([], None));
    assert_eq!(
        short(&mut sweep),
        ["list after p", "3 listed, 0 foreign, 1 deleted, 1 failed"]
    );
}

#[test]
fn a_job_nobody_answered_for_is_left_alone() {
    let now = at(AGE_MIN_MS + 1);
    let mut sweep = sweep(10);
    look(&mut sweep, now);
    sweep.handle(now, page([object(key(1).chunk(0), START)], None));
    sweep.handle(now, answer([(2, Standing::Missing)]));
    assert_eq!(
        short(&mut sweep),
        ["list", "ask 1", "1 listed, 0 foreign, 0 deleted, 0 failed"]
    );
}

#[test]
fn drained_it_deletes_no_more_and_ends() {
    let now = at(AGE_MIN_MS + 1);
    let mut sweep = sweep(10);
    look(&mut sweep, now);
    sweep.handle(now, page([object(key(1).chunk(0), START)], Some("p")));
    sweep.drain(now);
    assert_eq!(short(&mut sweep), ["list", "ask 1"]);
    assert!(!sweep.is_idle());
    sweep.handle(now, answer([(1, Standing::Missing)]));
    assert_eq!(short(&mut sweep), NOTHING);
    assert!(sweep.is_idle());
    assert_eq!(sweep.wake_at(), None);
}

#[test]
fn a_bucket_of_another_table_is_not_even_listed_and_the_next_look_asks_again() {
    let mut sweep = sweep(10);
    sweep.tick(at(0));
    assert_eq!(actions(&mut sweep), [Action::AskOwner]);
    sweep.handle(at(0), owner(Some("other")));
    let refusal = decisions(&mut sweep).pop().unwrap();
    let other = "other".to_owned();
    assert_eq!(refusal.action, Action::Refuse { owner: other });
    assert_eq!(refusal.reason.key, "store.table");
    assert_eq!(sweep.wake_at(), Some(at(87_500).now), "once a look");
    sweep.tick(at(87_500));
    assert_eq!(actions(&mut sweep), [Action::AskOwner]);
    sweep.handle(at(87_500), owner(Some("jobs")));
    assert_eq!(short(&mut sweep), ["list"]);
    sweep.finish(at(87_500));
    sweep.handle(at(87_500), page([], None));
    sweep.handle(at(87_500), owner(Some("other")));
    assert!(actions(&mut sweep).pop().is_some() && sweep.is_idle());
}

#[test]
fn a_bucket_that_names_no_table_loses_only_what_this_table_knows() {
    let now = at(10_000_000);
    let mut sweep = sweep(10);
    sweep.tick(now);
    sweep.handle(now, owner(None));
    let objects = [key(1).chunk(0), key(2).manifest()].map(|name| object(name, START));
    sweep.handle(now, page(objects.clone(), Some("p")));
    let known = Standing::Known(Box::new(cleaned(2, Status::Completed)));
    sweep.handle(now, answer([(1, Standing::Missing), (2, known)]));
    assert_eq!(
        short(&mut sweep),
        ["list", "ask 1, 2", "spare 0", "delete manifest"]
    );
    sweep.handle(now, Event::Deleted(1));
    let [unknown, _] = objects;
    sweep.handle(now, page([unknown], None));
    sweep.handle(now, answer([(1, Standing::Missing)]));
    assert_eq!(
        short(&mut sweep),
        ["list after p", "ask 1", "spare 0", "2 spared, 1 deleted"]
    );
}

#[test]
fn without_an_answer_whose_bucket_it_is_nothing_is_listed() {
    let mut sweep = sweep(10);
    let mut now = 0;
    for _ in 0..3 {
        sweep.tick(at(now));
        assert_eq!(actions(&mut sweep), [Action::AskOwner]);
        sweep.handle(at(now), Event::OwnerFailed("denied".to_owned()));
        now = sweep.wake_at().unwrap().0 - START.0;
    }
    assert_eq!(short(&mut sweep), ["0 listed, 0 foreign, 0 deleted, 0 failed"]);
}

#[test]
fn the_name_of_the_table_is_nobodys_job_and_not_foreign_either() {
    let mut sweep = sweep(10);
    let now = at(AGE_MIN_MS + 1);
    look(&mut sweep, now);
    sweep.handle(now, page([object(OWNER, START)], None));
    assert_eq!(
        short(&mut sweep),
        ["list", "1 listed, 0 foreign, 0 deleted, 0 failed"]
    );
}

#[test]
fn drained_at_the_last_page_it_does_not_tell_that_all_was_looked_through() {
    let now = at(AGE_MIN_MS + 1);
    for is_old in [false, true] {
        let mut sweep = sweep(10);
        look(&mut sweep, now);
        sweep.drain(now);
        let modified = if is_old { START } else { now.now };
        sweep.handle(now, page([object(key(1).chunk(0), modified)], None));
        assert_eq!(short(&mut sweep), ["list"]);
        assert!(sweep.is_idle());
    }
}

fn events() -> Vec<Event> {
    let known = |job| Standing::Known(Box::new(job));
    let objects = || (1..4).map(|file| object(key(file).chunk(0), START));
    vec![
        owner(Some("jobs")),
        owner(Some("other")),
        owner(None),
        Event::OwnerFailed("away".to_owned()),
        page([], None),
        page(objects(), None),
        page(objects().chain([object("strange", START)]), Some("p")),
        Event::ListFailed("away".to_owned()),
        answer([
            (1, Standing::Missing),
            (2, Standing::Missing),
            (3, Standing::Missing),
        ]),
        answer([
            (1, known(job(1))),
            (2, known(cleaned(2, Status::Error))),
            (3, Standing::Unreadable),
        ]),
        Event::AskFailed("away".to_owned()),
        Event::Deleted(1),
        Event::DeleteFailed(2, "denied".to_owned()),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_it_goes_on(steps in sequences(events())) {
        survives(sweep(2), steps, 4);
    }
}
