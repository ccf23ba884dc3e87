//! `Sources`: where each object lies, by stream. The one table that may hold names of patients (paths), so it stands in a
//! file of its own, `sources.sqlite`, mode 0600, that can be erased without touching the ledger (DESIGN §3).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Phi;
use domain::events::Digest;
use domain::ids::{Keys, Location, StreamId};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::error::{Error, Result};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sources (
    id      INTEGER PRIMARY KEY,
    stream  BLOB NOT NULL UNIQUE CHECK (length(stream) = 16),
    bucket  TEXT NOT NULL,
    key     BLOB NOT NULL,
    version TEXT NOT NULL,
    size    INTEGER NOT NULL,
    copied  INTEGER NOT NULL,
    ended   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS sources_open ON sources (id) WHERE ended = 0;
CREATE TABLE IF NOT EXISTS notes (
    id   BLOB PRIMARY KEY CHECK (length(id) = 16),
    salt BLOB NOT NULL CHECK (length(salt) = 16),
    text TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS replays (
    run   BLOB PRIMARY KEY CHECK (length(run) = 16),
    asked BLOB NOT NULL CHECK (length(asked) = 32)
) STRICT;
CREATE TABLE IF NOT EXISTS forgotten (
    stream BLOB PRIMARY KEY CHECK (length(stream) = 16)
) STRICT;
PRAGMA user_version = 3;
";
/// The version that [`SCHEMA`] leaves; a file that has it is not written to when it is opened.
const SCHEMA_VERSION: i64 = 3;

/// Where one object lies, and what was seen when it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// The stream; an HMAC of the location, so the row can be checked.
    pub stream: StreamId,
    /// Where the object lies.
    pub location: Location,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether `raw/<stream>.dcm` holds a copy.
    pub copied: bool,
}

/// The table of sources of one store.
#[derive(Debug)]
pub struct Sources {
    connection: Mutex<Connection>,
    /// Of a dry run: what would be written is dropped.
    pub(crate) discards: bool,
}

pub(crate) fn sql(tried: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| {
        let code = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => "disk_full",
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => "store_unwritable",
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                let tried = format!("{tried}: sources.sqlite is damaged");
                return Error::damaged("sources_damaged", tried, Some(Box::new(error)));
            }
            _ => "sources_io",
        };
        Error::lost(code, tried, error)
    }
}

