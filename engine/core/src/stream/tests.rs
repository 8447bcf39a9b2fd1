use std::time::Duration;

use super::*;

mod model;
mod spin;

const LEASE: Duration = Duration::from_secs(30);
const TEN: i64 = 10_000;

fn policy(reader: &str) -> StreamPolicy {
    StreamPolicy {
        reader: reader.to_owned(),
        lease: LEASE,
        interval: Duration::from_millis(250),
        interval_max: Duration::from_secs(1),
        shards_max: 8,
        start: Start::Oldest,
    }
}

fn at(ms: i64) -> At {
    At {
        now: Timestamp(ms),
        jitter: 0.0,
    }
}

fn shard(id: &str, parent: Option<&str>) -> Shard {
    Shard {
        id: id.to_owned(),
        parent: parent.map(str::to_owned),
    }
}

fn row(id: &str, holder: Option<&str>, until: i64, place: Option<Place>) -> Lease {
    Lease {
        shard: id.to_owned(),
        holder: holder.map(str::to_owned),
        until: Timestamp(until),
        place,
    }
}

fn after(sequence: &str) -> Place {
    Place::After(sequence.to_owned())
}

fn batch(news: usize, last: Option<&str>, next: Option<&str>) -> Batch {
    Batch {
        news,
        last: last.map(str::to_owned),
        bad: Vec::new(),
        next: next.map(str::to_owned),
    }
}

/// A reader and what it wants done, as text.
struct Bench(Reader);

impl Bench {
    fn new() -> Self {
        Self(Reader::new(policy("me")))
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.0.poll_action().map(|decision| decision.action)).collect()
    }

    fn tick(&mut self, ms: i64) -> Vec<Action> {
        self.0.tick(at(ms));
        self.actions()
    }

    /// What is wanted besides a survey.
    fn work(&mut self, ms: i64) -> Vec<Action> {
        let mut actions = self.tick(ms);
        actions.retain(|action| !matches!(action, Action::Describe { .. }));
        actions
    }

    fn told(&mut self, ms: i64, event: Event) -> Vec<Action> {
        self.0.handle(at(ms), event);
        self.actions()
    }

    /// A whole survey at this moment.
    fn survey(&mut self, ms: i64, shards: &[Shard], rows: &[Lease]) -> Vec<Action> {
        assert!(
            self.tick(ms).contains(&Action::Describe { after: None }),
            "a survey is due"
        );
        let shards = shards.to_vec();
        let listing = self.told(ms, Event::Described { shards, next: None });
        assert!(listing.contains(&Action::ListLeases));
        self.told(ms, Event::Listed(rows.to_vec()))
    }

    /// Holds shard `s` from time 0 and reads at `place`.
    fn reading(place: Option<Place>) -> Self {
        let mut bench = Self::new();
        let taken = bench.survey(0, &[shard("s", None)], &[row("s", None, -1, place.clone())]);
        assert!(matches!(taken.as_slice(), [Action::Take { .. }]), "{taken:?}");
        let located = bench.told(0, Event::Taken("s".into(), place));
        assert!(
            matches!(located.as_slice(), [Action::Locate { .. }]),
            "{located:?}"
        );
        let read = bench.told(0, Event::Located("s".into(), "i0".into()));
        assert!(read.contains(&read_at("i0")), "{read:?}");
        bench
    }
}

fn read_at(iterator: &str) -> Action {
    Action::Read {
        shard: "s".into(),
        iterator: iterator.into(),
    }
}

fn locate(from: From) -> Action {
    Action::Locate {
        shard: "s".into(),
        from,
    }
}

fn takes(actions: &[Action]) -> Vec<&str> {
    let taken = actions.iter().filter_map(|action| match action {
        Action::Take { shard, .. } => Some(shard.as_str()),
        Action::Describe { .. }
        | Action::ListLeases
        | Action::Renew { .. }
        | Action::Release { .. }
        | Action::Locate { .. }
        | Action::Read { .. }
        | Action::Report { .. }
        | Action::Reconcile => None,
    });
    taken.collect()
}

