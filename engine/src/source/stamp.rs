//! Stamps and identities from what the file system says.

use std::fs::Metadata;

use roundtrip_core::at::Timestamp;
use roundtrip_core::file::Stamp;

/// A file across names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

#[cfg(unix)]
mod system {
    use std::os::unix::fs::MetadataExt;

    use super::{Identity, Metadata, Stamp, Timestamp};

    pub(in crate::source) fn stamp(metadata: &Metadata) -> Stamp {
        Stamp {
            size: metadata.len(),
            modified: milliseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: milliseconds(metadata.ctime(), metadata.ctime_nsec()),
            identity: metadata.ino(),
        }
    }

    pub(in crate::source) fn identity(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    fn milliseconds(seconds: i64, nanoseconds: i64) -> Timestamp {
        Timestamp(
            seconds
                .saturating_mul(1_000)
                .saturating_add(nanoseconds / 1_000_000),
        )
    }
}

#[cfg(not(unix))]
mod system {
    use std::time::SystemTime;

    use super::{Identity, Metadata, Stamp, Timestamp};

    pub(in crate::source) fn stamp(metadata: &Metadata) -> Stamp {
        let modified = metadata.modified().map_or(Timestamp(0), milliseconds);
        Stamp {
            size: metadata.len(),
            modified,
            changed: modified,
            identity: 0,
        }
    }

    pub(in crate::source) fn identity(_metadata: &Metadata) -> Identity {
        Identity { device: 0, inode: 0 }
    }

    fn milliseconds(time: SystemTime) -> Timestamp {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

pub(super) use system::{identity, stamp};
