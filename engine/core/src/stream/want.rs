//! What a shard of ours needs, as an action with its reason.

use super::{Action, BadRecord, From, Place};
use crate::at::Timestamp;
use crate::machine::Reason;

/// What a shard needs now.
#[derive(Debug)]
pub(super) enum Want {
    /// The lease renewed and the place written.
    Renew {
        until: Timestamp,
        place: Option<Place>,
        bad: Option<BadRecord>,
    },
    /// The lease given back and the place written.
    Release {
        place: Option<Place>,
        bad: Option<BadRecord>,
    },
    /// An iterator.
    Locate(From),
    /// A read.
    Read(String),
}

impl Want {
    /// What is to be done about this shard, and why.
    pub(super) fn action(self, shard: String) -> (Action, Reason) {
        match self {
            Self::Renew { until, place, bad } => (
                Action::Renew {
                    shard,
                    until,
                    place,
                    bad,
                },
                Reason::key("the shard is still read", "stream.lease"),
            ),
            Self::Release { place, bad } => {
                let why = if place == Some(Place::End) {
                    "the shard was read to its end"
                } else {
                    "the reader stops"
                };
                (Action::Release { shard, place, bad }, Reason::rule(why))
            }
            Self::Locate(from) => {
                let reason = match from {
                    From::After(_) => Reason::rule("goes on where reading stopped"),
                    From::Oldest | From::Newest => {
                        Reason::key("nobody has read the shard, or not far enough", "stream.start")
                    }
                };
                (Action::Locate { shard, from }, reason)
            }
            Self::Read(iterator) => (
                Action::Read { shard, iterator },
                Reason::key("a read is due", "stream.interval"),
            ),
        }
    }
}
