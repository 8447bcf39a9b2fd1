//! A record of the table as it stands there, and what it takes to be a job: untrusted on the way in.

use crate::at::Timestamp;
use crate::claim::Malformed;
use crate::iso;
use crate::job::{Attempt, HISTORY_MAX, Job, Lane, LaneKind, PRIORITY_MAX, Status, clip, clip_by};
use crate::lifecycle::{RecordKey, Term, Value, attribute as a};
use crate::names::{ClientId, FileId, JobKey};

mod attribute;

pub use attribute::{Attribute, Opaque, Record};

/// Bytes an item of the table may have, names included: DynamoDB's 400 KB.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;

/// Bytes that the record of an open job may have beside its history and what we write to it. A larger one is no job, and is ended before anybody
/// takes it: every write that is still to come needs its room below [`ITEM_BYTES_MAX`].
pub const RECORD_BYTES_MAX: usize = 32 * 1024;

/// What we write to an open job itself: where it stands and who has it.
const OURS: [&str; 8] = [
    a::STATUS,
    a::LANE,
    a::DUE,
    a::PROCESSOR,
    a::ASSIGNED,
    a::DOWNLOADED,
    a::RETRIES,
    a::FAILURES,
];

/// Bytes of these that are not counted, at most: a job that was taken for one must not become too large by a claim.
const OURS_BYTES_MAX: usize = 1_024;

/// Bytes of the history of an open job, at most: above what the longest one of ours has.
pub const HISTORY_BYTES_MAX: usize = 40 * 1024;

/// Bytes of a plain result that is kept in the record, at most; sealing doubles it. A larger one lies in the bucket.
pub const INLINE_RESULT_BYTES_MAX: usize = 160_000;

/// Bytes of the content type of a result, at most; a longer one is none.
pub const RESULTS_TYPE_BYTES_MAX: usize = 255;

impl From<&Value> for Attribute<'static> {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::text(text.clone()),
            Value::Number(number) => Self::number(*number),
            Value::Time(moment) => Self::text(iso::write(*moment)),
            Value::Turn { priority: 0, due } => Self::text(iso::write(*due)),
            Value::Turn { priority, due } => Self::text(turn_prefix(*priority) + &iso::write(*due)),
            Value::Expiry(moment) => Self::number(moment.0 / 1_000),
            Value::History(attempts) => Self::List(attempts.iter().map(attempt).collect()),
        }
    }
}

