//! The steps of shipping one file, each safe to repeat.

use std::path::Path;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use roundtrip_core::caretaker::Extent;
use roundtrip_core::file::{Known, Stamp};
use roundtrip_core::job::{Job, Lane, LaneKind, Signed, Status};
use roundtrip_core::lifecycle;
use roundtrip_core::names::{FileId, JobKey};
use roundtrip_core::plan::{Codec, Cut, FORMAT, Manifest, Outline};
use roundtrip_core::shard;
use roundtrip_core::upload::{Fault, Step};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::Shared;
use crate::cloud::fault::Fault as CloudFault;
use crate::cloud::item;
use crate::cloud::jobs::Answer;
use crate::codec;
use crate::ledger::LedgerError;
use crate::run::driver::now;
use crate::source::reading::{FileReader, ReadError};
use crate::wire::signed::{self, MANIFEST_CHUNKS_MAX};

/// How a pipeline cuts, encodes and sends.
#[derive(Clone, Debug)]
pub(in crate::run) struct Cargo {
    /// Piece size in bytes.
    pub(in crate::run) chunk_size: u64,
    /// How pieces are encoded.
    pub(in crate::run) codec: Codec,
    /// zstd's level.
    pub(in crate::run) level: i32,
    /// Chunks on their way at once.
    pub(in crate::run) concurrency_max: usize,
    /// The version the job says.
    pub(in crate::run) version: String,
    /// Whether the file's name travels.
    pub(in crate::run) send_name: bool,
    /// How urgent its jobs are.
    pub(in crate::run) priority: u8,
}

/// Threads of the runtime that read files of inboxes, at most, in the whole process: fewer than it has, so that
/// reading from a share that does not answer leaves some to the ledger and the results.
const READING_MAX: usize = 8;

static READING: Semaphore = Semaphore::const_new(READING_MAX);

/// A file being shipped.
#[derive(Debug)]
pub(super) struct Shipment {
    key: JobKey,
    created: String,
    outline: Outline,
    /// SHA-256 of the whole file and of each piece, once everything is sent.
    digests: Option<(String, Vec<String>)>,
}

pub(super) async fn perform(
    shared: &Shared,
    path: &Path,
    step: &Step,
    stamp: &Stamp,
    resume: Option<Known>,
    slot: &mut Option<Shipment>,
) -> Result<(), Fault> {
    match step {
        Step::Begin => {
            *slot = Some(begin(shared, path, stamp, resume).await?);
            Ok(())
        }
        Step::Create => create(shared, begun(slot)?).await,
        Step::Send => send(shared, path, stamp, begun(slot)?).await,
        Step::Commit => commit(shared, begun(slot)?).await,
        Step::Remember => {
            let shipment = begun(slot)?;
            shared
                .ledger
                .sent(&shipment.key)
                .await
                .map_err(|error| remembered(&error))?;
            info!(file = %shipment.key.file, path = %path.display(), "sent");
            shared.parts.progress.uploaded(&shipment.key.file);
            Ok(())
        }
        Step::Abandon(why) => abandon(shared, &key_of(shared, slot.as_ref(), resume)?, why).await,
        Step::Forget => {
            let key = key_of(shared, slot.as_ref(), resume)?;
            shared.parts.progress.withdrawn(&key.file);
            shared
                .ledger
                .forget(&key)
                .await
                .map(drop)
                .map_err(|error| remembered(&error))
        }
    }
}

fn begun(slot: &mut Option<Shipment>) -> Result<&mut Shipment, Fault> {
    slot.as_mut()
        .ok_or_else(|| Fault::Permanent("a step came before its beginning".to_owned()))
}

fn key_of(shared: &Shared, shipment: Option<&Shipment>, resume: Option<Known>) -> Result<JobKey, Fault> {
    let resumed = || {
        Some(JobKey {
            client: shared.key.client_id().clone(),
            file: resume?.file,
        })
    };
    let key = shipment.map(|shipment| shipment.key.clone()).or_else(resumed);
    key.ok_or_else(|| Fault::Permanent("there is no job to give up".to_owned()))
}

async fn begin(
    shared: &Shared,
    path: &Path,
    stamp: &Stamp,
    resume: Option<Known>,
) -> Result<Shipment, Fault> {
    let Cargo {
        chunk_size,
        codec,
        send_name,
        ..
    } = shared.cargo;
    let cut = Cut {
        size: stamp.size,
        chunk_size,
    };
    if cut.chunks() > MANIFEST_CHUNKS_MAX {
        return Err(Fault::Unreadable(format!(
            "{} chunks are too many (at most {MANIFEST_CHUNKS_MAX}): set a larger chunker.fixed.size",
            cut.chunks()
        )));
    }
    // A file that cannot be opened as it was seen gets no job.
    open(shared, path, stamp).await?;
    let (file, created) = match resume {
        Some(known) => (known.file, known.created),
        None => (new_file_id()?, item::iso(now())),
    };
    let key = JobKey {
        client: shared.key.client_id().clone(),
        file,
    };
    let announced = shared
        .ledger
        .announce(&shared.pipeline, &shared.root, path, stamp, &key, &created)
        .await;
    announced.map_err(|error| remembered(&error))?;
    let outline = Outline {
        format: FORMAT,
        client: key.client.clone(),
        file: key.file.clone(),
        size: stamp.size,
        chunk_size,
        codec,
        name: send_name
            .then(|| path.file_name().map(|name| name.to_string_lossy().into_owned()))
            .flatten(),
    };
    shared.parts.progress.uploading(&key.file, path, stamp.size);
    Ok(Shipment {
        key,
        created,
        outline,
        digests: None,
    })
}

