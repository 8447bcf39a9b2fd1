//! The story of a job in sentences: what happened, where it stands, what happens next, and which key says so.
//!
//! Keys are named as in the shipped pipelines: `restart-stalled.retry.attempts-max`.

use crate::at::Timestamp;
use crate::job::{Attempt, HISTORY_MAX, Job, LaneKind, OPERATOR, Status};

/// When a sentence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tense {
    /// It happened.
    Past,
    /// It is so.
    Now,
    /// It will happen.
    Next,
}

impl Tense {
    /// The tense in output for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Past => "past",
            Self::Now => "now",
            Self::Next => "next",
        }
    }
}

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub tense: Tense,
    /// The moment it speaks of, where there is one.
    pub at: Option<Timestamp>,
    /// The sentence, as a lower-case fragment.
    pub text: String,
    /// The TOML keys that say so; empty where none does.
    pub keys: &'static [&'static str],
}

const CLEANS: &[&str] = &["cleanup.source.jobs.every"];
const KEEPS_RECORD: &[&str] = &["cleanup.sink.delete.retention"];
const KEEPS_RESULTS: &[&str] = &["cleanup.sink.delete.results-keep"];
const ADMITS: &[&str] = &["admit.source.foreign.every"];
const CLOSES: &[&str] = &["admit.sink.admit.upload-max"];
const RESTARTS: &[&str] = &["restart-stalled.source.jobs.every"];
const LOOKS: &[&str] = &["analyse.source.jobs.interval-max", "analyse.claim.in-flight-max"];

/// The whole story of a job as its record tells it: what happened, oldest first, then what is, then what comes.
/// `genuine`: whether the record is what its client signed.
pub fn tell(job: &Job, genuine: bool, now: Timestamp) -> Vec<Line> {
    let mut story = Story(Vec::new());
    story.past(job);
    match job.status {
        Status::Queued => story.queued(job, genuine, now),
        Status::Processing => story.processing(job, now),
        Status::Completed | Status::Error => story.finished(job, now),
    }
    story.0.sort_by_key(|line| line.tense);
    story.0
}

struct Story(Vec<Line>);

