use proptest::prelude::*;

use super::*;
use crate::lifecycle::{self, Change};

fn record() -> Record<'static> {
    let client = format!("client-04{}", "ab".repeat(64));
    let texts = [
        ("status", "QUEUED"),
        ("version", "2.5.21"),
        ("created", "2025-09-25T11:21:51.690Z"),
        ("bucket", "lab"),
        ("file", "file-1a026c06-e99c-4f2f-842c-cb01c51849af"),
        ("client", &client),
        ("signature", "30"),
    ];
    let mut record: Record<'static> = texts
        .into_iter()
        .map(|(name, value)| (name, Attribute::text(value.to_owned())))
        .collect();
    record.insert("chunks", Attribute::number(20));
    record
}

#[test]
fn a_foreign_record_is_a_job() {
    let job = Job::read(&record()).unwrap();
    assert_eq!(
        (job.chunks, job.retries, job.lane, job.created_at),
        (20, 0, None, Some(Timestamp(1_758_799_311_690)))
    );
}

#[test]
fn a_record_that_is_no_job_says_why() {
    let reasons = [
        "status",
        "version",
        "created",
        "bucket",
        "file",
        "chunks",
        "client",
        "signature",
    ]
    .map(|name| {
        let mut record = record();
        record.insert(name, Attribute::Bool(true));
        Job::read(&record).unwrap_err().why
    });
    insta::assert_snapshot!(reasons.join("\n"));
    let mut record = record();
    record.insert("file", Attribute::text("../../x"));
    assert_eq!(Job::read(&record).unwrap_err().key.file, "../../x");
}

#[test]
fn a_history_reads_as_it_is_written() {
    let attempts = vec![Attempt {
        since: Some(Timestamp(1)),
        at: Timestamp(2),
        by: "processor-1".to_owned(),
        what: "release".to_owned(),
        why: "away".to_owned(),
        failed: true,
    }];
    let mut record = record();
    record.insert("history", Attribute::from(&Value::History(attempts.clone())));
    assert_eq!(Job::read(&record).unwrap().history, attempts);
}

#[test]
fn records_are_written_as_the_table_writes_them() {
    let text = r#"{"a":{"S":"x"},"b":{"N":"1"},"c":{"BOOL":true},"d":{"NULL":true},"e":{"L":[{"M":{"f":{"S":"y"}}}]}}"#;
    let record: Record = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), text);
    let bytes = r#"{"a":{"B":"AAAA"},"b":{"SS":["x"]},"c":{"NS":["1"]},"d":{"BS":["AAAA"]}}"#;
    let record: Record = serde_json::from_str(bytes).unwrap();
    assert!(
        record
            .iter()
            .all(|(_, value)| matches!(value, Attribute::Opaque(Opaque(1..))))
    );
}

#[test]
fn a_record_expires_at_whole_seconds() {
    let moment = Timestamp(1_758_799_311_690);
    let record = Record::from([("expires", Attribute::from(&Value::Expiry(moment)))]);
    assert_eq!(expires(&record), Some(Timestamp(1_758_799_311_000)));
}

#[test]
fn urgent_places_sort_first_and_read_as_they_are_written() {
    let due = Timestamp(1_758_799_311_690);
    let text = |priority, due| {
        let place = Attribute::from(&Value::Turn { priority, due });
        place.as_text().unwrap().to_owned()
    };
    let later = Timestamp(due.0 + 1_000_000_000);
    let places = [
        text(9, due),
        text(9, later),
        text(5, due),
        text(1, later),
        iso::write(due),
    ];
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(places[0], "!0#2025-09-25T11:21:51.690Z");
    for priority in 1..=PRIORITY_MAX {
        assert!(text(priority, later).as_str() < ORDINARY);
        assert!(text(priority, due) > turn_prefix(priority));
        assert!(text(priority, later) < turn_prefix(priority - 1));
        let mut record = record();
        record.insert("lane", Attribute::text("ready#3"));
        record.insert("due", Attribute::text(text(priority, due)));
        let job = Job::read(&record).unwrap();
        assert_eq!((job.priority, job.due), (priority, Some(due)));
    }
}

