//! What the sealer keeps in the ledger's own file: the cell that decides (`seal`), and every checkpoint by its size
//! (`checkpoints`). The log itself is what is not sealed yet: its order is that of the appends.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::connect::{self, classify, damaged};
use super::read::{self, blob, blob32, cached, text, unsigned};
use crate::note::NOTE_BYTES_MAX;
use crate::seal::{Batch, BundleName, SealError, SealHead, Sealed, Swapped, Unsealed};
use crate::{Error, Frontier, Head, LeafHash, Origin, RootHash, leaf_hash};

/// The sealer's connection to a store. Any number of them, in any process, may be open.
#[derive(Debug)]
pub struct SqliteSeal {
    origin: Origin,
    connection: Mutex<Connection>,
    /// The log's head to which all leaves behind the sealed ones were seen to lead.
    leads_to: Mutex<Option<(u64, RootHash)>>,
}

impl SqliteSeal {
    /// Opens the existing store at `path`; an older one is brought up to date.
    ///
    /// # Errors
    /// As opening a ledger.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let connection = connect::open_existing(path.as_ref())?;
        let origin = connect::origin(&connection)?;
        Ok(Self { origin, connection: Mutex::new(connection), leads_to: Mutex::default() })
    }

    /// Opens the existing store at `path` to read; `None` if it is one from before there was sealing.
    ///
    /// # Errors
    /// As opening a ledger.
    pub fn look(path: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        connect::must_be_there(path.as_ref())?;
        let connection = connect::open_reader(path.as_ref())?;
        let version = connect::identify(&connection)?;
        connect::check_schema(&connection)?;
        let origin = connect::origin(&connection)?;
        let seal = Self { origin, connection: Mutex::new(connection), leads_to: Mutex::default() };
        Ok((version >= 2).then_some(seal))
    }

    /// Returns the origin of the log.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the checkpoint of a size that is kept.
    ///
    /// # Errors
    /// As reading.
    pub fn checkpoint(&self, size: u64) -> Result<Option<String>, Error> {
        self.with(|connection| {
            let sql = "SELECT note FROM checkpoints WHERE size = ?";
            let read = |row: &rusqlite::Row<'_>| Ok(text(row.get_ref(0)?));
            let found = cached(connection, sql)?.query_row([signed(size)?], read).optional().map_err(classify)?;
            let note = found.map(|note| note.and_then(|note| String::from_utf8(note).ok()));
            note.map(|note| note.ok_or_else(|| damaged("a checkpoint that is kept is ill-formed"))).transpose()
        })
    }

    /// Returns the newest checkpoint that is kept: size and note.
    ///
    /// # Errors
    /// As reading.
    pub fn newest_checkpoint(&self) -> Result<Option<(u64, String)>, Error> {
        self.with(|connection| {
            let sql = "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1";
            let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get_ref(0)?), text(row.get_ref(1)?)));
            let found = cached(connection, sql)?.query_row([], read).optional().map_err(classify)?;
            let Some((size, note)) = found else { return Ok(None) };
            let note = note.and_then(|note| String::from_utf8(note).ok());
            size.zip(note).map(Some).ok_or_else(|| damaged("a checkpoint that is kept is ill-formed"))
        })
    }

    /// Returns how many entries the log has, and how many of them are sealed.
    ///
    /// # Errors
    /// As reading.
    pub fn sizes(&self) -> Result<(u64, u64), Error> {
        self.with(|connection| Ok((read::head(connection)?.size, load(connection)?.head.size)))
    }

    /// Returns the checkpoint of exactly this size, if one was published.
    ///
    /// # Errors
    /// As reading.
    pub fn checkpoint_of(&self, size: u64) -> Result<Option<String>, Error> {
        self.with(|connection| {
            let Ok(size) = i64::try_from(size) else { return Ok(None) };
            let sql = "SELECT note FROM checkpoints WHERE size = ?";
            let note = cached(connection, sql)?.query_row([size], |row| Ok(text(row.get_ref(0)?))).optional();
            let Some(note) = note.map_err(classify)? else { return Ok(None) };
            let note = note.and_then(|note| String::from_utf8(note).ok());
            note.map(Some).ok_or_else(|| damaged("a checkpoint that is kept is ill-formed"))
        })
    }

    /// Returns headers as stored, by leaf index from `from` on.
    ///
    /// # Errors
    /// As reading; [`Error::Damaged`] where a header does not hash to its leaf.
    pub fn headers(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.with(|connection| headers(connection, from, limit))
    }

    /// Keeps a checkpoint by its size; signatures are added to one that is kept already.
    ///
    /// # Errors
    /// [`SealError::Forked`] when another text of this size is kept; as writing.
    pub fn keep_checkpoint(&self, size: u64, note: &[u8]) -> Result<(), SealError> {
        self.change(|transaction| {
            let at = signed(size)?;
            let sql = "SELECT note FROM checkpoints WHERE size = ?";
            let read = |row: &rusqlite::Row<'_>| Ok(text(row.get_ref(0)?));
            let kept = cached(transaction, sql)?.query_row([at], read).optional().map_err(classify)?.flatten();
            let both = crate::seal::joined(size, kept.as_deref(), note)?;
            if kept.as_ref() == Some(&both) {
                return Ok(());
            }
            let both = String::from_utf8(both).map_err(|_| damaged("a checkpoint is no text"))?;
            if both.len() > NOTE_BYTES_MAX {
                return Err(damaged("a checkpoint is too long").into());
            }
            let sql =
                "INSERT INTO checkpoints(size, note) VALUES (?, ?) ON CONFLICT DO UPDATE SET note = excluded.note";
            cached(transaction, sql)?.execute(params![at, both]).map_err(classify)?;
            Ok(())
        })
    }

    fn with<T>(&self, act: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        act(&self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the store in one transaction, in which nobody else writes. Durable when it returns.
    fn change<T>(&self, act: impl FnOnce(&Transaction<'_>) -> Result<T, SealError>) -> Result<T, SealError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(classify)?;
        let done = act(&begun)?;
        begun.commit().map_err(classify)?;
        Ok(done)
    }
}

/// Returns what the cell holds; one that contradicts itself is refused.
pub(super) fn load(connection: &Connection) -> Result<Sealed, Error> {
    let mut statement = cached(connection, "SELECT size, root, frontier, staged FROM seal WHERE id = 0")?;
    let read = |row: &rusqlite::Row<'_>| {
        let staged = match row.get_ref(3)? {
            rusqlite::types::ValueRef::Null => Some(None),
            other => text(other).and_then(|name| BundleName::parse(std::str::from_utf8(&name).ok()?)).map(Some),
        };
        Ok((unsigned(row.get_ref(0)?), blob32(row.get_ref(1)?), blob(row.get_ref(2)?), staged))
    };
    let row = statement.query_row([], read).optional().map_err(classify)?;
    let Some((Some(size), Some(root), Some(frontier), Some(staged))) = row else {
        return Err(damaged("the row of the sealed head is missing or ill-formed"));
    };
    let head = Frontier::from_bytes(size, &frontier).map(Head::of).filter(|head| head.root.0 == root);
    head.map(|head| Sealed { head, staged }).ok_or_else(|| damaged("the sealed head contradicts itself"))
}

fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| damaged("the log is longer than a log can be"))
}

