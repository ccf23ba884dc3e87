//! Screening a store: one thread reads the entries, one what stands beside them, and the caller's checks and shows them.
//! What waits between them is bounded.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::super::connect::{self, Snapshot};
use super::{Depth, Watcher};
use crate::verify::{Beside, Cell, Doubt, HeadRow, Report, Screening, StoredEntry};
use crate::{BODY_BYTES_MAX, HEADER_BYTES_MAX, IndexHash, LeafHash, Nonce, StreamKey, Tag, TagKind};

/// Bytes of headers and bodies that are handed over at once, and how many such batches there are.
const BATCH_BYTES: usize = 128 << 10;
const BATCHES: usize = 4;
/// How often a second reader looks for the state that the first one reads, while others append.
const TRIES: usize = 5;

/// Says that the store is sound, or nothing.
pub(super) fn screen(
    path: &Path,
    with_locks: bool,
    entries: &mut Connection,
    depth: Depth,
    watcher: &mut dyn Watcher,
) -> Result<Report, Doubt> {
    connect::check_schema(entries).map_err(|_| Doubt)?;
    let origin = connect::origin(entries).map_err(|_| Doubt)?;
    let (size, root, frontier) = head(entries)?;
    let row = HeadRow { size: Cell::Integer(size), root: Cell::Blob(&root), frontier: Cell::Blob(&frontier) };
    let key = random_key();
    let mut screening = Screening::new(origin, row, key, depth == Depth::Whole)?;
    let mut second = second_reader(path, with_locks, (size, &root));
    let beside = thread::scope(|scope| {
        let (filled, batches) = sync_channel(BATCHES);
        let (spare, emptied) = sync_channel(BATCHES);
        // With a state of its own it reads at the same time, otherwise after the entries.
        let aside = second.as_mut().map(|second| scope.spawn(move || beside(&second.connection, key, depth)));
        let alone = aside.is_none();
        let reader = scope.spawn(move || {
            read_entries(entries, depth, &filled, &emptied)?;
            drop(filled);
            if alone { beside(entries, key, depth).map(Some) } else { Ok(None) }
        });
        let checked = check(&mut screening, &batches, &spare, depth, watcher, &mut Earlier::of(path, with_locks));
        // A reader that waits for room must see that nobody reads on.
        drop((batches, spare));
        let read = reader.join().map_err(|_| Doubt)?;
        let aside = aside.map(|aside| aside.join().map_err(|_| Doubt).and_then(|read| read)).transpose();
        checked?;
        aside?.or(read?).ok_or(Doubt)
    })?;
    screening.finish(&beside)
}

/// Randomness that whoever wrote the store could not know.
fn random_key() -> [u8; 16] {
    let half = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&half());
    key[8..].copy_from_slice(&half());
    key
}

/// The head row: size, root, frontier.
fn head(connection: &Connection) -> Result<(i64, Vec<u8>, Vec<u8>), Doubt> {
    let sql = "SELECT size, root, frontier FROM head WHERE octet_length(root) <= 64 AND octet_length(frontier) <= 4096 \
               AND (SELECT count(*) FROM head) = 1";
    let row = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    row.map_err(|_| Doubt)
}

/// Opens a second reader of the same state; none if others append faster than it is found.
fn second_reader(path: &Path, with_locks: bool, (size, root): (i64, &[u8])) -> Option<Snapshot> {
    for _ in 0..TRIES {
        let snapshot = Snapshot::open(path, with_locks).ok()?;
        snapshot.connection.execute_batch("BEGIN").ok()?;
        if head(&snapshot.connection).is_ok_and(|(at, of, _)| at == size && of == root) {
            return Some(snapshot);
        }
    }
    None
}

/// Rows and their bytes, one behind the other.
#[derive(Default)]
struct Batch {
    rows: Vec<Stored>,
    bytes: Vec<u8>,
}

/// One row; its header and body lie in the batch, in this order.
struct Stored {
    index: u64,
    stream: StreamKey,
    seq: u64,
    leaf: LeafHash,
    nonce: Nonce,
    header_bytes: usize,
    body_bytes: usize,
}

fn read_entries(
    connection: &Connection,
    depth: Depth,
    filled: &SyncSender<Batch>,
    emptied: &Receiver<Batch>,
) -> Result<(), Doubt> {
    let body = if depth == Depth::Whole { "body" } else { "''" };
    let sql = format!("SELECT gseq, stream, seq, leaf, nonce, header, {body} FROM entries NOT INDEXED ORDER BY gseq");
    let mut statement = connection.prepare(&sql).map_err(|_| Doubt)?;
    let mut rows = statement.query([]).map_err(|_| Doubt)?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next().map_err(|_| Doubt)? {
        let (header, body) = (text(row, 5)?, text(row, 6)?);
        if header.len() > HEADER_BYTES_MAX || body.len() > BODY_BYTES_MAX {
            return Err(Doubt);
        }
        batch.rows.push(Stored {
            index: unsigned(row, 0)?,
            stream: StreamKey(array(row, 1)?),
            seq: unsigned(row, 2)?,
            leaf: LeafHash(array(row, 3)?),
            nonce: Nonce(array(row, 4)?),
            header_bytes: header.len(),
            body_bytes: body.len(),
        });
        batch.bytes.extend_from_slice(header);
        batch.bytes.extend_from_slice(body);
        if batch.bytes.len() >= BATCH_BYTES {
            filled.send(batch).map_err(|_| Doubt)?;
            batch = emptied.try_recv().unwrap_or_default();
        }
    }
    filled.send(batch).map_err(|_| Doubt)
}

