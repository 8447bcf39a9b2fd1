//! Records that are not to be believed: made by somebody who may write to the table, and has no client's key.

use std::time::Duration;

use roundtrip_core::at::Timestamp;
use roundtrip_core::job::{CREATED_AHEAD_MAX, Status};
use roundtrip_core::lifecycle::{RecordKey, Value, attribute as a};
use roundtrip_core::names::JobKey;
use roundtrip_core::plan::Outline;
use roundtrip_core::shard;

use super::World;
use super::others::{FOREIGN_CLIENT, record_of, text};
use crate::model::names;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug)]
enum Forgery {
    /// Nobody signed it.
    Unsigned,
    /// Another client signed it.
    Borrowed,
    /// It is no job.
    Malformed,
    /// It says that it was created far ahead.
    Ahead,
    /// A waiting job of another has more chunks since.
    Chunks,
    /// A waiting job of another has another outline since.
    Outline,
}

const ALL: [Forgery; 6] = [
    Forgery::Unsigned,
    Forgery::Borrowed,
    Forgery::Malformed,
    Forgery::Ahead,
    Forgery::Chunks,
    Forgery::Outline,
];

impl World<'_> {
    pub(super) fn forge(&mut self) {
        self.coming -= 1;
        let forgery = ALL[self.chance.below(ALL.len())];
        match forgery {
            Forgery::Chunks | Forgery::Outline => self.alter(forgery),
            Forgery::Unsigned | Forgery::Borrowed | Forgery::Malformed | Forgery::Ahead => self.make(forgery),
        }
    }

    fn make(&mut self, forgery: Forgery) {
        let key = self.key(match forgery {
            Forgery::Ahead => FOREIGN_CLIENT,
            Forgery::Unsigned
            | Forgery::Borrowed
            | Forgery::Malformed
            | Forgery::Chunks
            | Forgery::Outline => 0,
        });
        let ahead = Timestamp(self.now) + CREATED_AHEAD_MAX + Duration::from_hours(1);
        let mut attributes = match forgery {
            Forgery::Borrowed => record_of(&key, 1, Timestamp(self.now), &names::client(1)),
            Forgery::Ahead => record_of(&key, 1, ahead, &key.client),
            Forgery::Unsigned | Forgery::Malformed | Forgery::Chunks | Forgery::Outline => {
                self.record(&key, 1)
            }
        };
        match forgery {
            Forgery::Unsigned => attributes.push((a::SIGNATURE, text("30ff"))),
            Forgery::Malformed => attributes.retain(|(name, _)| *name != a::CHUNKS),
            Forgery::Borrowed | Forgery::Ahead | Forgery::Chunks | Forgery::Outline => {}
        }
        if self.chance.hits(0.5) {
            let shard = shard::of(&key, self.policies.shards, 0);
            attributes.push((a::LANE, Value::Text(format!("ready#{shard}"))));
            attributes.push((a::DUE, Value::Time(Timestamp(self.now))));
        }
        let record = RecordKey::from(&key);
        self.judge.forged(record.clone());
        self.write_over(record, attributes);
        self.say(|| format!("somebody forges {key}: {forgery:?}"));
    }

    /// Alters a genuine job that waits; one that is held is judged by what its holder took.
    fn alter(&mut self, forgery: Forgery) {
        let Some(key) = self.any(|_, status| status == Status::Queued) else {
            return;
        };
        let Some(Ok(job)) = self.services.table.get(&key).map(|record| record.job()) else {
            return;
        };
        let altered = match forgery {
            Forgery::Chunks => (a::CHUNKS, Value::Number(job.chunks + 1)),
            Forgery::Outline
            | Forgery::Unsigned
            | Forgery::Borrowed
            | Forgery::Malformed
            | Forgery::Ahead => {
                let outline = job.outline.as_deref().and_then(|text| {
                    let JobKey { client, file } = &job.key;
                    Outline::read(text, client, file, job.chunks).ok()
                });
                let Some(mut outline) = outline else { return };
                outline.size -= 1;
                (a::OUTLINE, Value::Text(outline.text()))
            }
        };
        self.judge.altered(key.clone());
        self.say(|| format!("somebody alters {}: {forgery:?}", key.file));
        self.write_over(key, vec![altered]);
    }
}
