//! What is going on, for whoever watches: counted here by the pipelines, rendered by the command line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roundtrip_core::names::FileId;

/// The target of what is logged of a file's outcome: whoever shows notes has these lines already.
pub const OUTCOME: &str = "roundtrip::outcome";

/// Notes kept for a watcher that does not keep up; the oldest go first.
const NOTES_MAX: usize = 10_000;

/// Files that wait and are counted by name; beyond that the count stands still.
const WAITING_MAX: usize = 100_000;

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A file is on its way; its size in bytes.
    Uploading(PathBuf, u64),
    /// A file is in the bucket.
    Uploaded(PathBuf),
    /// The processor has it.
    Analysing(PathBuf),
    /// Its result is here.
    Done(PathBuf, PathBuf),
    /// Its analysis failed: the error file, and what it says.
    Failed(PathBuf, PathBuf, String),
    /// It is not shipped now, and why.
    Left(PathBuf, String),
}

/// Where everything stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files found and not yet on their way.
    pub waiting: usize,
    /// Files on their way.
    pub uploading: usize,
    /// Files in the bucket that no processor has yet.
    pub queued: usize,
    /// Files a processor of this process has.
    pub analysing: usize,
    /// Results delivered.
    pub done: u64,
    /// Errors delivered.
    pub failed: u64,
    /// Files left.
    pub left: usize,
    /// Bytes of files that were sent or are on their way.
    pub bytes_total: u64,
    /// Bytes of them that were sent.
    pub bytes_sent: u64,
}

#[derive(Debug)]
struct Underway {
    path: PathBuf,
    size: u64,
    sent: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Uploading,
    Queued,
    Analysing,
}

#[derive(Debug, Default)]
struct Board {
    waiting: BTreeSet<PathBuf>,
    underway: BTreeMap<FileId, Underway>,
    left: BTreeSet<PathBuf>,
    counts: Counts,
    notes: VecDeque<Note>,
}

impl Board {
    fn note(&mut self, note: Note) {
        if self.notes.len() >= NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
    }
}

/// A handle on the board; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Board>>);

impl Progress {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file was found that is not shipped yet.
    pub fn waiting(&self, path: &Path) {
        let mut board = self.board();
        if board.waiting.len() < WAITING_MAX {
            board.waiting.insert(path.to_owned());
        }
    }

    /// A file does not wait any more.
    pub fn not_waiting(&self, path: &Path) {
        let mut board = self.board();
        board.waiting.remove(path);
        board.left.remove(path);
    }

    /// A file is on its way.
    pub fn uploading(&self, file: &FileId, path: &Path, size: u64) {
        let mut board = self.board();
        board.waiting.remove(path);
        board.left.remove(path);
        let underway = Underway {
            path: path.to_owned(),
            size,
            sent: 0,
            stage: Stage::Uploading,
        };
        if board.underway.insert(file.clone(), underway).is_none() {
            board.counts.bytes_total += size;
        }
        board.note(Note::Uploading(path.to_owned(), size));
    }

    /// More bytes of a file were sent.
    pub fn sent(&self, file: &FileId, bytes: u64) {
        let mut board = self.board();
        if let Some(underway) = board.underway.get_mut(file) {
            let more = bytes.min(underway.size - underway.sent);
            underway.sent += more;
            board.counts.bytes_sent += more;
        }
    }

    /// A file is in the bucket.
    pub fn uploaded(&self, file: &FileId) {
        let mut board = self.board();
        let Some(underway) = board.underway.get_mut(file) else {
            return;
        };
        if underway.stage == Stage::Uploading {
            underway.stage = Stage::Queued;
        }
        let rest = underway.size - underway.sent;
        underway.sent = underway.size;
        let path = underway.path.clone();
        board.counts.bytes_sent += rest;
        board.note(Note::Uploaded(path));
    }

    /// A file is not on its way any more, and is not in the bucket.
    pub fn withdrawn(&self, file: &FileId) {
        let mut board = self.board();
        if let Some(underway) = board.underway.remove(file) {
            board.counts.bytes_total -= underway.size;
            board.counts.bytes_sent -= underway.sent;
        }
    }

    /// A processor of this process has the file.
    pub fn analysing(&self, file: &FileId) {
        let mut board = self.board();
        if let Some(underway) = board.underway.get_mut(file) {
            underway.stage = Stage::Analysing;
            let path = underway.path.clone();
            board.note(Note::Analysing(path));
        }
    }

    /// A result is here.
    pub fn done(&self, file: &FileId, path: &Path, result: PathBuf) {
        let mut board = self.board();
        board.underway.remove(file);
        board.counts.done += 1;
        board.note(Note::Done(path.to_owned(), result));
    }

    /// An analysis failed.
    pub fn failed(&self, file: &FileId, path: &Path, error_file: PathBuf, why: &str) {
        let mut board = self.board();
        board.underway.remove(file);
        board.counts.failed += 1;
        board.note(Note::Failed(path.to_owned(), error_file, why.to_owned()));
    }

    /// A file is not shipped now.
    pub fn left(&self, path: &Path, why: &str) {
        let mut board = self.board();
        board.waiting.remove(path);
        board.left.insert(path.to_owned());
        board.note(Note::Left(path.to_owned(), why.to_owned()));
    }

    /// Where everything stands.
    pub fn counts(&self) -> Counts {
        let board = self.board();
        let stage = |wanted| {
            board
                .underway
                .values()
                .filter(|underway| underway.stage == wanted)
                .count()
        };
        Counts {
            waiting: board.waiting.len(),
            uploading: stage(Stage::Uploading),
            queued: stage(Stage::Queued),
            analysing: stage(Stage::Analysing),
            left: board.left.len(),
            ..board.counts
        }
    }

    /// Takes the notes made since the last time, oldest first.
    pub fn take_notes(&self) -> Vec<Note> {
        self.board().notes.drain(..).collect()
    }
}
