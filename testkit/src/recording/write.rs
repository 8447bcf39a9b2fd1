//! Writes recordings: JSON Lines, one record of the stream a line.

use std::io::{self, Write};

use serde::Serialize;

use super::FORMAT;
use super::entry::{Entry, Header};

/// Writes a recording.
#[derive(Debug)]
pub struct Writer<W> {
    text: W,
}

impl<W: Write> Writer<W> {
    /// Writes to the end of this text.
    pub fn new(text: W) -> Self {
        Self { text }
    }

    /// Says what the recording is; its first line.
    pub fn header(&mut self, about: Option<&str>, origin: Option<&str>) -> io::Result<()> {
        /// The first line.
        #[derive(Serialize)]
        struct Line {
            recording: Header,
        }
        let recording = Header {
            format: FORMAT,
            about: about.map(str::to_owned),
            origin: origin.map(str::to_owned),
        };
        self.line(&Line { recording })
    }

    /// Writes an entry.
    pub fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.line(entry)
    }

    /// Brings everything to where it is kept.
    pub fn flush(&mut self) -> io::Result<()> {
        self.text.flush()
    }

    /// The text, to which nothing else is written.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.text
    }

    /// The text itself.
    pub fn into_inner(self) -> W {
        self.text
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        // In one piece: a recorder that is stopped leaves whole lines as far as the system allows.
        self.text.write_all(&line)
    }
}
