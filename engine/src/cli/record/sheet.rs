//! Where a recording is written to: a file, a compressed one, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::recordings;

/// Bytes that are compressed together, about.
const FRAME_BYTES: usize = 1 << 20;

/// How long what was recorded waits for more to be compressed with, at most.
const FRAME_WAIT: Duration = Duration::from_secs(10);

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Sheet {
    /// Standard output.
    Output(io::Stdout),
    /// A file of lines.
    Plain(BufWriter<File>),
    /// A compressed one.
    Compressed(Frames<File>),
}

impl Sheet {
    /// Makes the file, which is not there yet; a name that ends in `.zst` is one of a compressed file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if recordings::is_standard_input(path) {
            return Ok(Self::Output(io::stdout()));
        }
        let file = create(path)?;
        Ok(if recordings::is_compressed(path) {
            Self::Compressed(Frames::new(file))
        } else {
            Self::Plain(BufWriter::new(file))
        })
    }

    /// Brings everything to where it is kept.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Output(_) | Self::Plain(_) => self.flush(),
            Self::Compressed(frames) => frames.end(),
        }
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Output(out) => out.write(bytes),
            Self::Plain(file) => file.write(bytes),
            Self::Compressed(frames) => frames.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Output(out) => out.flush(),
            Self::Plain(file) => file.flush(),
            Self::Compressed(frames) => frames.flush(),
        }
    }
}

/// Compresses what is written in frames, each whole in itself and written at once: a recorder that is killed leaves a file
/// that can be read to its end.
#[derive(Debug)]
pub(super) struct Frames<W> {
    file: W,
    text: Vec<u8>,
    /// Since when something waits.
    since: Instant,
}

impl<W: Write> Frames<W> {
    fn new(file: W) -> Self {
        Self {
            file,
            text: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Writes what waits.
    fn end(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let frame = zstd::encode_all(self.text.as_slice(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
        self.text.clear();
        self.file.write_all(&frame)?;
        self.file.flush()
    }
}

impl<W: Write> Write for Frames<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.is_empty() {
            self.since = Instant::now();
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Between lines: what waits is written where it is much, or has waited for long.
    fn flush(&mut self) -> io::Result<()> {
        if self.text.len() >= FRAME_BYTES || self.since.elapsed() >= FRAME_WAIT {
            self.end()?;
        }
        Ok(())
    }
}

/// A file for its owner alone: it tells who sent what.
fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return Error::usage(format!("{} is there already", path.display()))
                .hint("name another file with --out: a recording is never written over");
        }
        Error::usage(format!("{} cannot be made", path.display())).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_that_is_written_can_be_read_without_those_that_follow() {
        let line = [b'a'; 1_000];
        let mut frames = Frames::new(Vec::new());
        for _ in 0..3 * FRAME_BYTES / line.len() {
            frames.write_all(&line).unwrap();
            frames.flush().unwrap();
            if frames.file.is_empty() {
                continue;
            }
            let text = zstd::decode_all(frames.file.as_slice()).unwrap();
            assert_eq!(text.len() % line.len(), 0);
        }
        assert!(!frames.file.is_empty());
        frames.end().unwrap();
        let text = zstd::decode_all(frames.file.as_slice()).unwrap();
        assert_eq!(text.len(), 3 * FRAME_BYTES / line.len() * line.len());
    }
}
