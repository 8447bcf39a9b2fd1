//! What the stream tells about jobs: the changes in it, and the jobs as they are now.

use std::collections::BTreeSet;

use roundtrip_core::claim::Offer;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::{RecordKey, attribute as a};
use roundtrip_core::names::{JobKey, RESERVED_PREFIX};
pub use roundtrip_core::news::{Interest, News};
use roundtrip_core::stream::BadRecord;

use super::lanes::verified;
use crate::cloud::Fault;
use crate::cloud::jobs::{BATCH_GET_MAX, Jobs};
use crate::cloud::streams::{Change, Kind};

/// How often keys that the table left unanswered are asked for again.
const ASKED_MAX: usize = 3;

/// A change of a job, or why the record is none. Deletions, and rows that are no jobs, are no news.
pub fn news(change: &Change) -> Option<Result<News, BadRecord>> {
    match change.kind {
        Kind::Written => {}
        Kind::Deleted | Kind::Expired => return None,
    }
    if RecordKey::of(&change.keys).client.starts_with(RESERVED_PREFIX) {
        return None;
    }
    let bad = |why: String| BadRecord {
        sequence: change.sequence.clone(),
        why,
    };
    let Some(image) = &change.after else {
        return Some(Err(bad("it does not tell how the record is now".to_owned())));
    };
    match Job::read(image) {
        Ok(after) => Some(Ok(News {
            before: change.before.as_ref().and_then(|before| Job::read(before).ok()),
            after,
        })),
        // What was refused before is no news.
        Err(_) if image.contains_key(a::CLEANED) => None,
        Err(malformed) => Some(Err(bad(format!("it is no job: {}", malformed.why)))),
    }
}

/// The records as they are now, for a pipeline that is told of these keys: what the stream says may be a day old.
pub async fn offers(jobs: &Jobs, keys: &BTreeSet<JobKey>, interest: Interest) -> Result<Vec<Offer>, Fault> {
    let mut offers = Vec::new();
    let keys: Vec<JobKey> = keys.iter().cloned().collect();
    for part in keys.chunks(BATCH_GET_MAX) {
        let mut wanted = part.to_vec();
        for _ in 0..ASKED_MAX {
            let (records, left) = jobs.get_many(&wanted).await?;
            let current = records.into_iter().filter_map(Result::ok);
            offers.extend(
                current
                    .filter(|job| interest.wants(job.into()))
                    .map(|job| offer(job, interest)),
            );
            wanted.retain(|key| left.contains(&key.into()));
            if wanted.is_empty() {
                break;
            }
        }
        if !wanted.is_empty() {
            return Err(Fault::Transient("the table left keys unanswered".to_owned()));
        }
    }
    Ok(offers)
}

fn offer(job: Job, interest: Interest) -> Offer {
    let signature = if interest.is_unjudged() {
        verified(&job)
    } else {
        Ok(())
    };
    Offer {
        job,
        signature,
        uploaded: true,
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_core::record::{Attribute, Record};

    use super::*;

    fn record(status: &str, lane: Option<&str>) -> Record<'static> {
        let said = |text: &str| Attribute::text(text.to_owned());
        let mut item = Record::from([
            ("status", said(status)),
            ("version", said("2.5.21")),
            ("created", said("2026-01-02T03:04:05.678Z")),
            ("bucket", said("lab")),
            ("file", said("file-1a026c06-e99c-4f2f-842c-cb01c51849af")),
            ("chunks", Attribute::number(1)),
            ("client", said(&format!("client-04{}", "ab".repeat(64)))),
            ("signature", said("30")),
        ]);
        if let Some(lane) = lane {
            item.insert("lane", said(lane));
        }
        item
    }

    fn written(before: Option<Record<'static>>, after: Record<'static>) -> Change {
        Change {
            sequence: "7".to_owned(),
            kind: Kind::Written,
            keys: after.clone(),
            before,
            after: Some(after),
        }
    }

    /// Which pipelines hear of a change.
    fn heard(before: Option<Record<'static>>, after: Record<'static>) -> Vec<Interest> {
        let news = news(&written(before, after)).unwrap().unwrap();
        let all = [Interest::Finished, Interest::Foreign];
        all.into_iter().filter(|interest| interest.hears(&news)).collect()
    }

    #[test]
    fn what_brought_a_job_where_it_stands_is_news_and_what_leaves_it_there_is_none() {
        let (leased, done) = (
            record("PROCESSING", Some("leased#1")),
            record("ERROR", Some("done#1")),
        );
        assert_eq!(heard(Some(leased.clone()), done.clone()), [Interest::Finished]);
        // A job whose client may still send goes to the end of its lane: a look comes back to it.
        assert_eq!(heard(Some(done.clone()), done), []);
        assert_eq!(heard(None, record("QUEUED", Some("ready#1"))), []);
        assert_eq!(heard(None, record("QUEUED", None)), [Interest::Foreign]);
        // A fetcher that knows no lanes took one of our jobs.
        let ready = record("QUEUED", Some("ready#1"));
        assert_eq!(
            heard(Some(ready), record("PROCESSING", Some("ready#1"))),
            [Interest::Foreign]
        );
        let mut cleaned = record("COMPLETED", None);
        cleaned.insert("cleaned", Attribute::text("2026-01-02T03:04:06.000Z"));
        assert_eq!(heard(Some(leased), cleaned), []);
    }

    #[test]
    fn deletions_and_rows_of_ours_are_no_news() {
        let change = written(None, record("QUEUED", None));
        for kind in [Kind::Deleted, Kind::Expired] {
            assert_eq!(
                news(&Change {
                    kind,
                    ..change.clone()
                }),
                None
            );
        }
        let key = Attribute::text("roundtrip#stream");
        let row = Record::from([("client", key)]);
        assert_eq!(news(&written(None, row)), None);
    }

    #[test]
    fn what_is_no_job_is_bad_until_it_was_refused() {
        let mut nonsense = record("QUEUED", None);
        nonsense.retain(|name| name != "chunks");
        let bad = news(&written(None, nonsense.clone())).unwrap().unwrap_err();
        assert_eq!(
            (bad.sequence.as_str(), bad.why.as_str()),
            ("7", "it is no job: `chunks` is missing or no whole number")
        );
        nonsense.insert("cleaned", Attribute::text("now"));
        assert_eq!(news(&written(None, nonsense)), None);
    }
}
