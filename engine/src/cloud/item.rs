//! Job records as DynamoDB items: untrusted on the way in, typed on the way out.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use roundtrip_core::at::Timestamp;
use roundtrip_core::claim::Malformed;
use roundtrip_core::job::{Attempt, HISTORY_MAX, Job, Lane, LaneKind, PRIORITY_MAX, Status};
use roundtrip_core::lifecycle::{RecordKey, Value, attribute as a};
use roundtrip_core::names::{ClientId, FileId, JobKey};

/// A DynamoDB item.
pub type Item = HashMap<String, AttributeValue>;

/// A moment as job records spell it: ISO 8601, UTC, milliseconds.
pub fn iso(timestamp: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(timestamp.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{moment:.3}")
}

/// A moment from a record; none where the text is none.
pub fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|moment| Timestamp(moment.as_millisecond()))
}

/// Where the places of jobs without a priority begin: moments start with a digit, those of urgent jobs with a mark that
/// sorts before every digit.
const ORDINARY: &str = "0";

/// Where the places of a priority begin in a ready lane: the highest sort first, ordinary jobs last.
pub(crate) fn turn_prefix(priority: u8) -> String {
    match PRIORITY_MAX.checked_sub(priority) {
        Some(rank) if priority > 0 => format!("!{rank}#"),
        Some(_) => ORDINARY.to_owned(),
        None => turn_prefix(PRIORITY_MAX),
    }
}

/// A place in a lane as it stands in a record: the priority it states, and the moment.
pub(crate) fn place(text: &str) -> (u8, Option<Timestamp>) {
    let turn = text.strip_prefix('!').and_then(|turn| turn.split_once('#'));
    let Some((rank, due)) = turn else {
        return (0, moment(text));
    };
    let rank = rank.parse().unwrap_or(PRIORITY_MAX);
    (PRIORITY_MAX.saturating_sub(rank), moment(due))
}

/// A value as DynamoDB holds it.
pub fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Time(moment) => AttributeValue::S(iso(*moment)),
        Value::Turn { priority: 0, due } => AttributeValue::S(iso(*due)),
        Value::Turn { priority, due } => AttributeValue::S(turn_prefix(*priority) + &iso(*due)),
        Value::Expiry(moment) => {
            AttributeValue::N(SignedDuration::from_millis(moment.0).as_secs().to_string())
        }
        Value::History(attempts) => AttributeValue::L(attempts.iter().map(attempt).collect()),
    }
}

/// Reads a record. It is no job where a name does not hold or a signed attribute is missing or of another type;
/// what is ours and unreadable is taken as absent.
pub fn read(item: &Item) -> Result<Job, Malformed> {
    let malformed = |why: &str| Malformed {
        key: record_key(item),
        why: why.to_owned(),
    };
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let signed = |name: &str| text(name).ok_or_else(|| malformed(&format!("`{name}` is missing or no text")));
    let time = |name: &str| text(name).as_deref().and_then(moment);

    let client = ClientId::parse(&signed(a::CLIENT)?).map_err(|error| malformed(&error.to_string()))?;
    let file = FileId::parse(&signed(a::FILE)?).map_err(|error| malformed(&error.to_string()))?;
    let status = signed(a::STATUS)?;
    let status = Status::parse(&status).ok_or_else(|| malformed("`status` is none of the four"))?;
    let chunks =
        number(item, a::CHUNKS).ok_or_else(|| malformed("`chunks` is missing or no whole number"))?;
    let created = signed(a::CREATED)?;
    let created_at = moment(&created).ok_or_else(|| malformed("`created` is no ISO 8601 time"))?;
    let lane = text(a::LANE).as_deref().and_then(Lane::parse);
    let (turn, due) = text(a::DUE).as_deref().map_or((0, None), place);
    let stated = number(item, a::PRIORITY).and_then(|stated| u8::try_from(stated).ok());
    // Where it waits, its place says how urgent it is: a condition on what was seen spells it in the same way.
    let priority = match lane.map(|lane| lane.kind) {
        Some(LaneKind::Ready) if due.is_some() => turn,
        Some(LaneKind::Ready | LaneKind::Leased | LaneKind::Done) | None => {
            stated.unwrap_or_default().min(PRIORITY_MAX)
        }
    };
    Ok(Job {
        key: JobKey { client, file },
        status,
        version: signed(a::VERSION)?,
        created_at: Some(created_at),
        created,
        bucket: signed(a::BUCKET)?,
        chunks,
        signature: signed(a::SIGNATURE)?,
        processor: text(a::PROCESSOR),
        assigned: time(a::ASSIGNED),
        downloaded: time(a::DOWNLOADED),
        processed: time(a::PROCESSED),
        results: text(a::RESULTS),
        results_type: text(a::RESULTS_TYPE),
        error: text(a::ERROR),
        outline: text(a::OUTLINE),
        outline_signature: text(a::OUTLINE_SIGNATURE),
        lane,
        due,
        retries: count(item, a::RETRIES),
        failures: count(item, a::FAILURES),
        history: history(item),
        cleaned: time(a::CLEANED),
        priority,
    })
}