#[test]
fn a_priority_is_bounded_whatever_a_client_writes() {
    for (stated, taken) in [
        ("3", 3),
        ("9", 9),
        ("10", 9),
        ("255", 9),
        ("256", 0),
        ("-1", 0),
        ("1.5", 0),
    ] {
        let mut record = record();
        record.insert("priority", Attribute::number(stated));
        assert_eq!(Job::read(&record).unwrap().priority, taken, "{stated}");
    }
    let mut record = record();
    record.insert("lane", Attribute::text("ready#3"));
    for place in [
        "!-3#2025-09-25T11:21:51.690Z",
        "!99#2025-09-25T11:21:51.690Z",
        "!",
        "!0#",
    ] {
        record.insert("due", Attribute::text(place));
        assert!(Job::read(&record).is_err(), "{place}");
        record.insert("status", Attribute::text("COMPLETED"));
        assert!(Job::read(&record).unwrap().priority <= PRIORITY_MAX, "{place}");
        record.insert("status", Attribute::text("QUEUED"));
    }
}

/// Conditions spell what was read: where the record spells it in another way, no write to it would ever hold.
#[test]
fn an_open_job_is_spelled_as_we_spell_it() {
    let wrong = [
        ("processor", Attribute::number(7)),
        ("processor", Attribute::Null(true)),
        ("retries", Attribute::text("1")),
        ("retries", Attribute::number("-1")),
        ("retries", Attribute::number("5000000000")),
        ("failures", Attribute::number("1.5")),
        ("lane", Attribute::text("ready#+3")),
        ("lane", Attribute::text("ready#03")),
        ("lane", Attribute::text("ready")),
        ("lane", Attribute::number(3)),
        ("due", Attribute::text("0")),
        ("due", Attribute::text("2025-09-25T11:21:51Z")),
        ("due", Attribute::text("2025-09-25T13:21:51.690+02:00")),
        ("due", Attribute::number(0)),
    ];
    let mut reasons = Vec::new();
    for (name, value) in wrong {
        for lane in ["ready#3", "leased#3"] {
            let mut record = record();
            record.insert("lane", Attribute::text(lane));
            record.insert(name, value.clone());
            reasons.push(Job::read(&record).unwrap_err().why);
            // Nothing is lost that is done: a finished job is read all the same.
            record.insert("status", Attribute::text("COMPLETED"));
            assert!(Job::read(&record).is_ok(), "{name}");
        }
    }
    reasons.dedup();
    insta::assert_snapshot!(reasons.join("\n"));
    // Only who waits has a place by priority.
    let mut leased = record();
    leased.insert("lane", Attribute::text("leased#3"));
    leased.insert("due", Attribute::text("!0#2025-09-25T11:21:51.690Z"));
    assert!(Job::read(&leased).is_err());
    leased.insert("lane", Attribute::text("ready#3"));
    assert!(Job::read(&leased).is_ok());
}

#[test]
fn an_open_job_is_no_larger_than_what_its_later_writes_leave_room_for() {
    let padded = |name: &'static str, bytes: usize| {
        let mut record = record();
        record.retain(|known| known != name);
        let rest = record.size_bytes() + name.len();
        record.insert(name, Attribute::text("x".repeat(bytes - rest)));
        record
    };
    // Its status is ours.
    let max = RECORD_BYTES_MAX + "statusQUEUED".len();
    assert!(Job::read(&padded("padding", max)).is_ok());
    for name in ["padding", "version", "outline"] {
        let malformed = Job::read(&padded(name, max + 1)).unwrap_err();
        assert!(malformed.too_large, "{}", malformed.why);
    }
    let bytes = |count: usize| {
        let mut record = record();
        record.insert("padding", Attribute::Opaque(Opaque(count)));
        record
    };
    assert!(Job::read(&bytes(1_000)).is_ok());
    assert!(Job::read(&bytes(RECORD_BYTES_MAX)).unwrap_err().too_large);

    // One with its result is read, however large that is.
    let mut finished = padded("results", 390_000);
    assert!(Job::read(&finished).is_err());
    finished.insert("status", Attribute::text("COMPLETED"));
    assert!(Job::read(&finished).is_ok());
}

