//! Which objects go: the old ones of jobs that the table does not know, or knows as cleaned up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Object, Standing};
use crate::at::Timestamp;
use crate::job::Status;
use crate::machine::Reason;
use crate::names::{JobKey, OWNER};

/// Why an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// There is no record.
    NoRecord,
    /// Its job was cleaned up.
    Cleaned,
}

impl Cause {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NoRecord => Reason::key("no job knows it, and it is old", "source.objects.age-min"),
            Self::Cleaned => Reason::key(
                "its job was cleaned up without it, and it is old",
                "source.objects.age-min",
            ),
        }
    }
}

/// The old objects of a page by the jobs that they belong to, and how many of the page are no job's by their keys.
pub(super) fn by_job(
    objects: Vec<Object>,
    now: Timestamp,
    age_min: Duration,
) -> (BTreeMap<JobKey, Vec<Object>>, u64) {
    let mut page = BTreeMap::<_, Vec<_>>::new();
    let mut foreign = 0;
    for object in objects {
        match JobKey::of_object(&object.key) {
            None if object.key == OWNER => {}
            None => foreign += 1,
            Some((job, _)) if now.since(object.modified) > age_min => {
                page.entry(job).or_default().push(object);
            }
            Some(_) => {}
        }
    }
    (page, foreign)
}

/// Those that go, by the reason why.
pub(super) fn among(
    page: BTreeMap<JobKey, Vec<Object>>,
    standings: &BTreeMap<JobKey, Standing>,
) -> BTreeMap<Cause, Vec<Object>> {
    let mut strays = BTreeMap::<_, Vec<_>>::new();
    for (job, objects) in page {
        let standing = standings.get(&job).unwrap_or(&Standing::Unreadable);
        if let Some(cause) = cause(standing) {
            strays.entry(cause).or_default().extend(objects);
        }
    }
    strays
}

/// Why an old object of a job goes; none where it stays.
fn cause(standing: &Standing) -> Option<Cause> {
    let job = match standing {
        Standing::Missing => return Some(Cause::NoRecord),
        Standing::Unreadable => return None,
        Standing::Known(job) => job,
    };
    // A finished job that is still in a lane, or not yet in one, is another duty's. Cleaned up is one whose result
    // was kept for its client long enough.
    let is_cleaned = job.cleaned.is_some() && job.lane.is_none();
    match job.status {
        Status::Completed | Status::Error if is_cleaned => Some(Cause::Cleaned),
        Status::Queued | Status::Processing | Status::Completed | Status::Error => None,
    }
}