impl Sources {
    /// Opens the table, making it if it is not there.
    ///
    /// # Errors
    /// `sources_permissions` when others may read the file, `sources_damaged`, `store_unwritable`, `disk_full`.
    pub fn open(path: &Path) -> Result<Self> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::store("create sources.sqlite", error));
            }
            _ => {}
        }
        let mode = fs::metadata(path).map_err(|error| Error::store("look at sources.sqlite", error))?.mode();
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            let tried = format!("open sources.sqlite: its mode is {mode:03o} and must be 600, for it may hold names");
            return Err(Error::damaged("sources_permissions", tried, None));
        }
        let opened = sql("open sources.sqlite");
        let connection = Connection::open(path).map_err(&opened)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(&opened)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(&opened)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(&opened)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&opened)?;
        if version < SCHEMA_VERSION {
            connection.execute_batch(SCHEMA).map_err(&opened)?;
        }
        Ok(Self { connection: Mutex::new(connection), discards: false })
    }

    /// Opens the table for a dry run: it answers, and drops what it is told to keep.
    ///
    /// # Errors
    /// As [`Sources::open`].
    pub fn open_discarding(path: &Path) -> Result<Self> {
        Ok(Self { discards: true, ..Self::open(path)? })
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers where objects lie, in this order, durably. Rows that are known already stay as they are; of a stream that
    /// was forgotten nothing is remembered again.
    pub fn put(&self, rows: &[SourceRow]) -> Result<()> {
        if self.discards {
            return Ok(());
        }
        let failed = sql("remember where objects lie");
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(&failed)?;
        {
            let mut insert = transaction
                .prepare_cached(
                    "INSERT INTO sources (stream, bucket, key, version, size, copied) SELECT ?1, ?2, ?3, ?4, ?5, ?6
                     WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE stream = ?1)
                     ON CONFLICT (stream) DO UPDATE SET copied = max(copied, excluded.copied)",
                )
                .map_err(&failed)?;
            for row in rows {
                let (stream, place) = (row.stream.0.0, &row.location);
                let size = i64::try_from(row.size_bytes).unwrap_or(i64::MAX);
                insert
                    .execute(params![stream, place.bucket, place.key.expose(), place.version, size, row.copied])
                    .map_err(&failed)?;
            }
        }
        transaction.commit().map_err(&failed)
    }

    /// Returns where the object of `stream` lies.
    ///
    /// # Errors
    /// `source_forgotten`; `source_mismatch` when the row does not hash to its stream: the table was altered.
    pub fn get(&self, stream: StreamId, keys: &Keys) -> Result<Option<SourceRow>> {
        let failed = sql("look up where an object lies");
        let connection = self.connection();
        let query = "SELECT stream, bucket, key, version, size, copied FROM sources WHERE stream = ?1";
        let mut statement = connection.prepare_cached(query).map_err(&failed)?;
        let row = statement.query_row([stream.0.0], read_row).optional().map_err(&failed)?;
        match row {
            Some(row) if keys.object_stream(&row.location) != stream => {
                Err(Error::broken("source_mismatch", format!("look up where the object of stream {stream} lies")))
            }
            None if forgotten(&connection, stream).map_err(&failed)? => {
                let tried = format!("look up where the object of stream {stream} lies: that was erased by `forget`");
                Err(Error::broken("source_forgotten", tried))
            }
            other => Ok(other),
        }
    }

    /// Returns the streams that are not known to have ended, in the order in which they were received; at most `limit`.
    pub fn open_streams(&self, limit: usize) -> Result<Vec<StreamId>> {
        let failed = sql("list unfinished streams");
        let connection = self.connection();
        let query = "SELECT stream FROM sources WHERE ended = 0 ORDER BY id LIMIT ?1";
        let mut statement = connection.prepare_cached(query).map_err(&failed)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map([limit], |row| row.get::<_, [u8; 16]>(0)).map_err(&failed)?;
        rows.map(|row| row.map(|bytes| StreamId(domain::ids::KeyedHash(bytes))).map_err(&failed)).collect()
    }

    /// Returns the place of a stream in the order of receipt; none if its row is gone.
    pub fn order(&self, stream: StreamId) -> Result<Option<i64>> {
        let failed = sql("look up when an object was received");
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT id FROM sources WHERE stream = ?1").map_err(&failed)?;
        statement.query_row([stream.0.0], |row| row.get(0)).optional().map_err(&failed)
    }

    /// Notes that a replay began, so that the same request goes on with it. A hint, never truth: the ledger decides.
    pub fn begin_replay(&self, run: Uuid, asked: Digest) -> Result<()> {
        if self.discards {
            return Ok(());
        }
        let insert = "INSERT INTO replays (run, asked) VALUES (?1, ?2) ON CONFLICT (run) DO NOTHING";
        let done = self.connection().execute(insert, params![run.as_bytes(), asked.0]);
        done.map(drop).map_err(sql("note that a replay began"))
    }

    /// Returns the replays of this request that have not ended, newest first; at most 16.
    pub fn open_replays(&self, asked: Digest) -> Result<Vec<Uuid>> {
        let failed = sql("look up an unfinished replay");
        let connection = self.connection();
        let query = "SELECT run FROM replays WHERE asked = ?1 ORDER BY run DESC LIMIT 16";
        let mut statement = connection.prepare_cached(query).map_err(&failed)?;
        let rows = statement.query_map([asked.0], |row| row.get::<_, [u8; 16]>(0)).map_err(&failed)?;
        rows.map(|row| row.map(Uuid::from_bytes).map_err(&failed)).collect()
    }

    /// Notes that a replay ended.
    pub fn end_replay(&self, run: Uuid) -> Result<()> {
        if self.discards {
            return Ok(());
        }
        let done = self.connection().execute("DELETE FROM replays WHERE run = ?1", params![run.as_bytes()]);
        done.map(drop).map_err(sql("note that a replay ended"))
    }

    /// Whether the object of `stream` was forgotten.
    ///
    /// # Errors
    /// `sources_*`.
    pub fn is_forgotten(&self, stream: StreamId) -> Result<bool> {
        forgotten(&self.connection(), stream).map_err(sql("look up whether an object was forgotten"))
    }

    /// Returns for how many of the streams it is known where their objects lie.
    ///
    /// # Errors
    /// `sources_*`.
    pub fn count(&self, streams: &[StreamId]) -> Result<u64> {
        let failed = sql("count what is known of objects");
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT count(*) FROM sources WHERE stream = ?1").map_err(&failed)?;
        let mut count = 0;
        for stream in streams {
            count += statement.query_row([stream.0.0], |row| row.get::<_, i64>(0)).map_err(&failed)?;
        }
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Erases where the objects of these streams lie, so that no byte of it stays in the file, and notes that they are
    /// forgotten: nothing is remembered of them again. Doing it again changes nothing, and finishes what was cut short.
    ///
    /// # Errors
    /// `sources_io`, also while another process reads the table: then the bytes may still be there, and it is to be called
    /// again.
    pub fn forget(&self, streams: &[StreamId]) -> Result<()> {
        let failed = sql("erase where objects lie");
        let mut connection = self.connection();
        // A page that was split before may hold a copy of what was moved: the file is written anew, and not by way of a
        // temporary file.
        connection.pragma_update(None, "secure_delete", true).map_err(&failed)?;
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(&failed)?;
        let transaction = connection.transaction().map_err(&failed)?;
        for stream in streams {
            transaction
                .execute("INSERT OR IGNORE INTO forgotten (stream) VALUES (?1)", [stream.0.0])
                .map_err(&failed)?;
            transaction.execute("DELETE FROM sources WHERE stream = ?1", [stream.0.0]).map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)?;
        connection.execute_batch("VACUUM").map_err(&failed)?;
        let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        match busy.map_err(&failed)? {
            0 => Ok(()),
            _ => Err(Error::lost("sources_io", "erase where objects lie", "another process reads sources.sqlite")),
        }
    }

    /// Copies the table as it is now into the new file `to`, readable by the operator alone.
    ///
    /// # Errors
    /// `store_unwritable`, `disk_full`, `sources_*`.
    pub fn copy_to(&self, to: &Path) -> Result<()> {
        let tried = "copy sources.sqlite";
        // SQLite writes into an empty file that is there, whose mode is then ours.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(|error| Error::store(tried, error))?;
        let Some(path) = to.to_str() else {
            return Err(Error::store(tried, io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8")));
        };
        self.connection().execute("VACUUM INTO ?1", [path]).map(drop).map_err(sql(tried))
    }

    /// Returns the streams of which a table copied to `path` names a copy of the original, with the SHA-256 of each.
    ///
    /// # Errors
    /// `sources_*`.
    pub fn copies_in(&self, path: &Path) -> Result<Vec<(StreamId, domain::events::Digest)>> {
        let failed = sql("list copies of originals");
        let connection =
            Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(&failed)?;
        let query = "SELECT stream, version FROM sources WHERE copied <> 0 ORDER BY stream";
        let mut statement = connection.prepare(query).map_err(&failed)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, String>(1)?)));
        let mut copies = Vec::new();
        for row in rows.map_err(&failed)? {
            let (stream, version) = row.map_err(&failed)?;
            let stream = StreamId(domain::ids::KeyedHash(stream));
            let digest = domain::events::Digest::parse(&version)
                .ok_or_else(|| Error::broken("source_mismatch", format!("list copies: that of stream {stream}")))?;
            copies.push((stream, digest));
        }
        Ok(copies)
    }

    /// Notes that streams ended, so that the next start need not look at them. A hint, never truth: the ledger decides.
    pub fn set_ended(&self, streams: &[StreamId], ended: bool) -> Result<()> {
        if self.discards {
            return Ok(());
        }
        let failed = sql("note which streams ended");
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(&failed)?;
        {
            let mut update =
                transaction.prepare_cached("UPDATE sources SET ended = ?2 WHERE stream = ?1").map_err(&failed)?;
            for stream in streams {
                update.execute(params![stream.0.0, ended]).map_err(&failed)?;
            }
        }
        transaction.commit().map_err(&failed)
    }
}