/// A claim makes the record larger, and so does a release: neither makes it another's.
#[test]
fn a_job_that_was_taken_for_one_stays_one() {
    use crate::fixture::{PROCESSOR, seconds};
    let now = Timestamp(1_758_799_311_690);
    let mut queued = record();
    queued.insert("lane", Attribute::text("ready#3"));
    queued.insert("due", Attribute::text("2025-09-25T11:21:51.690Z"));
    let padding = RECORD_BYTES_MAX + "statusQUEUEDlaneready#3due2025-09-25T11:21:51.690Z".len()
        - queued.size_bytes()
        - "padding".len();
    queued.insert("padding", Attribute::text("x".repeat(padding)));
    let job = Job::read(&queued).unwrap();
    let claimed = after(queued, &lifecycle::claim(&job, PROCESSOR, now, seconds(300)));
    let job = Job::read(&claimed).unwrap();
    let claimed = after(claimed, &lifecycle::downloaded(&job, PROCESSOR, now));
    let job = Job::read(&claimed).unwrap();
    let released = after(claimed, &lifecycle::release(&job, PROCESSOR, now, now, 1, "why"));
    let job = Job::read(&released).unwrap();
    let requeued = after(released, &lifecycle::requeue(&job, now, now, "why"));
    assert!(Job::read(&requeued).is_ok());
    // But not whatever lies there.
    let mut padded = record();
    padded.insert("processor", Attribute::text("x".repeat(RECORD_BYTES_MAX)));
    assert!(Job::read(&padded).is_ok(), "a kibibyte of it is not counted");
    padded.insert("processor", Attribute::text("x".repeat(RECORD_BYTES_MAX + 1_024)));
    assert!(Job::read(&padded).unwrap_err().too_large);
}

#[test]
fn a_history_that_nobody_of_ours_wrote_is_bounded_before_it_is_written_again() {
    let entry = |bytes: usize| {
        Attribute::Map(Record::from([
            ("at", Attribute::text("2025-09-25T11:21:51.690Z")),
            ("by", Attribute::text("x".repeat(bytes))),
            ("what", Attribute::text("x".repeat(bytes))),
            ("why", Attribute::text("x".repeat(bytes))),
        ]))
    };
    let mut long = record();
    long.insert("history", Attribute::List(vec![entry(10_000)]));
    let attempt = &Job::read(&long).unwrap().history[0];
    assert_eq!((attempt.by.len(), attempt.what.len()), (100, 100));
    assert_eq!(attempt.why.len(), crate::job::TEXT_BYTES_MAX);
    long.insert("history", Attribute::List(vec![entry(14_000)]));
    assert!(Job::read(&long).unwrap_err().too_large);
}

