//! Whether a job is one of ours to take, and which of those on offer.

use std::time::Duration;

use semver::{Version, VersionReq};

use crate::at::Timestamp;
use crate::job::{Job, Status};
use crate::lifecycle::{self, Change, RecordKey, Term};

/// A job found in a lane, with what is known of its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The record.
    pub job: Job,
    /// Whether the record is what its client signed; the reason if not.
    pub signature: Result<(), String>,
    /// Whether everything of it is in the bucket; only asked where the policy waits for that.
    pub uploaded: bool,
}

impl Offer {
    /// Whether the job is to be believed; why not, otherwise: it is not what its client signed, or says that it was
    /// created in the future.
    pub fn check(&self, now: Timestamp) -> Result<(), String> {
        self.signature.clone()?;
        self.job.check_created(now)
    }
}

/// A record found in a lane that is no job: its names or types do not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Malformed {
    /// Its key as it stands.
    pub key: RecordKey,
    /// What does not hold.
    pub why: String,
    /// Whether it is larger than a record may be that is still written to.
    pub too_large: bool,
    /// Its status and its place as they stand, where a condition can say them: it is ended only as it was seen.
    pub seen: Vec<Term>,
}

impl Malformed {
    /// The write that ends it.
    pub fn refusal(self, now: Timestamp) -> Change {
        if self.too_large {
            lifecycle::refuse_too_large(self.key, self.seen, now, &self.why)
        } else {
            lifecycle::refuse_malformed(self.key, self.seen, now, &self.why)
        }
    }
}

/// When a job may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As soon as it exists.
    Announced,
    /// When everything is uploaded.
    Uploaded,
}

/// When the processor is engaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// While later chunks are still on their way, once the rest is expected within `wait`.
    Streaming {
        /// How long an engaged processor may have to wait for the rest.
        wait: Duration,
    },
    /// When the whole file is here and proven.
    Complete,
}

/// The claim policy: `[claim]` in a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimPolicy {
    /// Versions of clients whose jobs are taken; every one, also those that are no version, where none.
    pub versions: Option<VersionReq>,
    /// When a job may be taken.
    pub start: Start,
    /// When the processor is engaged.
    pub feed: Feed,
    /// Jobs held at once; at least 1.
    pub in_flight_max: usize,
    /// Jobs among them whose file is still on its way; at least 1.
    pub downloads_max: usize,
    /// Jobs among them that the processor has; at least 1.
    pub analyses_max: usize,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// Time between heartbeats; less than half the lease.
    pub heartbeat: Duration,
    /// How long a claim waits for chunks that stopped coming, and its job then rests before it is offered again: twice
    /// as long each time in a row, up to an hour.
    pub stall: Duration,
    /// A job whose upload is not complete this long after its creation is ended.
    pub upload_max: Duration,
    /// How long a fetcher that is told to stop goes on with what it holds.
    pub drain: Duration,
}

impl ClaimPolicy {
    /// Whether a job is of a version this pipeline takes.
    pub fn takes_version(&self, version: &str) -> bool {
        match &self.versions {
            None => true,
            Some(wanted) => Version::parse(version).is_ok_and(|version| wanted.matches(&version)),
        }
    }

    /// Whether a record found in the ready lane may be claimed now.
    pub fn accepts(&self, job: &Job, bucket: &str, now: Timestamp) -> bool {
        job.status == Status::Queued
            && job.processor.is_none()
            && job.bucket == bucket
            && job.due.is_none_or(|due| due <= now)
            && self.takes_version(&job.version)
    }

    /// Whether a job with this signature is taken only if everything of it is there: one that is not what its client
    /// signed is refused in any case.
    pub fn waits_for_upload(&self, signature: &Result<(), String>) -> bool {
        self.start == Start::Uploaded && signature.is_ok()
    }

    /// How a wait for the rest of a file is judged: `here` bytes of `size` came within `elapsed`.
    pub fn engages(&self, here: u64, size: Option<u64>, elapsed: Duration) -> bool {
        let (Feed::Streaming { wait }, Some(size)) = (self.feed, size) else {
            return false;
        };
        if here == 0 {
            return false;
        }
        let rest = size.saturating_sub(here);
        let expected_ms = u128::from(rest) * elapsed.as_millis().max(1) / u128::from(here);
        expected_ms <= wait.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(versions: Option<&str>) -> ClaimPolicy {
        ClaimPolicy {
            versions: versions.map(|text| VersionReq::parse(text).unwrap()),
            start: Start::Announced,
            feed: Feed::Streaming {
                wait: Duration::from_secs(10),
            },
            in_flight_max: 1,
            downloads_max: 1,
            analyses_max: 1,
            lease: Duration::from_secs(300),
            heartbeat: Duration::from_secs(60),
            stall: Duration::from_secs(120),
            upload_max: Duration::from_secs(86_400),
            drain: Duration::from_secs(25),
        }
    }

    #[test]
    fn versions_decide() {
        assert!(policy(None).takes_version("2.5.21 \"beta\""));
        assert!(policy(Some(">=2.5, <3")).takes_version("2.5.21"));
        for version in ["3.0.0", "2.4.9", "2.5.21 \"beta\"", ""] {
            assert!(!policy(Some(">=2.5, <3")).takes_version(version), "{version}");
        }
    }

    #[test]
    fn the_processor_is_engaged_when_the_rest_can_arrive_in_time() {
        let policy = policy(None);
        let second = Duration::from_secs(1);
        assert!(!policy.engages(0, Some(100), second), "nothing is here");
        assert!(!policy.engages(9, Some(100), second), "the rest takes 10.1 s");
        assert!(policy.engages(10, Some(100), second), "the rest takes 9 s");
        assert!(
            !policy.engages(100, None, second),
            "nobody knows how much is to come"
        );
    }
}
