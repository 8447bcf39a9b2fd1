//! Reads recordings as a stream: JSON Lines of our own, answers of `GetRecords` or their records alone, events as Lambda
//! gets them.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use serde::Deserialize;

use super::FORMAT;
use super::entry::{Body, Entry, Header, Identity, Kind, Own};

/// The longest JSON value that is read, in bytes: a hundred times what a service answers at once.
const VALUE_BYTES_MAX: usize = 64 << 20;

/// What a text in UTF-8 may begin with: it says no more than that.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a line begins with that `roundtrip record` wrote.
const RECORD_BEGINS: &[u8] = b"{\"eventID\":\"";

/// Why a recording cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file broke off.
    #[error("line {line} cannot be read")]
    Io {
        /// Which line.
        line: usize,
        /// What happened.
        source: io::Error,
    },
    /// Not JSON, or not a record of a stream.
    #[error("line {line}, column {column}: {what}")]
    Malformed {
        /// Which line.
        line: usize,
        /// Which column.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// The text ends in the middle of a record.
    #[error("line {line}: the recording ends in the middle of a record")]
    CutOff {
        /// Where the record begins.
        line: usize,
    },
    /// A value without end.
    #[error("line {line}: a value of more than {} MiB is no record", VALUE_BYTES_MAX >> 20)]
    TooLong {
        /// Where it begins.
        line: usize,
    },
    /// Written by a later version.
    #[error("line {line}: the recording has format {format}; this version reads format {FORMAT}")]
    Format {
        /// Where it says so.
        line: usize,
        /// What it says.
        format: u32,
    },
}

impl ReadError {
    /// What can be done about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
                "it is cut off: `zstd -dc` writes out what is whole, all but its last line"
            }
            Self::Io { .. } => "see whether the file can be read, and as text",
            Self::Malformed { .. } | Self::TooLong { .. } | Self::CutOff { line: 1 } => {
                "a recording is what `roundtrip record` writes, the output of `aws dynamodbstreams get-records`, or \
                 an event as Lambda gets it"
            }
            Self::CutOff { .. } => "take the last line out: its recorder was stopped while it wrote",
            Self::Format { .. } => "install a later version of roundtrip",
        }
    }
}

/// One value of the text, whichever of the three forms it has.
#[derive(Deserialize)]
struct Value<'a> {
    recording: Option<Header>,
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<Entry<'a>>>,
    #[serde(rename = "eventID")]
    id: Option<String>,
    #[serde(rename = "eventName")]
    kind: Option<Kind>,
    #[serde(rename = "userIdentity")]
    identity: Option<Identity>,
    #[serde(rename = "dynamodb", borrow)]
    body: Option<Body<'a>>,
    #[serde(rename = "roundtrip")]
    own: Option<Own>,
}

/// Reads a text value by value. It holds no more than one of them: a line of a recording, or one answer of the service.
#[derive(Debug)]
pub struct Reader<R> {
    text: R,
    line: usize,
    buffer: Vec<u8>,
}

/// What is made of a text's entries, one after another.
#[derive(Debug)]
pub struct Entries<R, T, F> {
    reader: Reader<R>,
    make: F,
    made: VecDeque<T>,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads this text.
    pub fn new(text: R) -> Self {
        Self {
            text,
            line: 0,
            buffer: Vec::new(),
        }
    }

