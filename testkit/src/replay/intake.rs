//! From an entry of a recording to a change of the replayed table: which write it was, and when.

use roundtrip_core::at::Timestamp;
use roundtrip_core::fleet::{self, Sighting};
use roundtrip_core::iso;
use roundtrip_core::job::{Job, Lane};
use roundtrip_core::lifecycle::{RecordKey, Write, attribute as a};
use roundtrip_core::names::RESERVED_PREFIX;
use roundtrip_core::record::{Attribute, Record};

use super::course::{self, Act, Recorded};
use crate::recording::{Entry, Kind};

/// How far a record's own time may lie from the stream's, which tells seconds only. Beyond it the writer's clock is
/// wrong, and the stream's time counts.
const CLOCKS_APART_MS: i64 = 2_000;

/// What an entry means to a replay.
#[derive(Clone, Debug)]
pub struct Happening(pub(super) What);

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A job changed.
    Job(Box<Recorded>),
    /// A fetcher reported itself; none where its row is gone.
    Fetcher {
        row: String,
        at: Timestamp,
        sighting: Option<Sighting>,
        sequence: Option<u128>,
    },
    /// A row that is no job, and of no meaning here.
    Nothing,
}

impl Happening {
    /// Reads an entry.
    pub fn read(entry: &Entry<'_>) -> Self {
        if !entry.is_of_jobs_table() {
            return Self(What::Nothing);
        }
        let key = entry.key();
        if !key.client.starts_with(RESERVED_PREFIX) {
            return Self(What::Job(Box::new(recorded(entry, key))));
        }
        if key.client != fleet::PARTITION {
            return Self(What::Nothing);
        }
        let sighting = entry.body.after.as_ref().and_then(sighting);
        Self(What::Fetcher {
            row: key.file,
            at: moment(entry, sighting.map(|sighting| sighting.seen)),
            sighting,
            sequence: entry.place(),
        })
    }

    /// Which record it is of (its client and file), and its place among the changes of that; none where the stream does not
    /// say.
    pub(super) fn place(&self) -> Option<(&str, &str, u128)> {
        match &self.0 {
            What::Job(recorded) => {
                let RecordKey { client, file } = &recorded.key;
                (recorded.sequence != 0).then_some((client, file, recorded.sequence))
            }
            What::Fetcher { row, sequence, .. } => Some((fleet::PARTITION, row, (*sequence)?)),
            What::Nothing => None,
        }
    }

    /// The change of a job; none where it is about a row that is no job.
    pub(super) fn into_change(self) -> Option<Recorded> {
        match self.0 {
            What::Job(recorded) => Some(*recorded),
            What::Fetcher { .. } | What::Nothing => None,
        }
    }
}

fn sighting(row: &Record<'_>) -> Option<Sighting> {
    let seen = row.get("seen").and_then(Attribute::as_text);
    let report_ms = row.get("report_ms").and_then(Attribute::as_number);
    Some(Sighting {
        seen: seen.and_then(iso::read)?,
        report_ms: report_ms.unwrap_or_default(),
    })
}

fn recorded(entry: &Entry<'_>, key: RecordKey) -> Recorded {
    let verdict = entry.verdict().cloned();
    let sequence = entry.place().unwrap_or_default();
    let before = entry.body.before.as_ref().and_then(|image| Job::read(image).ok());
    let after = entry.body.after.as_ref().map(Job::read);
    let image = entry.body.after.as_ref();
    // One that is no job and was refused.
    let refused = matches!(after, Some(Err(_))) && image.is_some_and(|image| image.contains_key(a::CLEANED));
    let act = match (entry.kind, &after) {
        (Kind::Remove, _) | (_, None) => Act::Deleted,
        (Kind::Insert, Some(_)) => Act::Write(Write::Create),
        (Kind::Modify, Some(Err(_))) if refused => Act::Write(Write::Refuse),
        (Kind::Modify, Some(Err(_))) => Act::Other,
        (Kind::Modify, Some(Ok(after))) => course::act(before.as_ref(), after),
    };
    let exact = match &after {
        Some(Ok(after)) => written_at(before.as_ref(), after),
        Some(Err(_)) | None => None,
    };
    let at = moment(entry, exact);
    Recorded {
        at,
        key,
        act,
        had_lane: entry
            .body
            .before
            .as_ref()
            .is_some_and(|image| lane(image).is_some()),
        before,
        place: image.and_then(place),
        after,
        verdict,
        sequence,
    }
}

/// When an entry was written: as exactly as its writer says, unless its clock is wrong. Without any moment it happens when
/// it comes, which is later than this.
fn moment(entry: &Entry<'_>, exact: Option<Timestamp>) -> Timestamp {
    let told = entry.moment();
    let is_near = |exact: &Timestamp| {
        told.is_none_or(|told| exact.0.saturating_sub(told.0).saturating_abs() <= CLOCKS_APART_MS)
    };
    exact.filter(is_near).or(told).unwrap_or_default()
}

/// When a write was made, as far as it says so itself: to the millisecond.
fn written_at(before: Option<&Job>, after: &Job) -> Option<Timestamp> {
    let Some(before) = before else {
        return after.created_at;
    };
    let news = |was: Option<Timestamp>, is: Option<Timestamp>| is.filter(|_| was != is);
    let attempt = after.history.last().map(|attempt| attempt.at);
    news(before.assigned, after.assigned)
        .or_else(|| news(before.processed, after.processed))
        .or_else(|| news(before.history.last().map(|attempt| attempt.at), attempt))
        .or_else(|| news(before.downloaded, after.downloaded))
        .or_else(|| news(before.cleaning, after.cleaning))
        .or_else(|| news(before.cleaned, after.cleaned))
}

fn lane(image: &Record<'_>) -> Option<Lane> {
    Lane::parse(image.get(a::LANE)?.as_text()?)
}

fn place(image: &Record<'_>) -> Option<(Lane, Timestamp)> {
    let due = image.get(a::DUE)?.as_text()?;
    Some((lane(image)?, iso::read(due)?))
}
