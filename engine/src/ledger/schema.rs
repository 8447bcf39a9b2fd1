//! The ledger's file: its tables, its version, and what is refused instead of replaced.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::lock::private;
use crate::error::{Error, Result};

/// Marks the file as a ledger of ours: "rndt".
const APPLICATION: i32 = 0x726e_6474;

/// The version of the tables this program reads and writes.
const VERSION: i32 = 1;

/// How long a call waits for somebody else, such as a backup, to let go of the file.
const BUSY: Duration = Duration::from_secs(10);

/// `seq` is the order of announcing; a file id is random and has none.
const TABLES: &str = "
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        file TEXT NOT NULL UNIQUE,
        client TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        root BLOB NOT NULL,
        path BLOB NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        identity INTEGER NOT NULL,
        created TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('announced', 'sent', 'finished')),
        outcome TEXT CHECK (outcome IN ('result', 'error', 'lost')),
        outcome_text TEXT,
        announced_at INTEGER NOT NULL,
        sent_at INTEGER,
        finished_at INTEGER,
        CHECK ((state = 'finished') = (outcome IS NOT NULL))
    ) STRICT;
    CREATE INDEX jobs_by_path ON jobs (pipeline, root, path, seq);
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_outcome ON jobs (pipeline, state, outcome);
";

/// Opens the file, makes the tables where there are none, and looks whether it is sound.
pub(super) fn open(file: &Path) -> Result<Connection> {
    // SQLite would let others read it. What cannot be opened, SQLite says better.
    drop(private(file));
    let mut connection = Connection::open(file).map_err(|error| fault(file, error))?;
    // Nothing may be written, not even a setting, before it is known whose file it is.
    match versions(&connection).map_err(|error| fault(file, error))? {
        (0, 0) => create(&mut connection, file)?,
        (APPLICATION, VERSION) => check(&connection, file)?,
        (APPLICATION, newer) if newer > VERSION => {
            return Err(Error::config(format!(
                "the ledger {} was written by a newer roundtrip (version {newer} of its tables, this one knows {VERSION})",
                file.display()
            ))
            .hint("use that newer roundtrip, or choose another folder with --state"));
        }
        (_, _) => return Err(foreign(file)),
    }
    tune(&connection).map_err(|error| fault(file, error))?;
    Ok(connection)
}

fn versions(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    connection.busy_timeout(BUSY)?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    // Where the file system cannot do WAL, SQLite stays with its journal, which is as safe.
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn create(connection: &mut Connection, file: &Path) -> Result<()> {
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| fault(file, error))?;
    if tables > 0 {
        return Err(foreign(file));
    }
    let made = (|| {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    })();
    made.map_err(|error| fault(file, error))
}

fn check(connection: &Connection, file: &Path) -> Result<()> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| fault(file, error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(damaged(file).because(verdict))
    }
}

fn fault(file: &Path, error: rusqlite::Error) -> Error {
    let edge = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(file),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::away(format!("another program holds the ledger {}", file.display()))
                .hint("wait until it lets go of the file")
        }
        _ => Error::config(format!("the ledger {} cannot be opened", file.display())).hint(
            "the state folder must exist, be writable and have free space; choose another one with --state",
        ),
    };
    edge.because(error)
}

fn damaged(file: &Path) -> Error {
    Error::config(format!("the ledger {} is damaged", file.display())).hint(
        "bring back a copy of it from a backup, or move it away: the next start makes a new one, which knows nothing \
         of what was shipped, so every file in the inbox goes out again",
    )
}

fn foreign(file: &Path) -> Error {
    Error::config(format!(
        "{} is a database, but not a ledger of roundtrip",
        file.display()
    ))
    .hint("choose another folder with --state")
}