#[test]
fn at_the_end_of_its_lease_a_reader_holds_the_shard_and_a_millisecond_later_it_does_not() {
    let rows = [row("s", Some("other"), TEN, Some(after("7")))];
    let mut bench = Bench::new();
    assert!(takes(&bench.survey(TEN, &[shard("s", None)], &rows)).is_empty());
    // A survey follows at the moment the lease may have ended.
    assert_eq!(bench.0.wake_at(), Some(Timestamp(TEN + 1)));
    let taken = bench.survey(TEN + 1, &[shard("s", None)], &rows);
    assert_eq!(
        taken,
        [Action::Take {
            shard: "s".into(),
            seen: Some(rows[0].clone()),
            until: Timestamp(TEN + 1) + LEASE,
        }]
    );
    let located = bench.told(TEN + 1, Event::Taken("s".into(), Some(after("7"))));
    assert_eq!(located, [locate(From::After("7".into()))]);
}

#[test]
fn a_lease_is_renewed_after_a_third_and_nothing_is_read_in_its_last_third() {
    let mut bench = Bench::reading(None);
    bench.told(0, Event::Read("s".into(), batch(0, Some("1"), Some("i1"))));
    let renewal = Action::Renew {
        shard: "s".into(),
        until: Timestamp(TEN) + LEASE,
        place: Some(after("1")),
        bad: None,
    };
    let early = bench.tick(TEN - 1);
    assert!(
        !early.contains(&renewal) && early.contains(&read_at("i1")),
        "{early:?}"
    );
    bench.told(TEN - 1, Event::Read("s".into(), batch(0, None, Some("i2"))));
    assert!(bench.tick(TEN).contains(&renewal));
    // The renewal is not answered: the last read begins before two thirds of the lease have passed.
    assert!(bench.tick(2 * TEN - 1).contains(&read_at("i2")));
    bench.told(2 * TEN - 1, Event::Throttled("s".into()));
    assert_eq!(bench.tick(2 * TEN + 5_000), []);
    assert_eq!(bench.tick(3 * TEN + 5_000), []);
    // Once it is renewed after all, reading goes on.
    let kept = bench.told(3 * TEN + 5_000, Event::Kept("s".into()));
    assert!(
        kept.iter().all(|action| *action != read_at("i2")),
        "the renewal was asked for at ten seconds: {kept:?}"
    );
    let again = bench.told(3 * TEN + 5_001, Event::Kept("s".into()));
    assert!(again.contains(&read_at("i2")), "{again:?}");
}

#[test]
fn a_lease_is_kept_and_the_shard_read_where_the_clock_is_set_back() {
    let mut bench = Bench::reading(None);
    bench.told(0, Event::Read("s".into(), batch(0, Some("1"), Some("i1"))));
    let hour = 3_600_000;
    bench.0.set_back(at(-hour), Duration::from_secs(3_600));
    let read = bench.work(1_000 - hour);
    assert_eq!(read, [read_at("i1")]);
    let renewed = bench.work(TEN - hour);
    let until = Timestamp(TEN - hour) + LEASE;
    assert!(
        matches!(renewed.as_slice(), [Action::Renew { until: written, .. }] if *written == until),
        "as the others read it: {renewed:?}"
    );
}

#[test]
fn a_lost_lease_ends_reading_at_once() {
    let mut bench = Bench::reading(None);
    bench.told(0, Event::Read("s".into(), batch(1, Some("1"), Some("i1"))));
    assert!(!bench.tick(TEN).is_empty());
    let lost = bench.told(TEN, Event::Lost("s".into()));
    assert_eq!(lost, [], "neither a read nor a write");
    // What was under way at that moment does not bring it back.
    assert!(
        bench
            .told(TEN, Event::Read("s".into(), batch(1, Some("2"), None)))
            .is_empty()
    );
    assert_eq!(bench.0.held(), 0);
}

#[test]
fn parents_before_children() {
    let shards = [
        shard("s", None),
        shard("left", Some("s")),
        shard("right", Some("s")),
    ];
    let mut bench = Bench::new();
    assert_eq!(takes(&bench.survey(0, &shards, &[])), ["s"]);
    bench.told(0, Event::Taken("s".into(), None));
    bench.told(0, Event::Located("s".into(), "i0".into()));
    let ended = bench.told(500, Event::Read("s".into(), batch(3, Some("3"), None)));
    assert_eq!(
        ended,
        [Action::Release {
            shard: "s".into(),
            place: Some(Place::End),
            bad: None
        }]
    );
    // The children wait until the end is written down; a survey follows shortly.
    assert_eq!(bench.told(600, Event::Released("s".into())), []);
    let rows = [row("s", None, 0, Some(Place::End))];
    assert_eq!(bench.0.wake_at(), Some(Timestamp(1_100)));
    assert_eq!(takes(&bench.survey(1_100, &shards, &rows)), ["left", "right"]);
}

