//! The stream records dynoxide keeps: an index over them, and an end to them.
//!
//! dynoxide 3.2 asks for the highest sequence number before each write and has no index for it, so that every write
//! reads the whole journal; and it never deletes a record. Both are mended on a connection of our own. Without them
//! the stack gives the same answers, only slower and slower.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

/// How long a stream keeps a record, as DynamoDB does.
const KEPT: Duration = Duration::from_hours(24);

/// How long a statement waits for dynoxide's own connection.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Serves `MAX` over a table, and a shard's records in order.
const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS roundtrip_stream_by_table
        ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX IF NOT EXISTS roundtrip_stream_by_shard
        ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));
    CREATE INDEX IF NOT EXISTS roundtrip_stream_by_age
        ON _stream_records (created_at);";

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_MAX)?;
    Ok(connection)
}

/// Makes the indexes of a database that dynoxide has opened.
pub(super) fn index(path: &Path) -> rusqlite::Result<()> {
    open(path)?.execute_batch(INDEXES)
}

/// Deletes the records that are older than a stream keeps them; gives how many they were.
pub(super) fn trim(path: &Path, now_seconds: i64) -> rusqlite::Result<usize> {
    let kept = i64::try_from(KEPT.as_secs()).unwrap_or(i64::MAX);
    open(path)?.execute(
        "DELETE FROM _stream_records WHERE created_at < ?1",
        params![now_seconds.saturating_sub(kept)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as dynoxide makes it, with records of these ages in seconds before `NOW`.
    fn database(folder: &Path, ages: &[i64]) -> rusqlite::Result<Connection> {
        let path = folder.join("dynamodb.sqlite");
        drop(dynoxide::Database::new(path.to_str().unwrap()).unwrap());
        index(&path)?;
        let connection = open(&path)?;
        for (number, age) in ages.iter().enumerate() {
            connection.execute(
                "INSERT INTO _stream_records (table_name, event_name, keys_json, sequence_number, shard_id, created_at)
                 VALUES ('jobs', 'INSERT', '{}', ?1, 'shard', ?2)",
                params![number.to_string(), NOW - age],
            )?;
        }
        Ok(connection)
    }

    const NOW: i64 = 1_800_000_000;

    fn plan(connection: &Connection, sql: &str) -> String {
        connection
            .query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get("detail"))
            .unwrap()
    }

    #[test]
    fn what_dynoxide_asks_before_each_write_and_read_is_answered_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let connection = database(folder.path(), &[]).unwrap();
        let before_a_write = plan(
            &connection,
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records \
             WHERE table_name = 'jobs'",
        );
        assert!(
            before_a_write.contains("roundtrip_stream_by_table"),
            "{before_a_write}"
        );
        let a_read = plan(
            &connection,
            "SELECT event_name FROM _stream_records WHERE table_name = 'jobs' AND shard_id = 'shard' \
             AND CAST(sequence_number AS INTEGER) > 7 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 9",
        );
        assert!(a_read.contains("roundtrip_stream_by_shard"), "{a_read}");
    }

    #[test]
    fn a_record_is_kept_for_a_day_and_not_a_second_longer() {
        let folder = tempfile::tempdir().unwrap();
        let day = 24 * 60 * 60;
        let connection = database(folder.path(), &[0, day - 1, day, day + 1, 2 * day]).unwrap();
        assert_eq!(trim(&folder.path().join("dynamodb.sqlite"), NOW).unwrap(), 2);
        let left: i64 = connection
            .query_row("SELECT COUNT(*) FROM _stream_records", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 3);
    }
}
