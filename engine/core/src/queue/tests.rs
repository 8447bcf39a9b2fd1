use std::fmt::Write as _;

use super::*;
use crate::retry::Jitter;

const START: i64 = 1_000_000;

fn at(ms: i64) -> At {
    At {
        now: Timestamp(START + ms),
        jitter: 0.5,
    }
}

fn now(ms: i64) -> Timestamp {
    at(ms).now
}

/// `ready-high` is up above 100 for 2 minutes, down below 50.
fn policy() -> QueuePolicy {
    let threshold = Threshold {
        metric: Metric::JobsReady,
        above: 100.0,
        hold: Duration::from_secs(120),
        below: 50.0,
    };
    QueuePolicy {
        thresholds: BTreeMap::from([("ready-high".to_owned(), threshold)]),
        retry: Retry {
            attempts_max: 3,
            interval: Duration::from_secs(5),
            backoff_rate: 2.0,
            interval_max: Duration::from_secs(20),
            jitter: Jitter::None,
        },
        attempt_max: Duration::from_secs(10),
    }
}

/// A watcher and the row it shares with others: a round a call.
struct Watch {
    queue: Queue,
    row: Option<Row>,
}

impl Watch {
    fn new() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            queue: Queue::new(policy(), Pace::new(minute, minute)),
            row: None,
        }
    }

    fn actions(&mut self) -> Vec<Decision<Action>> {
        std::iter::from_fn(|| self.queue.poll_action()).collect()
    }

    /// One round with so many ready jobs; publishing works. Gives what is left to do.
    fn round(&mut self, ms: i64, ready: u64) -> Vec<Decision<Action>> {
        self.queue.pace.hurry();
        self.queue.tick(at(ms));
        assert_eq!(self.actions().first().map(|d| &d.action), Some(&Action::Count));
        let mut counts = Counts::default();
        counts.ready.jobs = ready;
        let rows = self.row.map(|row| ("ready-high".to_owned(), row));
        let rows = rows.into_iter().collect();
        self.queue.handle(at(ms), Event::Counted { counts, rows });
        let mut left = self.actions();
        assert!(matches!(left.remove(0).action, Action::Publish(numbers) if numbers.len() == 6));
        self.queue.handle(at(ms), Event::Published);
        left.extend(self.actions());
        left
    }

    /// A round that crosses: the row as it is written.
    fn crosses(&mut self, ms: i64, ready: u64) -> Row {
        match self.round(ms, ready).as_slice() {
            [
                Decision {
                    action: Action::Switch { seen, row, .. },
                    ..
                },
            ] => {
                assert_eq!(*seen, self.row);
                *row
            }
            other => panic!("{other:?}"),
        }
    }

    fn hears(&mut self, ms: i64, event: fn(String) -> Event) -> Vec<Decision<Action>> {
        self.queue.handle(at(ms), event("ready-high".to_owned()));
        self.actions()
    }

    /// Crosses, tells and settles without a fault.
    fn tells(&mut self, ms: i64, ready: u64) -> Notice {
        let row = self.crosses(ms, ready);
        let told = self.hears(ms, Event::Switched);
        let Some(Action::Notify(notice)) = told.into_iter().next().map(|d| d.action) else {
            panic!("nobody is told")
        };
        assert!(
            matches!(self.hears(ms, Event::Notified)[..], [Decision { action: Action::Settle { row: settled, .. }, .. }] if settled == row)
        );
        self.hears(ms, Event::Settled);
        self.row = Some(Row { telling: None, ..row });
        notice
    }
}

fn failed(name: String) -> Event {
    Event::NotifyFailed(name, "500".to_owned())
}

