//! Recordings as files: plain or compressed, or what comes on standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use roundtrip_testkit::recording::{Entry, ReadError, Reader};
use roundtrip_testkit::replay::Happening;

use crate::error::{Error, Result};

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// Entries that are handed over at once, and how many of such batches are read ahead.
const BATCH: usize = 256;
const BATCHES_AHEAD: usize = 8;

type Read<T> = Result<T, ReadError>;

/// The entries of a recording, or what is made of them, read ahead on a thread of their own: reading takes longer than
/// replaying.
#[derive(Debug)]
pub struct Entries<T> {
    batches: Receiver<Vec<Read<T>>>,
    batch: std::vec::IntoIter<Read<T>>,
}

impl<T> Iterator for Entries<T> {
    type Item = Read<T>;

    fn next(&mut self) -> Option<Read<T>> {
        loop {
            if let Some(entry) = self.batch.next() {
                return Some(entry);
            }
            // The reader has ended: so has the recording.
            self.batch = self.batches.recv().ok()?.into_iter();
        }
    }
}

/// Opens a recording; one that is called `.zst` is decompressed as it is read, and `-` is standard input.
pub fn open(path: &Path) -> Result<Entries<Entry>> {
    open_as(path, |entry| entry)
}

/// Opens a recording for a replay.
pub fn happenings(path: &Path) -> Result<Entries<Happening>> {
    open_as(path, |entry| Happening::read(&entry))
}

fn open_as<T: Send + 'static>(path: &Path, make: fn(Entry) -> T) -> Result<Entries<T>> {
    let cannot = |error: io::Error| {
        Error::usage(format!("the recording {} cannot be opened", path.display())).because(error)
    };
    let text: Box<dyn BufRead + Send> = if is_standard_input(path) {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).map_err(cannot)?;
        if path.extension().is_some_and(|extension| extension == "zst") {
            let decoder = zstd::Decoder::new(file).map_err(cannot)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        } else {
            Box::new(BufReader::with_capacity(BUFFER, file))
        }
    };
    let (sender, batches) = sync_channel(BATCHES_AHEAD);
    thread::Builder::new()
        .name("recording".to_owned())
        .spawn(move || read(Reader::new(text), make, &sender))
        .map_err(cannot)?;
    Ok(Entries {
        batches,
        batch: Vec::new().into_iter(),
    })
}

fn read<T>(
    reader: Reader<Box<dyn BufRead + Send>>,
    make: fn(Entry) -> T,
    batches: &SyncSender<Vec<Read<T>>>,
) {
    let mut reads = reader.map(|entry| entry.map(make));
    loop {
        let batch: Vec<Read<T>> = reads.by_ref().take(BATCH).collect();
        // Whoever reads no more has what it wanted.
        if batch.is_empty() || batches.send(batch).is_err() {
            return;
        }
    }
}

/// Whether a recording comes on standard input: it can be read only once.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// A recording that cannot be read on, with what to do about it.
pub fn unreadable(path: &Path, error: ReadError) -> Error {
    let hint = error.hint();
    Error::failed(format!("the recording {} cannot be read", path.display()))
        .because(error)
        .hint(hint)
}