fn headers(connection: &Connection, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
    let sql = "SELECT gseq, leaf, header FROM entries WHERE gseq >= ? ORDER BY gseq LIMIT ?";
    let mut statement = cached(connection, sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![signed(from)?, limit]).map_err(classify)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(classify)? {
        let column = |at| row.get_ref(at).map_err(classify);
        let index = from + found.len() as u64;
        let bad = |what| Error::Damaged { what, leaf_index: Some(index), source: None };
        if unsigned(column(0)?) != Some(index) {
            return Err(bad("leaf indices are not dense"));
        }
        let (leaf, header) = (blob32(column(1)?), text(column(2)?));
        match (leaf, header) {
            (Some(leaf), Some(header)) if leaf_hash(&header) == LeafHash(leaf) => found.push(header),
            _ => return Err(bad("a header does not hash to its leaf")),
        }
    }
    Ok(found)
}

#[async_trait]
impl SealHead for SqliteSeal {
    async fn load(&self) -> Result<Sealed, SealError> {
        Ok(self.with(load)?)
    }

    async fn swap(&self, from: &Sealed, to: &Sealed) -> Result<Swapped, SealError> {
        self.change(|transaction| {
            if load(transaction)? != *from {
                return Ok(Swapped::Lost);
            }
            let staged = to.staged.as_ref().map(ToString::to_string);
            let row = params![signed(to.head.size)?, to.head.root.0, to.head.frontier.to_bytes(), staged];
            let sql = "UPDATE seal SET size = ?, root = ?, frontier = ?, staged = ? WHERE id = 0";
            cached(transaction, sql)?.execute(row).map_err(classify)?;
            Ok(Swapped::Done)
        })
    }
}

