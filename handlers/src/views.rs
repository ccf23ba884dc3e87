//! `SqliteViews`: the views on one machine, `views.sqlite` in the store. A page of entries and the cursor behind it are one
//! transaction, so each entry counts exactly once whatever stops the process.
//!
//! The file holds keyed hashes, codes, times and numbers, all of which stand in `ledger.sqlite` too, so it has the same
//! mode as that and not 0600 like `sources.sqlite`. Losing it costs the time to build it anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::ids::IndexHash;
use ledger::{LeafHash, LogEntry, StreamKey, TagKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::consumer::{Cursor, Sink, Took};
use crate::error::{Error, Result};
use crate::ports::views::{Counted, EntryRow, Selection, Span, StreamRow, StudyRow, Views};

pub mod fold;
mod query;
pub mod rebuild;
mod write;

/// Marks the file as views: "imvw".
const APPLICATION_ID: i64 = 0x696d_7677;
/// The schema below. A change of it is a new number, and the views are built anew.
const SCHEMA_VERSION: i64 = 1;
/// How long a call waits for another process that holds the file.
const BUSY_WAIT: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE cursor (
    id   INTEGER PRIMARY KEY CHECK (id = 0),
    next INTEGER NOT NULL,
    last BLOB
) STRICT;
CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE streams (
    first_leaf INTEGER PRIMARY KEY,
    stream     BLOB NOT NULL UNIQUE,
    kind       INTEGER NOT NULL,
    standing   INTEGER NOT NULL,
    why        TEXT,
    version    INTEGER,
    study      BLOB,
    entries    INTEGER NOT NULL,
    last_leaf  INTEGER NOT NULL,
    first_ms   INTEGER NOT NULL,
    last_ms    INTEGER NOT NULL,
    last_types INTEGER NOT NULL
) STRICT;
CREATE INDEX streams_standing ON streams (standing, why);
CREATE TABLE entries (
    leaf   INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    types  INTEGER NOT NULL,
    actor  INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX entries_stream ON entries (stream);
CREATE INDEX entries_types ON entries (types);
CREATE INDEX entries_actor ON entries (actor);
CREATE INDEX entries_at ON entries (at_ms);
CREATE TABLE tags (
    hash    BLOB NOT NULL,
    kind    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    stream  INTEGER NOT NULL,
    PRIMARY KEY (hash, kind, version, stream)
) STRICT, WITHOUT ROWID;
CREATE TABLE studies (
    version          INTEGER NOT NULL,
    study            BLOB NOT NULL,
    delivered        INTEGER NOT NULL,
    quarantined      INTEGER NOT NULL,
    failed           INTEGER NOT NULL,
    open             INTEGER NOT NULL,
    last_ms          INTEGER NOT NULL,
    done_delivered   INTEGER,
    done_quarantined INTEGER,
    done_failed      INTEGER,
    PRIMARY KEY (version, study)
) STRICT, WITHOUT ROWID;
INSERT INTO cursor (id, next, last) VALUES (0, 0, NULL);
";

/// The tables that two views are compared by, each with its order. Words get their numbers in the order of the log, so
/// those are equal too.
const TABLES: [(&str, &str); 6] = [
    ("cursor", "id"),
    ("words", "id"),
    ("streams", "first_leaf"),
    ("entries", "leaf"),
    ("tags", "hash, kind, version, stream"),
    ("studies", "version, study"),
];

/// The views of one store in a SQLite file. Any number of processes may follow the log into it.
#[derive(Debug)]
pub struct SqliteViews {
    connection: Mutex<Connection>,
}

/// Says of what kind a failure of the file is. SQLite's messages name tables and columns, never values.
fn sql(tried: &'static str) -> impl Fn(rusqlite::Error) -> Error + Copy {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::lost("disk_full", tried, error),
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
            Error::lost("store_unwritable", tried, error)
        }
        Some(
            rusqlite::ErrorCode::DatabaseBusy
            | rusqlite::ErrorCode::DatabaseLocked
            | rusqlite::ErrorCode::SystemIoFailure
            | rusqlite::ErrorCode::OutOfMemory,
        ) => Error::lost("views_io", tried, error),
        // A torn page, a table of another shape, a value of another type: nothing that this program wrote.
        _ => Error::damaged("views_damaged", tried, Some(Box::new(error))),
    }
}

