//! A file of a watched folder as the core sees it: what tells its states apart, and how far it has come.

use crate::at::Timestamp;
use crate::names::FileId;

/// What tells one state of a file from another, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// When the content was last written.
    pub modified: Timestamp,
    /// When anything about the file last changed, its name and mode included; `modified` where the system does
    /// not keep it.
    pub changed: Timestamp,
    /// The number the file system gives the file (inode); 0 where unknown.
    pub identity: u64,
}

impl Stamp {
    /// Whether what was seen later is the same content, as far as can be told.
    ///
    /// Size and time of writing have to agree. `changed` alone says nothing, for a new mode or name moves it and leaves
    /// the content alone. Nor does the identity alone, for where a file system makes numbers up (exFAT, FUSE, some
    /// shares) each mount gives new ones. Both together tell a file that was replaced by another of the same size and
    /// time: it has a new identity, and to put it there changed it.
    pub fn same_content(&self, later: &Self) -> bool {
        let same_identity = self.identity == later.identity || self.identity == 0 || later.identity == 0;
        let replaced = !same_identity && later.changed > self.changed;
        self.size == later.size && self.modified == later.modified && !replaced
    }
}

/// How far a file has come that was taken once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipping {
    /// Its job has an id; not everything is sent.
    Announced,
    /// Everything is sent; the outcome is awaited.
    Sent,
    /// Its outcome is here.
    Finished,
}

/// What is remembered of a file that was taken once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The state it was taken in.
    pub stamp: Stamp,
    /// Its job.
    pub file: FileId,
    /// When the job was created, as signed.
    pub created: String,
    /// How far it has come.
    pub shipping: Shipping,
}

/// What was found under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A regular file.
    File {
        /// The state it is in.
        stamp: Stamp,
        /// Whether a program on this machine has it open for writing; false where the system cannot tell.
        busy: bool,
    },
    /// Nothing, or nothing that may be taken.
    Gone,
    /// Something that cannot be read, and why.
    Unreadable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        size: 7,
        modified: Timestamp(1_000),
        changed: Timestamp(2_000),
        identity: 42,
    };

    #[test]
    fn a_new_mode_or_name_is_the_same_content() {
        assert!(STAMP.same_content(&Stamp {
            changed: Timestamp(9_000),
            ..STAMP
        }));
    }

    #[test]
    fn a_new_size_time_or_file_is_not() {
        for other in [
            Stamp { size: 8, ..STAMP },
            Stamp {
                modified: Timestamp(1_001),
                ..STAMP
            },
            Stamp {
                identity: 43,
                changed: Timestamp(2_001),
                ..STAMP
            },
        ] {
            assert!(!STAMP.same_content(&other), "{other:?}");
        }
    }

    #[test]
    fn a_new_number_alone_is_a_new_mount() {
        // Some file systems keep no time of change: after a mount it is that of writing.
        for changed in [2_000, 1_000] {
            let mounted = Stamp {
                identity: 43,
                changed: Timestamp(changed),
                ..STAMP
            };
            assert!(STAMP.same_content(&mounted), "{mounted:?}");
        }
    }

    #[test]
    fn an_unknown_identity_says_nothing() {
        assert!(STAMP.same_content(&Stamp { identity: 0, ..STAMP }));
        assert!(Stamp { identity: 0, ..STAMP }.same_content(&STAMP));
    }
}