fn forgotten(connection: &Connection, stream: StreamId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM forgotten WHERE stream = ?1")?
        .query_row([stream.0.0], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<SourceRow> {
    Ok(SourceRow {
        stream: StreamId(domain::ids::KeyedHash(row.get(0)?)),
        location: Location { bucket: row.get(1)?, key: Phi::new(row.get(2)?), version: row.get(3)? },
        size_bytes: u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
        copied: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use domain::ids::Key;

    use super::*;

    fn keys() -> Keys {
        Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) }
    }

    fn row(path: &str) -> SourceRow {
        let location = Location { bucket: "file".into(), key: Phi::new(path.into()), version: "00".into() };
        SourceRow { stream: keys().object_stream(&location), location, size_bytes: 5, copied: false }
    }

    #[test]
    fn open_streams_come_back_in_the_order_of_receipt_until_they_end() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sources = Sources::open(&folder.path().join("sources.sqlite")).expect("open");
        let rows = [row("/z"), row("/a"), row("/m")];
        sources.put(&rows).expect("put");
        sources.put(&rows).expect("putting twice changes nothing");
        sources.set_ended(&[rows[1].stream], true).expect("end");
        assert_eq!(sources.open_streams(10).expect("list"), [rows[0].stream, rows[2].stream]);
        assert_eq!(sources.get(rows[1].stream, &keys()).expect("get"), Some(rows[1].clone()));
    }

    #[test]
    fn of_a_forgotten_object_no_byte_stays_even_while_the_table_is_open_and_it_is_not_remembered_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sources = Sources::open(&folder.path().join("sources.sqlite")).expect("open");
        let rows: Vec<SourceRow> = (0..300).map(|n| row(&format!("/incoming/Nightingale-{n}/slice"))).collect();
        sources.put(&rows).expect("put");
        sources.put(&[row("/incoming/Seacole/slice")]).expect("put");
        let streams: Vec<StreamId> = rows.iter().map(|row| row.stream).collect();
        assert_eq!(sources.count(&streams).expect("count"), 300);
        for again in [false, true] {
            sources.forget(&streams).expect("forget");
            sources.put(&rows).expect("putting again is no error");
            assert_eq!(sources.count(&streams).expect("count"), 0, "again: {again}");
            for file in fs::read_dir(folder.path()).expect("folder") {
                let bytes = fs::read(file.expect("entry").path()).expect("read");
                assert!(!bytes.windows(11).any(|window| window == b"Nightingale"), "a path is still there");
            }
        }
        assert!(sources.is_forgotten(streams[0]).expect("look"));
        assert_eq!(sources.get(streams[0], &keys()).expect_err("told").code(), "source_forgotten");
        assert_eq!(sources.open_streams(10).expect("list"), [row("/incoming/Seacole/slice").stream]);
    }

    #[test]
    fn a_row_that_does_not_hash_to_its_stream_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sources = Sources::open(&folder.path().join("sources.sqlite")).expect("open");
        let altered = SourceRow { location: row("/other").location, ..row("/a") };
        sources.put(std::slice::from_ref(&altered)).expect("put");
        assert_eq!(sources.get(altered.stream, &keys()).expect_err("refused").code(), "source_mismatch");
    }

    #[test]
    fn a_replay_is_remembered_by_what_was_asked_until_it_ends() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sources = Sources::open(&folder.path().join("sources.sqlite")).expect("open");
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for run in [first, first, second] {
            sources.begin_replay(run, Digest([7; 32])).expect("begin");
        }
        assert_eq!(sources.open_replays(Digest([7; 32])).expect("look"), [second, first]);
        assert!(sources.open_replays(Digest([8; 32])).expect("look").is_empty());
        sources.end_replay(second).expect("end");
        assert_eq!(sources.open_replays(Digest([7; 32])).expect("look"), [first]);
    }

    #[test]
    fn a_dry_run_reads_and_leaves_every_byte_as_it_was() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("sources.sqlite");
        let rows = [row("/z"), row("/a")];
        Sources::open(&path).expect("open").put(&rows[..1]).expect("put");
        let before = fs::read(&path).expect("read");
        let dry = Sources::open_discarding(&path).expect("open");
        dry.put(&rows[1..]).expect("dropped");
        dry.set_ended(&[rows[0].stream], true).expect("dropped");
        dry.begin_replay(Uuid::from_u128(1), Digest([7; 32])).expect("dropped");
        dry.keep_note(Uuid::from_u128(1), &Phi::new("why".into()), [1; 16]).expect("dropped");
        dry.erase_notes(&[Uuid::from_u128(1)]).expect("dropped");
        assert_eq!(dry.open_streams(10).expect("list"), [rows[0].stream]);
        assert_eq!(dry.note(Uuid::from_u128(1)).expect("look"), None);
        drop(dry);
        assert!(fs::read(&path).expect("read") == before, "a byte was changed");
    }

    #[test]
    fn a_table_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("sources.sqlite");
        drop(Sources::open(&path).expect("open"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert_eq!(Sources::open(&path).expect_err("refused").code(), "sources_permissions");
    }
}
