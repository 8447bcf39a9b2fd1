//! How a file is cut, what its client promises before the upload (outline) and proves after it (manifest).

use serde::{Deserialize, Serialize};

use crate::names::{ClientId, FileId};

/// The version of the outline and manifest texts this core writes; it refuses any other.
pub const FORMAT: u32 = 1;

/// How chunks are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// One zstd frame a chunk: what a foreign client sends.
    Zstd,
    /// As they are.
    None,
}

/// A plan that does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not JSON of the expected form.
    #[error("not readable: {0}")]
    Unreadable(String),
    /// Written by another version.
    #[error("format {0} is not known here (expected {FORMAT})")]
    Format(u32),
    /// It speaks of another job.
    #[error("it belongs to another job")]
    OtherJob,
    /// The chunk count is not what size and chunk size give.
    #[error("{size} bytes in chunks of {chunk_size} are {expected} chunks, not {chunks}")]
    Chunks {
        /// File size in bytes.
        size: u64,
        /// Chunk size in bytes.
        chunk_size: u64,
        /// What they give.
        expected: u64,
        /// What was said.
        chunks: u64,
    },
    /// Manifest and outline disagree.
    #[error("the manifest says something else than the job's outline")]
    Outline,
    /// A chunk size of zero or beyond the limit.
    #[error("a chunk size of {0} bytes is outside 1 byte to {CHUNK_SIZE_MAX}")]
    ChunkSize(u64),
}

/// The largest piece of a file in one chunk, in bytes, that anybody may say; a fetcher takes what its configuration allows.
pub const CHUNK_SIZE_MAX: u64 = 1 << 30;

/// How a file is cut: every chunk is `chunk_size` bytes, the last is what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// File size in bytes.
    pub size: u64,
    /// Piece size in bytes, 1 to [`CHUNK_SIZE_MAX`].
    pub chunk_size: u64,
}

impl Cut {
    /// How many chunks: an empty file has one, empty.
    pub const fn chunks(self) -> u64 {
        if self.size == 0 {
            1
        } else {
            self.size.div_ceil(self.chunk_size)
        }
    }

    /// The size of the n-th piece in bytes; zero beyond the end.
    pub const fn piece(self, index: u64) -> u64 {
        let start = index.saturating_mul(self.chunk_size);
        let left = self.size.saturating_sub(start);
        if left < self.chunk_size {
            left
        } else {
            self.chunk_size
        }
    }
}

/// What the client says of a file when it creates the job, before anything is uploaded. It is signed, so that
/// a fetcher can bound every chunk it decodes before the manifest is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// [`FORMAT`].
    pub format: u32,
    /// Whose file.
    pub client: ClientId,
    /// Which file.
    pub file: FileId,
    /// File size in bytes.
    pub size: u64,
    /// Piece size in bytes.
    pub chunk_size: u64,
    /// How chunks are encoded.
    pub codec: Codec,
    /// The file's name, only where the client's pipeline says it may travel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The TOML keys of [`Bounds`].
const FILE_SIZE_KEY: &str = "transport.s3.file-size-max";
const CHUNK_SIZE_KEY: &str = "chunker.fixed.size";

/// What a fetcher takes of a file, by what its client says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a file, at most.
    pub file_size_max: u64,
    /// Bytes of one decoded chunk, at most.
    pub chunk_size_max: u64,
}

impl Bounds {
    /// Why a file is not fetched.
    pub fn refuses(&self, outline: &Outline) -> Option<String> {
        let (size, size_max) = (outline.size, self.file_size_max);
        let (piece, piece_max) = (outline.piece_max(), self.chunk_size_max);
        if size > size_max {
            Some(format!(
                "the file is too large: {size} bytes, and at most {size_max} are taken ({FILE_SIZE_KEY})"
            ))
        } else if piece > piece_max {
            Some(format!(
                "its chunks are too large: {piece} bytes of the file in one, and at most {piece_max} are taken \
                 ({CHUNK_SIZE_KEY} of the fetcher)"
            ))
        } else {
            None
        }
    }

