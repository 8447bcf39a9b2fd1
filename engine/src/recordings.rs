//! Recordings as files: plain or compressed, or what comes on standard input.

use std::cell::{OnceCell, RefCell};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytesize::ByteSize;
use roundtrip_core::at::Timestamp;
use roundtrip_core::record::Record;
use roundtrip_testkit::recording::{ReadError, Reader};
use roundtrip_testkit::replay::{Happening, Told};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use notes::Notes;

mod notes;

/// Bytes read at once: what is read is looked at while it is still in the processor's cache.
const BUFFER: usize = 1 << 16;

/// Bytes of records that are sorted, at most: they are held in memory, with about as much again.
const SORTED_BYTES_MAX: usize = 1 << 30;

/// What a record takes beside its attributes, about.
const RECORD_BYTES: usize = 512;

/// What a file begins with that Zstandard has compressed.
const ZSTANDARD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Beginnings of files that are not read, what they are, and what makes a text of them.
const FOREIGN: [(&[u8], &str, &str); 6] = [
    (&[0x1f, 0x8b], "compressed with gzip", "gunzip -c"),
    (b"BZh", "compressed with bzip2", "bunzip2 -c"),
    (&[0xfd, b'7', b'z', b'X'], "compressed with xz", "xz -dc"),
    (b"PK\x03\x04", "a zip archive", "unzip -p"),
    (&[0xff, 0xfe], "text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (&[0xfe, 0xff], "text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
];

/// A recording by its name, `-` for standard input.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// What could be read only once, in a file.
    kept: OnceCell<NamedTempFile>,
    is_sorted: bool,
}

