//! A job record as the core sees it, and the text its client signed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::at::{Timestamp, spelled};
use crate::names::JobKey;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Waiting to be taken.
    Queued,
    /// Claimed by a fetcher.
    Processing,
    /// Has its result.
    Completed,
    /// Has its error.
    Error,
}

impl Status {
    /// The status as it stands in a record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::Error => "ERROR",
        }
    }

    /// Takes a status as it stands in a record.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Processing, Self::Completed, Self::Error]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Whether nothing more will happen to the job but cleaning.
    pub const fn is_finished(self) -> bool {
        match self {
            Self::Completed | Self::Error => true,
            Self::Queued | Self::Processing => false,
        }
    }
}

/// Which duty a job waits for: the part of a lane's name before the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaneKind {
    /// To be taken; due when it may be.
    Ready,
    /// Claimed; due when the lease ends.
    Leased,
    /// Finished, with objects still in the bucket; due when to look again.
    Done,
}

impl LaneKind {
    /// The lane's name without its shard.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Done => "done",
        }
    }
}

/// A key of the sparse index `lanes`: a duty and a shard, `ready#3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The duty.
    pub kind: LaneKind,
    /// The shard, from 0.
    pub shard: u32,
}

impl Lane {
    /// Takes a lane as it stands in a record.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, shard) = text.split_once('#')?;
        let kind = [LaneKind::Ready, LaneKind::Leased, LaneKind::Done]
            .into_iter()
            .find(|known| known.as_str() == kind)?;
        Some(Self {
            kind,
            shard: shard.parse().ok()?,
        })
    }

    /// The same where the text is what a lane is written as.
    pub fn parse_as_written(text: &str) -> Option<Self> {
        let (_, shard) = text.split_once('#')?;
        let is_plain = shard.bytes().all(|byte| byte.is_ascii_digit());
        let lane = Self::parse(text)?;
        (is_plain && (shard.len() == 1 || !shard.starts_with('0'))).then_some(lane)
    }

    /// The lane of another duty on the same shard.
    #[must_use]
    pub fn of(self, kind: LaneKind) -> Self {
        Self { kind, ..self }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.kind.as_str(), self.shard)
    }
}

/// The seven properties a client signs, as they were when it created the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The client's version.
    pub version: &'a str,
    /// When the job was created, in the client's own spelling.
    pub created: &'a str,
    /// The bucket that holds the chunks.
    pub bucket: &'a str,
    /// The file id.
    pub file: &'a str,
    /// How many chunks.
    pub chunks: u64,
    /// The client id.
    pub client: &'a str,
}

impl Signed<'_> {
    /// The text under the signature: the properties in their order as JavaScript's `JSON.stringify` writes
    /// them. The status is that of creation, QUEUED, whatever it has become since.
    pub fn text(&self) -> String {
        /// Serialised in the order of its fields.
        #[derive(Serialize)]
        struct Record<'a> {
            status: Status,
            version: &'a str,
            created: &'a str,
            bucket: &'a str,
            file: &'a str,
            chunks: u64,
            client: &'a str,
        }
        let Self {
            version,
            created,
            bucket,
            file,
            chunks,
            client,
        } = *self;
        let record = Record {
            status: Status::Queued,
            version,
            created,
            bucket,
            file,
            chunks,
            client,
        };
        serde_json::to_string(&record).unwrap_or_default()
    }
}

/// One attempt on a job, kept in its record so that its story can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When its claim was made; none where nobody held the job, and in records of older versions.
    pub since: Option<Timestamp>,
    /// When the attempt ended.
    pub at: Timestamp,
    /// Who made it: a processor id, or [`OPERATOR`] where nobody held the job.
    pub by: String,
    /// What became of it: complete, fail, release, requeue, give-up, refuse, cancel.
    pub what: String,
    /// Why, in words.
    pub why: String,
    /// Whether it counts as a failure of the job.
    pub failed: bool,
}

impl Attempt {
    /// Whether an operator ended it, and not the one who held the job or a watcher.
    pub fn is_operators(&self) -> bool {
        self.by == OPERATOR || self.why == OPERATOR_ASKED
    }
}

/// Who moved a job that nobody held.
pub const OPERATOR: &str = "operator";

/// Why a job is taken again that an operator requeued, whoever held it.
pub const OPERATOR_ASKED: &str = "an operator asked for it";

/// Attempts a record keeps; the oldest go first.
pub const HISTORY_MAX: usize = 20;

/// Bytes of a reason or an error that a record keeps: a full history leaves room for the largest result in an item
/// of 400 KB.
pub const TEXT_BYTES_MAX: usize = 1_500;

/// A job that says it was created later than this after now is refused: no clock is so wrong by accident, and what is
/// measured from there would not end.
pub const CREATED_AHEAD_MAX: Duration = Duration::from_hours(24);

/// The highest priority of a job.
pub const PRIORITY_MAX: u8 = 9;

