//! The ledger on one machine: one SQLite file (DESIGN §5). Writes go through one thread with group commit, reads through a
//! connection of their own.
//!
//! Reads block the calling task for microseconds (rows from the page cache); another process can hold them up for at most
//! five seconds, while it recovers the store after a crash.

mod committer;
mod connect;
mod export;
mod past;
mod peek;
mod queue;
mod read;
mod seal;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::Connection;

use crate::{
    Appended, Decision, Error, Head, Ledger, Link, Log, LogEntry, Nonce, Origin, Prepared, Stream, StreamKey, Tag,
    Tagged, Tip, UtcMillis,
};
use committer::Committer;
pub use export::Export;
pub use past::{Ended, end_log};
pub use peek::{Peek, copy_store};
pub use seal::SqliteSeal;
pub use verify::{
    Depth, KeptCheckpoint, SealRow, Watcher, kept_checkpoints, seal_facts, verify_store, verify_store_with,
};

/// How a store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Open {
    /// The store must be there; [`Error::Missing`] otherwise.
    Existing,
    /// The store must not be there; [`Error::Exists`] otherwise. It is created with this origin, whole or not at all.
    CreateWith(Origin),
}

/// A ledger in a SQLite file: WAL, synchronous=FULL. Any number of processes may append.
///
/// Share it by `Arc`. Dropping it commits what is queued and waits for that.
#[derive(Debug)]
pub struct SqliteLedger {
    origin: Origin,
    /// Stands before the writer, so that it is closed first: the last connection to close folds the write-ahead log into
    /// the file, which one that only reads cannot do.
    reader: Mutex<Connection>,
    committer: Committer,
    path: PathBuf,
    /// Logs that ended before this one began, oldest first.
    past: Vec<past::Past>,
}

impl SqliteLedger {
    /// Opens or creates the store at `path`. Blocks: call it at start, not on a busy runtime.
    pub fn open(path: impl AsRef<Path>, open: Open) -> Result<Self, Error> {
        let path = path.as_ref();
        let writer = match open {
            Open::Existing => connect::open_existing(path)?,
            Open::CreateWith(origin) => connect::create(path, &origin)?,
        };
        let origin = connect::origin(&writer)?;
        let reader = Mutex::new(connect::open_reader(path)?);
        let committer = Committer::start(writer, path.to_owned(), origin.clone())?;
        Ok(Self { origin, committer, reader, path: path.to_owned(), past: Vec::new() })
    }

    /// Returns the value stored under a name beside the log, such as a key's check value `kcv.stream`.
    pub fn meta(&self, name: &str) -> Result<Option<String>, Error> {
        self.read(|connection| connect::meta(connection, name))
    }

    /// Stores each value under its name unless one stands there already, all or none. Durable when it returns; what stands is
    /// for [`SqliteLedger::meta`] to say.
    pub fn set_metas_if_absent(&self, values: &[(String, String)]) -> Result<(), Error> {
        connect::set_metas_if_absent(&self.path, values)
    }

    /// Returns entries of this log by leaf index, as [`Log::entries`] does, without waiting.
    ///
    /// # Errors
    /// As reading.
    pub fn present_entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        self.read(|connection| read::entries(connection, &self.origin, from, limit))
    }

    /// Returns the leaf indices of a stream's entries in this log, in their order.
    ///
    /// # Errors
    /// As reading.
    pub fn leaves_of(&self, stream: StreamKey) -> Result<Vec<u64>, Error> {
        self.read(|connection| read::leaves_of(connection, stream))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        // A panic while reading leaves a connection that reads on.
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, Error> {
        let mut entries = self.past_of(stream)?;
        entries.append(&mut self.read(|connection| read::load(connection, &self.origin, stream))?.entries);
        Ok(Stream { stream, entries })
    }

    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error> {
        let tip = match self.onto(tip, decision)? {
            past::Onto::Here => *tip,
            past::Onto::Beginning => Tip::empty(tip.stream),
            past::Onto::Taken(answer) => return *answer,
        };
        let prepared = Prepared::new(&self.origin, &tip, decision, at, nonce)?;
        self.committer.commit(tip, prepared).await
    }

    async fn append_chain(&self, tip: &Tip, links: &[Link]) -> Vec<Result<Appended, Error>> {
        let onto = links.first().map(|link| self.onto(tip, &link.decision)).transpose();
        let tip = match onto {
            Ok(None) => return Vec::new(),
            Ok(Some(past::Onto::Here)) => *tip,
            Ok(Some(past::Onto::Beginning)) => Tip::empty(tip.stream),
            Ok(Some(past::Onto::Taken(answer))) => return vec![*answer],
            Err(error) => return vec![Err(error)],
        };
        let (mut tip, mut queued, mut answers) = (tip, Vec::with_capacity(links.len()), Vec::new());
        let mut refused = None;
        for link in links {
            match Prepared::new(&self.origin, &tip, &link.decision, link.at, link.nonce) {
                Ok(prepared) => {
                    let on = std::mem::replace(&mut tip, prepared.tip());
                    queued.push(self.committer.queue(on, prepared));
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        // All are queued before the first is waited for, so that one commit takes them together.
        for waiting in queued {
            let answer = waiting.answer().await;
            let new = matches!(answer, Ok(Appended::New(_)));
            answers.push(answer);
            if !new {
                return answers;
            }
        }
        answers.extend(refused.map(Err));
        answers
    }
}

#[async_trait]
impl Log for SqliteLedger {
    async fn head(&self) -> Result<Head, Error> {
        self.read(read::head)
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        self.present_entries(from, limit)
    }

    async fn tagged(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error> {
        self.read(|connection| read::tagged(connection, tag, from, limit))
    }
}
