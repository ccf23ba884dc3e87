//! Opening the SQLite file: who may, what must stand in it, and which error says what to do when it does not.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::{BODY_BYTES_MAX, Error, Frontier, Origin};

/// "imlg": marks the file as a ledger for `file` and for us.
const APPLICATION_ID: i64 = 0x696d_6c67;
/// The schema below. A change of it is a new number and a migration.
const SCHEMA_VERSION: i64 = 2;
/// The oldest schema that is read, and brought up to date by whoever opens the store for writing.
const SCHEMA_VERSION_MIN: i64 = 1;
/// How long a call waits for another process that holds the store.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Each commit writes whole pages, with two system calls and a checksum each: larger ones are fewer calls, smaller ones fewer
/// bytes, because those of the two indices are touched at random. `examples/append_cost.rs` finds the least here.
const PAGE_BYTES: u32 = 8192;
/// Pages in the write-ahead log before it is copied back: 16 MiB. Each append touches a page of the index over streams at
/// random, and a page that was written many times since is copied once: with 4 MiB, 256 appenders were a third slower.
const CHECKPOINT_PAGES: u32 = 2048;
/// Largest single value that a connection reads or writes; twice the largest body, so that headers fit beside it.
const VALUE_BYTES_MAX: i32 = 2 * BODY_BYTES_MAX as i32;

/// Every object of the schema, by name, with the version that brought it. Text and blobs are kept exactly as given; STRICT
/// refuses other types. `seal` and `checkpoints` belong to the sealer (docs/adr/0011).
const SCHEMA: [(&str, i64, &str); 6] = [
    ("checkpoints", 2, "CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT"),
    (
        "entries",
        1,
        "CREATE TABLE entries(gseq INTEGER PRIMARY KEY, stream BLOB NOT NULL, seq INTEGER NOT NULL, leaf BLOB NOT NULL, \
         nonce BLOB NOT NULL, header TEXT NOT NULL, body TEXT NOT NULL, UNIQUE(stream, seq)) STRICT",
    ),
    (
        "head",
        1,
        "CREATE TABLE head(id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, root BLOB NOT NULL, \
         frontier BLOB NOT NULL) STRICT",
    ),
    ("meta", 1, "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"),
    (
        "seal",
        2,
        "CREATE TABLE seal(id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, root BLOB NOT NULL, \
         frontier BLOB NOT NULL, staged TEXT) STRICT",
    ),
    (
        "tags",
        1,
        "CREATE TABLE tags(hash BLOB NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL, gseq INTEGER NOT NULL, \
         PRIMARY KEY(hash, kind, version, gseq)) STRICT, WITHOUT ROWID",
    ),
];

