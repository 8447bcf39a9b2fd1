//! Recordings as files: plain or compressed, or what comes on standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use roundtrip_testkit::recording::{ReadError, Reader};
use roundtrip_testkit::replay::Happening;

use crate::error::{Error, Result};

/// Bytes read at once: what is read is looked at while it is still in the processor's cache.
const BUFFER: usize = 1 << 16;

/// Opens a recording for a replay; one that is called `.zst` is decompressed as it is read, and `-` is standard input.
///
/// It is read where it is replayed: what one thread makes and another drops costs more than a second thread gains.
pub fn open(path: &Path) -> Result<impl Iterator<Item = Result<Happening, ReadError>> + use<>> {
    let cannot = |error: io::Error| {
        Error::usage(format!("the recording {} cannot be opened", path.display())).because(error)
    };
    let text: Box<dyn BufRead> = if is_standard_input(path) {
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
    Ok(Reader::new(text).map(|entry| Happening::read(&entry)))
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
