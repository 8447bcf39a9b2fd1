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

/// Which jobs a pipeline wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Finished jobs whose objects still lie in the bucket.
    Finished,
    /// Jobs that are not in the lane they belong to, since whoever wrote them knows no lanes.
    Foreign,
}

impl Interest {
    /// Whether this change is news. A job that stood like this before is none: what a pipeline writes to a job it
    /// leaves where it is would else come back to it at once, again and again.
    pub fn hears(self, news: &News) -> bool {
        self.tells(news.before.as_ref(), &news.after)
    }

    /// Whether a change from one to the other is news.
    pub fn tells(self, before: Option<&Job>, after: &Job) -> bool {
        self.is_in(after) && !before.is_some_and(|before| self.is_in(before))
    }

    /// Whether a job stands like those it wants to hear of.
    pub fn is_in(self, job: &Job) -> bool {
        let lane = job.lane.map(|lane| lane.kind);
        match self {
            Self::Finished => job.status.is_finished() && lane == Some(LaneKind::Done),
            Self::Foreign => {
                let waits = job.status == Status::Queued;
                job.cleaned.is_none() && (lane.is_none() || (lane == Some(LaneKind::Ready) && !waits))
            }
        }
    }
}
