//! What a recording tells of its fetchers: who they were, how long each attempt took, and how it ended.
//!
//! It is taken in a reading of its own before the replay, since how long an attempt takes is known only at its end.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{self, Job, TEXT_BYTES_MAX};
use roundtrip_core::lifecycle::{RecordKey, Write};
use roundtrip_core::plan::{Bounds, Outline};
use roundtrip_core::worker::{Ending, UNFIT};

use super::course::{Act, Recorded};
use super::intake::{Happening, What};

/// Attempts of a job that are remembered, at most: the last one stands for those that follow.
const ATTEMPTS_MAX: usize = 20;

/// Bytes of an error that are remembered, at most.
const WHY_BYTES_MAX: usize = if TEXT_BYTES_MAX < 200 { TEXT_BYTES_MAX } else { 200 };

/// What an attempt takes where the recording has none that came to an end.
const DOWNLOAD: Duration = Duration::from_secs(1);
const ANALYSIS: Duration = Duration::from_secs(10);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Result,
    JobFault,
    Failed,
    Refused,
    /// Its chunks stopped coming.
    Stalled,
    /// The fetcher could not keep or read the file.
    Unfit,
    Away,
    Stopped,
    /// Its fetcher went silent.
    Lost,
    /// An operator took the job away, or the recording ended.
    Open,
}

/// One claim of a job.
#[derive(Clone, Debug)]
struct Attempt {
    by: u32,
    claimed: Timestamp,
    downloaded: Option<Timestamp>,
    /// When the processor had room for it.
    began: Option<Timestamp>,
    /// The last write of its fetcher.
    seen: Timestamp,
    lease_ends: Option<Timestamp>,
    end: End,
    why: Box<str>,
}

/// A fetcher of the recording.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    pub(super) id: String,
    /// When it claimed first.
    pub(super) from: Timestamp,
    /// When it went silent for good.
    pub(super) until: Option<Timestamp>,
    /// When it was told to stop, or had ended.
    pub(super) left: Option<Timestamp>,
    seen: Timestamp,
    /// Until when each place of its processor was taken.
    places: Vec<Timestamp>,
}

impl Fetcher {
    /// The fetcher of a recording in which nobody claimed.
    pub(super) fn unrecorded(from: Timestamp) -> Self {
        Self {
            id: "processor-00000000-0000-0000-0000-000000000000".to_owned(),
            from,
            until: None,
            left: None,
            seen: from,
            places: Vec::new(),
        }
    }
}

/// How an attempt is to go.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// After this the file is there; never, where the attempt ended before.
    pub(super) download: Option<Duration>,
    /// After this the work ends; never, where it went on to the end.
    pub(super) end: Option<(Duration, Ending)>,
    /// After this nothing of its fetcher gets through any more.
    pub(super) silent: Option<Duration>,
}

/// What a recording tells of its fetchers.
#[derive(Debug)]
pub struct Survey {
    /// How many files a fetcher of the recording gave to its processor at a time.
    analyses_max: usize,
    fetchers: Vec<Fetcher>,
    numbers: BTreeMap<String, u32>,
    attempts: HashMap<u64, Vec<Attempt>>,
    now: Option<Timestamp>,
    /// The bucket its jobs lie in.
    bucket: Option<String>,
    completed: u32,
    download: Duration,
    analysis: Duration,
}

impl Survey {
    /// Nothing was seen yet. `analyses_max`: how many files each fetcher of the recording gave to its processor at a time,
    /// which no record tells; the others waited.
    pub fn new(analyses_max: usize) -> Self {
        Self {
            analyses_max: analyses_max.max(1),
            fetchers: Vec::new(),
            numbers: BTreeMap::new(),
            attempts: HashMap::new(),
            now: None,
            bucket: None,
            completed: 0,
            download: Duration::ZERO,
            analysis: Duration::ZERO,
        }
    }

    /// Takes in what was recorded.
    pub fn take(&mut self, happening: Happening) {
        let mut recorded = match happening.0 {
            What::Job(recorded) => *recorded,
            What::Fetcher { row, sighting: None } => return self.row_gone(&row),
            What::Fetcher { .. } | What::Nothing => return,
        };
        recorded.at = self.now.map_or(recorded.at, |now| now.max(recorded.at));
        self.now = Some(recorded.at);
        if let (Act::Write(write), Some(Ok(after))) = (recorded.act, &recorded.after) {
            self.take_write(&recorded, write, after);
        } else if recorded.act == Act::OperatorRequeue {
            self.end(&recorded, End::Open);
        }
    }

    fn take_write(&mut self, recorded: &Recorded, write: Write, after: &Job) {
        if self.bucket.is_none() {
            self.bucket = Some(after.bucket.clone());
        }
        match write {
            Write::Claim => self.claimed(recorded, after),
            Write::Heartbeat | Write::Downloaded => self.seen(recorded, after),
            Write::Complete => self.end(recorded, End::Result),
            Write::Fail => self.end(recorded, fault(recorded, after)),
            Write::Release => self.end(recorded, release(recorded, after)),
            Write::Requeue | Write::GiveUp => self.end(recorded, End::Lost),
            Write::Cancel => self.end(recorded, End::Open),
            Write::Create
            | Write::Cleaning
            | Write::Cleaned
            | Write::Keep
            | Write::Admit
            | Write::Adopt
            | Write::Refuse => {}
        }
    }

