//! Reading rows: head, streams, the log, tags. Every value is taken as whatever type it has; what is not as written is
//! `Damaged`, never a panic.

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::connect::{classify, damaged};
use crate::{
    Entry, Error, Frontier, Head, LeafHash, LogEntry, Nonce, Origin, READ_ENTRIES_MAX, STREAM_ENTRIES_MAX, Stream,
    StreamKey, Tag, Tagged, first_prev,
};

/// Returns the head row; one that contradicts itself is refused, so nothing is built on it.
pub(super) fn head(connection: &Connection) -> Result<Head, Error> {
    let mut statement = cached(connection, "SELECT size, root, frontier FROM head WHERE id = 0")?;
    let read = |row: &Row<'_>| Ok((unsigned(row.get_ref(0)?), blob32(row.get_ref(1)?), blob(row.get_ref(2)?)));
    let row = statement.query_row([], read).optional().map_err(classify)?;
    let Some((Some(size), Some(root), Some(frontier))) = row else {
        return Err(damaged("the head row is missing or ill-formed"));
    };
    let frontier =
        Frontier::from_bytes(size, &frontier).ok_or_else(|| damaged("the head's frontier does not fit its size"))?;
    let head = Head::of(frontier);
    if head.root.0 == root { Ok(head) } else { Err(damaged("the head's root is not that of its frontier")) }
}

/// Returns a stream whole, its links checked.
pub(super) fn load(connection: &Connection, origin: &Origin, stream: StreamKey) -> Result<Stream, Error> {
    let sql = "SELECT gseq, stream, seq, leaf, nonce, header, body FROM entries WHERE stream = ? ORDER BY seq LIMIT ?";
    let mut statement = cached(connection, sql)?;
    let mut rows = statement.query(params![stream.0, STREAM_ENTRIES_MAX as i64 + 1]).map_err(classify)?;
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(row) = rows.next().map_err(classify)? {
        let LogEntry { leaf_index, entry } = entry(row, origin)?;
        let broken = |what| Err(Error::Damaged { what, leaf_index: Some(leaf_index), source: None });
        let prev = entries.last().map_or_else(|| first_prev(origin, stream), |last| last.leaf);
        if entry.header.seq != entries.len() as u64 || entries.len() as u64 == STREAM_ENTRIES_MAX {
            return broken("a stream's numbers are not dense from 0");
        }
        if entry.header.prev != prev {
            return broken("an entry does not link to the one before it");
        }
        entries.push(entry);
    }
    Ok(Stream { stream, entries })
}

/// Returns the leaf indices of a stream's entries, in their order.
pub(super) fn leaves_of(connection: &Connection, stream: StreamKey) -> Result<Vec<u64>, Error> {
    let sql = "SELECT gseq FROM entries WHERE stream = ? ORDER BY seq LIMIT ?";
    let mut statement = cached(connection, sql)?;
    let mut rows = statement.query(params![stream.0, STREAM_ENTRIES_MAX as i64]).map_err(classify)?;
    let mut leaves = Vec::new();
    while let Some(row) = rows.next().map_err(classify)? {
        let leaf = unsigned(row.get_ref(0).map_err(classify)?);
        leaves.push(leaf.ok_or_else(|| damaged("a leaf index is no number from 0"))?);
    }
    Ok(leaves)
}

/// Returns entries by leaf index.
pub(super) fn entries(
    connection: &Connection,
    origin: &Origin,
    from: u64,
    limit: usize,
) -> Result<Vec<LogEntry>, Error> {
    let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
    let sql = "SELECT gseq, stream, seq, leaf, nonce, header, body FROM entries WHERE gseq >= ? ORDER BY gseq LIMIT ?";
    let mut statement = cached(connection, sql)?;
    let mut rows = statement.query(params![from, limit.min(READ_ENTRIES_MAX) as i64]).map_err(classify)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(classify)? {
        let entry = entry(row, origin)?;
        if entry.leaf_index != from as u64 + found.len() as u64 {
            return Err(Error::Damaged {
                what: "leaf indices are not dense",
                leaf_index: Some(entry.leaf_index),
                source: None,
            });
        }
        found.push(entry);
    }
    Ok(found)
}

