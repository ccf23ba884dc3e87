//! `Claims`: what the entries of a log say must lie in the store, in a private table that SQLite keeps in a temporary file
//! without a name where it exceeds its cache. Memory: that cache, a bit for each row, and the streams without an end.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use domain::events::{self, Digest, Event, EventData, ReadError};
use ledger::{Header, IndexHash, Peek, READ_ENTRIES_MAX, StreamKey, verify_store};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};

use crate::backup::ENDS;
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::segments;

/// Cache of the table in KiB.
const CACHE_KIB: i64 = 32 << 10;
/// Rows of one transaction: what is not yet in the file of the table.
const SCHEMA: &str = "
CREATE TABLE outputs (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, delivered INTEGER NOT NULL) STRICT;
CREATE TABLE received (
    id INTEGER PRIMARY KEY, stream BLOB NOT NULL, sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    log INTEGER NOT NULL, leaf INTEGER NOT NULL, copied INTEGER NOT NULL) STRICT;
CREATE TABLE subjects (stream BLOB NOT NULL, log INTEGER NOT NULL, subject TEXT NOT NULL) STRICT;
";
const INDEXES: &str = "
CREATE INDEX outputs_key ON outputs (key);
CREATE INDEX received_stream ON received (stream);
";

/// Where an entry stands: the log by its place, oldest first, and the leaf index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) log: u32,
    pub(super) leaf_index: u64,
}

/// One row: what an entry says of the bytes under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) sha256: [u8; 32],
    pub(super) size_bytes: u64,
    pub(super) at: At,
    /// Of an output: whether it is delivered, else it is only named. Of an original: whether a copy was kept.
    pub(super) stands: bool,
}

/// What the entries say.
#[derive(Debug)]
pub struct Claims {
    table: Connection,
    /// The logs, oldest first, the present one last.
    logs: Vec<(String, PathBuf)>,
    /// Index in the present log behind the last entry taken in.
    next: u64,
    /// Streams of objects without an end, and as they were when the present log began.
    open: HashSet<StreamKey>,
    open_before: HashSet<StreamKey>,
    /// Studies that were forgotten, with the last entry that says so.
    forgotten: BTreeMap<String, At>,
    /// What failed while an entry was taken in; told at the end of the reading.
    failed: Option<Error>,
    indexed: bool,
    by_digest: bool,
}

fn scratch(error: rusqlite::Error) -> Error {
    Error::lost("scratch_io", "keep in a temporary file what the entries say", error)
}

impl Claims {
    /// Begins with what the logs say that ended before a recovery.
    ///
    /// # Errors
    /// `scratch_io` when no temporary file can be had; what the ledger says.
    pub fn new(root: &Path) -> Result<Self> {
        // Without a name SQLite makes a file of its own that nobody else can open and that goes with the connection.
        let table = Connection::open("").map_err(scratch)?;
        let settings = format!("PRAGMA cache_size = -{CACHE_KIB}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;");
        table.execute_batch(&settings).map_err(scratch)?;
        table.set_prepared_statement_cache_capacity(16);
        table.execute_batch(SCHEMA).and_then(|()| table.execute_batch("BEGIN")).map_err(scratch)?;
        // A ledger whose head cannot be looked at is told by its verification.
        let logs = segments::paths(root).unwrap_or(vec![("ledger.sqlite".to_owned(), root.join("ledger.sqlite"))]);
        let mut claims = Self {
            table,
            logs,
            next: 0,
            open: HashSet::new(),
            open_before: HashSet::new(),
            forgotten: BTreeMap::new(),
            failed: None,
            indexed: false,
            by_digest: false,
        };
        for log in 0..claims.present() {
            let path = claims.logs[log as usize].1.clone();
            let mut show = |leaf_index, header: &Header, body: &str| {
                if leaf_index < claims.next {
                    claims.begin_anew(log);
                }
                claims.next = leaf_index + 1;
                if names_something(header) {
                    claims.take_in(At { log, leaf_index }, header, &events::read(body.as_bytes()).unwrap_or_default());
                }
            };
            verify_store(path, &mut show).map_err(|error| ledger_error("read a log before a recovery", error))?;
            claims.open_before = claims.open.clone();
            claims.next = 0;
        }
        Ok(claims)
    }

