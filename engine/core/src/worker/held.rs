//! One claim: where it stands, and how work on it ended.

use std::time::Duration;

use crate::at::Timestamp;
use crate::job::{Job, Status};
use crate::lifecycle::Change;

/// How work on a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is a result, sealed.
    Result {
        /// The sealed text, or the object it lies in.
        results: String,
        /// The processor's content type.
        results_type: Option<String>,
    },
    /// The processor says the job is at fault.
    JobFault(String),
    /// The processor failed; the job may be at fault.
    Failed {
        /// What happened.
        why: String,
        /// When the processor asked to be tried again.
        after: Option<Duration>,
    },
    /// The processor is away or asked to be left alone; the job is not at fault.
    Away {
        /// What happened.
        why: String,
        /// When the processor asked to be tried again.
        after: Option<Duration>,
    },
    /// The processor did not take the request. That may be wrong for every file, as with a wrong path or a missing
    /// token, or it is this job.
    TurnedAway {
        /// What happened.
        why: String,
        /// When the processor asked to be tried again.
        after: Option<Duration>,
    },
    /// What came is not what the client signed, or the client gave the job up: final.
    Refused(String),
    /// Chunks stopped coming.
    Stalled(String),
    /// A service failed while chunks were fetched.
    Fault(String),
    /// This fetcher cannot keep or read the file: its disk is full or fails. Another may be able to, or nobody.
    Unfit(String),
    /// The bucket refuses to give something of this job to this fetcher, or to take it. That may be so for one object or
    /// for all; another fetcher may be let, or nobody.
    Barred(String),
    /// Work stopped because it was told to.
    Stopped,
}

/// Where a claim stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// The claim was sent, at this moment.
    Claiming { since: Timestamp },
    /// Chunks are fetched, or the whole file waits for the processor.
    Fetching { since: Timestamp },
    /// The processor has the file, or what there is of it.
    Engaged,
    /// The last write was sent; `next`: when it is sent again, where it waits for that.
    Committing {
        change: Change,
        /// When it was sent first.
        since: Timestamp,
        attempts: u32,
        next: Option<Timestamp>,
    },
    /// The claim is lost or over; the work has still to stop.
    Dropped,
}

/// Whether the processor has the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    No,
    /// It could have it, but has others.
    Waits,
    Over,
}

/// Which time the record's lease was told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The clock's.
    Now,
    /// That of the clock before it was set back: the lease may end too late.
    Earlier,
    /// The same, and the heartbeat under way tells the new time.
    Anew,
}

/// One claim.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) job: Job,
    pub(super) stage: Stage,
    /// Whether the engine still works on it.
    pub(super) working: bool,
    pub(super) lease_ends: Timestamp,
    pub(super) next_beat: Timestamp,
    /// When the heartbeat under way was sent.
    pub(super) beating: Option<Timestamp>,
    pub(super) told: Told,
    /// Bytes here, and in all where known.
    pub(super) progress: Option<(u64, Option<u64>)>,
    /// When the whole file was here.
    pub(super) arrived: Option<Timestamp>,
    pub(super) handed: Handed,
    /// Whether the engine was told to stop work on it although the claim is ours.
    pub(super) stopped: bool,
}

impl Held {
    pub(super) fn claiming(job: Job, now: Timestamp, lease_ends: Timestamp) -> Self {
        Self {
            job,
            stage: Stage::Claiming { since: now },
            working: false,
            lease_ends,
            next_beat: now,
            beating: None,
            told: Told::Now,
            progress: None,
            arrived: None,
            handed: Handed::No,
            stopped: false,
        }
    }

    /// The claim was won: the record as it is now.
    pub(super) fn won(&mut self, job: Job, now: Timestamp, heartbeat: Duration) {
        self.stage = Stage::Fetching { since: now };
        // A claim that was sent before the clock was set back says a moment that is still to come.
        self.next_beat = job.assigned.map_or(now, |assigned| assigned.min(now)) + heartbeat;
        // What the record says counts, whichever of two requests made it.
        self.lease_ends = job.due.unwrap_or(self.lease_ends);
        self.job = job;
    }

    /// Whether a record is still under this claim.
    pub(super) fn is_of(&self, job: &Job, processor: &str) -> bool {
        job.status == Status::Processing
            && job.processor.as_deref() == Some(processor)
            && job.retries == self.job.retries
            && job.assigned == self.job.assigned
    }

    /// The clock was set back. The lease ends earlier than its record says, until the next heartbeat writes it anew.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.told = Told::Earlier;
        let moments = [&mut self.lease_ends, &mut self.next_beat];
        let moments = moments
            .into_iter()
            .chain(&mut self.beating)
            .chain(&mut self.arrived);
        let of_stage = match &mut self.stage {
            Stage::Fetching { since } => [Some(since), None],
            Stage::Committing { since, next, .. } => [Some(since), next.as_mut()],
            // The moment a claim was sent is in its record: by it the claim is known.
            Stage::Claiming { .. } | Stage::Engaged | Stage::Dropped => [None, None],
        };
        for moment in moments.chain(of_stage.into_iter().flatten()) {
            *moment = moment.set_back(by);
        }
    }

    /// Whether the job is being fetched or analysed, and nothing of it is being committed.
    pub(super) fn is_at_work(&self) -> bool {
        match self.stage {
            Stage::Fetching { .. } | Stage::Engaged => true,
            Stage::Claiming { .. } | Stage::Committing { .. } | Stage::Dropped => false,
        }
    }

    /// Whether the claim was made and is still ours, as far as is known.
    pub(super) fn is_won(&self) -> bool {
        match self.stage {
            Stage::Fetching { .. } | Stage::Engaged | Stage::Committing { .. } => true,
            Stage::Claiming { .. } | Stage::Dropped => false,
        }
    }

    /// Whether it takes up one of the downloads: it is being claimed, or its file is still on its way.
    pub(super) fn is_downloading(&self) -> bool {
        match self.stage {
            Stage::Claiming { .. } => true,
            Stage::Fetching { .. } | Stage::Engaged | Stage::Committing { .. } | Stage::Dropped => {
                self.working && self.arrived.is_none()
            }
        }
    }

    /// Whether it takes up one of the analyses, until the engine has stopped work on it.
    pub(super) fn is_analysed(&self) -> bool {
        self.handed == Handed::Over && self.working
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let beat = if self.beating.is_some() {
            None
        } else {
            Some(self.next_beat)
        };
        let past_lease = Some(self.lease_ends + Duration::from_millis(1));
        match &self.stage {
            Stage::Claiming { .. } | Stage::Dropped => None,
            Stage::Fetching { .. } | Stage::Engaged => beat.into_iter().chain(past_lease).min(),
            Stage::Committing { next, .. } => beat.into_iter().chain(past_lease).chain(*next).min(),
        }
    }

    /// Whether the last write failed and waits to be sent again.
    pub(super) fn waits_to_commit(&self) -> bool {
        matches!(self.stage, Stage::Committing { next: Some(_), .. })
    }
}
