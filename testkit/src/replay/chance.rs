//! The jitter of a replay: told by names, not drawn, so that a change to one job moves no other.

use roundtrip_core::at::{self, At, Timestamp};

/// Now, with the jitter that a pipeline has for a subject: a file, or the pipeline itself for its looks.
///
/// It does not depend on the moment: a look keeps its rhythm whatever it brought, and two policies are compared
/// under the same chance.
pub(super) fn at(now: Timestamp, seed: u64, pipeline: &str, subject: &str) -> At {
    At {
        now,
        jitter: at::chance(seed, [pipeline, subject]),
    }
}
