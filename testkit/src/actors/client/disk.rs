//! What a client keeps when it dies: its inbox, its ledger, its results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roundtrip_core::at::Timestamp;
use roundtrip_core::file::{Known, Shipping, Stamp};
use roundtrip_core::names::{ClientId, FileId, JobKey};

/// One job in the ledger.
#[derive(Clone, Debug)]
struct Row {
    path: PathBuf,
    stamp: Stamp,
    file: FileId,
    created: String,
    shipping: Shipping,
}

impl Row {
    fn known(&self) -> Known {
        Known {
            stamp: self.stamp.clone(),
            file: self.file.clone(),
            created: self.created.clone(),
            shipping: self.shipping,
        }
    }
}

/// The disk of a client.
#[derive(Debug)]
pub(crate) struct Disk {
    client: ClientId,
    inbox: BTreeMap<PathBuf, Stamp>,
    /// In the order the jobs were announced.
    ledger: BTreeMap<u64, Row>,
    announced: u64,
}

impl Disk {
    pub(crate) fn new(client: ClientId) -> Self {
        Self {
            client,
            inbox: BTreeMap::new(),
            ledger: BTreeMap::new(),
            announced: 0,
        }
    }

    /// A file is written by a person or a machine.
    pub(crate) fn write(&mut self, path: PathBuf, stamp: Stamp) {
        self.inbox.insert(path, stamp);
    }

    /// A file is taken away.
    pub(crate) fn take_away(&mut self, path: &Path) {
        self.inbox.remove(path);
    }

    pub(crate) fn stamp(&self, path: &Path) -> Option<Stamp> {
        self.inbox.get(path).cloned()
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.inbox.keys().cloned().collect()
    }

    /// The latest job of a path.
    pub(crate) fn known(&self, path: &Path) -> Option<Known> {
        self.ledger
            .values()
            .rev()
            .find(|row| row.path == path)
            .map(Row::known)
    }

    /// Jobs that were announced and not sent.
    pub(crate) fn unfinished(&self) -> Vec<(PathBuf, Known)> {
        let rows = self
            .ledger
            .values()
            .filter(|row| row.shipping == Shipping::Announced);
        rows.map(|row| (row.path.clone(), row.known())).collect()
    }

    /// Remembers a job before anything of it exists; false where it has gone too far for that.
    pub(crate) fn announce(&mut self, path: &Path, stamp: &Stamp, file: &FileId, created: &str) -> bool {
        if let Some(row) = self.row(file) {
            let fits = row.shipping == Shipping::Announced && row.path == path;
            if fits {
                row.stamp = stamp.clone();
                created.clone_into(&mut row.created);
            }
            return fits;
        }
        self.announced += 1;
        let row = Row {
            path: path.to_owned(),
            stamp: stamp.clone(),
            file: file.clone(),
            created: created.to_owned(),
            shipping: Shipping::Announced,
        };
        self.ledger.insert(self.announced, row);
        true
    }

    fn row(&mut self, file: &FileId) -> Option<&mut Row> {
        self.ledger.values_mut().find(|row| row.file == *file)
    }

    pub(crate) fn sent(&mut self, file: &FileId) {
        if let Some(row) = self.row(file)
            && row.shipping == Shipping::Announced
        {
            row.shipping = Shipping::Sent;
        }
    }

    pub(crate) fn finished(&mut self, file: &FileId) {
        if let Some(row) = self.row(file) {
            row.shipping = Shipping::Finished;
        }
    }

    pub(crate) fn forget(&mut self, file: &FileId) -> bool {
        let rows = self.ledger.len();
        self.ledger.retain(|_, row| row.file != *file);
        self.ledger.len() < rows
    }

    /// How many jobs that were announced before this one still await their outcome.
    pub(crate) fn ahead(&self, file: &FileId) -> u64 {
        let before = self.ledger.values().take_while(|row| row.file != *file);
        before.filter(|row| row.shipping != Shipping::Finished).count() as u64
    }

    /// A page of the jobs whose outcome is awaited.
    pub(crate) fn outstanding(&self, after: Option<&FileId>, limit: usize) -> Vec<JobKey> {
        let begin = match after {
            None => 0,
            Some(after) => match self.ledger.iter().find(|(_, row)| row.file == *after) {
                Some((number, _)) => *number + 1,
                None => return Vec::new(),
            },
        };
        let rows = self
            .ledger
            .range(begin..)
            .filter(|(_, row)| row.shipping == Shipping::Sent);
        rows.take(limit).map(|(_, row)| self.key(row)).collect()
    }

    fn key(&self, row: &Row) -> JobKey {
        JobKey {
            client: self.client.clone(),
            file: row.file.clone(),
        }
    }

    /// Whether the outcome of a job is awaited, and if so whether its file was wholly sent again since.
    pub(crate) fn awaits(&self, file: &FileId) -> Option<bool> {
        let (number, row) = self
            .ledger
            .iter()
            .find(|(_, row)| row.file == *file && row.shipping == Shipping::Sent)?;
        let newer = self
            .ledger
            .range(number + 1..)
            .any(|(_, newer)| newer.path == row.path && newer.shipping != Shipping::Announced);
        Some(newer)
    }

    /// Whether every file of the inbox, as it is now, has its outcome.
    pub(crate) fn is_settled(&self) -> bool {
        let ledger_done = self.ledger.values().all(|row| row.shipping == Shipping::Finished);
        ledger_done
            && self.inbox.iter().all(|(path, stamp)| {
                let latest = self.ledger.values().rev().find(|row| row.path == *path);
                latest.is_some_and(|row| row.stamp.same_content(stamp))
            })
    }

    /// What is not settled, for a person.
    pub(crate) fn unsettled(&self) -> Vec<String> {
        let rows = self
            .ledger
            .values()
            .filter(|row| row.shipping != Shipping::Finished);
        let mut open: Vec<String> = rows
            .map(|row| format!("{} is {:?}", row.file, row.shipping))
            .collect();
        for (path, stamp) in &self.inbox {
            let latest = self.ledger.values().rev().find(|row| row.path == *path);
            if !latest.is_some_and(|row| row.stamp.same_content(stamp)) {
                open.push(format!("{} was not taken", path.display()));
            }
        }
        open
    }
}

/// What a file in this state contains: the whole of its content, as a number.
pub(crate) fn content(stamp: &Stamp) -> u64 {
    stamp
        .modified
        .0
        .unsigned_abs()
        .wrapping_mul(31)
        .wrapping_add(stamp.size)
}

/// A file of this size, written at this moment.
pub(crate) fn stamp(size: u64, modified: Timestamp) -> Stamp {
    Stamp {
        size,
        modified,
        changed: modified,
        identity: 1,
    }
}
