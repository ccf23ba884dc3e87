//! What a witness knows, in its own folder: `keys/witness` (its seed) and `witness.sqlite` (of each log the latest checkpoint that
//! it cosigned, and the notes of logs that contradict themselves). What is held is compared and replaced in one transaction, durable
//! before the answer, so it never goes back, whatever crashes and however many requests or processes race.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ledger::note::{KeyKind, Note, NoteKey, VerifierKey};
use ledger::witness::AHEAD_S_MAX;
use ledger::{RootHash, UtcMillis};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::judge::{Held, Logs, Refusal, Shown, Verdict, examine, judge};
use crate::error::{Error, Result};
use crate::keys;
use crate::surroundings::Surroundings;

/// Name of the file of the seed in `keys/`.
const KEY: &str = "witness";
/// Where the name and the public key stand in `meta`.
const NAME: &str = "name";
const VKEY: &str = "vkey";
/// "mdwt": marks the file as a witness' for `file` and for us.
const APPLICATION_ID: i64 = 0x6d64_7774;
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE cosigned (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL CHECK (length(root) = 32),
    at_s INTEGER NOT NULL, note TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY, origin TEXT NOT NULL, kind TEXT NOT NULL, at_s INTEGER NOT NULL,
    held TEXT, shown TEXT NOT NULL, text BLOB NOT NULL, UNIQUE (origin, text)
) STRICT;
PRAGMA application_id = 1835300724;
PRAGMA user_version = 1;
";
/// How long a request waits for another process that holds the file.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Notes that are kept as evidence, of each log and kind; the first ones, which say when it began.
pub const EVIDENCE_MAX: i64 = 8;
/// Two signed trees of one size: the log contradicts itself.
pub const FORKED: &str = "forked";
/// A signed tree for which no proof was given that holds: perhaps a fork, perhaps a bad client.
pub const UNPROVED: &str = "unproved";

/// What goes back to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Type of the body.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into().into_bytes() }
    }
}

/// What is held of one log, for monitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogState {
    /// The log.
    pub origin: String,
    /// Size of the latest checkpoint that was cosigned; 0 if none was.
    pub size: u64,
    /// Its root, base64.
    pub root: Option<String>,
    /// When it was cosigned last.
    pub cosigned_at: Option<String>,
    /// The checkpoint with the log's signatures and ours.
    pub checkpoint: Option<String>,
    /// How many notes are kept of this log that prove a fork.
    pub forked: u64,
    /// How many signed checkpoints are kept that nobody proved to go on from what is held.
    pub unproved: u64,
}

/// Two notes that a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The log.
    pub origin: String,
    /// [`FORKED`] or [`UNPROVED`].
    pub kind: String,
    /// When it was shown.
    pub at: String,
    /// What was held then.
    pub held: Option<String>,
    /// What was shown.
    pub shown: String,
}

/// A witness.
pub struct Witness {
    key: NoteKey,
    logs: Logs,
    path: PathBuf,
    /// None after a failed write: then what the file holds is read again by a new connection.
    connection: Mutex<Option<Connection>>,
    surroundings: Box<dyn Surroundings>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Witness({})", self.key.verifier())
    }
}

