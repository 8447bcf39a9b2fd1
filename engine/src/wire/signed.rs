//! Texts a client vouches for: the job, its outline, and the manifest. Each is verified before it is parsed.

use roundtrip_core::job::Job;
use roundtrip_core::names::{ClientId, FileId};
use roundtrip_core::plan::{Manifest, Outline, PlanError};

use super::keys::ClientKey;
use super::signature::{SIGNATURE_DIGITS_MAX, SignatureError, verify};

/// Bytes of a manifest object, at most: a larger one is not read.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// Chunks a file may have so that its manifest stays within [`MANIFEST_BYTES_MAX`]: each takes a digest in
/// hex, two quotes and a comma, and 128 KiB are left for the rest.
pub const MANIFEST_CHUNKS_MAX: u64 = ((MANIFEST_BYTES_MAX - (128 << 10)) / 67) as u64;

/// A signed text that does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// Beyond [`MANIFEST_BYTES_MAX`].
    #[error("{0} bytes are more than the {MANIFEST_BYTES_MAX} a manifest may have")]
    TooLarge(usize),
    /// No signature line, or not UTF-8.
    #[error("it is not a line with a signature and then text")]
    Form,
    /// One of outline and signature without the other.
    #[error("the record has only one of outline and outline signature")]
    Half,
    /// Not signed by the client.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Signed, but it does not hold together or belongs to another job.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The body of the manifest object: `<signature, DER hex>\n<manifest, JSON>`. For a file of at most
/// [`MANIFEST_CHUNKS_MAX`] chunks it is one that [`read_manifest`] takes.
pub fn sign_manifest(key: &ClientKey, manifest: &Manifest) -> Vec<u8> {
    let text = manifest.text();
    let mut body = key.sign(&text).into_bytes();
    body.push(b'\n');
    body.extend_from_slice(text.as_bytes());
    body
}

/// Reads the body of a manifest object and holds it against its job.
pub fn read_manifest(
    bytes: &[u8],
    client: &ClientId,
    file: &FileId,
    chunks: u64,
    outline: Option<&Outline>,
) -> Result<Manifest, SignedError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(SignedError::TooLarge(bytes.len()));
    }
    let line = bytes
        .iter()
        .take(SIGNATURE_DIGITS_MAX + 1)
        .position(|byte| *byte == b'\n');
    let (signature, text) = bytes.split_at(line.ok_or(SignedError::Form)?);
    let signature = std::str::from_utf8(signature).map_err(|_| SignedError::Form)?;
    let text = std::str::from_utf8(&text[1..]).map_err(|_| SignedError::Form)?;
    verify(client, text, signature)?;
    Ok(Manifest::read(text, client, file, chunks, outline)?)
}

/// The outline of a job, where its client gave one.
pub fn verify_outline(job: &Job) -> Result<Option<Outline>, SignedError> {
    match (&job.outline, &job.outline_signature) {
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(SignedError::Half),
        (Some(text), Some(signature)) => {
            verify(&job.key.client, text, signature)?;
            Ok(Some(Outline::read(
                text,
                &job.key.client,
                &job.key.file,
                job.chunks,
            )?))
        }
    }
}

/// Whether the job is its client's, with the values it was created with.
pub fn verify_job(job: &Job) -> Result<(), SignatureError> {
    verify(&job.key.client, &job.signed_text(), &job.signature)
}

#[cfg(test)]
mod tests;