impl Job {
    /// Reads a record. It is no job where a name does not hold, where a signed attribute is missing or of another type,
    /// or where it is open and what conditions are made of is not as Roundtrip writes it: nobody could ever end it. What
    /// else is ours and unreadable is taken as absent.
    pub fn read(record: &Record<'_>) -> Result<Self, Malformed> {
        let malformed = |why: &str| Malformed {
            key: RecordKey::of(record),
            why: why.to_owned(),
            too_large: !is_finished(record) && too_large(record).is_some(),
            seen: seen(record),
        };
        let signed = |name: &str| {
            text(record, name).ok_or_else(|| malformed(&format!("`{name}` is missing or no text")))
        };
        let time = |name: &str| text(record, name).and_then(iso::read);
        let owned = |name: &str| text(record, name).map(str::to_owned);

        let client = ClientId::parse(signed(a::CLIENT)?).map_err(|error| malformed(&error.to_string()))?;
        let file = FileId::parse(signed(a::FILE)?).map_err(|error| malformed(&error.to_string()))?;
        let status =
            Status::parse(signed(a::STATUS)?).ok_or_else(|| malformed("`status` is none of the four"))?;
        if !status.is_finished()
            && let Some(why) = too_large(record)
        {
            return Err(malformed(&why));
        }
        let chunks = record.get(a::CHUNKS).and_then(Attribute::as_number);
        let chunks = chunks.ok_or_else(|| malformed("`chunks` is missing or no whole number"))?;
        let created = signed(a::CREATED)?;
        let created_at = iso::read(created).ok_or_else(|| malformed("`created` is no ISO 8601 time"))?;
        // A write to an open job holds only where the record says exactly what was seen.
        if let (false, Some(name)) = (status.is_finished(), unspelled(record)) {
            return Err(malformed(&format!("`{name}` is not as Roundtrip writes it")));
        }
        let lane = text(record, a::LANE).and_then(Lane::parse);
        let (turn, due) = text(record, a::DUE).map_or((0, None), place);
        let stated = record.get(a::PRIORITY).and_then(Attribute::as_number);
        let stated = stated.and_then(|stated| u8::try_from(stated).ok());
        // Where it waits, its place says how urgent it is: a condition on what was seen spells it in the same way.
        let priority = match lane.map(|lane| lane.kind) {
            Some(LaneKind::Ready) if due.is_some() => turn,
            Some(LaneKind::Ready | LaneKind::Leased | LaneKind::Done) | None => {
                stated.unwrap_or_default().min(PRIORITY_MAX)
            }
        };
        Ok(Self {
            key: JobKey { client, file },
            status,
            version: signed(a::VERSION)?.to_owned(),
            created_at: Some(created_at),
            created: created.to_owned(),
            bucket: signed(a::BUCKET)?.to_owned(),
            chunks,
            signature: signed(a::SIGNATURE)?.to_owned(),
            processor: owned(a::PROCESSOR),
            assigned: time(a::ASSIGNED),
            downloaded: time(a::DOWNLOADED),
            processed: time(a::PROCESSED),
            results: owned(a::RESULTS),
            results_type: owned(a::RESULTS_TYPE),
            error: owned(a::ERROR),
            outline: owned(a::OUTLINE),
            outline_signature: owned(a::OUTLINE_SIGNATURE),
            lane,
            due,
            retries: count(record, a::RETRIES),
            failures: count(record, a::FAILURES),
            history: history(record),
            cleaning: time(a::CLEANING),
            cleaned: time(a::CLEANED),
            priority,
        })
    }
}

fn is_finished(record: &Record<'_>) -> bool {
    let status = text(record, a::STATUS).and_then(Status::parse);
    status.is_some_and(Status::is_finished)
}

/// Where a record stands, as a condition says it.
fn seen(record: &Record<'_>) -> Vec<Term> {
    let term = |name: &'static str| match record.get(name) {
        None => Some(Term::Missing(name)),
        Some(value) => value
            .as_text()
            .map(|text| Term::Is(name, Value::Text(text.to_owned()))),
    };
    [a::STATUS, a::LANE, a::DUE]
        .into_iter()
        .filter_map(term)
        .collect()
}

/// The first attribute that conditions are made of and that does not read back as it is spelled.
fn unspelled(record: &Record<'_>) -> Option<&'static str> {
    let is_text = |attribute: &Attribute<'_>| attribute.as_text().is_some();
    let is_count = |attribute: &Attribute<'_>| {
        let count = attribute.as_number();
        count.is_some_and(|count| u32::try_from(count).is_ok())
    };
    let kind = text(record, a::LANE)
        .and_then(Lane::parse_as_written)
        .map(|lane| lane.kind);
    let is_lane = |_: &Attribute<'_>| kind.is_some();
    let is_due = |attribute: &Attribute<'_>| {
        let said = attribute.as_text().unwrap_or_default();
        let turn = match said.as_bytes() {
            // The ranks of the priorities 9 to 1.
            [b'!', b'0'..=b'8', b'#', ..] if kind == Some(LaneKind::Ready) => said.get(3..),
            _ => Some(said),
        };
        turn.and_then(iso::read_as_written).is_some()
    };
    let holds = |name: &'static str, holds: &dyn Fn(&Attribute<'_>) -> bool| {
        let held = record.get(name).is_none_or(holds);
        (!held).then_some(name)
    };
    holds(a::PROCESSOR, &is_text)
        .or_else(|| holds(a::RETRIES, &is_count))
        .or_else(|| holds(a::FAILURES, &is_count))
        .or_else(|| holds(a::LANE, &is_lane))
        .or_else(|| holds(a::DUE, &is_due))
}

