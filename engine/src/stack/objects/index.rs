//! Which objects there are: rows in SQLite, each naming the file of its body.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

use super::internal;
use super::key::Key;

const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE objects (
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key BLOB NOT NULL,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL REFERENCES buckets (name),
    key BLOB NOT NULL,
    created INTEGER NOT NULL,
    attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE parts (
    upload TEXT NOT NULL REFERENCES uploads (id),
    number INTEGER NOT NULL,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
";

/// The index. Its calls block; each is one transaction.
#[derive(Debug)]
pub(super) struct Index {
    connection: Mutex<Connection>,
}

/// What is known of an object besides its body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Attributes {
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: Option<HashMap<String, String>>,
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

impl Attributes {
    /// As a reader gets them: with checksums only where it asks for them.
    pub(super) fn shown(self, with_checksums: bool) -> Self {
        if with_checksums {
            return self;
        }
        Self {
            crc32: None,
            crc32c: None,
            crc64nvme: None,
            sha1: None,
            sha256: None,
            ..self
        }
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) blob: String,
    pub(super) size: i64,
    pub(super) etag: String,
    /// Milliseconds since 1970.
    pub(super) modified: i64,
    pub(super) attributes: Attributes,
}

/// When a write may happen.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Index {
    /// Opens the file, making it when missing.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let connection = Connection::open(path).map_err(|error| error.to_string())?;
        prepare(&connection).map_err(|error| error.to_string())?;
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|error| error.to_string())?;
        match version {
            0 => connection
                .execute_batch(&format!(
                    "BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
                ))
                .map_err(|error| error.to_string())?,
            VERSION => {}
            other => {
                return Err(format!(
                    "it has version {other}, and this program knows {VERSION}"
                ));
            }
        }
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Runs one transaction. What it did is undone when it returns an error.
    pub(super) fn transact<T>(&self, work: impl FnOnce(&Transaction<'_>) -> S3Result<T>) -> S3Result<T> {
        let mut connection = self.lock();
        let transaction = connection.transaction().map_err(internal)?;
        let outcome = work(&transaction)?;
        transaction.commit().map_err(internal)?;
        Ok(outcome)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in between rolled its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bodies that rows name.
    pub(super) fn blobs(&self) -> S3Result<HashSet<String>> {
        self.transact(|transaction| {
            let mut statement = transaction
                .prepare("SELECT blob FROM objects UNION SELECT blob FROM parts")
                .map_err(internal)?;
            let names = statement.query_map([], |row| row.get(0)).map_err(internal)?;
            names.collect::<Result<_, _>>().map_err(internal)
        })
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(Duration::from_secs(5))
}

/// Refuses a bucket that is not there.
pub(super) fn require_bucket(transaction: &Transaction<'_>, bucket: &str) -> S3Result<()> {
    let found = transaction
        .prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")
        .and_then(|mut statement| statement.exists([bucket]))
        .map_err(internal)?;
    if found {
        Ok(())
    } else {
        Err(s3_error!(NoSuchBucket, "the bucket does not exist"))
    }
}

/// The object, or the refusal that says which is missing: bucket or key.
pub(super) fn entry(transaction: &Transaction<'_>, bucket: &str, key: &Key) -> S3Result<Entry> {
    if let Some(entry) = find(transaction, bucket, key)? {
        return Ok(entry);
    }
    require_bucket(transaction, bucket)?;
    Err(s3_error!(NoSuchKey, "the key does not exist"))
}

fn find(transaction: &Transaction<'_>, bucket: &str, key: &Key) -> S3Result<Option<Entry>> {
    let mut statement = transaction
        .prepare_cached(
            "SELECT blob, size, etag, modified, attributes FROM objects WHERE bucket = ?1 AND key = ?2",
        )
        .map_err(internal)?;
    let found = statement
        .query_row(params![bucket, key.as_bytes()], from_row)
        .optional()
        .map_err(internal)?;
    found
        .map(|(mut entry, attributes)| {
            entry.attributes = serde_json::from_str(&attributes).map_err(internal)?;
            Ok(entry)
        })
        .transpose()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<(Entry, String)> {
    let entry = Entry {
        blob: row.get(0)?,
        size: row.get(1)?,
        etag: row.get(2)?,
        modified: row.get(3)?,
        attributes: Attributes::default(),
    };
    Ok((entry, row.get(4)?))
}

/// Puts the object if the condition holds. Returns the body it replaces.
pub(super) fn put(
    transaction: &Transaction<'_>,
    bucket: &str,
    key: &Key,
    entry: &Entry,
    condition: &Condition,
) -> S3Result<Option<String>> {
    require_bucket(transaction, bucket)?;
    let replaced = find(transaction, bucket, key)?;
    allow(condition, replaced.as_ref())?;
    let attributes = serde_json::to_string(&entry.attributes).map_err(internal)?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO objects (bucket, key, blob, size, etag, modified, attributes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            let Entry {
                blob,
                size,
                etag,
                modified,
                attributes: _,
            } = entry;
            statement.execute(params![
                bucket,
                key.as_bytes(),
                blob,
                size,
                etag,
                modified,
                attributes
            ])
        })
        .map_err(internal)?;
    Ok(replaced.map(|entry| entry.blob))
}

/// Checks the conditions of a write against what is there.
fn allow(condition: &Condition, there: Option<&Entry>) -> S3Result<()> {
    let lost = |text| Err(s3_error!(PreconditionFailed, "{text}"));
    match (&condition.if_none_match, there) {
        (Some(ETagCondition::Any), Some(_)) => return lost("the object exists"),
        (Some(ETagCondition::ETag(etag)), Some(entry)) if etag.value() == entry.etag => {
            return lost("the object has that ETag");
        }
        _ => {}
    }
    match (&condition.if_match, there) {
        (Some(_), None) => Err(s3_error!(NoSuchKey, "the key does not exist")),
        (Some(ETagCondition::ETag(etag)), Some(entry)) if etag.value() != entry.etag => {
            lost("the object has another ETag")
        }
        _ => Ok(()),
    }
}

/// Deletes the object. Returns its body; deleting what is not there is no fault.
pub(super) fn delete(transaction: &Transaction<'_>, bucket: &str, key: &Key) -> S3Result<Option<String>> {
    transaction
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2 RETURNING blob")
        .and_then(|mut statement| {
            statement
                .query_row(params![bucket, key.as_bytes()], |row| row.get(0))
                .optional()
        })
        .map_err(internal)
}

impl Entry {
    /// The entry's ETag as S3 writes it.
    pub(super) fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }
}

/// The time now, in milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time of [`now`] as S3 writes it.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default()))
}
