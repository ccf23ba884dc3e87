//! What a store says of its own sealing, read without writing and without believing it.

use std::path::Path;

use rusqlite::{OptionalExtension as _, Row, params};

use super::super::connect::{self, Snapshot, classify};
use crate::note::NOTE_BYTES_MAX;
use crate::{Error, RootHash};

/// How much the store says that it has sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealRow {
    /// The store is from before there was sealing.
    None,
    /// The row is missing, doubled, or holds other types than were written; or a checkpoint is kept of a size below 0.
    Bad,
    /// Size and root.
    Sealed(u64, RootHash),
}

/// A checkpoint that a store keeps: its size, and the note if it is text of a bearable length.
pub type KeptCheckpoint = (u64, Option<Vec<u8>>);

/// Returns how much is sealed, and the size of the newest checkpoint that is kept.
///
/// # Errors
/// As opening a store.
pub fn seal_facts(path: impl AsRef<Path>) -> Result<(SealRow, Option<u64>), Error> {
    read(path.as_ref(), |connection| {
        let sql = "SELECT size, root FROM seal WHERE octet_length(root) = 32 AND (SELECT count(*) FROM seal) = 1";
        let row = connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let sealed = row.ok().and_then(|(size, root)| {
            Some(SealRow::Sealed(u64::try_from(size).ok()?, RootHash::from_slice(&root)?))
        });
        let negative = connection.query_row("SELECT count(*) FROM checkpoints WHERE size < 0", [], |row| row.get(0));
        let sealed = sealed.filter(|_| negative == Ok(0_i64));
        let newest = connection.query_row("SELECT max(size) FROM checkpoints", [], |row| row.get::<_, Option<i64>>(0));
        let newest = newest.map_err(classify)?.and_then(|size| u64::try_from(size).ok());
        Ok((sealed.unwrap_or(SealRow::Bad), newest))
    })
    .map(|found| found.unwrap_or((SealRow::None, None)))
}

/// Returns the checkpoints that are kept of sizes from `from` to `to`, by size, at most `limit`. Sizes below 0 are no sizes.
///
/// # Errors
/// As opening a store.
pub fn kept_checkpoints(path: impl AsRef<Path>, from: u64, to: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, Error> {
    let bound = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    read(path.as_ref(), |connection| {
        let sql = "SELECT size, iif(octet_length(note) <= ?4, note, NULL) FROM checkpoints WHERE size BETWEEN ?1 AND ?2 \
                   ORDER BY size LIMIT ?3";
        let mut statement = connection.prepare(sql).map_err(classify)?;
        let note_bytes = i64::try_from(NOTE_BYTES_MAX).unwrap_or(i64::MAX);
        let note = |row: &Row<'_>| {
            let text = row.get_ref(1)?.as_str().ok().map(|text| text.as_bytes().to_vec());
            Ok((row.get::<_, i64>(0)?, text))
        };
        let rows = statement.query_map(params![bound(from), bound(to), limit, note_bytes], note).map_err(classify)?;
        let rows: Vec<_> = rows.collect::<Result<_, _>>().map_err(classify)?;
        Ok(rows.into_iter().filter_map(|(size, note)| Some((u64::try_from(size).ok()?, note))).collect())
    })
    .map(Option::unwrap_or_default)
}

/// Reads one state; once more, with locks, if someone wrote while it was read without. None in a store without these tables.
fn read<T>(
    path: &Path,
    read: impl Fn(&rusqlite::Connection) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let of = |snapshot: &Snapshot| {
        snapshot.connection.execute_batch("BEGIN").map_err(classify)?;
        connect::identify(&snapshot.connection)?;
        let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'checkpoints'";
        let there = snapshot.connection.query_row(sql, [], |_| Ok(())).optional().map_err(classify)?;
        there.map(|()| read(&snapshot.connection)).transpose()
    };
    let snapshot = Snapshot::open(path, false)?;
    let found = of(&snapshot);
    if !snapshot.was_disturbed() {
        return found;
    }
    of(&Snapshot::open(path, true)?)
}