/// A job record whose names hold; its signature is judged apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Client and file.
    pub key: JobKey,
    /// Where it stands.
    pub status: Status,
    /// The client's version.
    pub version: String,
    /// When it was created, as signed.
    pub created: String,
    /// `created` as a moment, where it is one.
    pub created_at: Option<Timestamp>,
    /// The bucket, as signed.
    pub bucket: String,
    /// How many chunks, as signed.
    pub chunks: u64,
    /// DER in hex over [`Signed::text`].
    pub signature: String,
    /// Who holds or held it.
    pub processor: Option<String>,
    /// When it was claimed.
    pub assigned: Option<Timestamp>,
    /// When the fetcher had the whole file.
    pub downloaded: Option<Timestamp>,
    /// When it was finished.
    pub processed: Option<Timestamp>,
    /// The sealed result, or where it lies.
    pub results: Option<String>,
    /// The content type the processor gave its result.
    pub results_type: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// What the client says of the file before it is uploaded (see [`crate::plan::Outline`]), as signed.
    pub outline: Option<String>,
    /// DER in hex over `outline`.
    pub outline_signature: Option<String>,
    /// The duty it waits for; none for a foreign client's job, and for one that was cleaned.
    pub lane: Option<Lane>,
    /// When that duty is due.
    pub due: Option<Timestamp>,
    /// The generation: how often a lost worker's job went to another.
    pub retries: u32,
    /// How often the job itself failed.
    pub failures: u32,
    /// Its attempts so far, oldest first.
    pub history: Vec<Attempt>,
    /// When a watcher began to delete its objects; only of a job that ended as an error, which an operator might have
    /// taken again.
    pub cleaning: Option<Timestamp>,
    /// When its objects were deleted.
    pub cleaned: Option<Timestamp>,
    /// How urgent its client says it is, up to [`PRIORITY_MAX`]; 0: as usual. Nobody signs it.
    pub priority: u8,
}

impl Job {
    /// The text its client signed.
    pub fn signed_text(&self) -> String {
        Signed {
            version: &self.version,
            created: &self.created,
            bucket: &self.bucket,
            file: self.key.file.as_str(),
            chunks: self.chunks,
            client: self.key.client.as_str(),
        }
        .text()
    }

    /// Whether it may have been created when it says so; why not, otherwise.
    pub fn check_created(&self, now: Timestamp) -> Result<(), String> {
        match self.created_at.filter(|created| !is_reasonable(*created, now)) {
            Some(_) => Err(format!(
                "`created` is more than {} ahead: {}",
                spelled(CREATED_AHEAD_MAX),
                clip(&self.created)
            )),
            None => Ok(()),
        }
    }

    /// Whether what a client signs is the same in both, and its signatures.
    pub fn is_signed_alike(&self, other: &Self) -> bool {
        self.key == other.key
            && self.version == other.version
            && self.created == other.created
            && self.bucket == other.bucket
            && self.chunks == other.chunks
            && self.signature == other.signature
            && self.outline == other.outline
            && self.outline_signature == other.outline_signature
    }

    /// The earliest moment that tells how old the job is: its client's, its fetchers' and the watcher's. A moment that
    /// is too far ahead tells nothing, whoever wrote it.
    pub fn began(&self, now: Timestamp) -> Option<Timestamp> {
        let moments = [self.created_at, self.assigned, self.processed];
        moments
            .into_iter()
            .flatten()
            .filter(|moment| is_reasonable(*moment, now))
            .min()
    }

    /// When it was finished, as far as that can be told.
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.processed
            .filter(|processed| is_reasonable(*processed, now))
            .or_else(|| self.began(now))
    }

    /// Where its result lies when it is too large for the record.
    pub fn results_object(&self) -> Option<String> {
        let object = self.key.results();
        (self.results.as_deref() == Some(object.as_str())).then_some(object)
    }
}

/// Whether a moment is not further ahead than a clock may be wrong.
fn is_reasonable(moment: Timestamp, now: Timestamp) -> bool {
    moment <= now + CREATED_AHEAD_MAX
}

/// A text cut to what a record keeps, between two characters.
pub fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// Bytes of a name in a history: above those of every processor of ours.
const BY_BYTES_MAX: usize = 100;

/// The name of whoever made an attempt, cut to what a history keeps: a foreign fetcher's may be of any length.
pub fn clip_by(name: &str) -> String {
    name[..name.floor_char_boundary(BY_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_is_what_json_stringify_writes() {
        let signed = Signed {
            version: "2.5.21 \"beta\"\té\u{2028}",
            created: "2025-09-25T11:21:51.690Z",
            bucket: "lab\\bucket/ü",
            file: "file-1",
            chunks: 20,
            client: "client-04",
        };
        let expected = "{\"status\":\"QUEUED\",\"version\":\"2.5.21 \\\"beta\\\"\\té\u{2028}\",\"created\":\"2025-09-25T11:21:51.690Z\",\"bucket\":\"lab\\\\bucket/ü\",\"file\":\"file-1\",\"chunks\":20,\"client\":\"client-04\"}";
        assert_eq!(signed.text(), expected);
    }

    #[test]
    fn a_lane_reads_as_it_is_written() {
        for text in ["ready#0", "leased#17", "done#4294967295"] {
            assert_eq!(
                Lane::parse(text).map(|lane| lane.to_string()).as_deref(),
                Some(text)
            );
        }
        for text in ["ready", "ready#", "ready#-1", "open#1", "#1"] {
            assert_eq!(Lane::parse(text), None, "{text}");
        }
    }
}
