//! What a recording tells of its fetchers: who they were, how long each attempt took, and how it ended.
//!
//! It is taken in a reading of its own before the replay, since how long an attempt takes is known only at its end.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Job, Status, TEXT_BYTES_MAX};
use roundtrip_core::lifecycle::{RecordKey, Write};
use roundtrip_core::plan::{Bounds, Outline};
use roundtrip_core::worker::{Ending, words};

use super::course::{Act, Recorded};
use super::intake::{Happening, What};

mod fleet;

pub(super) use fleet::Fetcher;
use fleet::Fleet;

/// Attempts of a job that are remembered, at most: the first ones and the last one, which stands for those after it.
const ATTEMPTS_MAX: usize = 20;

/// Bytes of an error that are remembered, at most.
const WHY_BYTES_MAX: usize = if TEXT_BYTES_MAX < 200 { TEXT_BYTES_MAX } else { 200 };

/// What an attempt takes where the recording has none that came to an end.
const DOWNLOAD: Duration = Duration::from_secs(1);
const ANALYSIS: Duration = Duration::from_secs(10);

/// The part of its lease after which a fetcher whose heartbeats are not known is taken to be silent.
const SILENT_PART: u32 = 10;

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
    /// A service was away.
    Fault,
    /// The processor was away.
    Away,
    /// The processor did not take the request.
    TurnedAway,
    Stopped,
    /// Its fetcher went silent, and the job was taken from it.
    Lost,
    /// Its fetcher went silent, and the job was given up.
    GivenUp,
    /// An operator took the job away.
    Taken,
    /// The recording ended.
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
    /// The last heartbeat, or the claim, and how long after the one before it came.
    beat: (Timestamp, Option<Duration>),
    lease_ends: Option<Timestamp>,
    end: End,
    why: Box<str>,
}

impl Attempt {
    /// How long after its last sign its fetcher is taken to be silent: somewhere before the next sign would have come. All
    /// that was recorded gets through, also where the replay is some milliseconds late.
    fn silence(&self) -> Duration {
        let lease = self.lease_ends.map(|ends| ends.since(self.seen) / SILENT_PART);
        let beat = self.beat.1.map(|gap| gap / 2);
        lease.into_iter().chain(beat).min().unwrap_or_default()
    }
}

/// How an attempt is to go.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// After this the file is there; never, where the attempt ended before.
    pub(super) download: Option<Duration>,
    /// After this the work ends; never, where it went on to the end.
    pub(super) end: Option<(Duration, Ending)>,
    /// When nothing of its fetcher gets through any more.
    pub(super) loss: Option<Loss>,
}

impl Course {
    /// The same for a fetcher whose analyses take no longer than this.
    pub(super) fn within(self, timeout: Duration) -> Self {
        let (
            Some(download),
            Some((end, Ending::Result { .. } | Ending::JobFault(_) | Ending::Failed { .. })),
        ) = (self.download, &self.end)
        else {
            return self;
        };
        if end.saturating_sub(download) <= timeout {
            return self;
        }
        let why = "the analysis took longer than the policy allows (sink.processor.timeout)".to_owned();
        let failed = Ending::Failed { why, after: None };
        Self {
            end: Some((download + timeout, failed)),
            ..self
        }
    }
}

/// How an attempt is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// After so long.
    pub(super) after: Duration,
    /// Whether it was the last one: the job was given up.
    pub(super) gives_up: bool,
}

