//! The jitter of a replay: told by names, not drawn, so that a change to one job moves no other.

use roundtrip_core::at::{At, Timestamp};

/// Now, with the jitter that a pipeline has for a subject: a file, or the pipeline itself for its looks.
///
/// It does not depend on the moment: a look keeps its rhythm whatever it brought, and two policies are compared
/// under the same chance.
pub(super) fn at(now: Timestamp, seed: u64, pipeline: &str, subject: &str) -> At {
    let hash = [pipeline, "\0", subject]
        .iter()
        .flat_map(|text| text.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    At {
        now,
        jitter: fraction(mix(hash)),
    }
}

/// The last step of splitmix64: FNV's upper bits differ little between similar names.
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
fn fraction(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_told_by_names_and_lies_anywhere() {
        let of = |subject: &str| at(Timestamp(1), 7, "cleanup", subject).jitter;
        assert!((of("file-1") - of("file-1")).abs() < f64::EPSILON);
        let all: Vec<f64> = (0..1_000).map(|file| of(&format!("file-{file}"))).collect();
        assert!(all.iter().all(|jitter| (0.0..1.0).contains(jitter)));
        let below = all.iter().filter(|jitter| **jitter < 0.25).count();
        assert!((200..300).contains(&below), "{below}");
    }
}
