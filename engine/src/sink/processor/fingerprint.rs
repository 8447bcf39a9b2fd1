//! The built-in processor: a file's size, SHA-256 and kind.

use futures_util::TryStreamExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Answer;
use crate::sink::content;
use crate::spool::{SpoolError, SpoolReader};

/// Serialised in the order of its fields.
#[derive(Serialize)]
struct Fingerprint {
    size: u64,
    sha256: String,
    kind: &'static str,
}

/// Reads the file as it comes, a piece at a time; the result is one line of JSON.
pub(super) async fn analyse(file: &SpoolReader) -> Answer {
    match fingerprint(file)
        .await
        .map(|fingerprint| serde_json::to_vec(&fingerprint))
    {
        Ok(Ok(mut body)) => {
            body.push(b'\n');
            Answer::Result {
                content_type: Some(content::JSON.to_owned()),
                body,
            }
        }
        Ok(Err(error)) => Answer::failed(error.to_string()),
        Err(error) => Answer::from_spool(&error),
    }
}

async fn fingerprint(file: &SpoolReader) -> Result<Fingerprint, SpoolError> {
    let kind = content::of_head(&file.head().await?);
    let mut pieces = std::pin::pin!(file.stream());
    let (mut size, mut sha256) = (0, Sha256::new());
    while let Some(piece) = pieces.try_next().await? {
        size += u64::try_from(piece.len()).unwrap_or_default();
        sha256.update(&piece);
    }
    Ok(Fingerprint {
        size,
        sha256: hex::encode(sha256.finalize()),
        kind,
    })
}
