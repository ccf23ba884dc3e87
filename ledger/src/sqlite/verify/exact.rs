//! Feeds a store's rows to the exact verifier, whatever they hold.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};

use super::super::connect;
use super::{Depth, Watcher};
use crate::verify::{Cell, Code, EntryRow, HeadRow, Part, Report, TagRow, Verifier};
use crate::{BODY_BYTES_MAX, Error, Header};

/// Entries of a log whose streams are followed at once. Their ends take below 200 bytes for each stream.
const PART_ENTRIES: u64 = 1 << 20;
/// Most parts: beyond them memory grows with the log, and time no faster than it.
const PARTS_MAX: u64 = 64;

/// Verifies inside the reader's transaction, which has begun.
///
/// Tag rows are sorted by SQLite, in its temporary files where they exceed its cache. Streams are followed part by part: the
/// log is read once for each part, so that memory does not grow with it.
pub(super) fn verify(connection: &Connection, depth: Depth, watcher: &mut dyn Watcher) -> Result<Report, Error> {
    let schema = connect::check_schema(connection);
    let (pages_bad, origin) = (integrity_findings(connection), connect::origin(connection).ok());
    let parts = parts(connection);
    let begin = |number| {
        let of = Part { number, of: parts, bodies: depth == Depth::Whole };
        with_head(connection, |head| Verifier::of_part(origin.clone(), head, of))
    };
    let mut verifier = begin(0);
    if schema.is_err() {
        verifier.add(Code::Schema, None);
    }
    for _ in 0..pages_bad {
        verifier.add(Code::StorePages, None);
    }
    if walk(connection, &mut verifier, depth, watcher).is_err() {
        // The row after the last one read cannot be read, nor anything behind it.
        verifier.add(Code::StorePages, Some(verifier.next_index()));
    }
    let mut report = verifier.finish();
    for number in 1..parts {
        let mut verifier = begin(number);
        // That a row cannot be read is told already.
        let _ = walk(connection, &mut verifier, Depth::Headers, &mut Nobody);
        report.join(verifier.finish());
    }
    Ok(report)
}

/// Who is shown nothing.
struct Nobody;

impl Watcher for Nobody {
    fn entry(&mut self, _: u64, _: &Header, _: &str) {}
}

/// In how many parts the streams are followed.
fn parts(connection: &Connection) -> u64 {
    let count = connection.query_row("SELECT count(*) FROM entries NOT INDEXED", [], |row| row.get::<_, i64>(0));
    let entries = count.ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    entries.div_ceil(PART_ENTRIES).clamp(1, PARTS_MAX)
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
fn walk(
    connection: &Connection,
    verifier: &mut Verifier,
    depth: Depth,
    watcher: &mut dyn Watcher,
) -> rusqlite::Result<()> {
    let (body, tags) = if depth == Depth::Whole { ("body", "") } else { ("0", " LIMIT 0") };
    let mut entries = connection.prepare(&format!(
        "SELECT gseq, iif(octet_length(stream) <= 64, stream, 0), iif(octet_length(seq) <= 64, seq, x''), \
         iif(octet_length(leaf) <= 64, leaf, 0), iif(octet_length(nonce) <= 64, nonce, 0), \
         iif(octet_length(header) <= 4096, header, 0), iif(octet_length({body}) <= {BODY_BYTES_MAX}, {body}, 0) \
         FROM entries NOT INDEXED ORDER BY gseq"
    ))?;
    let mut tags = connection.prepare(&format!(
        "SELECT gseq, iif(octet_length(kind) <= 64, kind, 0), version, iif(octet_length(hash) <= 64, hash, 0) \
         FROM tags ORDER BY gseq{tags}"
    ))?;
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
        let sound = verifier.entry(&row);
        if let (Cell::Text(header), Some(tree)) = (row.header, verifier.tree_behind(leaf_index)) {
            watcher.leaf(header, tree);
        }
        if let Some((header, body)) = sound {
            watcher.entry(verifier.next_index() - 1, &header, body);
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
