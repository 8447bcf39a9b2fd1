//! A job record as someone hands it over for checking: plain JSON or DynamoDB's, with nothing of it trusted.

use roundtrip_core::job::Signed;
use roundtrip_core::names::{ClientId, NameError};
use serde_json::{Map, Value};

use super::signature::{SignatureError, verify};

/// Bytes of a record, at most: ten times what DynamoDB keeps in an item.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// What a signature is checked over: the signed properties as they stand in the record, whatever else of the
/// project's rules they keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The client's version.
    pub version: String,
    /// When it was created.
    pub created: String,
    /// The bucket.
    pub bucket: String,
    /// The file id.
    pub file: String,
    /// How many chunks.
    pub chunks: u64,
    /// The client id.
    pub client: String,
    /// DER in hex.
    pub signature: String,
}

/// A text that is no job record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Beyond [`RECORD_BYTES_MAX`].
    #[error("it is larger than {RECORD_BYTES_MAX} bytes")]
    TooLarge,
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(serde_json::Error),
    /// JSON, but a list or a single value.
    #[error("it is JSON, but not an object")]
    NotAnObject,
    /// A property that is not there.
    #[error("it has no property `{0}`")]
    Missing(&'static str),
    /// A property that is not text.
    #[error("its property `{0}` is not text")]
    NotText(&'static str),
    /// A property that is not a count.
    #[error("its property `{0}` is not a whole number")]
    NotACount(&'static str),
}

/// A record whose signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client id is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The signature proves nothing.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Record {
    /// Reads a record: `{"status": .., "signature": ..}` in any order, properties as plain values or as
    /// DynamoDB writes them (`{"S": ..}`, `{"N": ..}`), bare or inside `{"Item": ..}`; also `{"job": ..,
    /// "signature": ..}`. Properties that were not signed do not matter.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge);
        }
        if bytes.trim_ascii().is_empty() {
            return Err(RecordError::Empty);
        }
        let value: Value = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        let outer = value.as_object().ok_or(RecordError::NotAnObject)?;
        let inner = ["Item", "job"]
            .into_iter()
            .find_map(|wrapper| outer.get(wrapper)?.as_object());
        let record = inner.unwrap_or(outer);
        Ok(Self {
            version: text(record, "version")?,
            created: text(record, "created")?,
            bucket: text(record, "bucket")?,
            file: text(record, "file")?,
            chunks: count(record, "chunks")?,
            client: text(record, "client")?,
            signature: text(record, "signature").or_else(|_| text(outer, "signature"))?,
        })
    }

    /// Whether the client signed these values. The status is taken as it was at creation, whatever it is now.
    pub fn verify(&self) -> Result<(), Refusal> {
        let client = ClientId::parse(&self.client)?;
        let signed = Signed {
            version: &self.version,
            created: &self.created,
            bucket: &self.bucket,
            file: &self.file,
            chunks: self.chunks,
            client: &self.client,
        };
        Ok(verify(&client, &signed.text(), &self.signature)?)
    }
}

fn text(record: &Map<String, Value>, name: &'static str) -> Result<String, RecordError> {
    let value = record.get(name).ok_or(RecordError::Missing(name))?;
    let value = value.get("S").unwrap_or(value);
    value
        .as_str()
        .map(str::to_owned)
        .ok_or(RecordError::NotText(name))
}

fn count(record: &Map<String, Value>, name: &'static str) -> Result<u64, RecordError> {
    let value = record.get(name).ok_or(RecordError::Missing(name))?;
    let count = match value.get("N") {
        Some(digits) => digits.as_str().and_then(|digits| digits.parse().ok()),
        None => value.as_u64(),
    };
    count.ok_or(RecordError::NotACount(name))
}

#[cfg(test)]
mod tests;
