//! Which shard of the lanes a job goes to.
//!
//! A multilevel queue: how many files of its client wait already decides the band of shards a job goes to, and fetchers
//! look into shards in random order, so that a client with three files never stands behind another's thousands. Among
//! the clients with much to do it is stochastic fair queueing: a client's jobs go to a few shards chosen by its id, so
//! that it fills only those, and the file id spreads them, so that it does not heat one partition. Urgent jobs go to
//! the last band however few they are: they overtake what waits in their shards, and its clients wait anyway.

use std::ops::Range;

use crate::names::JobKey;

/// Shards of the last band one client's jobs are spread over.
const SPREAD: u64 = 2;

/// A job before which fewer files of its client wait goes to the first band.
const FEW: u64 = 8;

/// A job before which as many wait goes to the last band.
pub const MANY: u64 = 64;

/// The shard of a job, 0 to `shards` exclusive, before which `ahead` files of its client wait for their results.
pub fn of(key: &JobKey, shards: u32, ahead: u64) -> u32 {
    let band = band(shards.max(1).into(), ahead);
    let width = band.end - band.start;
    let file = hash(key.file.as_str());
    let place = if ahead < MANY {
        file
    } else {
        let client = hash(key.client.as_str());
        // The second shard of a client lies anywhere but on the first, so that two clients seldom share both.
        let apart = (1 + (client >> 32) % width).min(width - 1);
        client + file % SPREAD * apart
    };
    u32::try_from(band.start + place % width).unwrap_or(0)
}

/// Three eighths of the shards for the first, two for the second, three for the last band; where there are too few,
/// bands share the last shard.
fn band(shards: u64, ahead: u64) -> Range<u64> {
    let (first, second) = ((3 * shards).div_ceil(8), (5 * shards).div_ceil(8));
    let band = match ahead {
        ..FEW => 0..first,
        FEW..MANY => first..second,
        MANY.. => second..shards,
    };
    let start = band.start.min(shards - 1);
    start..band.end.max(start + 1)
}

/// FNV-1a, whose published constants make the shard the same for every program; halved to leave room for sums.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::names::{ClientId, FileId};

    fn key(client: u32, file: u32) -> JobKey {
        JobKey {
            client: ClientId::parse(&format!("client-04{client:0128x}")).unwrap(),
            file: FileId::parse(&format!("file-00000000-0000-0000-0000-{file:012x}")).unwrap(),
        }
    }

    /// The shards of files of one client before which so many wait.
    fn shards_of(client: u32, shards: u32, ahead: u64) -> BTreeSet<u32> {
        (0..200)
            .map(|file| of(&key(client, file), shards, ahead))
            .collect()
    }

    #[test]
    fn bands_lie_beside_each_other_and_use_every_shard() {
        for shards in 3..40 {
            let bands = [0, FEW, MANY].map(|ahead| band(shards, ahead));
            let all: Vec<u64> = bands.into_iter().flatten().collect();
            let whole: Vec<u64> = (0..shards).collect();
            assert_eq!(all[..whole.len()], whole[..], "of {shards}");
            assert!(
                all[whole.len()..].iter().all(|shard| *shard == shards - 1),
                "of {shards}"
            );
        }
    }

    #[test]
    fn a_lane_may_have_one_shard_or_two() {
        assert_eq!([0, FEW, MANY].map(|ahead| band(1, ahead)), [0..1, 0..1, 0..1]);
        assert_eq!([0, FEW, MANY].map(|ahead| band(2, ahead)), [0..1, 1..2, 1..2]);
    }

    #[test]
    fn a_busy_client_fills_two_shards_that_no_client_with_little_to_do_shares() {
        for client in 0..100 {
            let few = shards_of(client, 8, FEW - 1);
            let many = shards_of(client, 8, MANY);
            assert_eq!(few, BTreeSet::from([0, 1, 2]), "client {client}");
            assert_eq!(many.len(), 2, "client {client}: {many:?}");
            assert!(few.is_disjoint(&many) && shards_of(client, 8, MANY - 1).is_disjoint(&many));
        }
    }

    #[test]
    fn busy_clients_use_every_shard_of_their_band() {
        let shards: BTreeSet<_> = (0..1_000)
            .map(|client| of(&key(client, client), 8, u64::MAX))
            .collect();
        assert_eq!(shards, BTreeSet::from([5, 6, 7]));
    }
}
