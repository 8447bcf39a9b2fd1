//! Which shard of the lanes a job goes to.
//!
//! Stochastic fair queueing: a client's jobs go to a few shards chosen by its id, so that a busy client fills
//! only those, and the file id spreads them, so that it does not heat one partition.

use crate::names::JobKey;

/// Shards one client's jobs are spread over.
const SPREAD: u64 = 2;

/// The shard of a job, 0 to `shards` exclusive.
pub fn of(key: &JobKey, shards: u32) -> u32 {
    let shards = u64::from(shards.max(1));
    let client = hash(key.client.as_str());
    let step = hash(key.file.as_str()) % SPREAD;
    // The second shard of a client lies anywhere but on the first, so that two clients seldom share both.
    let apart = (1 + (client >> 32) % shards).min(shards - 1);
    let shard = (client + step * apart) % shards;
    u32::try_from(shard).unwrap_or(0)
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

    #[test]
    fn a_busy_client_fills_two_shards() {
        for client in 0..100 {
            let shards: BTreeSet<_> = (0..100).map(|file| of(&key(client, file), 8)).collect();
            assert_eq!(shards.len(), 2, "client {client}: {shards:?}");
        }
    }

    #[test]
    fn a_lane_may_have_one_shard_or_two() {
        for shards in [1, 2] {
            let used: BTreeSet<_> = (0..100).map(|file| of(&key(7, file), shards)).collect();
            assert!(used.into_iter().eq(0..shards), "of {shards}");
        }
    }

    #[test]
    fn many_clients_use_every_shard() {
        let shards: BTreeSet<_> = (0..1_000).map(|client| of(&key(client, client), 8)).collect();
        assert_eq!(shards.len(), 8);
    }
}