    /// The entries, with texts of their own.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is one for each lifetime, not one for all of them"
    )]
    pub fn entries(self) -> impl Iterator<Item = Result<Entry<'static>, ReadError>> {
        self.map(|entry| entry.into_owned())
    }

    /// What is made of each entry. That needs less copying than the entries themselves.
    pub fn map<T, F: FnMut(Entry<'_>) -> T>(self, make: F) -> Entries<R, T, F> {
        Entries {
            reader: self,
            make,
            made: VecDeque::new(),
            ended: false,
        }
    }

    /// Reads a line to the end of the buffer; false at the end of the text.
    fn line(&mut self) -> Result<bool, ReadError> {
        let line = self.line + 1;
        let room = (VALUE_BYTES_MAX + 1).saturating_sub(self.buffer.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let read = io::Read::take(&mut self.text, room).read_until(b'\n', &mut self.buffer);
        if read.map_err(|source| ReadError::Io { line, source })? == 0 {
            return Ok(false);
        }
        self.line = line;
        if line == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(true)
    }

    /// Reads one whole value into the buffer, and gives the line it begins in; none at the end of the text.
    fn value(&mut self) -> Result<Option<usize>, ReadError> {
        self.buffer.clear();
        while self.buffer.trim_ascii().is_empty() {
            self.buffer.clear();
            if !self.line()? {
                return Ok(None);
            }
        }
        let (first, mut braces, mut scanned) = (self.line, Braces::default(), 0);
        // A line of a recording is a whole record: that is seen at once, and proven by reading it.
        let line = self.buffer.trim_ascii();
        if line.starts_with(RECORD_BEGINS) && line.ends_with(b"}}") {
            return Ok(Some(first));
        }
        loop {
            if self.buffer.len() > VALUE_BYTES_MAX {
                return Err(ReadError::TooLong { line: first });
            }
            if let Some(unscanned) = self.buffer.get(scanned..) {
                braces.scan(unscanned);
            }
            scanned = self.buffer.len();
            if braces.depth == 0 {
                return Ok(Some(first));
            }
            if !self.line()? {
                return Err(ReadError::CutOff { line: first });
            }
        }
    }

    /// Reads the entries of the next value; false at the end of the text.
    fn fill(&mut self, mut take: impl FnMut(Entry<'_>)) -> Result<bool, ReadError> {
        let Some(first) = self.value()? else {
            return Ok(false);
        };
        let malformed = |line, column, what: String| ReadError::Malformed { line, column, what };
        let unreadable = |error: serde_json::Error| {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default().to_owned();
            malformed(first + error.line().saturating_sub(1), error.column(), what)
        };
        let text = std::str::from_utf8(&self.buffer).map_err(|error| {
            let read = self.buffer.get(..error.valid_up_to()).unwrap_or_default();
            let lines = read.split(|byte| *byte == b'\n').count();
            let column = read.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
            malformed(first + lines - 1, column + 1, "it is no text in UTF-8".to_owned())
        })?;
        if text.trim_start().starts_with('[') {
            // The records alone, as `--query Records` leaves them.
            for records in serde_json::Deserializer::from_str(text).into_iter::<Vec<Entry<'_>>>() {
                records.map_err(unreadable)?.into_iter().for_each(&mut take);
            }
            return Ok(true);
        }
        for value in serde_json::Deserializer::from_str(text).into_iter::<Value<'_>>() {
            let value = value.map_err(unreadable)?;
            let Value {
                recording,
                records,
                id,
                kind,
                identity,
                body,
                own,
            } = value;
            match (recording, records, kind, body) {
                (_, _, Some(kind), Some(body)) => take(Entry {
                    id,
                    kind,
                    identity,
                    body,
                    own,
                }),
                (_, Some(records), None, None) => records.into_iter().for_each(&mut take),
                (Some(header), None, None, None) => {
                    if header.format > FORMAT {
                        let format = header.format;
                        return Err(ReadError::Format { line: first, format });
                    }
                }
                (_, _, _, None) => {
                    return Err(malformed(
                        first,
                        1,
                        "it has neither `dynamodb` nor `Records`".to_owned(),
                    ));
                }
                (_, _, None, Some(_)) => {
                    return Err(malformed(first, 1, "it has no `eventName`".to_owned()));
                }
            }
        }
        Ok(true)
    }
}

impl<R: BufRead, T, F: FnMut(Entry<'_>) -> T> Iterator for Entries<R, T, F> {
    type Item = Result<T, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if let Some(made) = self.made.pop_front() {
                return Some(Ok(made));
            }
            match self.reader.fill(|entry| self.made.push_back((self.make)(entry))) {
                Ok(true) => {}
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// How deep in braces and brackets a text ends, strings left out.
#[derive(Debug, Default)]
struct Braces {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    fn scan(&mut self, text: &[u8]) {
        for byte in text {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