impl Story {
    fn say(
        &mut self,
        tense: Tense,
        at: Option<Timestamp>,
        text: impl Into<String>,
        keys: &'static [&'static str],
    ) {
        let text = text.into();
        self.0.push(Line {
            tense,
            at,
            text,
            keys,
        });
    }

    fn was(&mut self, at: Option<Timestamp>, text: impl Into<String>) {
        self.say(Tense::Past, at, text, &[]);
    }

    fn is(&mut self, at: Option<Timestamp>, text: impl Into<String>, keys: &'static [&'static str]) {
        self.say(Tense::Now, at, text, keys);
    }

    fn next(&mut self, at: Option<Timestamp>, text: impl Into<String>, keys: &'static [&'static str]) {
        self.say(Tense::Next, at, text, keys);
    }

    fn past(&mut self, job: &Job) {
        let client = job.key.client.short();
        self.was(
            job.created_at,
            format!("created by {client} (version {})", job.version),
        );
        if job.history.len() >= HISTORY_MAX {
            self.was(
                None,
                format!("what came before the last {HISTORY_MAX} attempts is not kept"),
            );
        }
        // An ending that is in no history is a foreign fetcher's.
        let last = job.history.last();
        let is_told = last.is_some_and(|last| Some(last.at) == job.processed);
        let by = job.processor.as_deref().unwrap_or("a fetcher");
        for (index, attempt) in job.history.iter().enumerate() {
            if attempt.since.is_some() {
                self.was(attempt.since, format!("claimed by {}", attempt.by));
            }
            if is_told && index + 1 == job.history.len() && job.downloaded.is_some() {
                self.was(job.downloaded, "the whole file was there, proven");
            }
            self.was(Some(attempt.at), ending(attempt));
        }
        if !is_told && job.processor.is_some() {
            self.was(job.assigned, format!("claimed by {by}"));
            if job.downloaded.is_some() {
                self.was(job.downloaded, "the whole file was there, proven");
            }
        }
        if !is_told && job.status.is_finished() {
            let what = if job.status == Status::Completed {
                "completed"
            } else {
                "ended as an error"
            };
            self.was(job.processed, format!("{what} by {by}"));
        }
        if job.cleaning.is_some() && job.cleaned.is_none() {
            self.was(job.cleaning, "cleanup began to delete its objects");
        }
        if job.cleaned.is_some() {
            self.was(job.cleaned, "its objects were deleted");
        }
    }

    fn queued(&mut self, job: &Job, genuine: bool, now: Timestamp) {
        match job.lane.map(|lane| lane.kind) {
            None => {
                self.is(None, "queued, in no lane: its client knows none", &[]);
                let text = if genuine {
                    "admit lets it in: its signature holds"
                } else {
                    "admit refuses it: it is not what its client signed"
                };
                self.next(None, text, ADMITS);
                self.closing(genuine);
            }
            Some(LaneKind::Ready) => {
                self.ready(job, now);
                let text = if genuine {
                    "a fetcher that has room claims it"
                } else {
                    "a fetcher refuses it: it is not what its client signed"
                };
                self.next(job.due.filter(|due| *due > now), text, LOOKS);
                self.closing(genuine);
            }
            Some(LaneKind::Leased) => {
                self.is(
                    None,
                    "queued, and still under the lease of a foreign fetcher",
                    &[],
                );
                let text = "restart-stalled puts it where fetchers look: a foreign fetcher gave it back";
                self.next(job.due, text, RESTARTS);
            }
            Some(kind @ LaneKind::Done) => self.astray(kind, "queued"),
        }
        self.failures(job);
    }

    /// How long is the watcher's to say: the record does not tell.
    fn closing(&mut self, genuine: bool) {
        if genuine {
            self.next(
                None,
                "admit ends it unless its upload is complete in time",
                CLOSES,
            );
        }
    }

    fn ready(&mut self, job: &Job, now: Timestamp) {
        if job.due.is_none_or(|due| due <= now) {
            return self.is(job.due, "waits for a fetcher", &[]);
        }
        let last = job.history.last();
        let (why, keys): (_, &[&str]) = match last.map(|last| (last.what.as_str(), last.failed)) {
            Some(("release", true)) => (
                "waits for its next attempt, after the last one failed",
                &["analyse.retry.interval", "analyse.retry.backoff-rate"],
            ),
            Some(("release", false)) => (
                "waits until it may be taken again, since it was given back",
                &["analyse.retry.interval", "analyse.claim.stall"],
            ),
            Some(("requeue", _)) => (
                "waits until it may be taken again, after its fetcher was lost",
                &["restart-stalled.retry.interval"],
            ),
            Some(_) | None => ("waits until it may be taken", &[]),
        };
        self.is(job.due, why, keys);
    }

    fn processing(&mut self, job: &Job, now: Timestamp) {
        let by = job.processor.as_deref().unwrap_or("a fetcher");
        match job.lane.map(|lane| lane.kind) {
            None | Some(LaneKind::Ready) => {
                self.is(job.assigned, format!("held by {by}, which knows no lanes"), &[]);
                self.next(
                    None,
                    "admit puts it under a lease",
                    &["admit.source.foreign.every", "admit.sink.admit.lease"],
                );
            }
            Some(LaneKind::Leased) => self.leased(job, by, now),
            Some(kind @ LaneKind::Done) => self.astray(kind, "held"),
        }
        self.failures(job);
    }

    fn leased(&mut self, job: &Job, by: &str, now: Timestamp) {
        let state = if job.downloaded.is_some() {
            "is analysing it"
        } else {
            "is fetching it"
        };
        // At the end of its lease a claim still holds.
        let ended = job.due.is_some_and(|due| due < now);
        let lost = job.retries;
        if ended {
            self.is(
                job.due,
                format!("held by {by}, whose lease has ended"),
                &["analyse.claim.lease"],
            );
            self.next(
                None,
                format!("restart-stalled gives it to another fetcher, or ends it; lost on it so far: {lost}"),
                &[
                    "restart-stalled.source.jobs.every",
                    "restart-stalled.retry.attempts-max",
                ],
            );
        } else {
            self.is(job.assigned, format!("{by} {state}"), &[]);
            self.next(
                job.due,
                "its lease ends, unless a heartbeat comes before",
                &["analyse.claim.lease", "analyse.claim.heartbeat"],
            );
            self.next(
                None,
                format!(
                    "restart-stalled then gives it to another fetcher, or ends it; lost on it so far: {lost}"
                ),
                &["restart-stalled.retry.attempts-max"],
            );
        }
    }

    fn finished(&mut self, job: &Job, now: Timestamp) {
        let what = match (job.status, &job.error) {
            (Status::Error, Some(error)) => format!("ended with an error: {error}"),
            (Status::Error, None) => "ended with an error".to_owned(),
            (Status::Completed | Status::Queued | Status::Processing, _) => match job.results_object() {
                Some(_) if job.cleaned.is_some() => {
                    "completed; its result lay in the bucket until it was collected or its time was over"
                        .to_owned()
                }
                Some(_) => "completed; its result lies in the bucket until its client collects it".to_owned(),
                None => "completed; its result is in the record".to_owned(),
            },
        };
        self.is(job.processed, what, &[]);
        match job.lane.map(|lane| lane.kind) {
            None if job.cleaned.is_some() => {
                self.next(None, "its record expires", KEEPS_RECORD);
            }
            None | Some(LaneKind::Ready) => {
                self.next(
                    None,
                    "admit hands it to cleanup: a foreign fetcher finished it",
                    ADMITS,
                );
            }
            Some(LaneKind::Leased) => {
                let text = "restart-stalled hands it to cleanup: a foreign fetcher finished it";
                self.next(job.due, text, RESTARTS);
            }
            Some(LaneKind::Done) => self.done(job, now),
        }
    }

    fn done(&mut self, job: &Job, now: Timestamp) {
        let later = job.due.filter(|due| *due > now);
        match (job.results_object().is_some(), later) {
            (true, Some(due)) => {
                self.next(
                    Some(due),
                    "cleanup deletes its result, whether collected or not",
                    KEEPS_RESULTS,
                );
            }
            (true, None) => {
                self.next(None, "cleanup deletes its chunks", CLEANS);
                self.next(
                    None,
                    "cleanup deletes its result too, whether collected or not",
                    KEEPS_RESULTS,
                );
            }
            (false, due) => self.next(due, "cleanup deletes its objects", CLEANS),
        }
        self.next(None, "its record expires after that", KEEPS_RECORD);
    }

    /// A lane that does not fit the status: only a program of others leaves a record so.
    fn astray(&mut self, lane: LaneKind, state: &str) {
        let lane = lane.as_str();
        self.is(
            None,
            format!("{state}, but in the lane of {lane} jobs: no pipeline looks for it there"),
            &[],
        );
        self.next(None, "nothing, until an operator requeues or cancels it", &[]);
    }

    fn failures(&mut self, job: &Job) {
        if job.failures > 0 {
            let count = if job.failures == 1 {
                "once".to_owned()
            } else {
                format!("{} times", job.failures)
            };
            self.is(
                None,
                format!("failed {count} so far"),
                &["analyse.retry.attempts-max"],
            );
        }
        if job.retries > 0 {
            let fetchers = if job.retries == 1 { "fetcher" } else { "fetchers" };
            self.is(
                None,
                format!("taken from {} {fetchers} so far", job.retries),
                &["restart-stalled.retry.attempts-max"],
            );
        }
    }
}

/// How an attempt ended.
fn ending(attempt: &Attempt) -> String {
    let Attempt {
        by,
        what,
        why,
        failed,
        ..
    } = attempt;
    match (what.as_str(), failed) {
        ("complete", _) => format!("completed by {by}"),
        ("fail", true) => format!("failed for good at {by}: {why}"),
        ("fail", false) => format!("ended as an error by {by}: {why}"),
        ("release", true) => format!("failed at {by}: {why}"),
        ("release", false) => format!("given back by {by}, not at fault: {why}"),
        ("requeue", _) if by == OPERATOR => format!("requeued: {why}"),
        ("requeue", _) => format!("taken from {by}: {why}"),
        ("give-up", _) => format!("given up: {why}"),
        ("refuse", _) => format!("refused by {by}: {why}"),
        ("cancel", _) if by != OPERATOR => format!("taken from {by}: {why}"),
        ("cancel", _) => why.clone(),
        (what, _) => format!("{what} by {by}: {why}"),
    }
}

#[cfg(test)]
mod tests;