/// Returns entries that carry the tag.
pub(super) fn tagged(connection: &Connection, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error> {
    let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
    let sql = "SELECT t.gseq, e.stream FROM tags t LEFT JOIN entries e ON e.gseq = t.gseq \
               WHERE t.hash = ? AND t.kind = ? AND t.version = ? AND t.gseq >= ? ORDER BY t.gseq LIMIT ?";
    let mut statement = cached(connection, sql)?;
    let key = params![tag.hash.hash, tag.kind.as_str(), tag.hash.version, from, limit.min(READ_ENTRIES_MAX) as i64];
    let mut rows = statement.query(key).map_err(classify)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(classify)? {
        let index = unsigned(row.get_ref(0).map_err(classify)?);
        let stream = blob(row.get_ref(1).map_err(classify)?).and_then(|bytes| bytes.try_into().ok());
        let (Some(leaf_index), Some(stream)) = (index, stream) else {
            return Err(Error::Damaged { what: "a tag points to no entry", leaf_index: index, source: None });
        };
        found.push(Tagged { leaf_index, stream: StreamKey(stream) });
    }
    Ok(found)
}

/// Returns one row of `gseq, stream, seq, leaf, nonce, header, body`, checked against itself.
fn entry(row: &Row<'_>, origin: &Origin) -> Result<LogEntry, Error> {
    let column = |at| row.get_ref(at).map_err(classify);
    let leaf_index = unsigned(column(0)?).ok_or_else(|| damaged("a leaf index is no number from 0"))?;
    let ill_formed =
        || Error::Damaged { what: "a column has another type or length", leaf_index: Some(leaf_index), source: None };
    let stream = blob(column(1)?).and_then(|bytes| bytes.try_into().ok()).map(StreamKey).ok_or_else(ill_formed)?;
    let seq = unsigned(column(2)?).ok_or_else(ill_formed)?;
    let leaf = blob32(column(3)?).map(LeafHash).ok_or_else(ill_formed)?;
    let nonce = blob(column(4)?).and_then(|bytes| bytes.try_into().ok()).map(Nonce).ok_or_else(ill_formed)?;
    let header = text(column(5)?).ok_or_else(ill_formed)?;
    let body = text(column(6)?).and_then(|text| String::from_utf8(text).ok()).ok_or_else(ill_formed)?;
    let entry = Entry::from_stored(header, nonce, body, leaf).map_err(|error| match error {
        Error::Damaged { what, source, .. } => Error::Damaged { what, leaf_index: Some(leaf_index), source },
        other => other,
    })?;
    if entry.header.stream != stream || entry.header.seq != seq || entry.header.origin != *origin {
        let what = "an entry's columns are not what its header says";
        return Err(Error::Damaged { what, leaf_index: Some(leaf_index), source: None });
    }
    Ok(LogEntry { leaf_index, entry })
}

pub(super) fn cached<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>, Error> {
    connection.prepare_cached(sql).map_err(classify)
}

pub(super) fn unsigned(value: ValueRef<'_>) -> Option<u64> {
    if let ValueRef::Integer(number) = value { u64::try_from(number).ok() } else { None }
}

pub(super) fn blob32(value: ValueRef<'_>) -> Option<[u8; 32]> {
    if let ValueRef::Blob(bytes) = value { bytes.try_into().ok() } else { None }
}

pub(super) fn blob(value: ValueRef<'_>) -> Option<Vec<u8>> {
    if let ValueRef::Blob(bytes) = value { Some(bytes.to_vec()) } else { None }
}

pub(super) fn text(value: ValueRef<'_>) -> Option<Vec<u8>> {
    if let ValueRef::Text(bytes) = value { Some(bytes.to_vec()) } else { None }
}
