//! Moments that come from outside: the core knows no dates and no zones.

use std::fmt;

use crate::at::Timestamp;

/// Says when something is due by the calendar, such as a cron expression in a zone.
///
/// It asks no clock: the same question has the same answer, so that a virtual clock fires the same moments.
pub trait Calendar: fmt::Debug + Send + Sync {
    /// The first moment after `after`, which itself does not count; none where there is no more.
    fn next_after(&self, after: Timestamp) -> Option<Timestamp>;
}