    /// Which of a fetcher's settings an error names that says the file was out of its bounds.
    pub fn named_by(error: &str) -> Option<&'static str> {
        [FILE_SIZE_KEY, CHUNK_SIZE_KEY]
            .into_iter()
            .find(|key| error.contains(key))
    }
}

impl Outline {
    /// The text that is signed and stored.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an outline and holds it against the job it came with.
    pub fn read(text: &str, client: &ClientId, file: &FileId, chunks: u64) -> Result<Self, PlanError> {
        let outline: Self = parse(text)?;
        known(outline.format)?;
        if outline.client != *client || outline.file != *file {
            return Err(PlanError::OtherJob);
        }
        outline.cut_for(chunks)?;
        Ok(outline)
    }

    /// How the file is cut.
    pub fn cut(&self) -> Cut {
        Cut {
            size: self.size,
            chunk_size: self.chunk_size,
        }
    }

    /// Bytes of its largest piece: what one chunk takes in memory.
    pub fn piece_max(&self) -> u64 {
        self.chunk_size.min(self.size)
    }

    fn cut_for(&self, chunks: u64) -> Result<(), PlanError> {
        if self.chunk_size == 0 || self.chunk_size > CHUNK_SIZE_MAX {
            return Err(PlanError::ChunkSize(self.chunk_size));
        }
        let expected = self.cut().chunks();
        if expected == chunks {
            return Ok(());
        }
        Err(PlanError::Chunks {
            size: self.size,
            chunk_size: self.chunk_size,
            expected,
            chunks,
        })
    }
}

/// The signed list of chunks, uploaded last: the commit point, or the client's word that it gave the job up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What was announced.
    pub outline: Outline,
    /// SHA-256 of the whole file, hex.
    pub sha256: String,
    /// SHA-256 of each piece before encoding, hex, in order.
    pub pieces: Vec<String>,
    /// Why the client gave the job up; nothing else in the manifest counts then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<String>,
}

impl Manifest {
    /// The client's word that it gave this job up.
    pub fn abandoned(outline: Outline, why: impl Into<String>) -> Self {
        Self {
            outline,
            sha256: String::new(),
            pieces: Vec::new(),
            abandoned: Some(why.into()),
        }
    }

    /// The text that is signed and stored.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a manifest and holds it against the job, and its outline where there is one.
    pub fn read(
        text: &str,
        client: &ClientId,
        file: &FileId,
        chunks: u64,
        outline: Option<&Outline>,
    ) -> Result<Self, PlanError> {
        let manifest: Self = parse(text)?;
        known(manifest.outline.format)?;
        if manifest.outline.client != *client || manifest.outline.file != *file {
            return Err(PlanError::OtherJob);
        }
        if outline.is_some_and(|outline| *outline != manifest.outline) {
            return Err(PlanError::Outline);
        }
        if manifest.abandoned.is_some() {
            return Ok(manifest);
        }
        manifest.outline.cut_for(chunks)?;
        let expected = u64::try_from(manifest.pieces.len()).unwrap_or(u64::MAX);
        if expected != chunks {
            let Outline { size, chunk_size, .. } = manifest.outline;
            return Err(PlanError::Chunks {
                size,
                chunk_size,
                expected,
                chunks,
            });
        }
        Ok(manifest)
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, PlanError> {
    serde_json::from_str(text).map_err(|error| PlanError::Unreadable(error.to_string()))
}

fn known(format: u32) -> Result<(), PlanError> {
    if format == FORMAT {
        Ok(())
    } else {
        Err(PlanError::Format(format))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_add_up_to_the_file(size in 0u64..1 << 40, chunk_size in 1u64 << 20..=CHUNK_SIZE_MAX) {
            let cut = Cut { size, chunk_size };
            let chunks = cut.chunks();
            let last = cut.piece(chunks - 1);
            prop_assert_eq!((chunks - 1) * chunk_size + last, size);
            prop_assert_eq!(cut.piece(chunks), 0);
            prop_assert!(size == 0 || last > 0);
        }
    }
}
