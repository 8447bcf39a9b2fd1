//! From an entry of a recording to a change of the replayed table: which write it was, and when.

use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_core::job::{Job, Lane};
use roundtrip_core::lifecycle::{Write, attribute as a};
use roundtrip_core::record::{Attribute, Record};

use super::course::{self, Act, Recorded};
use crate::recording::{Entry, Kind};

/// How far a record's own time may lie from the stream's, which tells seconds only. Beyond it the writer's clock is
/// wrong, and the stream's time counts.
const CLOCKS_APART_MS: i64 = 2_000;

/// What an entry says of a job.
pub(super) fn recorded(entry: &Entry, now: Timestamp) -> Recorded {
    let key = entry.key();
    let verdict = entry.verdict().cloned();
    let sequence = entry.place().unwrap_or_default();
    let told = entry.moment();
    let before = entry.body.before.as_ref().and_then(|image| Job::read(image).ok());
    let after = entry.body.after.as_ref().map(Job::read);
    let image = entry.body.after.as_ref();
    // One that is no job and was refused: it is done with.
    let refused = matches!(after, Some(Err(_))) && image.is_some_and(|image| image.contains_key(a::CLEANED));
    let act = match (entry.kind, &after) {
        (Kind::Remove, _) | (_, None) => Act::Deleted,
        (Kind::Insert, Some(_)) => Act::Write(Write::Create),
        (Kind::Modify, Some(Err(_))) if refused => Act::Deleted,
        (Kind::Modify, Some(Err(_))) => Act::Other,
        (Kind::Modify, Some(Ok(after))) => course::act(before.as_ref(), after),
    };
    let exact = match &after {
        Some(Ok(after)) => written_at(before.as_ref(), after),
        Some(Err(_)) | None => None,
    };
    let at = told.unwrap_or(now);
    let at = exact
        .filter(|exact| (exact.0 - at.0).abs() <= CLOCKS_APART_MS)
        .unwrap_or(at);
    Recorded {
        at: at.max(now),
        key,
        act,
        before,
        place: image.and_then(place),
        after,
        verdict,
        sequence,
    }
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
        .or_else(|| news(before.cleaned, after.cleaned))
}

fn place(image: &Record) -> Option<(Lane, Timestamp)> {
    let text = |name| image.get(name).and_then(Attribute::as_text);
    Some((Lane::parse(text(a::LANE)?)?, iso::read(text(a::DUE)?)?))
}