#[test]
fn the_numbers_of_a_queue_and_of_an_empty_one() {
    let lane = |jobs, oldest: Option<i64>| LaneCount {
        jobs,
        oldest: oldest.map(now),
    };
    let cases = [
        ("empty", Counts::default()),
        (
            "busy",
            Counts {
                ready: lane(10, Some(-90_500)),
                leased: lane(3, None),
                done: lane(7, Some(-1)),
                fetchers: 4,
            },
        ),
        (
            "no fetcher, a clock ahead, more than a number holds",
            Counts {
                ready: lane(u64::MAX, Some(5_000)),
                leased: lane(1, Some(-1)),
                done: lane(0, None),
                fetchers: 0,
            },
        ),
    ];
    let mut table = String::new();
    for (name, counts) in cases {
        let _ = writeln!(table, "{name}");
        for metric in Metric::ALL {
            let value = metric.of(&counts, now(0));
            assert!(value.is_finite() && value >= 0.0);
            let unit = if metric.is_time() { "s" } else { "" };
            let _ = writeln!(table, "  {:<20} {value}{unit}", metric.as_str());
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_side_of_every_limit() {
    let threshold = policy().thresholds["ready-high"];
    let row = |state, telling: Option<i64>| Row {
        state,
        since: now(-1),
        telling: telling.map(now),
    };
    let mut table = String::new();
    let rows = [
        ("no row", None),
        ("down", Some(row(State::Down, None))),
        ("up", Some(row(State::Up, None))),
        ("up, telling until now", Some(row(State::Up, Some(0)))),
        ("up, telling until 1 ms ago", Some(row(State::Up, Some(-1)))),
        ("down, telling until 1 ms ago", Some(row(State::Down, Some(-1)))),
    ];
    for (name, row) in rows {
        let _ = writeln!(table, "{name}");
        for (value, over) in [
            (0.0, None),
            (49.999, None),
            (50.0, None),
            (100.0, None),
            (100.001, Some(-119_999)),
            (100.001, Some(-120_000)),
        ] {
            let finding = threshold.judge(value, over.map(now), row, now(0));
            let above = over.map_or(String::new(), |over: i64| format!(" for {} ms", -over));
            let _ = writeln!(table, "  {value}{above}: {finding:?}");
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn crossed_for_long_enough_is_told_once_up_and_once_down() {
    let mut watch = Watch::new();
    assert!(watch.round(0, 101).is_empty());
    assert!(watch.round(119_999, 500).is_empty());
    let up = watch.tells(120_000, 101);
    assert_eq!((up.state, up.limit, up.value), (State::Up, 100.0, 101.0));
    for (ms, ready) in [(180_000, 900), (240_000, 50), (300_000, 99)] {
        assert!(watch.round(ms, ready).is_empty(), "{ready}");
    }
    let down = watch.tells(360_000, 49);
    assert_eq!((down.state, down.limit), (State::Down, 50.0));
    assert!(watch.round(420_000, 0).is_empty());
}

#[test]
fn a_dip_begins_the_wait_anew() {
    let mut watch = Watch::new();
    watch.round(0, 101);
    watch.round(60_000, 100);
    watch.round(120_000, 101);
    assert!(watch.round(239_999, 101).is_empty());
    watch.crosses(240_000, 101);
}

#[test]
fn who_loses_the_row_tells_nobody() {
    let mut watch = Watch::new();
    watch.round(0, 101);
    let row = watch.crosses(120_000, 101);
    assert!(watch.hears(120_000, Event::SwitchLost).is_empty());
    // The other's row from now on.
    watch.row = Some(row);
    assert!(watch.round(180_000, 101).is_empty());
}

#[test]
fn a_teller_that_died_is_replaced_after_its_time_and_not_before() {
    let (mut first, mut second) = (Watch::new(), Watch::new());
    first.round(0, 101);
    let row = first.crosses(120_000, 101);
    drop(first);
    // Three attempts of 10 s and waits of 20 s at most.
    assert_eq!(row.telling, Some(now(120_000 + 90_000)));
    second.row = Some(row);
    assert!(second.round(210_000, 10).is_empty(), "up is told before down");
    let taken = {
        second.round(210_000, 101);
        second.crosses(210_001, 101)
    };
    assert_eq!((taken.state, taken.since), (State::Up, row.since));
    let told = second.hears(210_001, Event::Switched);
    assert!(matches!(&told[0].action, Action::Notify(notice) if notice.since == row.since));
}

/// A watcher whose three attempts to tell of a crossing failed, the last at 136 s; the row says "telling" until 210 s.
fn untold() -> Watch {
    let mut watch = Watch::new();
    watch.round(0, 101);
    let row = watch.crosses(120_000, 101);
    watch.row = Some(row);
    assert_eq!(row.telling, Some(now(210_000)));
    assert_eq!(watch.hears(120_000, Event::Switched).len(), 1);
    assert!(watch.hears(121_000, failed).is_empty());
    assert_eq!(watch.queue.wake_at(), Some(now(126_000)));
    watch.queue.tick(at(125_999));
    assert!(watch.actions().is_empty());
    watch.queue.tick(at(126_000));
    assert!(matches!(
        watch.actions()[..],
        [Decision {
            action: Action::Notify(_),
            ..
        }]
    ));
    assert!(watch.hears(126_000, failed).is_empty());
    watch.queue.tick(at(136_000));
    assert_eq!(watch.actions().len(), 1);
    assert!(watch.hears(136_000, failed).is_empty(), "the row stays as it is");
    watch
}

#[test]
fn what_was_not_told_is_told_in_a_later_round() {
    let mut watch = untold();
    let crossed = watch.row.unwrap().since;
    assert!(watch.round(180_000, 101).is_empty());
    assert!(watch.round(210_000, 101).is_empty(), "its time is not over");
    let late = watch.tells(210_001, 101);
    assert_eq!((late.state, late.since), (State::Up, crossed));
    for ms in [270_000, 330_000] {
        assert!(watch.round(ms, 101).is_empty(), "it is told once");
    }
    assert_eq!(watch.tells(390_000, 0).state, State::Down);
    assert!(watch.round(450_000, 0).is_empty());
}

#[test]
fn who_stays_away_is_told_by_one_attempt_in_each_time_that_telling_may_take() {
    let mut watch = untold();
    let mut attempts = Vec::new();
    for ms in (140_000..600_000).step_by(1_000) {
        let begun = watch.round(ms, 101);
        let Some(Action::Switch { row, .. }) = begun.into_iter().next().map(|d| d.action) else {
            continue;
        };
        watch.row = Some(row);
        attempts.push(ms / 1_000);
        assert_eq!(watch.hears(ms, Event::Switched).len(), 1);
        assert!(watch.hears(ms, failed).is_empty());
    }
    assert_eq!(attempts, [211, 302, 393, 484, 575]);
}

#[test]
fn an_alarm_that_nobody_got_is_not_told_once_the_number_has_returned() {
    let mut watch = untold();
    assert!(watch.round(200_000, 0).is_empty());
    // An attempt that failed may have come through all the same: that it is over is told.
    let notice = watch.tells(210_001, 0);
    assert_eq!(notice.state, State::Down);
    assert!(watch.round(270_000, 0).is_empty());
}

#[test]
fn drained_it_leaves_what_waits_to_others_and_ends() {
    let mut watch = Watch::new();
    watch.round(0, 101);
    watch.crosses(120_000, 101);
    watch.hears(120_000, Event::Switched);
    watch.queue.drain(at(120_000));
    assert!(!watch.queue.is_idle(), "a notification is on its way");
    assert!(
        watch.hears(121_000, failed).is_empty(),
        "the row still says that it is to be told"
    );
    assert!(watch.queue.is_idle());
    assert_eq!(watch.queue.wake_at(), None);
}

#[test]
fn finished_it_makes_one_more_round_whatever_it_was_at() {
    for busy in [false, true] {
        let mut watch = Watch::new();
        let mut rounds = 0;
        if busy {
            watch.queue.tick(at(0));
        }
        watch.queue.finish(at(0));
        let mut queued: VecDeque<_> = watch.actions().into();
        while let Some(Decision { action, .. }) = queued.pop_front() {
            rounds += usize::from(action == Action::Count);
            let event = match action {
                Action::Count if rounds == 1 && busy => Event::CountFailed("away".to_owned()),
                Action::Count => Event::Counted {
                    counts: Counts::default(),
                    rows: BTreeMap::new(),
                },
                Action::Publish(_) => Event::Published,
                other @ (Action::Switch { .. } | Action::Notify(_) | Action::Settle { .. }) => {
                    panic!("{other:?}")
                }
            };
            assert!(!watch.queue.is_idle());
            watch.queue.handle(at(0), event);
            queued.extend(watch.actions());
        }
        assert!(watch.queue.is_idle());
        assert_eq!(rounds, 1 + usize::from(busy));
    }
}

#[test]
fn a_round_that_cannot_be_counted_or_published_is_followed_by_the_next() {
    let mut watch = Watch::new();
    watch.queue.tick(at(0));
    assert_eq!(watch.actions().len(), 1);
    assert_eq!(watch.queue.wake_at(), None, "one count at a time");
    watch.queue.handle(at(0), Event::CountFailed("away".to_owned()));
    assert_eq!(watch.queue.wake_at(), Some(now(52_500)));
    watch.queue.tick(at(52_500));
    assert_eq!(watch.actions().len(), 1);
}

#[test]
fn a_number_is_above_for_as_long_and_a_notice_waits_as_long_where_the_clock_is_set_back() {
    let hour = Duration::from_secs(3_600);
    let mut watch = Watch::new();
    assert_eq!(watch.round(0, 500), []);
    watch.queue.set_back(at(-3_540_000), hour);
    assert_eq!(watch.round(-3_480_001, 500), [], "not two minutes yet");
    watch.crosses(-3_480_000, 500);
    watch
        .queue
        .handle(at(-3_480_000), Event::Switched("ready-high".to_owned()));
    watch.actions();
    let failed = Event::NotifyFailed("ready-high".to_owned(), "away".to_owned());
    watch.queue.handle(at(-3_480_000), failed);
    watch.queue.set_back(at(-7_080_000), hour);
    watch.queue.tick(at(-7_075_001));
    assert_eq!(watch.actions(), []);
    watch.queue.tick(at(-7_075_000));
    assert!(matches!(watch.actions()[0].action, Action::Notify(_)));
}