impl Source {
    /// The recording of this name.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            kept: OnceCell::new(),
            is_sorted: false,
        }
    }

    /// The same recording with its records in the order of their moments, whatever order they are told in.
    #[must_use]
    pub fn sorted(self, is_sorted: bool) -> Self {
        Self { is_sorted, ..self }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sees to it that it can be read more than once: what is no file (standard input, a pipe) is written to a temporary
    /// one.
    pub fn keep(&self) -> Result<()> {
        let is_file =
            || fs::metadata(&self.path).is_ok_and(|metadata| metadata.is_file() || metadata.is_dir());
        if self.kept.get().is_some() || !is_standard_input(&self.path) && is_file() {
            return Ok(());
        }
        let mut from = self.raw()?;
        let kept = NamedTempFile::new().and_then(|mut kept| {
            io::copy(&mut from, &mut kept)?;
            Ok(kept)
        });
        let kept = kept.map_err(|error| {
            Error::failed(
                "this role is replayed in two readings of the recording, and it cannot be kept for that",
            )
            .because(error)
            .hint("name a file, or a folder with room in TMPDIR")
        })?;
        let _ = self.kept.set(kept);
        Ok(())
    }

    /// Opens it for a replay. It is decompressed as it is read where it begins like a file that Zstandard made.
    ///
    /// It is read where it is replayed: what one thread makes and another drops costs more than a second thread gains.
    pub fn open(&self) -> Result<Recording> {
        let mut raw = self.raw()?;
        let mut head = Vec::new();
        let read = raw.by_ref().take(4).read_to_end(&mut head);
        read.map_err(|error| self.cannot(error))?;
        if let Some((_, what, command)) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic)) {
            let name = self.path.display();
            return Err(Error::usage(format!("the recording {name} is {what}"))
                .hint(format!("`{command} {name} | roundtrip replay - ...` reads it")));
        }
        let is_compressed = head == ZSTANDARD;
        let whole = Cursor::new(head).chain(raw);
        let text: Box<dyn BufRead> = if is_compressed {
            let decoder = zstd::Decoder::with_buffer(whole).map_err(|error| self.cannot(error))?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        } else {
            Box::new(whole)
        };
        let notes = Rc::new(RefCell::new(Notes::default()));
        let taken = Rc::clone(&notes);
        let mut told = Told::new();
        if self.is_sorted {
            let mut happenings = self.sort(text, &taken)?;
            happenings.retain(|happening| told.is_new(happening) || taken.borrow_mut().again());
            let happenings = Box::new(happenings.into_iter().map(Ok));
            return Ok(Recording { happenings, notes });
        }
        let happenings = Reader::new(text).map(move |entry| {
            let happening = Happening::read(&entry);
            let is_new = told.is_new(&happening);
            taken.borrow_mut().take(&entry, is_new);
            is_new.then_some(happening)
        });
        let happenings = Box::new(happenings.filter_map(Result::transpose));
        Ok(Recording { happenings, notes })
    }

    /// All of it in the order of the stream's moments; records without a moment stay behind those before them.
    fn sort(&self, text: Box<dyn BufRead>, notes: &RefCell<Notes>) -> Result<Vec<Happening>> {
        let mut now = Timestamp(i64::MIN);
        let read = Reader::new(text).map(|entry| {
            notes.borrow_mut().take(&entry, true);
            now = entry.moment().unwrap_or(now);
            let images = [entry.body.before.as_ref(), entry.body.after.as_ref()];
            let bytes: usize = images.into_iter().flatten().map(Record::size_bytes).sum();
            (RECORD_BYTES + bytes, (now, Happening::read(&entry)))
        });
        let (mut happenings, mut held) = (Vec::new(), 0);
        for happening in read {
            let (bytes, happening) = happening.map_err(|error| unreadable(&self.path, error))?;
            held += bytes;
            if held > SORTED_BYTES_MAX {
                let what = format!(
                    "more than {} of records cannot be sorted",
                    ByteSize(SORTED_BYTES_MAX as u64)
                );
                return Err(Error::usage(what).hint("replay a part of the recording"));
            }
            happenings.push(happening);
        }
        // It is stable: records of one second stay as they were.
        happenings.sort_by_key(|(moment, _)| *moment);
        notes.borrow_mut().sorted();
        Ok(happenings.into_iter().map(|(_, happening)| happening).collect())
    }

    fn raw(&self) -> Result<Box<dyn BufRead>> {
        if let Some(kept) = self.kept.get() {
            let file = kept.reopen().map_err(|error| self.cannot(error))?;
            return Ok(Box::new(BufReader::with_capacity(BUFFER, file)));
        }
        if is_standard_input(&self.path) {
            return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
        }
        let file = File::open(&self.path).map_err(|error| self.cannot(error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::usage(format!("{} is a folder", self.path.display()))
                .hint("name one recording; `roundtrip test` replays every recording of a folder"));
        }
        Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
    }

    fn cannot(&self, error: io::Error) -> Error {
        Error::usage(format!("the recording {} cannot be opened", self.path.display())).because(error)
    }
}

type Happenings = Box<dyn Iterator<Item = Result<Happening, ReadError>>>;

/// What a recording tells, one after the other.
pub struct Recording {
    happenings: Happenings,
    notes: Rc<RefCell<Notes>>,
}

impl Recording {
    /// How many records were read.
    pub fn records(&self) -> u64 {
        self.notes.borrow().records()
    }

    /// What is to be known about what was read, in sentences: where it is not what a replay takes it for.
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().told()
    }
}

impl Iterator for Recording {
    type Item = Result<Happening, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.happenings.next()
    }
}

/// Opens a recording for one reading.
pub fn open(path: &Path) -> Result<Recording> {
    Source::new(path).open()
}

/// Whether a recording comes on standard input, or goes to standard output.
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether a file of this name is compressed.
pub fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// A recording that cannot be read on, with what to do about it.
pub fn unreadable(path: &Path, error: ReadError) -> Error {
    let hint = error.hint();
    Error::usage(format!("the recording {} cannot be read", path.display()))
        .because(error)
        .hint(hint)
}
