//! The phases each job went through, told from its records one after the other.

use std::collections::BTreeMap;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{Attempt, Job, Status};
use roundtrip_core::names::JobKey;
use serde::Serialize;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// May be taken, or waits to be let in.
    Waiting,
    /// May be taken later.
    Backoff,
    /// Held; its file is still sent or fetched.
    Fetching,
    /// Held; the whole file is there.
    Analysing,
    /// Finished; its objects are still in the bucket.
    Cleanup,
    /// Finished and cleaned, or its record is gone.
    Over,
}

impl Phase {
    pub(super) const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Backoff,
        Self::Fetching,
        Self::Analysing,
        Self::Cleanup,
        Self::Over,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Backoff => "backing off",
            Self::Fetching => "uploading or fetching",
            Self::Analysing => "analysing",
            Self::Cleanup => "to be cleaned",
            Self::Over => "over",
        }
    }

    /// The phase of a record at this moment.
    fn of(job: &Job, at: Timestamp) -> Self {
        match job.status {
            Status::Queued if job.due.is_some_and(|due| due > at) => Self::Backoff,
            Status::Queued => Self::Waiting,
            Status::Processing if job.downloaded.is_some() => Self::Analysing,
            Status::Processing => Self::Fetching,
            Status::Completed | Status::Error if job.cleaned.is_some() => Self::Over,
            Status::Completed | Status::Error => Self::Cleanup,
        }
    }
}

/// What an end of an attempt says of the job and of who held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ending {
    /// Nothing to count: completed, given back, refused.
    #[serde(rename = "")]
    Other,
    /// Counts as a failure of the job.
    Failed,
    /// Whoever held the job was lost, whether it is taken again or given up then.
    Lost,
    /// An operator had the job taken again: nobody was lost.
    Operator,
}

impl Ending {
    /// `was_held` is whether somebody held the job until then, as far as the records before tell.
    fn of(attempt: &Attempt, was_held: bool) -> Self {
        match attempt.what.as_str() {
            _ if attempt.failed => Self::Failed,
            "requeue" if attempt.is_operators() => Self::Operator,
            "requeue" => Self::Lost,
            // One whose upload never became complete is given up with nobody's hands on it.
            "give-up" if was_held || attempt.since.is_some() => Self::Lost,
            _ => Self::Other,
        }
    }
}

/// What is known of one job.
#[derive(Clone, Debug, Default)]
struct Track {
    /// When each phase began.
    phases: Vec<(Phase, Timestamp)>,
    /// When the wait of the last phase ends, where it is a backoff.
    until: Option<Timestamp>,
    attempts: Vec<(Attempt, Ending)>,
    outcome: Outcome,
}

impl Track {
    fn enter(&mut self, phase: Phase, at: Timestamp) {
        self.wait_over(at);
        if self.phases.last().is_none_or(|(last, _)| *last != phase) {
            self.phases.push((phase, at));
        }
    }

    /// Whether somebody holds the job.
    fn is_held(&self) -> bool {
        let last = self.phases.last();
        last.is_some_and(|(phase, _)| matches!(phase, Phase::Fetching | Phase::Analysing))
    }

    /// A backoff that ended before `at` became a wait, though nothing was written then.
    fn wait_over(&mut self, at: Timestamp) {
        if let Some(until) = self.until.take().filter(|until| *until < at) {
            self.phases.push((Phase::Waiting, until));
        }
    }
}

/// How a job ended, as far as the history goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    #[default]
    Open,
    Completed,
    Error,
    /// Its record went before it was finished.
    Deleted,
}