impl Witness {
    /// Opens the witness of a folder; the first time its key is made, and its name fixed: `name`, else one at random.
    ///
    /// # Errors
    /// `witness_store` (a pipeline's store), `witness_name`, `witness_gone` (a key without what it cosigned), `key_missing`,
    /// `key_permissions`, `key_damaged`, `key_other`, `witness_damaged`, `witness_io`, `disk_full`, `store_unwritable`.
    pub fn open(folder: &Path, name: Option<&str>, logs: Logs, surroundings: Box<dyn Surroundings>) -> Result<Self> {
        if folder.join("ledger.sqlite").exists() {
            let tried = "open a witness: the folder is the store of a pipeline";
            return Err(Error::damaged("witness_store", tried, None));
        }
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("keys"));
        made.map_err(|error| Error::store("make the folder of a witness", error))?;
        let (path, is_keyed) = (folder.join("witness.sqlite"), folder.join("keys").join(KEY).exists());
        if is_keyed && !fs::metadata(&path).is_ok_and(|meta| meta.len() > 0) {
            // With the same key and without a memory it would cosign what contradicts its own cosignatures.
            let tried = "open a witness: its key is there, and what it cosigned is gone";
            return Err(Error::damaged("witness_gone", tried, None));
        }
        let connection = open(&path)?;
        let (name, vkey) = (fixed_name(&connection, name, surroundings.as_ref())?, meta(&connection, VKEY)?);
        // A crash from here on leaves a file without a key in it, or a key that nothing was signed with yet.
        if !is_keyed && vkey.is_none() {
            keys::create_one(&folder.join("keys"), KEY)?;
        }
        let seed = keys::read_key(&folder.join("keys"), KEY)?;
        let key = NoteKey::from_seed(&name, KeyKind::Cosignature, seed.bytes()).map_err(|error| {
            Error::damaged("witness_name", "make the verifier key of a witness", Some(Box::new(error)))
        })?;
        match vkey {
            None => set_meta(&connection, VKEY, &key.verifier().to_string())?,
            Some(vkey) if vkey == key.verifier().to_string() => {}
            Some(_) => {
                let tried = "open a witness: keys/witness is not the key that it cosigned with";
                return Err(Error::damaged("key_other", tried, None));
            }
        }
        Ok(Self { key, logs, path, connection: Mutex::new(Some(connection)), surroundings })
    }

    /// Returns the verifier key, of type 4.
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Returns how many logs are known.
    pub fn logs(&self) -> usize {
        self.logs.origins().count()
    }

    /// Answers an `add-checkpoint` request.
    pub fn add_checkpoint(&self, body: &[u8]) -> Answer {
        let shown = match examine(body, &self.logs) {
            Ok(shown) => shown,
            Err(refusal) => return refused(refusal),
        };
        let (origin, size) = (shown.checkpoint.origin.as_str(), shown.checkpoint.size);
        match self.with(|connection| self.decide(connection, &shown)) {
            Ok(Decided { verdict: Verdict::Cosign, line, .. }) => {
                tracing::info!(origin, size, status = 200, "cosigned");
                Answer::text(200, line)
            }
            Ok(Decided { verdict: Verdict::Unproved, held, .. }) => {
                tracing::warn!(
                    origin,
                    size,
                    held,
                    status = 422,
                    "not cosigned: the proof does not lead from what is held"
                );
                Answer::text(422, "the proof does not lead from the latest cosigned checkpoint\n")
            }
            Ok(Decided { verdict, held, .. }) => {
                if verdict == Verdict::Forked {
                    tracing::error!(origin, size, status = 409, "not cosigned: the log signed two trees of one size");
                } else {
                    tracing::info!(origin, size, held, status = 409, "not cosigned: another size is held");
                }
                Answer { status: 409, content_type: "text/x.tlog.size", body: format!("{held}\n").into_bytes() }
            }
            Err(error) => {
                tracing::error!(origin, size, status = 500, code = error.code(), "a request could not be decided");
                Answer::text(500, "the witness cannot answer now\n")
            }
        }
    }

    /// Compares with what is held, keeps what is to be kept, and makes the cosignature, in one transaction. What it returns is
    /// durable: if we stop before the answer is sent, the log asks again and is told the size.
    fn decide(&self, connection: &mut Connection, shown: &Shown) -> Result<Decided> {
        let failed = sql("compare a checkpoint with what is held");
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let last = last(&transaction, &shown.checkpoint.origin)?;
        let held = last.as_ref().map(|last| last.held);
        let verdict = judge(held.as_ref(), shown);
        let now_s = self.surroundings.now_ms() / 1_000;
        let line = match verdict {
            Verdict::Cosign => {
                let line = self.key.sign(shown.note.text(), time_of(now_s, last.as_ref()));
                let mut note = shown.note.clone();
                note.add(line.clone());
                keep(&transaction, shown, &note, time_of(now_s, last.as_ref())).map_err(&failed)?;
                format!("{line}\n")
            }
            Verdict::Conflict => {
                return Ok(Decided { verdict, held: held.map_or(0, |held| held.size), line: String::new() });
            }
            Verdict::Forked => remember(&transaction, FORKED, shown, last.as_ref(), now_s).map_err(&failed)?,
            Verdict::Unproved => remember(&transaction, UNPROVED, shown, last.as_ref(), now_s).map_err(&failed)?,
        };
        transaction.commit().map_err(&failed)?;
        Ok(Decided { verdict, held: held.map_or(0, |held| held.size), line })
    }

    /// Answers what is held of every log, as JSON.
    pub fn state(&self) -> Answer {
        match self.log_states() {
            Ok(logs) => {
                let told = serde_json::json!({ "witness": self.verifier().to_string(), "logs": logs });
                Answer { status: 200, content_type: "application/json", body: format!("{told}\n").into_bytes() }
            }
            Err(error) => {
                tracing::error!(code = error.code(), "the state could not be read");
                Answer::text(500, "the witness cannot answer now\n")
            }
        }
    }

    /// Answers the latest cosigned checkpoint of the log whose origin has this SHA-256, in hex.
    pub fn checkpoint(&self, origin_hash: &str) -> Answer {
        let hash_of =
            |origin: &str| Sha256::digest(origin).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let Some(origin) = self.logs.origins().find(|origin| hash_of(origin) == origin_hash) else {
            return refused(Refusal::UnknownLog);
        };
        match self.with(|connection| last(connection, origin)) {
            Ok(Some(last)) => Answer::text(200, last.note),
            Ok(None) => Answer::text(404, "no checkpoint of this log was cosigned yet\n"),
            Err(_) => Answer::text(500, "the witness cannot answer now\n"),
        }
    }

    /// Returns what is held of each log that is known, by origin.
    ///
    /// # Errors
    /// `witness_io`, `witness_damaged`.
    pub fn log_states(&self) -> Result<Vec<LogState>> {
        self.with(|connection| {
            let transaction = connection.transaction().map_err(sql("read what is held"))?;
            self.logs.origins().map(|origin| log_state(&transaction, origin)).collect()
        })
    }

    /// Returns the notes that a person must look at, oldest first; of every log, whether it is known still or not.
    ///
    /// # Errors
    /// `witness_io`, `witness_damaged`.
    pub fn evidence(&self) -> Result<Vec<Evidence>> {
        let failed = sql("read the evidence");
        self.with(|connection| {
            let query = "SELECT origin, kind, at_s, held, shown FROM evidence ORDER BY id LIMIT 100000";
            let mut statement = connection.prepare(query).map_err(&failed)?;
            let rows = statement.query_map([], |row| {
                let at = time_text(number(row, 2)?);
                Ok(Evidence { origin: row.get(0)?, kind: row.get(1)?, at, held: row.get(3)?, shown: row.get(4)? })
            });
            rows.map_err(&failed)?.map(|row| row.map_err(&failed)).collect()
        })
    }

    /// Calls `work` with a connection that no other thread has. After a failure the next call opens the file anew.
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut place = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let done = work(&mut connection)?;
        *place = Some(connection);
        Ok(done)
    }
}

