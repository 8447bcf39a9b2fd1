//! Fetches a job's chunks as they appear, proves them, and puts the file together again in its spool.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use roundtrip_core::job::Job;
use roundtrip_core::plan::{Bounds, Codec, Manifest, Outline};
use sha2::{Digest, Sha256};

use crate::cloud::fault::Fault;
use crate::cloud::objects::{Found, Objects};
use crate::codec::{self, Bound, DecodeError};
use crate::dsl::spec::ManifestNeed;
use crate::spool::{SpoolError, SpoolWriter};
use crate::wire::signed;

/// Bytes of a manifest, at most.
const MANIFEST_BYTES_MAX: u64 = signed::MANIFEST_BYTES_MAX as u64;

/// Waits between looks for a chunk that is not there yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// How chunks are fetched.
#[derive(Clone, Debug)]
pub(super) struct FetchPolicy {
    /// Chunks on their way at once.
    pub(super) concurrency_max: usize,
    /// How long nothing may come.
    pub(super) stall: Duration,
    /// How large a file and its chunks may be.
    pub(super) bounds: Bounds,
    /// Whether a job without a manifest is taken.
    pub(super) manifest: ManifestNeed,
}

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// What came is not what the client signed, or it gave the job up.
    #[error("{0}")]
    Refused(String),
    /// Chunks stopped coming.
    #[error("{0}")]
    Stalled(String),
    /// A service failed.
    #[error("{0}")]
    Fault(String),
    /// It cannot be kept or read here: the disk is full or fails.
    #[error("{0}")]
    Unfit(String),
    /// The bucket refuses to give an object.
    #[error("{0}")]
    Barred(String),
}

impl From<Fault> for FetchError {
    fn from(fault: Fault) -> Self {
        if fault.is_transient() {
            Self::Fault(fault.to_string())
        } else {
            Self::Barred(fault.to_string())
        }
    }
}

impl From<SpoolError> for FetchError {
    fn from(error: SpoolError) -> Self {
        Self::Unfit(error.to_string())
    }
}

/// A piece of the file, decoded.
struct Piece {
    bytes: Bytes,
    digest: String,
}

/// Fetches the whole file of `job` into `spool`, reporting bytes as they come, and proves it.
pub(super) async fn fetch(
    objects: &Objects,
    job: &Job,
    outline: Option<&Outline>,
    policy: &FetchPolicy,
    mut spool: SpoolWriter,
    mut here: impl FnMut(u64),
) -> Result<(), FetchError> {
    let fetched = fetch_pieces(objects, job, outline, policy, &mut spool, &mut here).await;
    match fetched {
        Ok(()) => Ok(spool.prove()?),
        Err(error) => {
            spool.fail(error.to_string());
            Err(error)
        }
    }
}

async fn fetch_pieces(
    objects: &Objects,
    job: &Job,
    outline: Option<&Outline>,
    policy: &FetchPolicy,
    spool: &mut SpoolWriter,
    here: &mut impl FnMut(u64),
) -> Result<(), FetchError> {
    let fetcher = Fetcher {
        objects,
        job,
        outline,
        policy,
        last_came: Mutex::new(Instant::now()),
    };
    let mut pieces = stream::iter(0..job.chunks)
        .map(|index| fetcher.piece(index))
        .buffered(policy.concurrency_max.max(1));
    let (mut whole, mut digests) = (Sha256::new(), Vec::new());
    let mut total = 0_u64;
    while let Some(Piece { bytes, digest }) = pieces.try_next().await? {
        total += bytes.len() as u64;
        if total > policy.bounds.file_size_max {
            let limit = policy.bounds.file_size_max;
            return Err(FetchError::Refused(format!(
                "the file is larger than {limit} bytes (transport.s3.file-size-max)"
            )));
        }
        whole.update(&bytes);
        digests.push(digest);
        spool.append(bytes).await?;
        here(total);
    }
    drop(pieces);
    let sha256 = hex::encode(whole.finalize());
    fetcher.prove(&sha256, &digests).await
}

struct Fetcher<'a> {
    objects: &'a Objects,
    job: &'a Job,
    outline: Option<&'a Outline>,
    policy: &'a FetchPolicy,
    /// When something last came: several chunks are waited for at once.
    last_came: Mutex<Instant>,
}