/// The jobs of a history over time.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    tracks: BTreeMap<JobKey, Track>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// A job as the page's script reads it: times are milliseconds after the page's begin, and names are short, since a
/// page may hold ten thousand.
#[derive(Debug, Serialize)]
pub(super) struct Life<'a> {
    #[serde(rename = "f")]
    file: &'a str,
    /// Its number among [`Timeline::clients`].
    #[serde(rename = "c")]
    client: usize,
    /// Number and begin of each phase.
    #[serde(rename = "p")]
    pub(super) phases: Vec<(usize, i64)>,
    #[serde(rename = "a")]
    pub(super) attempts: Vec<Try<'a>>,
    /// How it ended.
    #[serde(rename = "o")]
    outcome: Outcome,
}

/// An attempt: begin where known, end, who, what became of it, why, what that says.
type Try<'a> = (Option<i64>, i64, &'a str, &'a str, &'a str, Ending);

impl Timeline {
    /// Takes in a record as it is from `at` on. Records of one job come in the order of time.
    pub fn observe(&mut self, at: Timestamp, job: &Job) {
        self.pass(at);
        let track = self.tracks.entry(job.key.clone()).or_default();
        let was_held = track.is_held();
        track.enter(Phase::of(job, at), at);
        track.until = match Phase::of(job, at) {
            Phase::Backoff => job.due,
            Phase::Waiting | Phase::Fetching | Phase::Analysing | Phase::Cleanup | Phase::Over => None,
        };
        // The history in a record is bounded: what went out of it is kept here.
        // By place, not by time: the clocks of those who write it differ.
        let known = track.attempts.last();
        let known = known.and_then(|(known, _)| job.history.iter().rposition(|attempt| attempt == known));
        let new = job.history.iter().skip(known.map_or(0, |known| known + 1));
        let told = new.map(|attempt| (attempt.clone(), Ending::of(attempt, was_held)));
        track.attempts.extend(told);
        track.outcome = match job.status {
            Status::Queued | Status::Processing => Outcome::Open,
            Status::Completed => Outcome::Completed,
            Status::Error => Outcome::Error,
        };
    }

    /// The record of a job is gone.
    pub fn removed(&mut self, at: Timestamp, key: &JobKey) {
        self.pass(at);
        if let Some(track) = self.tracks.get_mut(key) {
            track.enter(Phase::Over, at);
            if track.outcome == Outcome::Open {
                track.outcome = Outcome::Deleted;
            }
        }
    }

    /// Lets time pass: the page reaches to this moment at least.
    pub fn pass(&mut self, at: Timestamp) {
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.to = Some(self.to.map_or(at, |to| to.max(at)));
    }

    /// First and last moment.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        let nowhere = Timestamp(0);
        (self.from.unwrap_or(nowhere), self.to.unwrap_or(nowhere))
    }

    /// Every client, once: their names are long, and few next to the jobs.
    pub(super) fn clients(&self) -> Vec<&str> {
        let mut clients: Vec<&str> = self.tracks.keys().map(|key| key.client.as_str()).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// Every job, the first to begin first.
    pub(super) fn lives(&self) -> Vec<Life<'_>> {
        let (from, to) = self.span();
        let clients = self.clients();
        let offset = |at: Timestamp| at.0 - from.0;
        let mut lives: Vec<Life<'_>> = self
            .tracks
            .iter()
            .map(|(key, track)| {
                let mut track_to_end = track.clone();
                track_to_end.wait_over(to);
                let attempts = track.attempts.iter().map(|(attempt, ending)| {
                    let Attempt {
                        since,
                        at,
                        by,
                        what,
                        why,
                        failed: _,
                    } = attempt;
                    (since.map(offset), offset(*at), &**by, &**what, &**why, *ending)
                });
                Life {
                    file: key.file.as_str(),
                    client: clients.partition_point(|client| *client < key.client.as_str()),
                    phases: track_to_end
                        .phases
                        .iter()
                        .map(|(phase, at)| (*phase as usize, offset(*at)))
                        .collect(),
                    attempts: attempts.collect(),
                    outcome: track.outcome,
                }
            })
            .collect();
        lives.sort_by_key(|life| life.phases.first().map(|(_, at)| *at));
        lives
    }
}