fn new_file_id() -> Result<FileId, Fault> {
    let id = format!("file-{}", uuid::Uuid::new_v4());
    FileId::parse(&id).map_err(|error| Fault::Permanent(error.to_string()))
}

/// Whether what was sent ahead of its job was deleted since, as that of a job that was never made: the first chunk is
/// the oldest. A job that is there already may be done, and its chunks with it.
async fn is_swept(shared: &Shared, shipment: &Shipment) -> Result<bool, Fault> {
    let Shipment { key, digests, .. } = shipment;
    let (jobs, objects) = (&shared.parts.jobs, &shared.parts.objects);
    Ok(digests.is_some()
        && !objects.exists(&key.chunk(0)).await.map_err(cloud)?
        && jobs.get(key).await.map_err(cloud)?.is_none())
}

async fn create(shared: &Shared, shipment: &mut Shipment) -> Result<(), Fault> {
    if is_swept(shared, shipment).await? {
        warn!(file = %shipment.key.file, "what was sent is gone before its job was made; the file is sent anew");
        return Err(Fault::Changed);
    }
    let Shipment {
        key,
        created,
        outline,
        ..
    } = shipment;
    let (bucket, chunks) = (shared.parts.objects.bucket(), outline.cut().chunks());
    let priority = shared.cargo.priority;
    // Who sends urgent jobs only, and many, has no business among clients with little to do.
    let ahead = if priority > 0 {
        shard::MANY
    } else {
        let ahead = shared.ledger.ahead(key, shard::MANY).await;
        ahead.map_err(|error| remembered(&error))?
    };
    let signed = Signed {
        version: &shared.cargo.version,
        created,
        bucket,
        file: key.file.as_str(),
        chunks,
        client: key.client.as_str(),
    };
    let outline_text = outline.text();
    let job = Job {
        key: key.clone(),
        status: Status::Queued,
        version: shared.cargo.version.clone(),
        created: created.clone(),
        created_at: item::moment(created),
        bucket: bucket.to_owned(),
        chunks,
        signature: shared.key.sign(&signed.text()),
        processor: None,
        assigned: None,
        downloaded: None,
        processed: None,
        results: None,
        results_type: None,
        error: None,
        outline_signature: Some(shared.key.sign(&outline_text)),
        outline: Some(outline_text),
        lane: Some(Lane {
            kind: LaneKind::Ready,
            shard: shard::of(key, shared.parts.shards, ahead),
        }),
        due: Some(now()),
        retries: 0,
        failures: 0,
        history: Vec::new(),
        cleaning: None,
        cleaned: None,
        priority,
    };
    match shared
        .parts
        .jobs
        .apply(&lifecycle::create(&job))
        .await
        .map_err(cloud)?
    {
        Answer::Done(_) => Ok(()),
        // Ours, made before a crash, or by a request whose answer was lost.
        Answer::Lost(Some(found)) if found.outline == job.outline => Err(Fault::Exists(found.status)),
        // Made before someone changed the chunk policy: what is sent now would not fit it.
        Answer::Lost(_) => Err(Fault::Changed),
    }
}

async fn send(shared: &Shared, path: &Path, stamp: &Stamp, shipment: &mut Shipment) -> Result<(), Fault> {
    let Cargo {
        codec,
        level,
        concurrency_max,
        ..
    } = shared.cargo;
    let (key, cut) = (&shipment.key, shipment.outline.cut());
    let reader = open(shared, path, stamp).await?;
    let pieces = stream::try_unfold(
        (reader, Sha256::new(), 0),
        move |(reader, whole, index)| async move {
            if index == cut.chunks() {
                return Ok::<_, Fault>(None);
            }
            let (piece, reader, whole) = reading(move || {
                let is_last = index + 1 == cut.chunks();
                read_piece(reader, whole, cut.piece(index), is_last)
            })
            .await?;
            Ok(Some(((index, piece), (reader, whole, index + 1))))
        },
    );
    // The last reader and hash come back beside the pieces, in their order.
    let sends = pieces.map_ok(|(index, piece)| async move {
        let Piece { bytes, digest, end } = piece;
        let size = bytes.len() as u64;
        let chunk = blocking(move || {
            codec::encode(codec, level, bytes).map_err(|error| Fault::Permanent(error.to_string()))
        });
        let chunk = chunk.await?;
        shared
            .parts
            .objects
            .put(&key.chunk(index), Bytes::from(chunk))
            .await
            .map_err(cloud)?;
        shared.parts.progress.sent(&key.file, size);
        Ok((digest, end))
    });
    let mut sends = std::pin::pin!(sends.try_buffered(concurrency_max.max(1)));
    let (mut digests, mut whole) = (Vec::new(), None);
    while let Some((digest, end)) = sends.try_next().await? {
        digests.push(digest);
        whole = end.or(whole);
    }
    let whole = whole.ok_or_else(|| Fault::Permanent("a file without chunks".to_owned()))?;
    shipment.digests = Some((whole, digests));
    Ok(())
}

