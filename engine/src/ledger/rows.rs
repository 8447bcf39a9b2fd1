//! The ledger's queries.

use std::path::{Path, PathBuf};

use roundtrip_core::at::Timestamp;
use roundtrip_core::file::{Known, Shipping, Stamp};
use roundtrip_core::job::clip;
use roundtrip_core::names::{ClientId, FileId, JobKey, NameError};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::{Counts, LedgerError, Outcome, Outstanding, paths};

/// Why a query failed, before it is said of which file.
pub(super) enum Fault {
    Database(rusqlite::Error),
    Other(LedgerError),
}

impl Fault {
    pub(super) fn at(self, file: &Path) -> LedgerError {
        match self {
            Self::Database(source) => LedgerError::Database {
                file: file.to_owned(),
                source,
            },
            Self::Other(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Other(error)
    }
}

/// What [`announce`] writes.
pub(super) struct Announcement {
    pub(super) pipeline: String,
    pub(super) root: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) stamp: Stamp,
    pub(super) key: JobKey,
    pub(super) created: String,
}

pub(super) fn known(
    connection: &mut Connection,
    pipeline: &str,
    root: &Path,
    paths: &[PathBuf],
) -> Result<Vec<Option<Known>>, Fault> {
    let root = paths::bytes(root)?;
    // One transaction: one view of the ledger, and locks are taken once.
    let transaction = connection.transaction()?;
    let mut statement = transaction.prepare_cached(
        "SELECT file, size, modified, changed, identity, created, state FROM jobs
         WHERE pipeline = ?1 AND root = ?2 AND path = ?3 ORDER BY seq DESC LIMIT 1",
    )?;
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        let path = paths::bytes(path)?;
        found.push(
            statement
                .query_row(params![pipeline, root, path], known_from)
                .optional()?,
        );
    }
    Ok(found)
}

pub(super) fn announce(connection: &mut Connection, row: &Announcement, now: Timestamp) -> Result<(), Fault> {
    let written = connection
        .prepare_cached(
            "INSERT INTO jobs (file, client, pipeline, root, path, size, modified, changed, identity, created,
                 state, announced_at)
             VALUES (:file, :client, :pipeline, :root, :path, :size, :modified, :changed, :identity, :created,
                 'announced', :now)
             ON CONFLICT (file) DO UPDATE SET size = excluded.size, modified = excluded.modified,
                 changed = excluded.changed, identity = excluded.identity, created = excluded.created,
                 announced_at = excluded.announced_at
             WHERE state = 'announced' AND client = excluded.client AND pipeline = excluded.pipeline
                 AND root = excluded.root AND path = excluded.path",
        )?
        .execute(named_params! {
            ":file": row.key.file.as_str(),
            ":client": row.key.client.as_str(),
            ":pipeline": row.pipeline,
            ":root": row.root,
            ":path": row.path,
            ":size": row.stamp.size.cast_signed(),
            ":modified": row.stamp.modified.0,
            ":changed": row.stamp.changed.0,
            ":identity": row.stamp.identity.cast_signed(),
            ":created": row.created,
            ":now": now.0,
        })?;
    if written == 1 {
        Ok(())
    } else {
        Err(LedgerError::Taken(row.key.file.clone()).into())
    }
}

pub(super) fn sent(connection: &mut Connection, key: &JobKey, now: Timestamp) -> Result<bool, Fault> {
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'sent', sent_at = ?3
             WHERE file = ?1 AND client = ?2 AND state = 'announced'",
        )?
        .execute(params![key.file.as_str(), key.client.as_str(), now.0])?;
    is_there(connection, key)
}

