//! What requests cost a partition: the limits DynamoDB publishes, second by second.

use std::collections::BTreeMap;
use std::fmt;

/// Write units one partition key value serves in a second.
pub(crate) const WRITES_MAX: u32 = 1_000;

/// Read units one partition key value serves in a second.
pub(crate) const READS_MAX: u32 = 3_000;

/// Bytes one write unit covers.
const WRITE_BYTES: usize = 1_024;

/// Bytes one consistent read unit covers.
const READ_BYTES: usize = 4_096;

/// A partition key value, of the table or of its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Partition {
    /// Of the table: a client, by a hash of its id.
    Table(u64),
    /// Of the index: a lane, by kind and shard.
    Index(roundtrip_core::job::Lane),
    /// Of the table: the fetchers' rows.
    Fleet,
    /// Of the table: the leases on the stream's shards.
    Leases,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(_) => f.write_str("table, a client"),
            Self::Index(lane) => write!(f, "index, {lane}"),
            Self::Fleet => f.write_str("table, roundtrip#fleet"),
            Self::Leases => f.write_str("table, roundtrip#stream"),
        }
    }
}

/// Units used in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    second: i64,
    used: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    writes: Second,
    reads: Second,
}

/// Units used, by partition.
#[derive(Debug, Default)]
pub(crate) struct Load {
    meters: BTreeMap<Partition, Meter>,
    /// The most write units a partition was asked for in one second.
    pub(crate) writes_peak: u32,
    /// The most read units a partition was asked for in one second.
    pub(crate) reads_peak: u32,
    pub(crate) writes_hottest: Option<Partition>,
    pub(crate) reads_hottest: Option<Partition>,
    /// Write units in all, those of the index included.
    pub(crate) writes: u64,
    /// Read units in all, halves counted as halves.
    pub(crate) reads_halves: u64,
    /// Requests that were throttled.
    pub(crate) throttled: u64,
}

impl Second {
    fn take(&mut self, now: i64, units: u32, limit: u32) -> (bool, u32) {
        let second = now.div_euclid(1_000);
        if self.second != second {
            *self = Self { second, used: 0 };
        }
        let asked = self.used.saturating_add(units);
        if asked > limit {
            return (false, asked);
        }
        self.used = asked;
        (true, asked)
    }
}

/// Write units of an item of so many bytes.
pub(crate) fn write_units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(WRITE_BYTES).max(1)).unwrap_or(u32::MAX)
}

impl Load {
    /// Peaks are measured from now on.
    pub(crate) fn forget_peaks(&mut self) {
        (self.writes_peak, self.reads_peak) = (0, 0);
        (self.writes_hottest, self.reads_hottest) = (None, None);
    }

    /// Uses write units; false where the partition has no more this second.
    pub(crate) fn write(&mut self, now: i64, partition: Partition, units: u32) -> bool {
        let meter = self.meters.entry(partition).or_default();
        let (fits, asked) = meter.writes.take(now, units, WRITES_MAX);
        if asked > self.writes_peak {
            (self.writes_peak, self.writes_hottest) = (asked, Some(partition));
        }
        if fits {
            self.writes += u64::from(units);
        } else {
            self.throttled += 1;
        }
        fits
    }

    /// Uses read units of a scan, which need not be consistent: its pages lie anywhere, no partition has many of them.
    pub(crate) fn scan(&mut self, bytes: u64) {
        self.reads_halves += bytes.div_ceil(READ_BYTES as u64).max(1);
    }

    /// Uses read units for so many bytes; a read that need not be consistent costs half.
    pub(crate) fn read(&mut self, now: i64, partition: Partition, bytes: usize, consistent: bool) -> bool {
        let units = u32::try_from(bytes.div_ceil(READ_BYTES).max(1)).unwrap_or(u32::MAX);
        let halves = if consistent {
            units.saturating_mul(2)
        } else {
            units
        };
        let meter = self.meters.entry(partition).or_default();
        let (fits, asked) = meter.reads.take(now, halves, READS_MAX * 2);
        if asked.div_ceil(2) > self.reads_peak {
            (self.reads_peak, self.reads_hottest) = (asked.div_ceil(2), Some(partition));
        }
        if fits {
            self.reads_halves += u64::from(halves);
        } else {
            self.throttled += 1;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_serves_its_units_and_not_one_more_until_the_next_second() {
        let (mut load, partition) = (Load::default(), Partition::Table(1));
        assert!(load.write(0, partition, WRITES_MAX));
        assert!(!load.write(999, partition, 1));
        assert!(load.write(1_000, partition, 1));
        assert!(load.write(999, Partition::Table(2), 1), "another partition");
        assert_eq!((load.throttled, load.writes_peak), (1, WRITES_MAX + 1));
    }

    #[test]
    fn an_eventual_read_costs_half() {
        let (mut load, partition) = (Load::default(), Partition::Table(1));
        assert!(load.read(0, partition, 4_097, true) && load.read(0, partition, 4_096, false));
        assert_eq!(load.reads_halves, 5);
    }
}