    fn present(&self) -> u32 {
        u32::try_from(self.logs.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Returns the name of a log that ended; none of the present one.
    pub(super) fn log_name(&self, log: u32) -> Option<&str> {
        (log < self.present()).then(|| self.logs[log as usize].0.as_str())
    }

    /// Takes in an entry of the present log, as [`crate::audit::audit_with`] shows it. A lower index than before means that the
    /// reading began anew.
    pub fn entry(&mut self, leaf_index: u64, header: &Header, events: std::result::Result<&[Event], &ReadError>) {
        let log = self.present();
        if leaf_index < self.next {
            self.begin_anew(log);
        }
        self.next = leaf_index + 1;
        if names_something(header) {
            self.take_in(At { log, leaf_index }, header, events.unwrap_or_default());
        }
    }

    /// Forgets what a log said: it is read anew.
    fn begin_anew(&mut self, log: u32) {
        self.open = self.open_before.clone();
        self.forgotten.retain(|_, at| at.log != log);
        for table in ["outputs", "received", "subjects"] {
            let done = self.table.execute(&format!("DELETE FROM {table} WHERE log = ?1"), [log]);
            self.failed = self.failed.take().or(done.err().map(scratch));
        }
    }

    fn take_in(&mut self, at: At, header: &Header, events: &[Event]) {
        if header.types.iter().any(|name| ENDS.iter().any(|end| name.starts_with(end))) {
            self.open.remove(&header.stream);
        } else if header.types.iter().any(|name| is_of_object(name)) {
            self.open.insert(header.stream);
        }
        let done = events.iter().try_for_each(|event| self.event(at, header, event));
        self.failed = self.failed.take().or(done.err().map(scratch));
    }

    fn event(&mut self, at: At, header: &Header, event: &Event) -> rusqlite::Result<()> {
        match &event.data {
            EventData::ObjectReceived(said) => {
                let sql = "INSERT INTO received (stream, sha256, size, log, leaf, copied) VALUES (?, ?, ?, ?, ?, ?)";
                let row = params![
                    header.stream.0,
                    said.sha256.0,
                    number(said.size_bytes),
                    at.log,
                    number(at.leaf_index),
                    said.raw_copied
                ];
                self.table.prepare_cached(sql)?.execute(row)?;
            }
            EventData::InstanceDeidentified(said) => {
                self.output(at, said.key.as_str(), said.sha256, said.size_bytes, false)?;
            }
            EventData::InstanceDelivered(said) => {
                self.output(at, said.key.as_str(), said.sha256, said.size_bytes, true)?;
            }
            EventData::SourceForgotten(_) => {
                if let Some(subject) = header.subject {
                    self.forgotten.insert(spelt(&subject), at);
                }
            }
            _ => {}
        }
        match (&event.data, header.subject) {
            (EventData::InstanceIngested(_) | EventData::InstanceQuarantined(_), Some(subject)) => {
                let sql = "INSERT INTO subjects (stream, log, subject) VALUES (?, ?, ?)";
                self.table.prepare_cached(sql)?.execute(params![header.stream.0, at.log, spelt(&subject)])?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn output(&self, at: At, key: &str, sha256: Digest, size: u64, delivered: bool) -> rusqlite::Result<()> {
        let sql = "INSERT INTO outputs (key, sha256, size, log, leaf, delivered) VALUES (?, ?, ?, ?, ?, ?)";
        let row = params![key, sha256.0, number(size), at.log, number(at.leaf_index), delivered];
        self.table.prepare_cached(sql)?.execute(row).map(drop)
    }

    /// Ends the reading of the log: from here on it can be asked.
    pub(super) fn settle(&mut self) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if !self.indexed {
            self.table.execute_batch(INDEXES).map_err(scratch)?;
            self.indexed = true;
        }
        Ok(())
    }

    /// Takes in what was appended since. What lies in the store was named by an entry before it could be seen, so after this
    /// everything that was seen before is named, if any entry names it.
    pub(super) fn follow(&mut self) -> Result<()> {
        let failed = |error| ledger_error("read what was appended meanwhile", error);
        let Some((_, path)) = self.logs.last().cloned() else { return Ok(()) };
        let peek = Peek::open(&path).map_err(failed)?;
        // A log that was ended by a recovery meanwhile is read no further.
        while self.next < peek.head.size {
            let limit = usize::try_from(peek.head.size - self.next).unwrap_or(usize::MAX).min(READ_ENTRIES_MAX);
            let page = match peek.entries(self.next, limit) {
                // What the verification has told already explains nothing.
                Err(ledger::Error::Damaged { .. }) => break,
                page => page.map_err(failed)?,
            };
            if page.is_empty() {
                break;
            }
            for row in page {
                let read = events::read(row.entry.body.as_bytes());
                self.entry(row.leaf_index, &row.entry.header, read.as_deref());
            }
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Returns how many entries of the present log were taken in.
    pub(super) const fn entries(&self) -> u64 {
        self.next
    }

    pub(super) fn is_open(&self, stream: StreamKey) -> bool {
        self.open.contains(&stream)
    }

    /// Returns how many files are to be read, if everything is as it was written and nothing was delivered twice.
    pub(super) fn expected(&self) -> Result<u64> {
        let sql = "SELECT (SELECT count(*) FROM outputs WHERE delivered) + (SELECT count(*) FROM received WHERE copied)";
        self.table.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|n| n.unsigned_abs()).map_err(scratch)
    }

    /// Returns what the entries say of the output under a key, in their order.
    pub(super) fn of_key(&self, key: &str) -> Result<Vec<Claim>> {
        let sql = "SELECT id, key, sha256, size, log, leaf, delivered FROM outputs WHERE key = ? ORDER BY id";
        let mut found = self.prepared(sql)?;
        let rows = found.query_map([key], claim).map_err(scratch)?;
        rows.collect::<rusqlite::Result<_>>().map_err(scratch)
    }

    /// Returns what the entries say of the original of a stream.
    pub(super) fn of_stream(&self, stream: StreamKey) -> Result<Option<Claim>> {
        let sql = "SELECT id, lower(hex(stream)), sha256, size, log, leaf, copied FROM received WHERE stream = ?";
        self.prepared(sql)?.query_row([stream.0], claim).optional().map_err(scratch)
    }

    /// Returns the next rows behind `id` that say that something stands: outputs that are delivered, or originals of which a
    /// copy was kept.
    pub(super) fn standing(&self, outputs: bool, id: u64) -> Result<Vec<Claim>> {
        let sql = match outputs {
            true => {
                "SELECT id, key, sha256, size, log, leaf, delivered FROM outputs \
                     WHERE id > ? AND delivered ORDER BY id LIMIT 1024"
            }
            false => {
                "SELECT id, lower(hex(stream)), sha256, size, log, leaf, copied FROM received \
                      WHERE id > ? AND copied ORDER BY id LIMIT 1024"
            }
        };
        let mut found = self.prepared(sql)?;
        let rows = found.query_map([number(id)], claim).map_err(scratch)?;
        rows.collect::<rusqlite::Result<_>>().map_err(scratch)
    }

    /// Returns the first entry that says of another output that it has these bytes.
    pub(super) fn of_digest(&mut self, sha256: &[u8; 32]) -> Result<Option<At>> {
        if !self.by_digest {
            self.table.execute_batch("CREATE INDEX outputs_sha256 ON outputs (sha256)").map_err(scratch)?;
            self.by_digest = true;
        }
        let sql = "SELECT id, key, sha256, size, log, leaf, delivered FROM outputs WHERE sha256 = ? ORDER BY id LIMIT 1";
        let found = self.prepared(sql)?.query_row([sha256], claim).optional().map_err(scratch)?;
        Ok(found.map(|claim| claim.at))
    }

    /// Whether the copy of the original that this entry received was forgotten later.
    pub(super) fn is_forgotten(&self, stream: StreamKey, received: At) -> Result<bool> {
        if self.forgotten.is_empty() {
            return Ok(false);
        }
        // Asked of missing copies alone: the table is looked through once.
        let sql = "CREATE INDEX IF NOT EXISTS subjects_stream ON subjects (stream)";
        self.table.execute_batch(sql).map_err(scratch)?;
        let mut found = self.prepared("SELECT DISTINCT subject FROM subjects WHERE stream = ?")?;
        let subjects = found.query_map([stream.0], |row| row.get::<_, String>(0)).map_err(scratch)?;
        let subjects: Vec<String> = subjects.collect::<rusqlite::Result<_>>().map_err(scratch)?;
        Ok(subjects.iter().any(|subject| self.forgotten.get(subject).is_some_and(|at| *at > received)))
    }

    fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.table.prepare_cached(sql).map_err(scratch)
    }
}

fn claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        name: row.get(1)?,
        sha256: row.get(2)?,
        size_bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        at: At { log: row.get(4)?, leaf_index: row.get::<_, i64>(5)?.unsigned_abs() },
        stands: row.get(6)?,
    })
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn spelt(subject: &IndexHash) -> String {
    format!("{}:{}", subject.version, domain::ids::KeyedHash(subject.hash))
}

/// Whether an entry is about an object, or about what was erased.
fn names_something(header: &Header) -> bool {
    header.types.iter().any(|name| {
        is_of_object(name)
            || name.starts_with("imaging.source.forgotten.")
            || ENDS.iter().any(|end| name.starts_with(end))
    })
}

fn is_of_object(name: &str) -> bool {
    let starts = ["imaging.object.received.", "imaging.instance.", "imaging.replay.requested."];
    starts.iter().any(|start| name.starts_with(start))
}
