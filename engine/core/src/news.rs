//! What the stream tells about jobs: which of them a pipeline wants to hear of.

use crate::job::{Job, LaneKind, Status};

/// A change of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The job as it was; none where it was made, or was no job.
    pub before: Option<Job>,
    /// The job as it is since.
    pub after: Job,
}

/// How a job stands, as far as it decides who wants to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its status.
    pub status: Status,
    /// The lane it is in; none where it is in none.
    pub lane: Option<LaneKind>,
    /// Whether its objects were deleted.
    pub is_cleaned: bool,
}

impl From<&Job> for Stand {
    fn from(job: &Job) -> Self {
        Self {
            status: job.status,
            lane: job.lane.map(|lane| lane.kind),
            is_cleaned: job.cleaned.is_some(),
        }
    }
}

/// Which jobs a pipeline wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Finished jobs whose objects still lie in the bucket.
    Finished,
    /// Jobs that are not in the lane they belong to, since whoever wrote them knows no lanes.
    Foreign,
}

impl Interest {
    /// Whether this change is news.
    pub fn hears(self, news: &News) -> bool {
        self.tells(news.before.as_ref().map(Stand::from), (&news.after).into())
    }

    /// Whether a change from one to the other is news. A job that stood like this before is none: what a pipeline
    /// writes to a job it leaves where it is would else come back to it at once, again and again.
    pub fn tells(self, before: Option<Stand>, after: Stand) -> bool {
        self.wants(after) && !before.is_some_and(|before| self.wants(before))
    }

    /// Whether a job that stands like this is one of those it wants to hear of.
    pub fn wants(
        self,
        Stand {
            status,
            lane,
            is_cleaned,
        }: Stand,
    ) -> bool {
        match self {
            Self::Finished => status.is_finished() && lane == Some(LaneKind::Done),
            Self::Foreign => {
                let is_astray = lane == Some(LaneKind::Ready) && status != Status::Queued;
                !is_cleaned && (lane.is_none() || is_astray)
            }
        }
    }

    /// Whether it is still to be judged if those jobs are what their clients signed.
    pub fn is_unjudged(self) -> bool {
        match self {
            // Whoever finished them judged them.
            Self::Finished => false,
            Self::Foreign => true,
        }
    }
}