/// A record of the lane `ready#3` that is as large as an item may be.
fn full(change: impl Fn(&mut Record<'static>)) -> Record<'static> {
    let mut record = record();
    record.insert("lane", Attribute::text("ready#3"));
    record.insert("due", Attribute::text("2025-09-25T11:21:51.690Z"));
    record.insert("signature", Attribute::text("0".repeat(140)));
    change(&mut record);
    let padding = ITEM_BYTES_MAX - record.size_bytes() - "padding".len();
    record.insert("padding", Attribute::text("x".repeat(padding)));
    record
}

fn after(mut record: Record<'static>, change: &Change) -> Record<'static> {
    for (name, value) in &change.set {
        record.insert(*name, Attribute::from(value));
    }
    record.retain(|name| !change.remove.contains(&name));
    record
}

/// What ends it must not make it larger, whatever else is wrong with it.
#[test]
fn a_record_that_is_too_large_shrinks_by_its_refusal() {
    let now = Timestamp(1_758_799_311_690);
    for (name, value) in [
        ("lane", "ready#3"),
        ("status", "queued"),
        ("file", "file-1"),
        ("chunks", "1"),
    ] {
        let record = full(|record| record.insert(name, Attribute::text(value)));
        let refusal = Job::read(&record).unwrap_err().refusal(now);
        let ended = after(record, &refusal);
        assert!(
            ended.size_bytes() <= ITEM_BYTES_MAX,
            "{name}: {}",
            ended.size_bytes()
        );
        assert_eq!(text(&ended, "status"), Some("ERROR"), "{name}");
        assert!(!text(&ended, "error").unwrap().is_empty() && !ended.contains_key("lane"));
    }
}

/// It has nothing that it could give up for the error.
#[test]
fn a_record_that_is_full_of_other_things_leaves_its_lane_without_a_word() {
    let record = full(|record| {
        record.retain(|name| !["signature", "status"].contains(&name));
    });
    let refusal = Job::read(&record)
        .unwrap_err()
        .refusal(Timestamp(1_758_799_311_690));
    assert!(after(record.clone(), &refusal).size_bytes() > ITEM_BYTES_MAX);
    let shorter = refusal.shorter().unwrap();
    assert_eq!(shorter.only_if, refusal.only_if);
    let ended = after(record, &shorter);
    assert!(ended.size_bytes() <= ITEM_BYTES_MAX, "{}", ended.size_bytes());
    assert_eq!(text(&ended, "status"), Some("ERROR"));
    assert!(ended.contains_key("expires") && !ended.contains_key("lane") && !ended.contains_key("due"));
    assert_eq!(shorter.shorter(), None);
}

#[test]
fn a_record_that_is_no_job_is_ended_as_it_was_seen() {
    let is = |name, text: &str| Term::Is(name, Value::Text(text.to_owned()));
    let mut record = record();
    record.insert("chunks", Attribute::text("none"));
    let seen = |record: &Record<'_>| Job::read(record).unwrap_err().seen;
    let unplaced = [Term::Missing("lane"), Term::Missing("due")];
    assert_eq!(
        seen(&record),
        [&[is("status", "QUEUED")], unplaced.as_slice()].concat()
    );
    record.insert("status", Attribute::number(7));
    assert_eq!(seen(&record), unplaced, "it cannot be said");
    record.insert("lane", Attribute::text("ready#3"));
    record.insert("due", Attribute::text("soon"));
    assert_eq!(seen(&record), [is("lane", "ready#3"), is("due", "soon")]);
}

fn hostile() -> impl Strategy<Value = Attribute<'static>> {
    let leaf = prop_oneof![
        ".{0,60}".prop_map(Attribute::text),
        "-?[0-9]{0,40}(e[0-9]{1,3})?".prop_map(|digits| Attribute::Number(digits.into())),
        any::<bool>().prop_map(Attribute::Bool),
        Just(Attribute::Null(true)),
        Just(Attribute::Opaque(Opaque(0))),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z".prop_map(Attribute::text),
        "(ready|leased|done)#[0-9]{1,12}".prop_map(Attribute::text),
    ];
    leaf.prop_recursive(3, 40, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Attribute::List),
            proptest::collection::btree_map("(at|by|what|why|since|failed)", inner, 0..6)
                .prop_map(|map| Attribute::Map(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_record_breaks_the_reading(
        names in proptest::collection::vec(
            "(status|version|created|bucket|file|chunks|client|signature|processor|assigned|due|lane|retries|failures|history|cleaned|expires)",
            0..6,
        ),
        values in proptest::collection::vec(hostile(), 6),
    ) {
        let mut record = record();
        for (name, value) in names.into_iter().zip(values) {
            record.insert(name, value);
        }
        match Job::read(&record) {
            Ok(job) => prop_assert!(job.history.len() <= HISTORY_MAX),
            Err(malformed) => prop_assert!(!malformed.why.is_empty()),
        }
        let _ = expires(&record);
    }
}
