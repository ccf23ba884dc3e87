//! Looking at a store and copying it, while others write to it: what a backup and the guard against older stores need.

use std::path::{Path, PathBuf};

use rusqlite::{OpenFlags, params};

use super::connect::{self, Snapshot, classify, damaged};
use super::read::{self, blob32, head, unsigned};
use super::seal;
use crate::{Error, Frontier, Head, LeafHash, LogEntry, Origin};

/// Origin and head of one state of a store, read without writing.
#[derive(Debug)]
pub struct Peek {
    path: PathBuf,
    /// Which log it is.
    pub origin: Origin,
    /// Its head as the store states it; `verify_store` proves it.
    pub head: Head,
    /// How many entries are sealed; none in a store from before there was sealing.
    pub sealed: Option<u64>,
}

impl Peek {
    /// Looks at the store at `path`.
    ///
    /// # Errors
    /// As opening: [`Error::Missing`], [`Error::NoAccess`], [`Error::NotALedger`], [`Error::SchemaVersion`],
    /// [`Error::Damaged`] when the head contradicts itself.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let (origin, head, sealed) = settled(path, |snapshot| {
            let version = connect::identify(&snapshot.connection)?;
            let sealed = if version < 2 { None } else { Some(seal::load(&snapshot.connection)?.head.size) };
            Ok((connect::origin(&snapshot.connection)?, head(&snapshot.connection)?, sealed))
        })?;
        Ok(Self { path: path.to_owned(), origin, head, sealed })
    }

    /// Returns the tree of the log at `size` entries, grown from `from`, an earlier tree that is believed: only the leaves
    /// between the two are read.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the leaves are not there.
    pub fn grown(&self, from: &Frontier, size: u64) -> Result<Frontier, Error> {
        settled(&self.path, |snapshot| grow(snapshot, from.clone(), size))
    }

    /// Returns entries by leaf index, each checked against itself, of the log as it is now: at most [`crate::READ_ENTRIES_MAX`].
    ///
    /// # Errors
    /// As opening; [`Error::Damaged`] when one is not as it was written.
    pub fn entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        settled(&self.path, |snapshot| read::entries(&snapshot.connection, &self.origin, from, limit))
    }

    /// Returns every value that stands beside the log, by name, without the origin.
    ///
    /// # Errors
    /// As opening.
    pub fn meta(&self) -> Result<Vec<(String, String)>, Error> {
        settled(&self.path, |snapshot| {
            let sql = "SELECT name, value FROM meta WHERE name <> 'origin' ORDER BY name LIMIT 4096";
            let mut statement = snapshot.connection.prepare(sql).map_err(classify)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(classify)?;
            rows.collect::<Result<_, _>>().map_err(classify)
        })
    }
}

/// Reads one state; once more, with locks, if someone wrote while it was read without.
fn settled<T>(path: &Path, read: impl Fn(&Snapshot) -> Result<T, Error>) -> Result<T, Error> {
    let snapshot = Snapshot::open(path, false)?;
    let found = begin(&snapshot).and_then(|()| read(&snapshot));
    if !snapshot.was_disturbed() {
        return found;
    }
    let snapshot = Snapshot::open(path, true)?;
    begin(&snapshot)?;
    read(&snapshot)
}

fn begin(snapshot: &Snapshot) -> Result<(), Error> {
    snapshot.connection.execute_batch("BEGIN").map_err(classify)
}

fn grow(snapshot: &Snapshot, mut frontier: Frontier, size: u64) -> Result<Frontier, Error> {
    let bound = |number: u64| i64::try_from(number).map_err(|_| damaged("the log is longer than a log can be"));
    let sql = "SELECT gseq, leaf FROM entries WHERE gseq >= ? AND gseq < ? ORDER BY gseq";
    let mut statement = snapshot.connection.prepare(sql).map_err(classify)?;
    let mut rows = statement.query(params![bound(frontier.size())?, bound(size)?]).map_err(classify)?;
    while let Some(row) = rows.next().map_err(classify)? {
        let (index, leaf) = (unsigned(row.get_ref(0).map_err(classify)?), blob32(row.get_ref(1).map_err(classify)?));
        match (index, leaf) {
            (Some(index), Some(leaf)) if index == frontier.size() => frontier.push(LeafHash(leaf)),
            _ => return Err(damaged("leaf indices are not dense, or a leaf is ill-formed")),
        }
    }
    if frontier.size() == size {
        Ok(frontier)
    } else {
        Err(damaged("the log does not hold the entries that were seen"))
    }
}

/// Copies one state of the store at `path` into the new file `to`, while others may go on writing. The copy holds every
/// row as it was and no free pages; the same state always gives the same bytes. It is not yet durable.
///
/// # Errors
/// As opening; [`Error::DiskFull`] and [`Error::NoAccess`] also of the copy's place.
pub fn copy_store(path: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    connect::must_be_there(path)?;
    let connection = connect::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connect::identify(&connection)?;
    connect::check_schema(&connection)?;
    let to = to.as_ref().to_str().ok_or(Error::NoAccess { source: Some("the copy's path is not UTF-8".into()) })?;
    connection.execute("VACUUM INTO ?", [to]).map(drop).map_err(classify)
}