#[test]
fn a_child_whose_parent_is_gone_begins_at_once() {
    let mut bench = Bench::new();
    assert_eq!(
        takes(&bench.survey(0, &[shard("child", Some("trimmed"))], &[])),
        ["child"]
    );
}

#[test]
fn the_list_of_shards_comes_in_pages() {
    let mut bench = Bench::new();
    bench.tick(0);
    let page = Event::Described {
        shards: vec![shard("child", Some("s"))],
        next: Some("child".into()),
    };
    let more = bench.told(0, page);
    assert_eq!(
        more,
        [Action::Describe {
            after: Some("child".into())
        }]
    );
    let page = Event::Described {
        shards: vec![shard("s", None)],
        next: None,
    };
    assert_eq!(bench.told(0, page), [Action::ListLeases]);
    assert_eq!(takes(&bench.told(0, Event::Listed(Vec::new()))), ["s"]);
}

#[test]
fn an_expired_iterator_is_replaced_where_reading_stopped() {
    let mut bench = Bench::reading(Some(after("5")));
    bench.told(0, Event::Read("s".into(), batch(1, Some("6"), Some("i1"))));
    assert!(bench.tick(250).contains(&read_at("i1")));
    let actions = bench.told(300, Event::Expired("s".into()));
    assert_eq!(actions, [], "not in the same moment");
    assert_eq!(bench.tick(800), [locate(From::After("6".into()))]);
    // Nothing was missed: no look is asked for.
    assert_eq!(
        bench.told(800, Event::Located("s".into(), "j".into())),
        [read_at("j")]
    );
}

#[test]
fn after_trimmed_data_reading_begins_with_the_oldest_and_the_lanes_are_looked_through() {
    let mut bench = Bench::reading(Some(after("5")));
    bench.told(0, Event::Trimmed("s".into()));
    assert_eq!(bench.tick(500), [locate(From::Oldest)]);
    let located = bench.told(500, Event::Located("s".into(), "j".into()));
    assert_eq!(located, [Action::Reconcile, read_at("j")]);
}

#[test]
fn a_shard_that_is_gone_is_finished() {
    let mut bench = Bench::reading(Some(after("5")));
    let gone = bench.told(0, Event::Gone("s".into()));
    let release = Action::Release {
        shard: "s".into(),
        place: Some(Place::End),
        bad: None,
    };
    assert_eq!(gone, [Action::Reconcile, release]);
}

#[test]
fn a_bad_record_is_reported_written_down_and_stepped_over() {
    let mut bench = Bench::reading(None);
    let bad = BadRecord {
        sequence: "2".into(),
        why: "no keys".into(),
    };
    let read = Batch {
        bad: vec![bad.clone()],
        ..batch(2, Some("3"), Some("i1"))
    };
    let told = bench.told(0, Event::Read("s".into(), read));
    let report = Action::Report {
        shard: "s".into(),
        bad: bad.clone(),
    };
    assert_eq!(told, [report]);
    assert!(bench.tick(250).contains(&read_at("i1")));
    let written = bench.work(2_500);
    let renewal = Action::Renew {
        shard: "s".into(),
        until: Timestamp(2_500) + LEASE,
        place: Some(after("3")),
        bad: Some(bad),
    };
    assert_eq!(written, [renewal]);
}

#[test]
fn what_is_no_news_is_not_written_down_before_the_renewal() {
    let mut bench = Bench::reading(None);
    bench.told(0, Event::Read("s".into(), batch(0, Some("1"), Some("i1"))));
    let quiet = bench.work(TEN - 1);
    assert_eq!(quiet, [read_at("i1")], "our own writes are records too");
}

#[test]
fn throttling_backs_off() {
    let mut bench = Bench::reading(None);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..5 {
        bench.told(now, Event::Throttled("s".into()));
        let read = bench.0.shards["s"]
            .hold
            .as_ref()
            .unwrap()
            .wake_at(&policy("me"), false);
        let due = read.unwrap().0;
        waits.push(due - now);
        now = due;
        if !bench.tick(now).contains(&read_at("i0")) {
            bench.told(now, Event::Kept("s".into()));
        }
    }
    assert_eq!(
        waits,
        [500, 1_000, 2_000, 4_000, 2_500],
        "the last is the renewal"
    );
}

