use roundtrip_core::job::Status;
use roundtrip_core::names::JobKey;
use roundtrip_core::plan::{Codec, FORMAT};

use super::*;

const CHUNKS: u64 = 3;

fn key() -> ClientKey {
    ClientKey::generate().unwrap()
}

fn file(digit: char) -> FileId {
    let digits = |count| digit.to_string().repeat(count);
    FileId::parse(&format!(
        "file-{}-{d}-{d}-{d}-{}",
        digits(8),
        digits(12),
        d = digits(4)
    ))
    .unwrap()
}

fn outline(key: &ClientKey) -> Outline {
    Outline {
        format: FORMAT,
        client: key.client_id().clone(),
        file: file('a'),
        size: 25,
        chunk_size: 10,
        codec: Codec::Zstd,
        name: Some("ein Bild\n.tif".to_owned()),
    }
}

fn manifest(key: &ClientKey) -> Manifest {
    let pieces = (0..CHUNKS).map(|_| "ab".repeat(32)).collect();
    Manifest {
        outline: outline(key),
        sha256: "cd".repeat(32),
        pieces,
        abandoned: None,
    }
}

fn read(bytes: &[u8], key: &ClientKey) -> Result<Manifest, SignedError> {
    read_manifest(bytes, key.client_id(), &file('a'), CHUNKS, Some(&outline(key)))
}

/// A job of this key, as a record gives it.
fn job(key: &ClientKey) -> Job {
    let mut job = Job {
        key: JobKey {
            client: key.client_id().clone(),
            file: file('a'),
        },
        status: Status::Queued,
        version: "2.5.21".to_owned(),
        created: "2025-09-25T11:21:51.690Z".to_owned(),
        created_at: None,
        bucket: "bucket".to_owned(),
        chunks: CHUNKS,
        signature: String::new(),
        processor: None,
        assigned: None,
        downloaded: None,
        processed: None,
        results: None,
        results_type: None,
        error: None,
        outline: None,
        outline_signature: None,
        lane: None,
        due: None,
        retries: 0,
        failures: 0,
        history: Vec::new(),
        cleaning: None,
        cleaned: None,
        priority: 0,
    };
    job.signature = key.sign(&job.signed_text());
    job
}

#[test]
fn a_manifest_reads_as_it_was_signed() {
    let key = key();
    let manifest = manifest(&key);
    let body = sign_manifest(&key, &manifest);
    assert_eq!(read(&body, &key), Ok(manifest.clone()));
    assert_eq!(
        read_manifest(&body, key.client_id(), &file('a'), CHUNKS, None),
        Ok(manifest)
    );
}

#[test]
fn no_byte_of_a_manifest_can_be_changed() {
    let key = key();
    let body = sign_manifest(&key, &manifest(&key));
    for index in 0..body.len() {
        let mut altered = body.clone();
        altered[index] ^= 1;
        assert!(read(&altered, &key).is_err(), "byte {index}");
        assert!(read(&body[..index], &key).is_err(), "cut at {index}");
    }
}

#[test]
fn a_manifest_of_another_client_or_job_is_refused() {
    let (key, stranger) = (key(), key());
    let forged = sign_manifest(&stranger, &manifest(&key));
    assert_eq!(read(&forged, &key), Err(SignatureError::Mismatch.into()));

    let sound = sign_manifest(&key, &manifest(&key));
    let moved = read_manifest(&sound, key.client_id(), &file('b'), CHUNKS, None);
    assert_eq!(moved, Err(PlanError::OtherJob.into()));
    let longer = read_manifest(&sound, key.client_id(), &file('a'), CHUNKS + 1, None);
    assert!(
        matches!(longer, Err(SignedError::Plan(PlanError::Chunks { .. }))),
        "{longer:?}"
    );
    let promised = Outline {
        size: 26,
        ..outline(&key)
    };
    let differs = read_manifest(&sound, key.client_id(), &file('a'), CHUNKS, Some(&promised));
    assert_eq!(differs, Err(PlanError::Outline.into()));
}

#[test]
fn what_is_no_manifest_is_told_apart() {
    let key = key();
    for bytes in [
        &b""[..],
        b"no line",
        &b"00".repeat(1_000),
        b"\xff\n{}",
        b"30\n\xff",
    ] {
        assert_eq!(read(bytes, &key), Err(SignedError::Form));
    }
    assert_eq!(read(b"\n{}", &key), Err(SignatureError::Der.into()));
    let large = vec![b'\n'; MANIFEST_BYTES_MAX + 1];
    assert_eq!(
        read(&large, &key),
        Err(SignedError::TooLarge(MANIFEST_BYTES_MAX + 1))
    );
    // Another text that the same client signed is no manifest.
    let text = outline(&key).text();
    let other = format!("{}\n{text}", key.sign(&text));
    assert!(matches!(
        read(other.as_bytes(), &key),
        Err(SignedError::Plan(PlanError::Unreadable(_)))
    ));
}

#[test]
fn the_longest_manifest_can_be_read() {
    let key = key();
    let pieces = (0..MANIFEST_CHUNKS_MAX).map(|_| "ab".repeat(32)).collect();
    // A path of 4,096 bytes where each becomes a six-byte escape.
    let name = Some("\u{1}".repeat(4_096));
    let outline = Outline {
        size: MANIFEST_CHUNKS_MAX,
        chunk_size: 1,
        name,
        ..outline(&key)
    };
    let manifest = Manifest {
        outline,
        sha256: "cd".repeat(32),
        pieces,
        abandoned: None,
    };
    let body = sign_manifest(&key, &manifest);
    assert!(read_manifest(&body, key.client_id(), &file('a'), MANIFEST_CHUNKS_MAX, None).is_ok());
}

#[test]
fn a_job_is_its_clients_whatever_became_of_it() {
    let key = key();
    let mut job = job(&key);
    assert_eq!(verify_job(&job), Ok(()));
    job.status = Status::Completed;
    job.retries = 4;
    assert_eq!(verify_job(&job), Ok(()));
    job.chunks += 1;
    assert_eq!(verify_job(&job), Err(SignatureError::Mismatch));
}

#[test]
fn an_outline_counts_only_with_its_signature() {
    let key = key();
    let mut job = job(&key);
    assert_eq!(verify_outline(&job), Ok(None));
    let text = outline(&key).text();
    job.outline = Some(text.clone());
    assert_eq!(verify_outline(&job), Err(SignedError::Half));
    job.outline_signature = Some(key.sign(&text));
    assert_eq!(verify_outline(&job), Ok(Some(outline(&key))));
    job.outline = None;
    assert_eq!(verify_outline(&job), Err(SignedError::Half));

    let promised = Outline {
        file: file('b'),
        ..outline(&key)
    }
    .text();
    job.outline_signature = Some(key.sign(&promised));
    job.outline = Some(promised);
    assert_eq!(verify_outline(&job), Err(PlanError::OtherJob.into()));
    job.outline = Some(text);
    assert_eq!(verify_outline(&job), Err(SignatureError::Mismatch.into()));
}
