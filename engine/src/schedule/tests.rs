use std::fmt::Write as _;

use super::*;

fn moment(text: &str) -> Timestamp {
    Timestamp(text.parse::<Moment>().unwrap().as_millisecond())
}

/// The next few moments, in the zone's own time.
fn moments(expression: &str, zone: &str, after: &str, count: usize) -> String {
    let cron = Cron::parse(expression, zone).unwrap();
    let mut text = String::new();
    let mut after = moment(after);
    for _ in 0..count {
        after = cron.next_after(after).unwrap();
        let local = Moment::from_millisecond(after.0)
            .unwrap()
            .to_zoned_datetime(cron.zone.clone());
        let _ = writeln!(text, "{}", local.strftime("%F %T %z"));
    }
    text
}

#[test]
fn the_moment_itself_does_not_count_and_a_millisecond_before_it_does() {
    let cron = Cron::parse("*/5 * * * *", "UTC").unwrap();
    let five = moment("2026-11-23T10:05:00Z");
    assert_eq!(cron.next_after(Timestamp(five.0 - 1)), Some(five));
    assert_eq!(cron.next_after(five), Some(moment("2026-11-23T10:10:00Z")));
    assert_eq!(
        cron.next_after(Timestamp(five.0 + 1)),
        Some(moment("2026-11-23T10:10:00Z"))
    );
}

#[test]
fn seconds_come_first_where_there_are_six_fields() {
    insta::assert_snapshot!(moments("*/20 * * * * *", "UTC", "2026-11-23T10:05:59Z", 3));
}

#[test]
fn a_zone_keeps_its_time_of_day_over_the_year() {
    insta::assert_snapshot!(moments("0 9 1 * *", "Europe/Berlin", "2026-02-15T00:00:00Z", 3));
    insta::assert_snapshot!(moments(
        "30 18 * * FRI",
        "America/New_York",
        "2026-11-23T00:00:00Z",
        2
    ));
}

#[test]
fn where_clocks_go_forward_a_time_in_the_gap_is_moved_to_its_end() {
    // In Berlin 02:00 becomes 03:00 on 2026-03-29.
    insta::assert_snapshot!(moments("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3));
    insta::assert_snapshot!(moments(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:00:00Z",
        4
    ));
}

#[test]
fn where_clocks_go_back_a_time_of_day_fires_once_and_what_repeats_goes_on() {
    // In Berlin 03:00 becomes 02:00 on 2026-10-25.
    insta::assert_snapshot!(moments("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2));
    insta::assert_snapshot!(moments(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:45:00Z",
        6
    ));
}

#[test]
fn every_moment_of_a_year_comes_once_whatever_is_asked_in_between() {
    for zone in ["Europe/Berlin", "Australia/Lord_Howe"] {
        let cron = Cron::parse("*/15 * * * *", zone).unwrap();
        let (mut at, end) = (moment("2026-01-01T00:00:00Z"), moment("2027-01-01T00:00:00Z"));
        let mut count = 0;
        while at < end {
            let next = cron.next_after(at).unwrap();
            assert_eq!(next.0 - at.0, 900_000, "{zone} after {at}");
            if count % 64 == 0 {
                assert_eq!(cron.next_after(Timestamp(at.0 + 450_000)), Some(next));
            }
            at = next;
            count += 1;
        }
        assert_eq!(count, 365 * 96, "{zone}");
    }
}

#[test]
fn what_is_no_schedule_is_refused_in_these_words() {
    let mut text = String::new();
    for (expression, zone) in [
        ("", "UTC"),
        ("* * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("*/0 * * * *", "UTC"),
        ("a b c d e", "UTC"),
        ("0 0 30 2 *", "UTC"),
        ("* * * * * * 2030", "UTC"),
        ("0 9 * * *", "Europe/Berln"),
        ("0 9 * * *", ""),
    ] {
        let error = Cron::parse(expression, zone).unwrap_err();
        let _ = writeln!(text, "{expression:?} {zone:?}: {error}");
    }
    insta::assert_snapshot!(text);
}