#[async_trait]
impl Unsealed for SqliteSeal {
    async fn next(&self, head: &Head, limit: usize) -> Result<Batch, SealError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // One state of the log: its head and its entries.
        let state = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(classify)?;
        let end = read::head(&state)?;
        let Some(waiting) = end.size.checked_sub(head.size) else {
            return Err(SealError::RolledBack { what: "the log", size: end.size, published: head.size });
        };
        let headers = headers(&state, head.size, limit.min(usize::try_from(waiting).unwrap_or(limit)))?;
        let whole = headers.len() as u64 == waiting;
        if !whole {
            self.lead(&state, head, &end)?;
        }
        Ok(Batch { headers, marks: Vec::new(), end: whole.then_some(end) })
    }

    async fn sealed(&self, _marks: &[u8], _head: &Head) -> Result<(), SealError> {
        Ok(())
    }
}

impl SqliteSeal {
    /// Sees once that the leaves behind the sealed ones lead to the log's root, where a batch does not reach it: nothing of a
    /// log that does not go on is ever sealed.
    fn lead(&self, state: &Connection, head: &Head, end: &Head) -> Result<(), SealError> {
        let mut leads_to = self.leads_to.lock().unwrap_or_else(PoisonError::into_inner);
        if *leads_to == Some((end.size, end.root)) {
            return Ok(());
        }
        let mut frontier = head.frontier.clone();
        let sql = "SELECT leaf FROM entries WHERE gseq >= ? ORDER BY gseq";
        let mut statement = cached(state, sql)?;
        let mut rows = statement.query([signed(head.size)?]).map_err(classify)?;
        while let Some(row) = rows.next().map_err(classify)? {
            let leaf = blob32(row.get_ref(0).map_err(classify)?).ok_or_else(|| damaged("a leaf is ill-formed"))?;
            frontier.push(LeafHash(leaf));
        }
        if (frontier.size(), frontier.root()) != (end.size, end.root) {
            return Err(SealError::Forked { size: head.size });
        }
        *leads_to = Some((end.size, end.root));
        Ok(())
    }
}

impl From<rusqlite::Error> for SealError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Ledger(classify(error))
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::{Open, SqliteLedger};

    #[test]
    fn a_cell_in_sqlite_is_swapped_by_whoever_saw_it_and_nobody_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ledger.sqlite");
        let origin = Origin::new("medimg", "test", [7; 16]).expect("an origin");
        drop(SqliteLedger::open(&path, Open::CreateWith(origin)).expect("made"));
        let seal = SqliteSeal::open(&path).expect("opened");
        let claim = crate::seal::conformance::a_cell_is_swapped_by_whoever_saw_it_and_nobody_else(&seal);
        claim.now_or_never().expect("it answers in place");
    }
}