/// What was decided, and is durable.
struct Decided {
    verdict: Verdict,
    /// Size that was held before.
    held: u64,
    /// The cosignature, with its LF; empty unless the verdict is to cosign.
    line: String,
}

/// What stands in the table of a log.
struct Last {
    held: Held,
    at_s: u64,
    note: String,
}

fn refused(refusal: Refusal) -> Answer {
    let (status, told) = match refusal {
        Refusal::Malformed => (400, "this is no add-checkpoint request\n"),
        Refusal::OldSize => (400, "the old size is above that of the checkpoint\n"),
        Refusal::NotSigned => (403, "no signature of a key that is trusted for this log verifies\n"),
        Refusal::UnknownLog => (404, "the log is not known here\n"),
    };
    tracing::info!(status, "refused");
    Answer::text(status, told)
}

/// The time of a cosignature: never before that of the one before, or the larger tree would seem to be the older one. A time of
/// our own that lies far ahead was a wrong clock, and is not held to.
fn time_of(now_s: u64, last: Option<&Last>) -> u64 {
    last.map(|last| last.at_s)
        .filter(|at_s| *at_s <= now_s.saturating_add(AHEAD_S_MAX))
        .map_or(now_s, |at_s| at_s.max(now_s))
}

fn time_text(at_s: u64) -> String {
    UtcMillis::from_unix_ms(at_s.saturating_mul(1_000)).to_string()
}

fn open(path: &Path) -> Result<Connection> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::store("create witness.sqlite", error));
        }
        _ => {}
    }
    let failed = sql("open witness.sqlite");
    let mut connection = Connection::open(path).map_err(&failed)?;
    connection.busy_timeout(BUSY_WAIT).map_err(&failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(&failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(&failed)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
    let pragma = |name: &str| transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let found = (pragma("application_id").map_err(&failed)?, pragma("user_version").map_err(&failed)?);
    match found {
        (0, 0) => transaction.execute_batch(SCHEMA).map_err(&failed)?,
        (APPLICATION_ID, SCHEMA_VERSION) => {}
        _ => return Err(Error::damaged("witness_damaged", "open witness.sqlite: it is none of this version", None)),
    }
    transaction.commit().map_err(&failed)?;
    Ok(connection)
}

fn sql(tried: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| {
        let code = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => "disk_full",
            Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => "store_unwritable",
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                let tried = format!("{tried}: witness.sqlite is damaged");
                return Error::damaged("witness_damaged", tried, Some(Box::new(error)));
            }
            _ => "witness_io",
        };
        Error::lost(code, tried, error)
    }
}

fn meta(connection: &Connection, name: &str) -> Result<Option<String>> {
    let found = connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional();
    found.map_err(sql("read the name of a witness"))
}

/// Sets what is not set yet; of two processes the first one counts.
fn set_meta(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let insert = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
    connection.execute(insert, [name, value]).map(drop).map_err(sql("keep the name of a witness"))
}