/// A piece as it was read.
struct Piece {
    bytes: Vec<u8>,
    /// SHA-256, hex.
    digest: String,
    /// SHA-256 of the whole file, with its last piece.
    end: Option<String>,
}

/// Reads the next piece; with the last one, proves that the file did not change since the first.
fn read_piece(
    mut reader: FileReader,
    mut whole: Sha256,
    size: u64,
    is_last: bool,
) -> Result<(Piece, FileReader, Sha256), Fault> {
    let length =
        usize::try_from(size).map_err(|_| Fault::Permanent("the chunk size is too large".to_owned()))?;
    let bytes = reader.read_piece(length).map_err(read)?;
    whole.update(&bytes);
    let digest = hex::encode(Sha256::digest(&bytes));
    let end = if is_last {
        reader.finish().map_err(read)?;
        Some(hex::encode(whole.clone().finalize()))
    } else {
        None
    };
    Ok((Piece { bytes, digest, end }, reader, whole))
}

async fn commit(shared: &Shared, shipment: &mut Shipment) -> Result<(), Fault> {
    let Some((sha256, pieces)) = shipment.digests.clone() else {
        return Err(Fault::Permanent(
            "a manifest was asked for before everything was sent".to_owned(),
        ));
    };
    let manifest = Manifest {
        outline: shipment.outline.clone(),
        sha256,
        pieces,
        abandoned: None,
    };
    put_manifest(shared, &shipment.key, &manifest).await
}

/// Tells whoever holds the job that nothing more comes. Where no job was made, what was sent is deleted.
async fn abandon(shared: &Shared, key: &JobKey, why: &str) -> Result<(), Fault> {
    let job = shared.parts.jobs.get(key).await.map_err(cloud)?;
    let outline = job
        .as_ref()
        .and_then(|job| signed::verify_outline(job).ok().flatten());
    match (job, outline) {
        // The watcher is done with it: a manifest put now would stay.
        (Some(job), _) if job.cleaned.is_some() => {}
        (Some(_), Some(outline)) => put_manifest(shared, key, &Manifest::abandoned(outline, why)).await?,
        (Some(_), None) => {}
        (None, _) => {
            shared
                .parts
                .objects
                .sweep(key, Extent::All)
                .await
                .map_err(cloud)?;
        }
    }
    shared.parts.progress.withdrawn(&key.file);
    shared
        .ledger
        .forget(key)
        .await
        .map(drop)
        .map_err(|error| remembered(&error))
}

async fn put_manifest(shared: &Shared, key: &JobKey, manifest: &Manifest) -> Result<(), Fault> {
    let body = signed::sign_manifest(&shared.key, manifest);
    shared
        .parts
        .objects
        .put(&key.manifest(), body.into())
        .await
        .map_err(cloud)
}

async fn open(shared: &Shared, path: &Path, stamp: &Stamp) -> Result<FileReader, Fault> {
    let (root, path, stamp) = (shared.root.clone(), path.to_owned(), stamp.clone());
    reading(move || FileReader::open(&root, &path, &stamp).map_err(read)).await
}

/// Work on a file of an inbox.
async fn reading<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let place = READING.acquire().await;
    blocking(move || {
        // It is held until the thread is free, also where nobody waits for it any more.
        let _place = place;
        work()
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Fault::Permanent(format!("work on the file broke off: {error}"))))
}

fn read(error: ReadError) -> Fault {
    match error {
        ReadError::Changed => Fault::Changed,
        ReadError::Gone => Fault::Gone,
        ReadError::Unreadable(error) => Fault::Unreadable(error.to_string()),
    }
}

fn cloud(fault: CloudFault) -> Fault {
    match fault {
        CloudFault::Transient(why) => Fault::Transient(why),
        CloudFault::Permanent(why)
        | CloudFault::Unacceptable(why)
        | CloudFault::Denied(why)
        | CloudFault::Missing(why)
        | CloudFault::Absent(why) => Fault::Permanent(why),
    }
}

fn remembered(error: &LedgerError) -> Fault {
    Fault::Transient(error.to_string())
}