#[test]
fn the_pace_follows_the_news() {
    let mut bench = Bench::reading(None);
    let mut waits = Vec::new();
    for (news, n) in [(1, 1), (0, 2), (0, 3), (0, 4), (1, 5)] {
        bench.told(0, Event::Read("s".into(), batch(news, None, Some("i"))));
        let hold = bench.0.shards.get_mut("s").unwrap().hold.as_mut().unwrap();
        waits.push(hold.wake_at(&policy("me"), false).unwrap().0);
        let due = *waits.last().unwrap();
        assert!(bench.tick(due).contains(&read_at("i")), "{n}");
    }
    assert_eq!(waits, [250, 500, 1_000, 1_000, 250]);
}

#[test]
fn a_reader_that_has_its_share_leaves_a_free_shard_to_the_others_for_one_lease() {
    let shards = [
        shard("a", None),
        shard("b", None),
        shard("c", None),
        shard("d", None),
    ];
    let held = |id, until| row(id, Some("other"), until, None);
    let mut bench = Bench::new();
    let rows = [held("a", 90_000), held("b", 90_000)];
    assert_eq!(takes(&bench.survey(0, &shards, &rows)), ["c", "d"]);
    for id in ["c", "d"] {
        bench.told(0, Event::Taken(id.into(), None));
    }
    // `a` is given back: with one reader alive beside us our share is two, and two we have.
    let rows = [row("a", None, 0, None), held("b", 90_000)];
    let due = bench.0.survey.wake_at().unwrap().0;
    assert!(takes(&bench.survey(due, &shards, &rows)).is_empty());
    let left = due + 30_000;
    let wake = bench.0.survey.wake_at().unwrap().0;
    assert!(wake <= left + 1);
    // Nobody took it in the time of a lease: then we do.
    let taken = bench.survey(left + 1, &shards, &rows);
    assert_eq!(takes(&taken), ["a"]);
}

#[test]
fn a_process_holds_no_more_shards_than_its_limit() {
    let shards: Vec<_> = (0..20).map(|n| shard(&format!("s{n:02}"), None)).collect();
    let mut bench = Bench::new();
    assert_eq!(takes(&bench.survey(0, &shards, &[])).len(), 8);
}

#[test]
fn a_new_stream_may_be_begun_at_its_end() {
    let mut bench = Bench(Reader::new(StreamPolicy {
        start: Start::Newest,
        ..policy("me")
    }));
    bench.survey(0, &[shard("s", None)], &[]);
    assert_eq!(
        bench.told(0, Event::Taken("s".into(), None)),
        [locate(From::Newest)]
    );
    // Nothing was read yet when the iterator expires: what came meanwhile is for the lanes to tell.
    bench.told(0, Event::Located("s".into(), "i".into()));
    bench.told(0, Event::Expired("s".into()));
    assert_eq!(bench.tick(500), [locate(From::Newest)]);
    let located = bench.told(500, Event::Located("s".into(), "j".into()));
    assert_eq!(located, [Action::Reconcile, read_at("j")]);
}

#[test]
fn a_drained_reader_gives_its_shards_back_with_their_place() {
    let mut bench = Bench::reading(None);
    bench.0.drain(at(100));
    assert_eq!(bench.actions(), [], "the read under way comes first");
    let told = bench.told(200, Event::Read("s".into(), batch(1, Some("9"), Some("i1"))));
    let release = Action::Release {
        shard: "s".into(),
        place: Some(after("9")),
        bad: None,
    };
    assert_eq!(told, [release]);
    assert!(!bench.0.is_idle());
    assert_eq!(bench.told(300, Event::Released("s".into())), []);
    assert!(bench.0.is_idle());
    assert_eq!(bench.0.wake_at(), None);
}

#[test]
fn a_lease_of_ours_whose_answer_was_lost_is_taken_up_again() {
    let mut bench = Bench::new();
    bench.survey(0, &[shard("s", None)], &[]);
    bench.told(500, Event::WriteFailed("s".into(), "timeout".into()));
    let rows = [row("s", Some("me"), 30_000, None)];
    assert_eq!(takes(&bench.survey(2_000, &[shard("s", None)], &rows)), ["s"]);
}