    fn claimed(&mut self, recorded: &Recorded, after: &Job) {
        let id = after.processor.clone().unwrap_or_default();
        let (at, next) = (
            recorded.at,
            u32::try_from(self.fetchers.len()).unwrap_or(u32::MAX),
        );
        let by = *self.numbers.entry(id.clone()).or_insert(next);
        if by == next {
            self.fetchers.push(Fetcher {
                id,
                from: at,
                until: None,
                left: None,
                seen: at,
                places: vec![at; self.analyses_max],
            });
        }
        self.touch(by, at);
        if let Some(fetcher) = self.fetcher(by) {
            // It was not told to stop.
            fetcher.left = None;
        }
        let attempts = self.attempts.entry(hash(&recorded.key)).or_default();
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.remove(0);
        }
        attempts.push(Attempt {
            by,
            claimed: at,
            downloaded: None,
            began: None,
            seen: at,
            lease_ends: after.due,
            end: End::Open,
            why: "".into(),
        });
    }

    fn fetcher(&mut self, by: u32) -> Option<&mut Fetcher> {
        self.fetchers.get_mut(usize::try_from(by).ok()?)
    }

    fn touch(&mut self, by: u32, at: Timestamp) {
        if let Some(fetcher) = self.fetcher(by) {
            fetcher.seen = fetcher.seen.max(at);
        }
    }

    /// A fetcher that ends takes its row away.
    fn row_gone(&mut self, row: &str) {
        let id = row.split('#').next().unwrap_or(row);
        let (by, now) = (self.numbers.get(id).copied(), self.now);
        if let Some(fetcher) = by.and_then(|by| self.fetcher(by)) {
            fetcher.left = fetcher.left.or(now);
        }
    }

    /// When the processor of a fetcher took a file that it was done with at `end`: not before the one ahead was done with.
    fn began(&mut self, by: u32, downloaded: Timestamp, end: Timestamp) -> Timestamp {
        let first = self
            .fetcher(by)
            .and_then(|fetcher| fetcher.places.iter_mut().min());
        let Some(place) = first else { return downloaded };
        let began = downloaded.max(*place).min(end);
        *place = end;
        began
    }

    fn last(&mut self, key: &RecordKey) -> Option<&mut Attempt> {
        self.attempts.get_mut(&hash(key))?.last_mut()
    }

    fn seen(&mut self, recorded: &Recorded, after: &Job) {
        let at = recorded.at;
        if let Some(attempt) = self.last(&recorded.key) {
            attempt.seen = at;
            attempt.lease_ends = after.due;
            attempt.downloaded = attempt.downloaded.or(after.downloaded.map(|_| at));
            let by = attempt.by;
            self.touch(by, at);
        }
    }

    fn end(&mut self, recorded: &Recorded, end: End) {
        let at = recorded.at;
        let after = recorded.after.as_ref().and_then(|after| after.as_ref().ok());
        let why = after
            .and_then(|after| after.history.last())
            .map(|attempt| attempt.why.as_str());
        let Some(attempt) = self.last(&recorded.key) else {
            return;
        };
        attempt.end = end;
        let why = why.unwrap_or_default();
        attempt.why = why[..why.floor_char_boundary(WHY_BYTES_MAX)].into();
        if matches!(end, End::Lost | End::Open) {
            return;
        }
        attempt.seen = at;
        if let (End::Result | End::JobFault, None) = (end, attempt.downloaded) {
            // The write that told of the download was refused or never made: the ending tells of it too.
            attempt.downloaded = after
                .and_then(|after| after.downloaded)
                .map(|moment| moment.min(at));
        }
        let (by, downloaded, claimed) = (attempt.by, attempt.downloaded, attempt.claimed);
        self.touch(by, at);
        if let (End::Stopped, Some(fetcher)) = (end, self.fetcher(by)) {
            fetcher.left = Some(at);
        }
        let Some(downloaded) = downloaded else { return };
        let began = self.began(by, downloaded, at);
        if let Some(attempt) = self.last(&recorded.key) {
            attempt.began = Some(began);
        }
        if end == End::Result {
            self.completed += 1;
            self.download += downloaded.since(claimed);
            self.analysis += at.since(began);
        }
    }

    /// The recording has ended: who was not heard of again was lost.
    pub(super) fn close(&mut self) {
        let end = self.now.unwrap_or_default();
        for attempt in self.attempts.values_mut().flatten() {
            if attempt.end == End::Open && attempt.lease_ends.is_some_and(|lease| lease < end) {
                attempt.end = End::Lost;
            }
        }
        let lost: Vec<(u32, Timestamp)> = self
            .attempts
            .values()
            .flatten()
            .filter(|attempt| attempt.end == End::Lost)
            .map(|attempt| (attempt.by, attempt.seen))
            .collect();
        for (by, seen) in lost {
            if let Some(fetcher) = self.fetcher(by).filter(|fetcher| fetcher.seen <= seen) {
                fetcher.until = Some(seen);
            }
        }
    }

    pub(super) fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    pub(super) fn fetchers(&self) -> &[Fetcher] {
        &self.fetchers
    }

    /// Whether everything of a job was in the bucket at a moment, as far as the recording tells.
    pub(super) fn is_uploaded(&self, key: &RecordKey, now: Timestamp) -> bool {
        let first = self.attempts.get(&hash(key)).and_then(|attempts| {
            let downloads = attempts.iter().filter_map(|attempt| attempt.downloaded);
            downloads.min()
        });
        first.is_none_or(|first| first <= now)
    }

    /// How the n-th attempt of a job goes, from 0, for a fetcher that takes files within these bounds.
    pub(super) fn course(&self, job: &Job, attempt: usize, bounds: Bounds) -> Course {
        let outline = job.outline.as_deref();
        let outline =
            outline.and_then(|text| Outline::read(text, &job.key.client, &job.key.file, job.chunks).ok());
        if let Some(why) = outline.as_ref().and_then(|outline| bounds.refuses(outline)) {
            return Course {
                download: None,
                end: Some((Duration::ZERO, Ending::Refused(why))),
                silent: None,
            };
        }
        let key = RecordKey::from(&job.key);
        let known = self.attempts.get(&hash(&key)).filter(|known| !known.is_empty());
        let Some(attempt) = known.and_then(|known| known.get(attempt.min(known.len() - 1))) else {
            return self.typical();
        };
        // What was out of the bounds of the recording's fetcher is not out of these.
        if attempt.end == End::Refused && outline.is_some() && Bounds::named_by(&attempt.why).is_some() {
            return self.typical();
        }
        let since = |moment: Timestamp| moment.since(attempt.claimed);
        let why = attempt.why.to_string();
        let ending = match attempt.end {
            End::Result => result(),
            End::JobFault => Ending::JobFault(why),
            End::Failed => Ending::Failed { why, after: None },
            End::Refused => Ending::Refused(why),
            End::Stalled => Ending::Stalled(why),
            End::Away => Ending::Away { why, after: None },
            End::Unfit => Ending::Unfit(why),
            End::Stopped => Ending::Stopped,
            End::Lost => {
                return Course {
                    download: attempt.downloaded.map(since),
                    end: None,
                    silent: Some(since(attempt.seen) + Duration::from_millis(1)),
                };
            }
            End::Open => {
                return Course {
                    download: attempt.downloaded.map(since),
                    end: None,
                    silent: None,
                };
            }
        };
        // Without the time in which the processor had others.
        let took = match (attempt.downloaded, attempt.began) {
            (Some(downloaded), Some(began)) => since(downloaded) + attempt.seen.since(began),
            _ => since(attempt.seen),
        };
        Course {
            download: attempt.downloaded.map(since),
            end: Some((took, ending)),
            silent: None,
        }
    }

    /// How an attempt goes of which the recording knows nothing.
    fn typical(&self) -> Course {
        let (download, analysis) = match self.completed {
            0 => (DOWNLOAD, ANALYSIS),
            completed => (self.download / completed, self.analysis / completed),
        };
        Course {
            download: Some(download),
            end: Some((download + analysis, result())),
            silent: None,
        }
    }
}