/// Returns the name under which the witness cosigns, fixed when it is first opened.
fn fixed_name(connection: &Connection, wanted: Option<&str>, surroundings: &dyn Surroundings) -> Result<String> {
    if meta(connection, NAME)?.is_none() {
        let drawn = || {
            let mut bytes = [0; 8];
            surroundings.random(&mut bytes);
            format!("medimg-witness/{}", bytes.map(|byte| format!("{byte:02x}")).concat())
        };
        let name = wanted.map_or_else(drawn, str::to_owned);
        // Any seed makes a key of a good name: this asks about the name alone.
        if NoteKey::from_seed(&name, KeyKind::Cosignature, &[1; 32]).is_err() {
            let tried = "name a witness: 1 to 255 bytes without spaces, pluses and control characters";
            return Err(Error::damaged("witness_name", tried, None));
        }
        set_meta(connection, NAME, &name)?;
    }
    let fixed = meta(connection, NAME)?.unwrap_or_default();
    if wanted.is_some_and(|wanted| wanted != fixed) {
        let tried = "open a witness under a name: it has another one, and its key is bound to that";
        return Err(Error::damaged("witness_name", tried, None));
    }
    Ok(fixed)
}

fn last(connection: &Connection, origin: &str) -> Result<Option<Last>> {
    let failed = sql("read what is held of a log");
    let query = "SELECT size, root, at_s, note FROM cosigned WHERE origin = ?1";
    let mut statement = connection.prepare_cached(query).map_err(&failed)?;
    let row = |row: &rusqlite::Row<'_>| {
        let held = Held { size: number(row, 0)?, root: RootHash(row.get(1)?) };
        Ok(Last { held, at_s: number(row, 2)?, note: row.get(3)? })
    };
    statement.query_row([origin], row).optional().map_err(&failed)
}

/// Replaces what is held. A tree that is held now needs no proof any more.
fn keep(transaction: &Transaction<'_>, shown: &Shown, note: &Note, at_s: u64) -> rusqlite::Result<()> {
    let (checkpoint, text) = (&shown.checkpoint, text_hash(shown));
    let put = "INSERT INTO cosigned (origin, size, root, at_s, note) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (origin) DO UPDATE SET size = ?2, root = ?3, at_s = ?4, note = ?5";
    let values = params![checkpoint.origin, stored(checkpoint.size), checkpoint.root.0, stored(at_s), note.to_string()];
    transaction.prepare_cached(put)?.execute(values)?;
    let proved = "DELETE FROM evidence WHERE origin = ?1 AND kind = ?2 AND text = ?3";
    transaction.prepare_cached(proved)?.execute(params![checkpoint.origin, UNPROVED, text])?;
    Ok(())
}

/// Keeps the two notes, once, and no more than [`EVIDENCE_MAX`] of a log and kind.
fn remember(
    transaction: &Transaction<'_>,
    kind: &str,
    shown: &Shown,
    last: Option<&Last>,
    now_s: u64,
) -> rusqlite::Result<String> {
    let put = "INSERT INTO evidence (origin, kind, at_s, held, shown, text) SELECT ?1, ?2, ?3, ?4, ?5, ?6
        WHERE (SELECT count(*) FROM evidence WHERE origin = ?1 AND kind = ?2) < ?7
        ON CONFLICT (origin, text) DO UPDATE SET kind = ?2, held = ?4 WHERE kind = 'unproved' AND ?2 = 'forked'";
    let held = last.map(|last| last.note.as_str());
    let (origin, text) = (&shown.checkpoint.origin, text_hash(shown));
    let values = params![origin, kind, stored(now_s), held, shown.note.to_string(), text, EVIDENCE_MAX];
    transaction.prepare_cached(put)?.execute(values)?;
    Ok(String::new())
}

/// Sizes and times are below 2^63 when they come here.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn text_hash(shown: &Shown) -> [u8; 32] {
    Sha256::digest(shown.note.text()).into()
}

fn log_state(connection: &Connection, origin: &str) -> Result<LogState> {
    let failed = sql("count the evidence");
    let count = |kind: &str| {
        let query = "SELECT count(*) FROM evidence WHERE origin = ?1 AND kind = ?2";
        connection.query_row(query, [origin, kind], |row| number(row, 0)).map_err(&failed)
    };
    let last = last(connection, origin)?;
    Ok(LogState {
        origin: origin.to_owned(),
        size: last.as_ref().map_or(0, |last| last.held.size),
        root: last.as_ref().map(|last| last.held.root.base64()),
        cosigned_at: last.as_ref().map(|last| time_text(last.at_s)),
        checkpoint: last.map(|last| last.note),
        forked: count(FORKED)?,
        unproved: count(UNPROVED)?,
    })
}