impl Fetcher<'_> {
    /// The n-th piece, as soon as its chunk is there.
    async fn piece(&self, index: u64) -> Result<Piece, FetchError> {
        let (codec, bound) = match self.outline {
            Some(outline) => (outline.codec, Bound::Exactly(outline.cut().piece(index))),
            None => (Codec::Zstd, Bound::AtMost(self.policy.bounds.chunk_size_max)),
        };
        let what = format!("chunk {index}");
        let stored = self
            .wait_for(&self.job.key.chunk(index), bound.encoded_max(), &what)
            .await?;
        let decoded = tokio::task::spawn_blocking(move || {
            let bytes = codec::decode(codec, &stored, bound)?;
            let digest = hex::encode(Sha256::digest(&bytes));
            Ok::<_, DecodeError>(Piece {
                bytes: bytes.into(),
                digest,
            })
        });
        match decoded.await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(FetchError::Refused(format!("chunk {index}: {error}"))),
            Err(error) => Err(FetchError::Fault(format!(
                "chunk {index} was not decoded: {error}"
            ))),
        }
    }

    /// An object of the job, as soon as it is there.
    async fn wait_for(&self, key: &str, bytes_max: u64, what: &str) -> Result<Bytes, FetchError> {
        let mut interval = LOOK_INTERVAL;
        loop {
            match self.objects.get(key, bytes_max).await? {
                Found::Object(bytes) => {
                    *self.last_came.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    return Ok(bytes);
                }
                Found::TooLarge(size) => {
                    return Err(FetchError::Refused(format!(
                        "{what} is {size} bytes, and at most {bytes_max} were signed"
                    )));
                }
                Found::Nothing => {}
            }
            self.refuse_if_abandoned().await?;
            let quiet = self
                .last_came
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .elapsed();
            if quiet >= self.policy.stall {
                let stall = humantime::format_duration(self.policy.stall);
                return Err(FetchError::Stalled(format!("{what} did not come within {stall}")));
            }
            tokio::time::sleep(interval).await;
            interval = (interval * 2).min(LOOK_INTERVAL_MAX);
        }
    }

    /// While something is missing, the manifest can only say that the client gave the job up.
    async fn refuse_if_abandoned(&self) -> Result<(), FetchError> {
        if self.outline.is_none() {
            return Ok(());
        }
        match self
            .objects
            .get(&self.job.key.manifest(), MANIFEST_BYTES_MAX)
            .await?
        {
            Found::Object(bytes) => self.read(&bytes).map(drop),
            Found::Nothing | Found::TooLarge(_) => Ok(()),
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Manifest, FetchError> {
        let Job { key, chunks, .. } = self.job;
        let manifest = signed::read_manifest(bytes, &key.client, &key.file, *chunks, self.outline)
            .map_err(|error| FetchError::Refused(format!("the manifest does not hold: {error}")))?;
        match &manifest.abandoned {
            Some(why) => Err(FetchError::Refused(format!("the client gave the job up: {why}"))),
            None => Ok(manifest),
        }
    }

    /// Holds what came against the manifest. A foreign client sends none: there the signed count of chunks is
    /// the proof, unless the policy asks for more.
    async fn prove(&self, sha256: &str, digests: &[String]) -> Result<(), FetchError> {
        let manifest = if self.outline.is_some() {
            self.read(
                &self
                    .wait_for(&self.job.key.manifest(), MANIFEST_BYTES_MAX, "the manifest")
                    .await?,
            )?
        } else {
            match self
                .objects
                .get(&self.job.key.manifest(), MANIFEST_BYTES_MAX)
                .await?
            {
                Found::Object(bytes) => self.read(&bytes)?,
                Found::TooLarge(size) => {
                    return Err(FetchError::Refused(format!(
                        "the manifest is too large: {size} bytes"
                    )));
                }
                Found::Nothing => {
                    return match self.policy.manifest {
                        ManifestNeed::Optional => Ok(()),
                        ManifestNeed::Required => Err(FetchError::Refused(
                            "there is no manifest, and claim.manifest asks for one".to_owned(),
                        )),
                    };
                }
            }
        };
        if let Some(index) =
            (0..digests.len()).find(|&index| manifest.pieces.get(index) != digests.get(index))
        {
            return Err(FetchError::Refused(format!(
                "chunk {index} is not what the client sent: its SHA-256 differs from the manifest"
            )));
        }
        if manifest.sha256 == sha256 {
            Ok(())
        } else {
            Err(FetchError::Refused(
                "the file is not what the client sent: its SHA-256 differs from the manifest".to_owned(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_core::names::{ClientId, FileId};

    use super::*;

    #[test]
    fn what_a_client_says_of_its_file_is_held_against_the_limits() {
        let policy = FetchPolicy {
            concurrency_max: 4,
            stall: Duration::from_secs(1),
            bounds: Bounds {
                file_size_max: 1_000,
                chunk_size_max: 100,
            },
            manifest: ManifestNeed::Optional,
        };
        let refusal = |size, chunk_size| {
            policy.bounds.refuses(&Outline {
                format: 1,
                client: ClientId::parse(&format!("client-04{}", "ab".repeat(64))).unwrap(),
                file: FileId::parse("file-1a026c06-e99c-4f2f-842c-cb01c51849af").unwrap(),
                size,
                chunk_size,
                codec: Codec::Zstd,
                name: None,
            })
        };
        assert_eq!(refusal(1_000, 100), None);
        assert_eq!(refusal(100, 1 << 30), None, "its one chunk is small");
        let why = refusal(1_001, 100).unwrap();
        assert!(why.contains("transport.s3.file-size-max"), "{why}");
        let why = refusal(101, 101).unwrap();
        assert!(why.contains("chunker.fixed.size"), "{why}");
    }
}