pub(super) fn finished(
    connection: &mut Connection,
    key: &JobKey,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<bool, Fault> {
    let (outcome, text) = match outcome {
        Outcome::Result => ("result", None),
        Outcome::Error(text) => ("error", Some(clip(text))),
        Outcome::Lost(text) => ("lost", Some(clip(text))),
    };
    connection
        .prepare_cached(
            "UPDATE jobs SET state = 'finished', outcome = ?3, outcome_text = ?4, finished_at = ?5
             WHERE file = ?1 AND client = ?2 AND (state <> 'finished' OR outcome = 'lost')",
        )?
        .execute(params![
            key.file.as_str(),
            key.client.as_str(),
            outcome,
            text,
            now.0
        ])?;
    is_there(connection, key)
}

pub(super) fn forget(connection: &mut Connection, key: &JobKey) -> Result<bool, Fault> {
    let gone = connection
        .prepare_cached("DELETE FROM jobs WHERE file = ?1 AND client = ?2")?
        .execute(params![key.file.as_str(), key.client.as_str()])?;
    Ok(gone > 0)
}

pub(super) fn unfinished(
    connection: &mut Connection,
    pipeline: &str,
    root: &Path,
) -> Result<Vec<(PathBuf, Known)>, Fault> {
    let root = paths::bytes(root)?;
    let mut statement = connection.prepare_cached(
        "SELECT file, size, modified, changed, identity, created, state, path FROM jobs
         WHERE state = 'announced' AND pipeline = ?1 AND root = ?2 ORDER BY seq",
    )?;
    let rows = statement.query_map(params![pipeline, root], |row| {
        Ok((paths::path(row.get(7)?), known_from(row)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn outstanding(
    connection: &mut Connection,
    pipelines: &[String],
    after: Option<&FileId>,
    limit: usize,
) -> Result<Vec<Outstanding>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "{AWAITED} AND pipeline IN (SELECT value FROM json_each(?1))
             AND seq > CASE WHEN ?2 IS NULL THEN 0 ELSE (SELECT seq FROM jobs WHERE file = ?2) END
         ORDER BY seq LIMIT ?3"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(
        params![list(pipelines), after.map(FileId::as_str), limit],
        awaited,
    )?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn ahead(connection: &mut Connection, file: &FileId, max: u64) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT COUNT(*) FROM (
             SELECT 1 FROM jobs WHERE state IN ('announced', 'sent')
                 AND seq < (SELECT seq FROM jobs WHERE file = ?1) LIMIT ?2)",
    )?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let count: i64 = statement.query_row(params![file.as_str(), max], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(super) fn find(connection: &mut Connection, key: &JobKey) -> Result<Option<Outstanding>, Fault> {
    let mut statement = connection.prepare_cached(&format!("{AWAITED} AND file = ?1 AND client = ?2"))?;
    let found = statement
        .query_row(params![key.file.as_str(), key.client.as_str()], awaited)
        .optional()?;
    Ok(found)
}

/// Jobs whose outcome is awaited. A newer version that is not wholly sent may still be given up and forgotten: until
/// then the older one is all there is.
const AWAITED: &str = "SELECT client, file, pipeline, path, EXISTS (
         SELECT 1 FROM jobs AS newer WHERE newer.pipeline = jobs.pipeline AND newer.root = jobs.root
             AND newer.path = jobs.path AND newer.seq > jobs.seq AND newer.state <> 'announced')
     FROM jobs
     WHERE state = 'sent'";

fn awaited(row: &rusqlite::Row<'_>) -> rusqlite::Result<Outstanding> {
    Ok(Outstanding {
        key: JobKey {
            client: name(row, 0, ClientId::parse)?,
            file: name(row, 1, FileId::parse)?,
        },
        pipeline: row.get(2)?,
        path: paths::path(row.get(3)?),
        superseded: row.get(4)?,
    })
}

pub(super) fn counts(connection: &mut Connection, pipelines: &[String]) -> Result<Counts, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT state, outcome, count(*) FROM jobs
         WHERE pipeline IN (SELECT value FROM json_each(?1)) GROUP BY state, outcome",
    )?;
    let mut rows = statement.query([list(pipelines)])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        let (state, outcome): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let count = row.get::<_, i64>(2)?.unsigned_abs();
        match (state.as_str(), outcome.as_deref()) {
            ("announced", _) => counts.announced = count,
            ("sent", _) => counts.sent = count,
            (_, Some("result")) => counts.finished_with_result = count,
            (_, Some("error")) => counts.finished_with_error = count,
            (_, _) => counts.lost = count,
        }
    }
    Ok(counts)
}

pub(super) fn prune(
    connection: &mut Connection,
    older_than: Timestamp,
    limit: usize,
) -> Result<usize, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let dropped = connection.execute(
        "DELETE FROM jobs WHERE seq IN (
             SELECT seq FROM jobs AS old WHERE old.state = 'finished' AND old.finished_at < ?1 AND EXISTS (
                 SELECT 1 FROM jobs AS newer WHERE newer.pipeline = old.pipeline AND newer.root = old.root
                     AND newer.path = old.path AND newer.seq > old.seq AND newer.state <> 'announced')
             LIMIT ?2)",
        params![older_than.0, limit],
    )?;
    Ok(dropped)
}

fn is_there(connection: &Connection, key: &JobKey) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM jobs WHERE file = ?1 AND client = ?2")?;
    Ok(statement.exists(params![key.file.as_str(), key.client.as_str()])?)
}

fn known_from(row: &Row<'_>) -> rusqlite::Result<Known> {
    let stamp = Stamp {
        size: row.get::<_, i64>(1)?.cast_unsigned(),
        modified: Timestamp(row.get(2)?),
        changed: Timestamp(row.get(3)?),
        identity: row.get::<_, i64>(4)?.cast_unsigned(),
    };
    let shipping = match row.get::<_, String>(6)?.as_str() {
        "announced" => Shipping::Announced,
        "sent" => Shipping::Sent,
        // The table admits no fourth.
        _ => Shipping::Finished,
    };
    Ok(Known {
        stamp,
        file: name(row, 0, FileId::parse)?,
        created: row.get(5)?,
        shipping,
    })
}

fn name<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Result<T, NameError>) -> rusqlite::Result<T> {
    parse(&row.get::<_, String>(column)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn list(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}
