//! The rows of multipart uploads: parts wait as bodies of their own until they become one object.

use rusqlite::{OptionalExtension, Transaction, params};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{CompletedPart, ETag, MultipartUpload, Part};
use s3s::{S3Result, s3_error};
use uuid::Uuid;

use super::index::{Attributes, now, require_bucket, timestamp};
use super::internal;
use super::key::Key;

/// The highest part number, as in S3.
const PART_NUMBER_MAX: i32 = 10_000;

/// The smallest part but for the last, as in S3.
const PART_BYTES_MIN: i64 = 5 * 1024 * 1024;

/// Uploads older than this are dropped at the next start, as the lifecycle rule of a bucket on AWS does.
const AGE_MAX_MILLIS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Parts that make an object.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) blobs: Vec<String>,
    pub(super) size: i64,
    pub(super) etag: String,
    pub(super) attributes: Attributes,
}

pub(super) fn create(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &Key,
    attributes: &Attributes,
) -> S3Result<String> {
    require_bucket(transaction, bucket)?;
    let id = Uuid::new_v4().simple().to_string();
    let attributes = serde_json::to_string(attributes).map_err(internal)?;
    transaction
        .execute(
            "INSERT INTO uploads (id, bucket, key, created, attributes) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, bucket, key.as_bytes(), now(), attributes],
        )
        .map_err(internal)?;
    Ok(id)
}

/// The attributes of the upload, or the refusal when it is not one of this key.
pub(super) fn require(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &Key,
    id: &str,
) -> S3Result<Attributes> {
    let found: Option<String> = transaction
        .query_row(
            "SELECT attributes FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3",
            params![id, bucket, key.as_bytes()],
            |row| row.get(0),
        )
        .optional()
        .map_err(internal)?;
    match found {
        Some(attributes) => serde_json::from_str(&attributes).map_err(internal),
        None => Err(s3_error!(
            NoSuchUpload,
            "the upload does not exist, or was completed or aborted"
        )),
    }
}

pub(super) fn check_number(number: i32) -> S3Result<()> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        Ok(())
    } else {
        Err(s3_error!(
            InvalidArgument,
            "part numbers go from 1 to {PART_NUMBER_MAX}"
        ))
    }
}

/// Puts a part. Returns the body it replaces.
pub(super) fn put_part(
    transaction: &Transaction<'_>,
    id: &str,
    number: i32,
    (blob, size, etag): (&str, i64, &str),
) -> S3Result<Option<String>> {
    let replaced = transaction
        .query_row(
            "SELECT blob FROM parts WHERE upload = ?1 AND number = ?2",
            params![id, number],
            |row| row.get(0),
        )
        .optional()
        .map_err(internal)?;
    transaction
        .execute(
            "INSERT OR REPLACE INTO parts (upload, number, blob, size, etag, modified)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, number, blob, size, etag, now()],
        )
        .map_err(internal)?;
    Ok(replaced)
}

pub(super) fn parts(transaction: &Transaction<'_>, id: &str) -> S3Result<Vec<Part>> {
    let mut statement = transaction
        .prepare("SELECT number, size, etag, modified FROM parts WHERE upload = ?1 ORDER BY number")
        .map_err(internal)?;
    let rows = statement
        .query_map([id], |row| {
            Ok(Part {
                part_number: Some(row.get(0)?),
                size: Some(row.get(1)?),
                e_tag: Some(ETag::Strong(row.get(2)?)),
                last_modified: Some(timestamp(row.get(3)?)),
                ..Part::default()
            })
        })
        .map_err(internal)?;
    rows.collect::<Result<_, _>>().map_err(internal)
}

/// Looks up the parts a completion names, and checks them as S3 does.
pub(super) fn assemble(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &Key,
    id: &str,
    named: &[CompletedPart],
) -> S3Result<Assembly> {
    let attributes = require(transaction, bucket, key, id)?;
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "an upload needs at least one part"));
    }
    let mut statement = transaction
        .prepare("SELECT blob, size, etag FROM parts WHERE upload = ?1 AND number = ?2")
        .map_err(internal)?;
    let mut assembly = Assembly {
        blobs: Vec::new(),
        size: 0,
        etag: String::new(),
        attributes,
    };
    let mut digests = Md5::new();
    let mut previous = 0;
    for (place, part) in named.iter().enumerate() {
        let number = part.part_number.unwrap_or_default();
        if number <= previous {
            return Err(s3_error!(
                InvalidPartOrder,
                "the parts are not in ascending order"
            ));
        }
        previous = number;
        let found: Option<(String, i64, String)> = statement
            .query_row(params![id, number], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map_err(internal)?;
        let (blob, size, etag) = found
            .filter(|(_, _, etag)| part.e_tag.as_ref().is_none_or(|named| named.value() == etag))
            .ok_or_else(|| {
                s3_error!(
                    InvalidPart,
                    "part {number} was not uploaded, or with another ETag"
                )
            })?;
        if size < PART_BYTES_MIN && place + 1 < named.len() {
            return Err(s3_error!(EntityTooSmall, "part {number} is smaller than 5 MiB"));
        }
        digests.update(&hex::decode(&etag).map_err(internal)?);
        assembly.blobs.push(blob);
        assembly.size += size;
    }
    assembly.etag = format!("{}-{}", hex::encode(digests.finalize()), named.len());
    Ok(assembly)
}

/// Forgets the upload. Returns the bodies of its parts.
pub(super) fn forget(transaction: &Transaction<'_>, id: &str) -> S3Result<Vec<String>> {
    let mut statement = transaction
        .prepare("DELETE FROM parts WHERE upload = ?1 RETURNING blob")
        .map_err(internal)?;
    let blobs = statement.query_map([id], |row| row.get(0)).map_err(internal)?;
    let blobs = blobs.collect::<Result<_, _>>().map_err(internal)?;
    transaction
        .execute("DELETE FROM uploads WHERE id = ?1", [id])
        .map_err(internal)?;
    Ok(blobs)
}

pub(super) fn list(
    transaction: &Transaction<'_>,
    bucket: &str,
    prefix: &str,
) -> S3Result<Vec<MultipartUpload>> {
    require_bucket(transaction, bucket)?;
    let mut statement = transaction
        .prepare("SELECT id, key, created FROM uploads WHERE bucket = ?1 ORDER BY key, created")
        .map_err(internal)?;
    let rows = statement
        .query_map([bucket], |row| {
            Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))
        })
        .map_err(internal)?;
    let mut uploads = Vec::new();
    for row in rows {
        let (id, key, created) = row.map_err(internal)?;
        let key = String::from_utf8(key).map_err(internal)?;
        if key.starts_with(prefix) {
            uploads.push(MultipartUpload {
                upload_id: Some(id),
                key: Some(key),
                initiated: Some(timestamp(created)),
                ..MultipartUpload::default()
            });
        }
    }
    Ok(uploads)
}

/// Forgets the uploads nobody will complete; the sweep removes their bodies.
pub(super) fn expire(transaction: &Transaction<'_>) -> S3Result<()> {
    let oldest = now() - AGE_MAX_MILLIS;
    transaction
        .execute(
            "DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE created < ?1)",
            [oldest],
        )
        .and_then(|_| transaction.execute("DELETE FROM uploads WHERE created < ?1", [oldest]))
        .map(drop)
        .map_err(internal)
}