/// The key of a record, whatever it is worth.
pub fn record_key(item: &Item) -> RecordKey {
    let text = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_s().ok())
            .cloned()
            .unwrap_or_default()
    };
    RecordKey {
        client: text(a::CLIENT),
        file: text(a::FILE),
    }
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn count(item: &Item, name: &str) -> u32 {
    number(item, name).map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn attempt(attempt: &Attempt) -> AttributeValue {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let mut map = HashMap::from([
        ("at".to_owned(), AttributeValue::S(iso(attempt.at))),
        ("by".to_owned(), text(&attempt.by)),
        ("what".to_owned(), text(&attempt.what)),
        ("why".to_owned(), text(&attempt.why)),
    ]);
    if let Some(since) = attempt.since {
        map.insert("since".to_owned(), AttributeValue::S(iso(since)));
    }
    if attempt.failed {
        map.insert("failed".to_owned(), AttributeValue::Bool(true));
    }
    AttributeValue::M(map)
}

fn history(item: &Item) -> Vec<Attempt> {
    let Some(Ok(list)) = item.get(a::HISTORY).map(AttributeValue::as_l) else {
        return Vec::new();
    };
    let read = |entry: &AttributeValue| {
        let map = entry.as_m().ok()?;
        let text = |name: &str| map.get(name).and_then(|value| value.as_s().ok()).cloned();
        let failed = map.get("failed").and_then(|value| value.as_bool().ok());
        Some(Attempt {
            since: text("since").as_deref().and_then(moment),
            at: moment(&text("at")?)?,
            by: text("by")?,
            what: text("what")?,
            why: text("why")?,
            failed: failed.copied().unwrap_or_default(),
        })
    };
    list.iter().take(HISTORY_MAX).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        Item::from([
            ("status".to_owned(), text("QUEUED")),
            ("version".to_owned(), text("2.5.21")),
            ("created".to_owned(), text("2025-09-25T11:21:51.690Z")),
            ("bucket".to_owned(), text("lab")),
            (
                "file".to_owned(),
                text("file-1a026c06-e99c-4f2f-842c-cb01c51849af"),
            ),
            ("chunks".to_owned(), AttributeValue::N("20".to_owned())),
            (
                "client".to_owned(),
                text(&format!("client-04{}", "ab".repeat(64))),
            ),
            ("signature".to_owned(), text("30")),
        ])
    }

    #[test]
    fn a_foreign_record_is_a_job() {
        let job = read(&item()).unwrap();
        assert_eq!(
            (job.chunks, job.retries, job.lane, job.created_at),
            (20, 0, None, Some(Timestamp(1_758_799_311_690)))
        );
    }

    #[test]
    fn moments_read_as_they_are_written() {
        assert_eq!(iso(Timestamp(1_758_799_311_690)), "2025-09-25T11:21:51.690Z");
        assert_eq!(iso(Timestamp(1_758_799_311_000)), "2025-09-25T11:21:51.000Z");
        assert_eq!(moment(&iso(Timestamp(1))), Some(Timestamp(1)));
    }

    #[test]
    fn urgent_places_sort_first_and_read_as_they_are_written() {
        let due = Timestamp(1_758_799_311_690);
        let text = |priority, due| {
            let place = attribute(&Value::Turn { priority, due });
            place.as_s().unwrap().clone()
        };
        let later = Timestamp(due.0 + 1_000_000_000);
        let places = [
            text(9, due),
            text(9, later),
            text(5, due),
            text(1, later),
            iso(due),
        ];
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(places[0], "!0#2025-09-25T11:21:51.690Z");
        for priority in 1..=PRIORITY_MAX {
            assert!(text(priority, later).as_str() < ORDINARY);
            assert!(text(priority, due) > turn_prefix(priority));
            assert!(text(priority, later) < turn_prefix(priority - 1));
            let mut item = item();
            item.insert("lane".to_owned(), AttributeValue::S("ready#3".to_owned()));
            item.insert("due".to_owned(), AttributeValue::S(text(priority, due)));
            let job = read(&item).unwrap();
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
            let mut item = item();
            item.insert("priority".to_owned(), AttributeValue::N(stated.to_owned()));
            assert_eq!(read(&item).unwrap().priority, taken, "{stated}");
        }
        let mut item = item();
        item.insert("lane".to_owned(), AttributeValue::S("ready#3".to_owned()));
        for place in [
            "!-3#2025-09-25T11:21:51.690Z",
            "!99#2025-09-25T11:21:51.690Z",
            "!",
            "!0#",
        ] {
            item.insert("due".to_owned(), AttributeValue::S(place.to_owned()));
            assert!(read(&item).unwrap().priority <= PRIORITY_MAX, "{place}");
        }
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
            let mut item = item();
            item.insert(name.to_owned(), AttributeValue::Bool(true));
            read(&item).unwrap_err().why
        });
        insta::assert_snapshot!(reasons.join("\n"));
        let mut item = item();
        item.insert("file".to_owned(), AttributeValue::S("../../x".to_owned()));
        assert_eq!(read(&item).unwrap_err().key.file, "../../x");
    }
}