/// Why the record of an open job is too large to be worked on, if it is.
fn too_large(record: &Record<'_>) -> Option<String> {
    let history = record.get(a::HISTORY).map_or(0, Attribute::size_bytes);
    let ours = |name: &&str| record.get(name).map(|value| name.len() + value.size_bytes());
    let ours: usize = OURS.iter().filter_map(ours).sum();
    let named = if record.contains_key(a::HISTORY) {
        a::HISTORY.len()
    } else {
        0
    };
    let rest = record.size_bytes() - history - named - ours.min(OURS_BYTES_MAX);
    let over = |what: &str, bytes: usize, max: usize| {
        (bytes > max).then(|| format!("the {what} is too large: {bytes} bytes, and at most {max} are taken"))
    };
    over("record", rest, RECORD_BYTES_MAX).or_else(|| over("record's history", history, HISTORY_BYTES_MAX))
}

impl RecordKey {
    /// The key of a record, whatever it is worth.
    pub fn of(record: &Record<'_>) -> Self {
        let text = |name| text(record, name).unwrap_or_default().to_owned();
        Self {
            client: text(a::CLIENT),
            file: text(a::FILE),
        }
    }
}

/// Where the places of jobs without a priority begin: moments start with a digit, those of urgent jobs with a mark that
/// sorts before every digit.
const ORDINARY: &str = "0";

/// Where the places of a priority begin in a ready lane: the highest sort first, ordinary jobs last.
pub fn turn_prefix(priority: u8) -> String {
    match PRIORITY_MAX.checked_sub(priority) {
        Some(rank) if priority > 0 => format!("!{rank}#"),
        Some(_) => ORDINARY.to_owned(),
        None => turn_prefix(PRIORITY_MAX),
    }
}

/// A place in a lane as it stands in a record: the priority it states, and the moment.
pub fn place(text: &str) -> (u8, Option<Timestamp>) {
    let turn = text.strip_prefix('!').and_then(|turn| turn.split_once('#'));
    let Some((rank, due)) = turn else {
        return (0, iso::read(text));
    };
    let rank = rank.parse().unwrap_or(PRIORITY_MAX);
    (PRIORITY_MAX.saturating_sub(rank), iso::read(due))
}

/// When the table deletes a record: its time to live.
pub fn expires(record: &Record<'_>) -> Option<Timestamp> {
    let seconds = record.get(a::EXPIRES).and_then(Attribute::as_number)?;
    Some(Timestamp(i64::try_from(seconds).ok()?.checked_mul(1_000)?))
}

fn text<'r>(record: &'r Record<'_>, name: &str) -> Option<&'r str> {
    record.get(name).and_then(Attribute::as_text)
}

fn count(record: &Record<'_>, name: &str) -> u32 {
    let number = record.get(name).and_then(Attribute::as_number);
    number.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn attempt(attempt: &Attempt) -> Attribute<'static> {
    let mut map = Record::from([
        ("at", Attribute::text(iso::write(attempt.at))),
        ("by", Attribute::text(attempt.by.clone())),
        ("what", Attribute::text(attempt.what.clone())),
        ("why", Attribute::text(attempt.why.clone())),
    ]);
    if let Some(since) = attempt.since {
        map.insert("since", Attribute::text(iso::write(since)));
    }
    if attempt.failed {
        map.insert("failed", Attribute::Bool(true));
    }
    Attribute::Map(map)
}

fn history(record: &Record<'_>) -> Vec<Attempt> {
    let Some(list) = record.get(a::HISTORY).and_then(Attribute::as_list) else {
        return Vec::new();
    };
    let read = |entry: &Attribute<'_>| {
        let map = entry.as_map()?;
        Some(Attempt {
            since: text(map, "since").and_then(iso::read),
            at: iso::read(text(map, "at")?)?,
            by: clip_by(text(map, "by")?),
            what: clip_by(text(map, "what")?),
            why: clip(text(map, "why")?),
            failed: map.get("failed").and_then(Attribute::as_bool).unwrap_or_default(),
        })
    };
    list.iter().take(HISTORY_MAX).filter_map(read).collect()
}

#[cfg(test)]
mod tests;