/// Opens the existing store for reading and writing.
pub(super) fn open_existing(path: &Path) -> Result<Connection, Error> {
    must_be_there(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let version = identify(&connection)?;
    check_schema(&connection)?;
    prepare_for_writing(&connection)?;
    if version < SCHEMA_VERSION {
        bring_up_to_date(&connection)?;
    }
    Ok(connection)
}

/// Adds what later schemas brought to an older store, all or nothing.
fn bring_up_to_date(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(classify)?;
    // Another process may have been first; inside the transaction nobody else writes.
    let added = identify(connection).and_then(|version| {
        check_schema(connection)?;
        add_tables(connection, version)
    });
    let ended = connection.execute_batch(if added.is_ok() { "COMMIT" } else { "ROLLBACK" }).map_err(classify);
    added.and(ended)
}

/// Makes the tables that came after `version`, and what must stand in them.
fn add_tables(connection: &Connection, version: i64) -> Result<(), Error> {
    for (_, _, sql) in SCHEMA.iter().filter(|(_, since, _)| *since > version) {
        connection.execute_batch(sql).map_err(classify)?;
    }
    let empty = Frontier::new();
    let (root, frontier) = (empty.root().0, empty.to_bytes());
    if version < 1 {
        let sql = "INSERT INTO head(id, size, root, frontier) VALUES (0, ?, ?, ?)";
        connection.execute(sql, rusqlite::params![0, root, frontier]).map_err(classify)?;
    }
    if version < 2 {
        let sql = "INSERT INTO seal(id, size, root, frontier, staged) VALUES (0, ?, ?, ?, NULL)";
        connection.execute(sql, rusqlite::params![0, root, frontier]).map_err(classify)?;
    }
    connection.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(classify)
}

/// Opens the existing store for reading beside a writer of this process.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A connection for `verify` and `export`: reads one state of the store and writes nothing.
pub(super) struct Snapshot {
    pub(super) connection: Connection,
    /// The file as it was, where no lock keeps others from changing it.
    unlocked: Option<(PathBuf, FileState)>,
}

/// Length and time of the last change of the store's file, and the length of its write-ahead log.
type FileState = (u64, Option<SystemTime>, u64);

impl Snapshot {
    /// Opens the store without writing a byte: if no write-ahead log lies beside it, without locks and without `-wal` and
    /// `-shm` files, for which even a read-only folder is enough. Otherwise as one reader among others; SQLite then keeps its
    /// locks in `-shm`, and the store itself and its `-wal` stay as they are.
    pub(super) fn open(path: &Path, with_locks: bool) -> Result<Self, Error> {
        must_be_there(path)?;
        let state = file_state(path);
        if with_locks || state.2 > 0 {
            return Ok(Self { connection: open_reader(path)?, unlocked: None });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Ok(Self { connection: connect(&immutable_uri(path), flags)?, unlocked: Some((path.to_owned(), state)) })
    }

    /// Whether someone wrote while we read without locks: then what was read may be of two states, and is read again.
    pub(super) fn was_disturbed(&self) -> bool {
        self.unlocked.as_ref().is_some_and(|(path, state)| file_state(path) != *state)
    }
}

/// Returns the length of a file that SQLite keeps beside the store; 0 if there is none.
fn beside(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::symlink_metadata(PathBuf::from(name)).map_or(0, |found| found.len())
}

fn file_state(path: &Path) -> FileState {
    let log_bytes = beside(path, "-wal");
    std::fs::metadata(path).map_or((0, None, log_bytes), |found| (found.len(), found.modified().ok(), log_bytes))
}

/// Every byte of the path that is not plainly itself is percent-encoded, so no path can add parameters.
fn immutable_uri(path: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?immutable=1");
    PathBuf::from(uri)
}

/// Creates the store. An empty file, as a crash during creation leaves it, counts as none.
pub(super) fn create(path: &Path, origin: &Origin) -> Result<Connection, Error> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    match identify(&connection) {
        Err(Error::Missing) => {}
        Ok(_) => return Err(Error::Exists),
        Err(other) => return Err(other),
    }
    connection.pragma_update(None, "page_size", PAGE_BYTES).map_err(classify)?;
    prepare_for_writing(&connection)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(classify)?;
    // Another process may have created it while we waited; then its ledger stands and ours does not begin.
    if !matches!(identify(&connection), Err(Error::Missing)) {
        return Err(Error::Exists);
    }
    add_tables(&connection, 0)?;
    connection.execute("INSERT INTO meta VALUES ('origin', ?)", [origin.as_str()]).map_err(classify)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(classify)?;
    connection.execute_batch("COMMIT").map_err(classify)?;
    // The store exists from here on, whole: marks, tables, head and origin came with one commit.
    Ok(connection)
}

/// Returns the origin that the store names.
pub(super) fn origin(connection: &Connection) -> Result<Origin, Error> {
    let text = meta(connection, "origin")?;
    text.and_then(|text| Origin::parse(&text)).ok_or_else(|| damaged("the store does not name its origin"))
}

/// Returns the value of a name in `meta`.
pub(super) fn meta(connection: &Connection, name: &str) -> Result<Option<String>, Error> {
    let query = connection.query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0));
    query.optional().map_err(classify)
}

/// Stores each value under its name unless one stands there, all or none. Durable when it returns.
pub(super) fn set_metas_if_absent(path: &Path, values: &[(String, String)]) -> Result<(), Error> {
    let mut connection = open_existing(path)?;
    let transaction = connection.transaction().map_err(classify)?;
    for (name, value) in values {
        let sql = "INSERT INTO meta(name, value) VALUES (?, ?) ON CONFLICT DO NOTHING";
        transaction.execute(sql, [name, value]).map_err(classify)?;
    }
    transaction.commit().map_err(classify)
}

