//! Buckets: rows that objects hang on.

use rusqlite::Transaction;
use s3s::dto::Bucket;
use s3s::{S3Result, s3_error};

use super::index::{now, require_bucket, timestamp};
use super::internal;

pub(super) fn create(transaction: &Transaction<'_>, name: &str) -> S3Result<()> {
    let made = transaction
        .execute(
            "INSERT OR IGNORE INTO buckets (name, created) VALUES (?1, ?2)",
            (name, now()),
        )
        .map_err(internal)?;
    // There is one owner here, so whoever made it is the one asking.
    if made == 1 {
        Ok(())
    } else {
        Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket exists"))
    }
}

pub(super) fn delete(transaction: &Transaction<'_>, name: &str) -> S3Result<()> {
    require_bucket(transaction, name)?;
    let used: bool = transaction
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1) OR EXISTS (SELECT 1 FROM uploads WHERE bucket = ?1)",
            [name],
            |row| row.get(0),
        )
        .map_err(internal)?;
    if used {
        return Err(s3_error!(
            BucketNotEmpty,
            "the bucket has objects or unfinished uploads"
        ));
    }
    transaction
        .execute("DELETE FROM buckets WHERE name = ?1", [name])
        .map_err(internal)?;
    Ok(())
}

pub(super) fn list(transaction: &Transaction<'_>) -> S3Result<Vec<Bucket>> {
    let mut statement = transaction
        .prepare("SELECT name, created FROM buckets ORDER BY name")
        .map_err(internal)?;
    let rows = statement
        .query_map([], |row| {
            let (name, created) = (row.get(0)?, row.get(1)?);
            Ok(Bucket {
                name: Some(name),
                creation_date: Some(timestamp(created)),
                bucket_region: None,
            })
        })
        .map_err(internal)?;
    rows.collect::<Result<_, _>>().map_err(internal)
}
