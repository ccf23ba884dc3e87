//! The logs that a store had before it was recovered (docs/adr/0006): read only, each as it ended. A stream may begin in one
//! of them and go on in the present log; whoever loads it sees it whole.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::{SqliteLedger, connect, read};
use crate::{Appended, Decision, Entry, Error, LogEntry, Origin, Receipt, StreamKey, Tag, Tagged, Tip};

/// One log that has ended.
#[derive(Debug)]
pub(super) struct Past {
    origin: Origin,
    reader: Mutex<Connection>,
}

impl Past {
    fn open(path: &Path) -> Result<Self, Error> {
        connect::must_be_there(path).map_err(|error| match error {
            Error::Missing => connect::damaged("a log that ended before a recovery is gone"),
            other => other,
        })?;
        let connection = connect::open_reader(path)?;
        connect::identify(&connection)?;
        Ok(Self { origin: connect::origin(&connection)?, reader: Mutex::new(connection) })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection, &Origin) -> Result<T, Error>) -> Result<T, Error> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner), &self.origin)
    }

    fn load(&self, stream: StreamKey) -> Result<Vec<Entry>, Error> {
        Ok(self.read(|connection, origin| read::load(connection, origin, stream))?.entries)
    }
}

/// What an append means when the stream has entries in a log that has ended.
pub(super) enum Onto {
    /// The tip is of the present log, or of no log: append as it is.
    Here,
    /// The stream goes on in the present log, of which this is its first entry.
    Beginning,
    /// The slot was taken in a log that has ended.
    Taken(Box<Result<Appended, Error>>),
}

impl SqliteLedger {
    /// Adds the logs that ended before this one began, oldest first.
    ///
    /// # Errors
    /// As opening; [`Error::Damaged`] when one is gone.
    pub fn with_past(mut self, paths: &[PathBuf]) -> Result<Self, Error> {
        self.past = paths.iter().map(|path| Past::open(path)).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Returns how many logs ended before this one.
    pub fn past_count(&self) -> usize {
        self.past.len()
    }

    /// Returns how many entries the log that ended `number`-th (from 0) holds.
    ///
    /// # Errors
    /// As reading.
    pub fn past_size(&self, number: usize) -> Result<u64, Error> {
        let Some(past) = self.past.get(number) else { return Ok(0) };
        past.read(|connection, _| Ok(read::head(connection)?.size))
    }

    /// Returns entries of the log that ended `number`-th (from 0) by leaf index, as [`crate::Log::entries`] does of this one.
    ///
    /// # Errors
    /// As reading.
    pub fn past_entries(&self, number: usize, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        let Some(past) = self.past.get(number) else { return Ok(Vec::new()) };
        past.read(|connection, origin| read::entries(connection, origin, from, limit))
    }

    /// Returns entries of the log that ended `number`-th that carry the tag, as [`crate::Log::tagged`] does of this one.
    ///
    /// # Errors
    /// As reading.
    pub fn past_tagged(&self, number: usize, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error> {
        let Some(past) = self.past.get(number) else { return Ok(Vec::new()) };
        past.read(|connection, _| read::tagged(connection, tag, from, limit))
    }

    /// Returns the origin of the log that ended `number`-th.
    pub fn past_origin(&self, number: usize) -> Option<&Origin> {
        self.past.get(number).map(|past| &past.origin)
    }

    /// Returns the leaf indices of a stream's entries in the log that ended `number`-th, in their order.
    ///
    /// # Errors
    /// As reading.
    pub fn past_leaves_of(&self, number: usize, stream: StreamKey) -> Result<Vec<u64>, Error> {
        let Some(past) = self.past.get(number) else { return Ok(Vec::new()) };
        past.read(|connection, _| read::leaves_of(connection, stream))
    }

    /// Returns the entries that the stream has in logs that have ended.
    pub(super) fn past_of(&self, stream: StreamKey) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for past in &self.past {
            entries.append(&mut past.load(stream)?);
        }
        Ok(entries)
    }

    /// Says where an append on this tip goes. Without past logs it costs nothing.
    pub(super) fn onto(&self, tip: &Tip, decision: &Decision) -> Result<Onto, Error> {
        if self.past.is_empty() {
            return Ok(Onto::Here);
        }
        let entries = self.past_of(tip.stream)?;
        let Some(end) = entries.last() else { return Ok(Onto::Here) };
        let last = tip.last.map(|last| last.leaf);
        if last == Some(end.leaf) {
            return Ok(Onto::Beginning);
        }
        // A tip of the present log names a leaf that stands in none of these.
        let at = match last {
            None => 0,
            Some(leaf) => match entries.iter().position(|entry| entry.leaf == leaf) {
                None => return Ok(Onto::Here),
                Some(before) => before + 1,
            },
        };
        let taken = &entries[at];
        let same = taken.header.decision_id == decision.decision_id;
        let receipt = Receipt { header: taken.header.clone(), leaf: taken.leaf };
        let conflict = Error::Conflict { stream: tip.stream, seq: taken.header.seq };
        Ok(Onto::Taken(Box::new(if same { Ok(Appended::Already(receipt)) } else { Err(conflict) })))
    }
}

/// A log that is ended and held so that nobody appends to it until this is dropped.
#[derive(Debug)]
pub struct Ended {
    _held: Connection,
}

/// Ends the log at `path`: what lies in the write-ahead log is folded into the file, which then is all there is, and nobody
/// else may open it for writing as long as the returned value lives. Needs that nobody else has it open.
///
/// # Errors
/// [`Error::Unavailable`] when somebody has it open; as opening.
pub fn end_log(path: impl AsRef<Path>) -> Result<Ended, Error> {
    let connection = connect::open_existing(path.as_ref())?;
    // Leaving the mode needs the file for oneself alone, and removes `-wal` and `-shm`.
    let mode = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    if mode.map_err(connect::classify)? != "delete" {
        return Err(Error::Unavailable { source: Some("another process has the ledger open".into()) });
    }
    connection.execute_batch("BEGIN EXCLUSIVE").map_err(connect::classify)?;
    Ok(Ended { _held: connection })
}