fn check(
    screening: &mut Screening,
    batches: &Receiver<Batch>,
    spare: &SyncSender<Batch>,
    depth: Depth,
    watcher: &mut dyn Watcher,
    earlier: &mut Earlier<'_>,
) -> Result<(), Doubt> {
    while let Ok(mut batch) = batches.recv() {
        let mut rest = batch.bytes.as_slice();
        for row in &batch.rows {
            let (header, after) = rest.split_at(row.header_bytes);
            let (body, after) = after.split_at(row.body_bytes);
            rest = after;
            let Stored { index, stream, seq, leaf, nonce, .. } = *row;
            let entry = StoredEntry { index, stream, seq, leaf, nonce, header, body };
            let (parsed, body) = screening.entry(&entry, &mut |stream, seq| earlier.header(stream, seq))?;
            watcher.leaf(header, screening.tree());
            watcher.entry(index, &parsed, if depth == Depth::Whole { body } else { "" });
        }
        batch.rows.clear();
        batch.bytes.clear();
        // Where none is wanted any more it is let go.
        let _ = spare.try_send(batch);
    }
    Ok(())
}

/// Looks up entries that were read long ago, through a connection of its own that is opened when the first is asked for. What it
/// finds proves itself: the entry behind it names its hash.
struct Earlier<'p> {
    path: &'p Path,
    with_locks: bool,
    opened: Option<Option<Snapshot>>,
}

impl<'p> Earlier<'p> {
    const fn of(path: &'p Path, with_locks: bool) -> Self {
        Self { path, with_locks, opened: None }
    }

    fn header(&mut self, stream: StreamKey, seq: u64) -> Option<(u64, Vec<u8>)> {
        let opened = self.opened.get_or_insert_with(|| Snapshot::open(self.path, self.with_locks).ok());
        let sql = "SELECT gseq, header FROM entries WHERE stream = ? AND seq = ? AND octet_length(header) <= 512";
        let mut statement = opened.as_ref()?.connection.prepare_cached(sql).ok()?;
        let read = |row: &Row<'_>| Ok(unsigned(row, 0).and_then(|index| Ok((index, text(row, 1)?.to_vec()))));
        let found = statement.query_row(rusqlite::params![stream.0, i64::try_from(seq).ok()?], read).optional().ok()?;
        found?.ok()
    }
}

/// Reads what stands beside the entries: pages, slots, tags.
fn beside(connection: &Connection, key: [u8; 16], depth: Depth) -> Result<Beside, Doubt> {
    let mut beside = Beside::new(key);
    // The order of the index that an append checks slots with; it covers all that is asked for.
    let slots = "SELECT stream, seq, gseq FROM entries INDEXED BY sqlite_autoindex_entries_1 ORDER BY stream, seq";
    each(connection, slots, |row| beside.slot(StreamKey(array(row, 0)?), unsigned(row, 1)?, unsigned(row, 2)?))?;
    if depth == Depth::Headers {
        return Ok(beside);
    }
    each(connection, "SELECT hash, kind, version, gseq FROM tags ORDER BY hash, kind, version, gseq", |row| {
        let kind = TagKind::from_word(text(row, 1)?).ok_or(Doubt)?;
        let version = u32::try_from(unsigned(row, 2)?).map_err(|_| Doubt)?;
        beside.tag(unsigned(row, 3)?, &Tag { kind, hash: IndexHash { version, hash: array(row, 0)? } })
    })?;
    // What this leaves out of `integrity_check`, that indices fit their tables, the sums of slots and tags say.
    each(connection, "PRAGMA quick_check", |row| if text(row, 0)? == b"ok" { Ok(()) } else { Err(Doubt) })?;
    Ok(beside)
}

fn each(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), Doubt>,
) -> Result<(), Doubt> {
    let mut statement = connection.prepare(sql).map_err(|_| Doubt)?;
    let mut rows = statement.query([]).map_err(|_| Doubt)?;
    while let Some(row) = rows.next().map_err(|_| Doubt)? {
        take(row)?;
    }
    Ok(())
}

fn unsigned(row: &Row<'_>, at: usize) -> Result<u64, Doubt> {
    match row.get_ref(at) {
        Ok(ValueRef::Integer(number)) => u64::try_from(number).map_err(|_| Doubt),
        _ => Err(Doubt),
    }
}

fn array<const N: usize>(row: &Row<'_>, at: usize) -> Result<[u8; N], Doubt> {
    match row.get_ref(at) {
        Ok(ValueRef::Blob(bytes)) => bytes.try_into().map_err(|_| Doubt),
        _ => Err(Doubt),
    }
}

fn text<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r [u8], Doubt> {
    match row.get_ref(at) {
        Ok(ValueRef::Text(bytes)) => Ok(bytes),
        _ => Err(Doubt),
    }
}