/// What a recording tells of its fetchers.
#[derive(Debug)]
pub struct Survey {
    fleet: Fleet,
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
            fleet: Fleet::new(analyses_max),
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
            What::Fetcher {
                row, at, sighting, ..
            } => {
                let at = self.pass(at);
                return self.fleet.reported(&row, at, sighting);
            }
            What::Nothing => return,
        };
        recorded.at = self.pass(recorded.at);
        if let (Act::Write(write), Some(Ok(after))) = (recorded.act, &recorded.after) {
            self.take_write(&recorded, write, after);
        } else if recorded.act == Act::OperatorRequeue {
            self.end(&recorded, End::Taken);
        }
    }

    /// Goes on to a moment: what comes later in the recording was not earlier.
    fn pass(&mut self, at: Timestamp) -> Timestamp {
        *self.now.insert(self.now.map_or(at, |now| now.max(at)))
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
            Write::Requeue => self.end(recorded, End::Lost),
            // One that waited was closed for what its client did.
            Write::GiveUp if was(recorded, Status::Processing) => self.end(recorded, End::GivenUp),
            Write::Cancel => self.end(recorded, End::Taken),
            Write::Create
            | Write::GiveUp
            | Write::Cleaning
            | Write::Cleaned
            | Write::Keep
            | Write::Admit
            | Write::Adopt
            | Write::Refuse => {}
        }
    }

    fn claimed(&mut self, recorded: &Recorded, after: &Job) {
        let at = recorded.at;
        let by = self
            .fleet
            .claimed(after.processor.as_deref().unwrap_or_default(), at);
        let attempts = self.attempts.entry(hash(&recorded.key)).or_default();
        if attempts.len() >= ATTEMPTS_MAX {
            attempts.pop();
        }
        attempts.push(Attempt {
            by,
            claimed: at,
            downloaded: None,
            began: None,
            seen: at,
            beat: (at, None),
            lease_ends: after.due,
            end: End::Open,
            why: "".into(),
        });
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
            if recorded.act == Act::Write(Write::Heartbeat) {
                attempt.beat = (at, Some(at.since(attempt.beat.0)));
            }
            let by = attempt.by;
            self.fleet.wrote(by, at);
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
        if matches!(end, End::Lost | End::GivenUp | End::Taken | End::Open) {
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
        self.fleet.wrote(by, at);
        if end == End::Stopped {
            self.fleet.stopped(by, at);
        }
        let Some(downloaded) = downloaded else { return };
        let began = self.fleet.began(by, downloaded, at);
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
        let lost = self.attempts.values().flatten();
        let lost = lost.filter(|attempt| matches!(attempt.end, End::Lost | End::GivenUp));
        self.fleet
            .close(end, lost.map(|attempt| (attempt.by, attempt.lease_ends)));
    }

    pub(super) fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    pub(super) fn fetchers(&self) -> &[Fetcher] {
        &self.fleet.fetchers
    }

    /// Whether the n-th attempt of a job, from 0, was this fetcher's: its place among [`Survey::fetchers`].
    pub(super) fn is_attempt_of(&self, fetcher: usize, key: &RecordKey, attempt: usize) -> bool {
        self.attempt(key, attempt)
            .is_some_and(|attempt| usize::try_from(attempt.by) == Ok(fetcher))
    }

    /// The n-th attempt of a job, from 0; the last one stands for those that follow.
    fn attempt(&self, key: &RecordKey, attempt: usize) -> Option<&Attempt> {
        let known = self.attempts.get(&hash(key))?;
        known.get(attempt.min(known.len().checked_sub(1)?))
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
                loss: None,
            };
        }
        let Some(attempt) = self.attempt(&RecordKey::from(&job.key), attempt) else {
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
            End::Fault => Ending::Fault(why),
            End::Away => Ending::Away { why, after: None },
            End::TurnedAway => Ending::TurnedAway { why, after: None },
            End::Unfit => Ending::Unfit(why),
            End::Stopped => Ending::Stopped,
            End::Lost | End::GivenUp | End::Taken | End::Open => {
                let is_lost = matches!(attempt.end, End::Lost | End::GivenUp);
                let loss = is_lost.then(|| Loss {
                    after: since(attempt.seen) + attempt.silence(),
                    gives_up: attempt.end == End::GivenUp,
                });
                return Course {
                    download: attempt.downloaded.map(since),
                    end: None,
                    loss,
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
            loss: None,
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
            loss: None,
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
    let last_of_several = after.failures > 1 || error.contains(words::ATTEMPT);
    match (counted, last_of_several) {
        (true, true) => End::Failed,
        (true, false) => End::JobFault,
        (false, _) if error.starts_with(words::NEVER_COMPLETE) => End::Stalled,
        (false, _) if error.starts_with(words::NOBODY) => End::Unfit,
        (false, _) if error.starts_with(words::TURNED_AWAY_FOR_LONG) => End::TurnedAway,
        (false, _) => End::Refused,
    }
}

/// Why a job was given back: its history says so, where a fetcher of ours wrote it.
fn release(recorded: &Recorded, after: &Job) -> End {
    let was = |holds: &dyn Fn(&Job) -> bool| recorded.before.as_ref().is_some_and(holds);
    if was(&|before| after.failures > before.failures) {
        return End::Failed;
    }
    let had_file = was(&|before| before.downloaded.is_some());
    let why = after.history.last().map(|attempt| attempt.why.as_str());
    let begins = |with: &str| why.is_some_and(|why| why.starts_with(with));
    let at_once = after
        .due
        .is_some_and(|due| due <= recorded.at + Duration::from_millis(1));
    match why {
        _ if begins(words::UNFIT) => End::Unfit,
        _ if begins(words::STALLED) => End::Stalled,
        _ if begins(words::TURNED_AWAY) => End::TurnedAway,
        _ if begins(words::STOPPED) => End::Stopped,
        Some(_) if !had_file => End::Fault,
        Some(_) => End::Away,
        None if at_once => End::Stopped,
        None if had_file => End::Away,
        None => End::Stalled,
    }
}

fn was(recorded: &Recorded, status: Status) -> bool {
    recorded.before.as_ref().is_some_and(|job| job.status == status)
}

fn hash(key: &RecordKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