pub(super) fn must_be_there(path: &Path) -> Result<(), Error> {
    // `metadata`, not `open`: closing a second descriptor of the file would drop this process's locks on it.
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(Error::NotALedger { source: None }),
        Ok(found) if found.len() == 0 => Err(Error::Missing),
        // A store that is made has a write-ahead log and never a rollback journal, whose pages a writer would play into it
        // while a reader does not see them. While it is made it has one page at most.
        Ok(found) if found.len() > u64::from(PAGE_BYTES) && beside(path, "-journal") > 0 => {
            Err(damaged("a rollback journal lies beside the store, which never has one"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing),
        Err(error) => Err(Error::NoAccess { source: Some(Box::new(error)) }),
    }
}

pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(classify)?;
    connection.busy_timeout(BUSY_WAIT).map_err(classify)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX).map_err(classify)?;
    // A planted schema may name functions; and a page whose cells do not fit is refused before it is used.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON").map_err(classify)?;
    Ok(connection)
}

/// Returns the schema version of the ledger, if it is one that is read here; `Missing` if it is an empty database.
pub(super) fn identify(connection: &Connection) -> Result<i64, Error> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(classify);
    let objects = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let (objects, application, version) =
        (objects.map_err(classify)?, pragma("application_id")?, pragma("user_version")?);
    match (objects, application, version) {
        (0, 0, 0) => Err(Error::Missing),
        (_, APPLICATION_ID, found @ SCHEMA_VERSION_MIN..=SCHEMA_VERSION) => Ok(found),
        (_, APPLICATION_ID, found) => Err(Error::SchemaVersion { found, known: SCHEMA_VERSION }),
        _ => Err(Error::NotALedger { source: None }),
    }
}

/// Whether the schema is the one that we made in its version, with nothing added: a trigger could change what an append writes.
pub(super) fn check_schema(connection: &Connection) -> Result<(), Error> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).map_err(classify)?;
    // Of the names that SQLite keeps for itself only the index of the key is allowed, which has no text: a trigger can be
    // planted under such a name too.
    let sql = "SELECT name, sql FROM sqlite_schema \
               WHERE NOT (type = 'index' AND name = 'sqlite_autoindex_entries_1' AND tbl_name = 'entries' AND sql IS NULL) \
               ORDER BY name LIMIT 8";
    let mut statement = connection.prepare(sql).map_err(classify)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
    let rows = statement.query_map([], read).map_err(classify)?;
    let found: Vec<(String, Option<String>)> = rows.collect::<Result<_, _>>().map_err(classify)?;
    let made = || SCHEMA.iter().filter(|(_, since, _)| *since <= version);
    let is_made = |(found, made): (&(String, Option<String>), &(&str, i64, &str))| {
        found.0 == made.0 && found.1.as_deref() == Some(made.2)
    };
    let same = found.len() == made().count() && found.iter().zip(made()).all(is_made);
    if same { Ok(()) } else { Err(damaged("the schema is not the one that was made")) }
}

fn prepare_for_writing(connection: &Connection) -> Result<(), Error> {
    if connection.is_readonly("main").map_err(classify)? {
        return Err(Error::NoAccess { source: None });
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(classify)?;
    if mode != "wal" {
        return Err(Error::NoAccess { source: Some("the file system cannot hold a write-ahead log".into()) });
    }
    // Without it SQLite compiled with STAT4 may compile a statement anew for each value bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(classify)?;
    let settings = format!("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}");
    connection.execute_batch(&settings).map_err(classify)
}

pub(super) fn damaged(what: &'static str) -> Error {
    Error::Damaged { what, leaf_index: None, source: None }
}

/// Maps what SQLite says to what a caller does about it. SQLite's messages name tables and columns, never values.
pub(super) fn classify(error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::DiskFull) {
        return Error::DiskFull { source: Box::from(error) };
    }
    let source = Some(Box::from(error));
    match code {
        Some(
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory,
        ) => Error::Unavailable { source },
        Some(ErrorCode::FileLockingProtocolFailed | ErrorCode::OperationInterrupted | ErrorCode::OperationAborted) => {
            Error::Unavailable { source }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Error::NoAccess { source },
        Some(ErrorCode::NotADatabase) => Error::NotALedger { source },
        // Corrupt pages, rows against a constraint, values of another type or size: nothing that an append wrote.
        _ => Error::Damaged { what: "the database does not hold what it must", leaf_index: None, source },
    }
}
