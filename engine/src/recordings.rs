//! Recordings as files: plain or compressed, or what comes on standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use roundtrip_testkit::recording::{ReadError, Reader};

use crate::error::{Error, Result};

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// Opens a recording; one that is called `.zst` is decompressed as it is read, and `-` is standard input.
pub fn open(path: &Path) -> Result<Reader<Box<dyn BufRead>>> {
    if is_standard_input(path) {
        return Ok(Reader::new(Box::new(BufReader::new(io::stdin()))));
    }
    let cannot = |error: io::Error| {
        Error::usage(format!("the recording {} cannot be opened", path.display())).because(error)
    };
    let file = File::open(path).map_err(cannot)?;
    let text: Box<dyn BufRead> = if path.extension().is_some_and(|extension| extension == "zst") {
        let decoder = zstd::Decoder::new(file).map_err(cannot)?;
        Box::new(BufReader::with_capacity(BUFFER, decoder))
    } else {
        Box::new(BufReader::with_capacity(BUFFER, file))
    };
    Ok(Reader::new(text))
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