impl SqliteViews {
    /// Opens the views, making them empty if they are not there.
    ///
    /// # Errors
    /// `views_damaged` when the file is not whole or of another version: build the views anew. `views_io`,
    /// `store_unwritable`, `disk_full`.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = sql("open views.sqlite");
        let connection = Connection::open(path).map_err(opened)?;
        connection.busy_timeout(BUSY_WAIT).map_err(opened)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "journal_mode", "WAL").map_err(opened)?;
        // After a power loss the newest pages may be gone, cursor and effect together: they are followed again.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(opened)?;
        // Each question follows a few entries: folding the write-ahead log back at each end would cost two waits for the disk.
        // It is folded back when it has grown, and lies beside the file until then.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(opened)?;
        let views = Self { connection: Mutex::new(connection) };
        views.prepare()?;
        Ok(views)
    }

    fn prepare(&self) -> Result<()> {
        let failed = sql("look at views.sqlite");
        let mut connection = self.connection();
        let marks = |connection: &Connection| -> rusqlite::Result<(i64, i64, i64)> {
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let objects = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            Ok((objects, pragma("application_id")?, pragma("user_version")?))
        };
        if marks(&connection).map_err(failed)? == (0, 0, 0) {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            // Another process may have made the tables while we waited.
            if marks(&transaction).map_err(failed)?.0 == 0 {
                transaction.execute_batch(SCHEMA).map_err(failed)?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
            }
            transaction.commit().map_err(failed)?;
        }
        let (_, application, version) = marks(&connection).map_err(failed)?;
        if (application, version) == (APPLICATION_ID, SCHEMA_VERSION) {
            return Ok(());
        }
        let tried = format!("open views.sqlite: it has version {version}, and this program knows {SCHEMA_VERSION}");
        Err(Error::damaged("views_damaged", tried, None))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a file of views with its companions; one that is not there is removed already.
    fn remove(path: &Path) -> Result<()> {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            match fs::remove_file(PathBuf::from(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::store("remove views.sqlite", error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_cursor(connection: &Connection) -> rusqlite::Result<Cursor> {
    let mut statement = connection.prepare_cached("SELECT next, last FROM cursor WHERE id = 0")?;
    let row = statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<[u8; 32]>>(1)?)));
    let (next, last) = row.optional()?.unwrap_or_default();
    Ok(Cursor { next: unsigned(next), last: last.map(LeafHash) })
}

/// SQLite has signed integers only; everything here was written from an unsigned one.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl Sink for SqliteViews {
    fn name(&self) -> &'static str {
        "the views"
    }

    async fn cursor(&self) -> Result<Cursor> {
        read_cursor(&self.connection()).map_err(sql("read the cursor of the views"))
    }

    async fn take(&self, from: Cursor, page: &[LogEntry]) -> Result<Took> {
        let failed = sql("follow the log into the views");
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if read_cursor(&transaction).map_err(failed)? != from {
            return Ok(Took::Moved);
        }
        write::page(&transaction, page).map_err(|error| match error {
            write::Failed::Sql(error) => failed(error),
            write::Failed::Ours(error) => error,
        })?;
        let after = from.after(page);
        set_cursor(&transaction, after).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(Took::Committed)
    }
}

fn set_cursor(transaction: &Transaction<'_>, cursor: Cursor) -> rusqlite::Result<()> {
    let last = cursor.last.map(|leaf| leaf.0);
    transaction.execute("UPDATE cursor SET next = ?1, last = ?2 WHERE id = 0", params![signed(cursor.next), last])?;
    Ok(())
}

#[async_trait]
impl Views for SqliteViews {
    async fn streams(&self, selection: &Selection, span: Span, limit: usize) -> Result<Vec<StreamRow>> {
        query::streams(&self.connection(), selection, span, limit).map_err(sql("look up streams in the views"))
    }

    async fn entries(&self, selection: &Selection, span: Span, limit: usize) -> Result<Vec<EntryRow>> {
        query::entries(&self.connection(), selection, span, limit).map_err(sql("look up entries in the views"))
    }

    async fn count(&self, selection: &Selection, span: Span) -> Result<Counted> {
        query::count(&self.connection(), selection, span).map_err(sql("count in the views"))
    }

    async fn leaves(&self, stream: StreamKey) -> Result<Vec<u64>> {
        query::leaves(&self.connection(), stream).map_err(sql("look up a stream in the views"))
    }

    async fn stream(&self, stream: StreamKey) -> Result<Option<StreamRow>> {
        query::stream(&self.connection(), stream).map_err(sql("look up a stream in the views"))
    }

    async fn has_tag(&self, stream: StreamKey, kind: TagKind, hash: IndexHash) -> Result<bool> {
        query::has_tag(&self.connection(), stream, kind, hash).map_err(sql("look up a tag in the views"))
    }

    async fn studies_of_new(&self, new_studies: &[IndexHash]) -> Result<Vec<IndexHash>> {
        query::studies_of_new(&self.connection(), new_studies).map_err(sql("look up a study in the views"))
    }

    async fn studies_due(&self, idle_since_ms: u64, after: Option<IndexHash>, limit: usize) -> Result<Vec<StudyRow>> {
        query::studies_due(&self.connection(), idle_since_ms, after, limit).map_err(sql("look up idle studies"))
    }
}

#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