fn result() -> Ending {
    Ending::Result {
        results: "recorded".to_owned(),
        results_type: None,
    }
}

/// Why a job failed for good: what its attempts were counts up where the job was at fault or its analysis failed.
fn fault(recorded: &Recorded, after: &Job) -> End {
    let before = recorded.before.as_ref();
    let counted = before.is_none_or(|before| after.failures > before.failures);
    let error = after.error.as_deref().unwrap_or_default();
    let last_of_several = after.failures > 1 || error.contains("(attempt ");
    match (counted, last_of_several) {
        (true, true) => End::Failed,
        (true, false) => End::JobFault,
        (false, _) => End::Refused,
    }
}

/// Why a job was given back.
fn release(recorded: &Recorded, after: &Job) -> End {
    let failed = recorded
        .before
        .as_ref()
        .is_some_and(|before| after.failures > before.failures);
    let at_once = after
        .due
        .is_some_and(|due| due <= recorded.at + Duration::from_millis(1));
    let had_file = recorded
        .before
        .as_ref()
        .is_some_and(|before| before.downloaded.is_some());
    let unfit = |attempt: &job::Attempt| attempt.why.starts_with(UNFIT);
    if !failed && after.history.last().is_some_and(unfit) {
        return End::Unfit;
    }
    match (failed, at_once, had_file) {
        (true, _, _) => End::Failed,
        (false, true, _) => End::Stopped,
        (false, false, true) => End::Away,
        (false, false, false) => End::Stalled,
    }
}

fn hash(key: &RecordKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
