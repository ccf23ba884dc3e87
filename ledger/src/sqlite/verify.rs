//! Feeds a store's rows to the verifier, as one reader of one state, without writing.

use std::path::Path;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};

use super::connect::{self, Snapshot, classify};
use crate::verify::{Cell, Code, EntryRow, HeadRow, Report, TagRow, Verifier};
use crate::{BODY_BYTES_MAX, Error, Header};

/// What a caller does with each sound entry: leaf index, header, body. Called in leaf order.
type Visit<'v> = &'v mut dyn FnMut(u64, &Header, &str);

/// Verifies the store at `path` and shows every sound entry to `visit` on the way.
///
/// Writes nothing (see `Snapshot`); tag rows are sorted by SQLite, in its temporary files where they exceed its cache.
/// Damage is in the report, also where the file cannot be read on; an error means that the verification did not take place:
/// no store, no access, no ledger, another schema version, or a database whose tables cannot be listed.
/// If the store is changed while it is read, it is read once more, and `visit` is called anew from index 0.
pub fn verify_store(path: impl AsRef<Path>, visit: Visit<'_>) -> Result<Report, Error> {
    let path = path.as_ref();
    let snapshot = Snapshot::open(path, false)?;
    let report = verify(&snapshot.connection, visit);
    if !snapshot.was_disturbed() {
        return report;
    }
    verify(&Snapshot::open(path, true)?.connection, visit)
}

fn verify(connection: &Connection, visit: Visit<'_>) -> Result<Report, Error> {
    // One state: everything below reads inside this transaction.
    connection.execute_batch("BEGIN").map_err(classify)?;
    connect::identify(connection)?;
    let schema = connect::check_schema(connection);
    let (pages_bad, origin) = (integrity_findings(connection), connect::origin(connection).ok());
    let mut verifier = with_head(connection, |head| Verifier::new(origin, head));
    if schema.is_err() {
        verifier.add(Code::Schema, None);
    }
    for _ in 0..pages_bad {
        verifier.add(Code::StorePages, None);
    }
    if walk(connection, &mut verifier, visit).is_err() {
        // The row after the last one read cannot be read, nor anything behind it.
        verifier.add(Code::StorePages, Some(verifier.next_index()));
    }
    Ok(verifier.finish())
}

/// Counts what SQLite itself finds wrong: pages, indices that do not match their table, types. At most 100.
fn integrity_findings(connection: &Connection) -> usize {
    let mut bad = 0;
    let walked = connection.pragma_query(None, "integrity_check", |row| {
        bad += usize::from(!matches!(row.get_ref(0), Ok(ValueRef::Text(b"ok"))));
        Ok(())
    });
    if walked.is_err() { bad + 1 } else { bad }
}

/// Reads the head row; with more than one, or none that can be read, there is no head.
fn with_head<T>(connection: &Connection, make: impl FnOnce(Option<HeadRow<'_>>) -> T) -> T {
    let sql = "SELECT size, iif(octet_length(root) <= 64, root, 0), iif(octet_length(frontier) <= 4096, frontier, 0), \
               (SELECT count(*) FROM head) FROM head";
    let Ok(mut statement) = connection.prepare(sql) else { return make(None) };
    let Ok(mut rows) = statement.query([]) else { return make(None) };
    let Ok(Some(row)) = rows.next() else { return make(None) };
    match (cell(row, 0), cell(row, 1), cell(row, 2), cell(row, 3)) {
        (Ok(size), Ok(root), Ok(frontier), Ok(Cell::Integer(1))) => make(Some(HeadRow { size, root, frontier })),
        _ => make(None),
    }
}

/// Walks entries and tags together by leaf index. A value too large to be right is replaced by a number, which is found.
fn walk(connection: &Connection, verifier: &mut Verifier, visit: Visit<'_>) -> rusqlite::Result<()> {
    let mut entries = connection.prepare(&format!(
        "SELECT gseq, iif(octet_length(stream) <= 64, stream, 0), iif(octet_length(seq) <= 64, seq, x''), \
         iif(octet_length(leaf) <= 64, leaf, 0), iif(octet_length(nonce) <= 64, nonce, 0), \
         iif(octet_length(header) <= 4096, header, 0), iif(octet_length(body) <= {BODY_BYTES_MAX}, body, 0) \
         FROM entries NOT INDEXED ORDER BY gseq"
    ))?;
    let mut tags = connection.prepare(
        "SELECT gseq, iif(octet_length(kind) <= 64, kind, 0), version, iif(octet_length(hash) <= 64, hash, 0) \
         FROM tags ORDER BY gseq",
    )?;
    let (mut entries, mut tags) = (entries.query([])?, tags.query([])?);
    tags.advance()?;
    while let Some(row) = entries.next()? {
        let leaf_index = if let ValueRef::Integer(index) = row.get_ref(0)? { index } else { continue };
        while let Some(tag) = current(&tags)?
            && matches!(tag.leaf_index, Cell::Integer(index) if index <= leaf_index)
        {
            verifier.tag(&tag);
            tags.advance()?;
        }
        let row = EntryRow {
            leaf_index,
            stream: cell(row, 1)?,
            seq: cell(row, 2)?,
            leaf: cell(row, 3)?,
            nonce: cell(row, 4)?,
            header: cell(row, 5)?,
            body: cell(row, 6)?,
        };
        if let Some((header, body)) = verifier.entry(&row) {
            visit(verifier.next_index() - 1, &header, body);
        }
    }
    while let Some(tag) = current(&tags)? {
        verifier.tag(&tag);
        tags.advance()?;
    }
    Ok(())
}

/// Returns the tag row that the rows stand on; none at their end.
fn current<'r>(tags: &'r Rows<'_>) -> rusqlite::Result<Option<TagRow<'r>>> {
    let Some(row) = tags.get() else { return Ok(None) };
    let (leaf_index, kind, version, hash) = (cell(row, 0)?, cell(row, 1)?, cell(row, 2)?, cell(row, 3)?);
    Ok(Some(TagRow { leaf_index, kind, version, hash }))
}

fn cell<'r>(row: &'r Row<'_>, at: usize) -> rusqlite::Result<Cell<'r>> {
    Ok(match row.get_ref(at)? {
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(bytes) => Cell::Text(bytes),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
        ValueRef::Null | ValueRef::Real(_) => Cell::Other,
    })
}
