//! A page of entries into the tables, inside the caller's transaction.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use domain::ids::{IndexHash, KeyedHash};
use domain::study::Count;
use ledger::{LogEntry, StreamKey, TagKind};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::fold::{self, Facts, Folded};
use super::{signed, unsigned};
use crate::error::Error;
use crate::ports::views::{Standing, StreamKind};

/// Why a page could not be taken in.
pub(super) enum Failed {
    Sql(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A row of `streams` while a page goes on.
struct Stream {
    first_leaf: u64,
    folded: Folded,
    entries: u64,
    last_leaf: u64,
    first_ms: u64,
    last_ms: u64,
    last_types: i64,
    /// What the study counted of it before the page.
    before: Option<(IndexHash, Standing)>,
}

/// What a page changes about a study.
#[derive(Default)]
struct Change {
    by: [i64; 4],
    last_ms: u64,
    completed: Option<Option<Count>>,
}

type Studies = BTreeMap<(u32, [u8; 16]), Change>;

/// Takes in the page. The cursor is the caller's.
pub(super) fn page(transaction: &Transaction<'_>, page: &[LogEntry]) -> Result<(), Failed> {
    let mut words = HashMap::new();
    let mut streams: HashMap<StreamKey, Stream> = HashMap::new();
    let mut studies = Studies::new();
    for row in page {
        let facts = fold::of(&row.entry).map_err(Failed::Ours)?;
        let header = &row.entry.header;
        let types = word(transaction, &mut words, header.types.as_str())?;
        let actor = word(transaction, &mut words, &header.actor.to_string())?;
        let at_ms = header.recorded_at.unix_ms();
        let stream = match streams.entry(header.stream) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let found = load(transaction, header.stream)?;
                place.insert(found.unwrap_or_else(|| Stream::new(row.leaf_index, at_ms)))
            }
        };
        // Counted over all logs: behind a recovery a stream begins anew with number 0, and goes on all the same.
        stream.folded.take_in(&facts, stream.entries);
        (stream.entries, stream.last_leaf) = (stream.entries + 1, row.leaf_index);
        (stream.last_ms, stream.last_types) = (at_ms, types);
        let first = signed(stream.first_leaf);
        transaction
            .prepare_cached("INSERT INTO entries (leaf, stream, seq, types, actor, at_ms) VALUES (?, ?, ?, ?, ?, ?)")?
            .execute(params![signed(row.leaf_index), first, signed(header.seq), types, actor, signed(at_ms)])?;
        tags(transaction, &facts, first)?;
        if let (Some(completed), Some(study), StreamKind::Study) = (facts.completed, facts.study, stream.folded.kind) {
            studies.entry((study.version, study.hash.0)).or_default().completed = Some(completed);
        }
    }
    // By their place in the log, so that rows are written in order.
    let mut changed: Vec<_> = streams.into_iter().collect();
    changed.sort_by_key(|(_, stream)| stream.first_leaf);
    for (key, stream) in changed {
        stream.count(&mut studies);
        store(transaction, key, &stream)?;
    }
    for ((version, study), change) in studies {
        store_study(transaction, version, study, &change)?;
    }
    Ok(())
}

impl Stream {
    fn new(first_leaf: u64, first_ms: u64) -> Self {
        let folded = Folded::default();
        Self { first_leaf, folded, entries: 0, last_leaf: 0, first_ms, last_ms: 0, last_types: 0, before: None }
    }

    /// What the study counts of it.
    fn counted(&self) -> Option<(IndexHash, Standing)> {
        let Folded { kind, standing, study, .. } = &self.folded;
        study.filter(|_| *kind == StreamKind::Object).map(|study| (study, *standing))
    }

    fn count(&self, studies: &mut Studies) {
        for (counted, by) in [(self.before, -1), (self.counted(), 1)] {
            let Some((study, standing)) = counted else { continue };
            let change = studies.entry((study.version, study.hash.0)).or_default();
            change.by[place_of(standing)] += by;
            if by > 0 {
                change.last_ms = change.last_ms.max(self.last_ms);
            }
        }
    }
}

/// Where a standing stands in [`Change::by`]: delivered, quarantined, failed, open.
const fn place_of(standing: Standing) -> usize {
    match standing {
        Standing::Delivered => 0,
        Standing::Quarantined => 1,
        Standing::Failed => 2,
        Standing::Open | Standing::Recorded | Standing::Completed => 3,
    }
}

/// Returns the number of a word, which it gets when it is first met.
fn word(transaction: &Transaction<'_>, known: &mut HashMap<String, i64>, word: &str) -> rusqlite::Result<i64> {
    if let Some(id) = known.get(word) {
        return Ok(*id);
    }
    let found = transaction.prepare_cached("SELECT id FROM words WHERE word = ?")?.query_row([word], |row| row.get(0));
    let id = match found.optional()? {
        Some(id) => id,
        None => {
            transaction.prepare_cached("INSERT INTO words (word) VALUES (?)")?.execute([word])?;
            transaction.last_insert_rowid()
        }
    };
    known.insert(word.to_owned(), id);
    Ok(id)
}

fn tags(transaction: &Transaction<'_>, facts: &Facts, first_leaf: i64) -> rusqlite::Result<()> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO tags (hash, kind, version, stream) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")?;
    for tag in &facts.tags {
        insert.execute(params![tag.hash.hash, number_of(tag.kind), tag.hash.version, first_leaf])?;
    }
    Ok(())
}

/// The number of a kind of tag in the table.
pub(super) const fn number_of(kind: TagKind) -> i64 {
    match kind {
        TagKind::Study => 0,
        TagKind::NewStudy => 1,
        TagKind::Patient => 2,
        TagKind::Accession => 3,
        TagKind::Actor => 4,
    }
}

fn load(transaction: &Transaction<'_>, stream: StreamKey) -> rusqlite::Result<Option<Stream>> {
    let sql = "SELECT first_leaf, kind, standing, why, version, study, entries, last_leaf, first_ms, last_ms, last_types \
               FROM streams WHERE stream = ?";
    let read = |row: &Row<'_>| {
        let number = |at| row.get::<_, i64>(at).map(unsigned);
        let folded = Folded {
            kind: kind_of(row.get(1)?),
            standing: standing_of(row.get(2)?),
            why: row.get(3)?,
            study: study_of(row.get(4)?, row.get(5)?),
        };
        Ok(Stream {
            first_leaf: number(0)?,
            folded,
            entries: number(6)?,
            last_leaf: number(7)?,
            first_ms: number(8)?,
            last_ms: number(9)?,
            last_types: row.get(10)?,
            before: None,
        })
    };
    let found = transaction.prepare_cached(sql)?.query_row([stream.0], read).optional()?;
    Ok(found.map(|stream| Stream { before: stream.counted(), ..stream }))
}

fn store(transaction: &Transaction<'_>, key: StreamKey, stream: &Stream) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO streams (first_leaf, stream, kind, standing, why, version, study, entries, last_leaf, \
               first_ms, last_ms, last_types) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let Folded { kind, standing, why, study } = &stream.folded;
    transaction.prepare_cached(sql)?.execute(params![
        signed(stream.first_leaf),
        key.0,
        *kind as i64,
        *standing as i64,
        why,
        study.map(|study| study.version),
        study.map(|study| study.hash.0),
        signed(stream.entries),
        signed(stream.last_leaf),
        signed(stream.first_ms),
        signed(stream.last_ms),
        stream.last_types,
    ])?;
    Ok(())
}

fn store_study(transaction: &Transaction<'_>, version: u32, study: [u8; 16], change: &Change) -> rusqlite::Result<()> {
    let sql = "INSERT INTO studies (version, study, delivered, quarantined, failed, open, last_ms) \
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET delivered = delivered + excluded.delivered, \
               quarantined = quarantined + excluded.quarantined, failed = failed + excluded.failed, \
               open = open + excluded.open, last_ms = max(last_ms, excluded.last_ms)";
    let [delivered, quarantined, failed, open] = change.by;
    let last_ms = signed(change.last_ms);
    transaction.prepare_cached(sql)?.execute(params![version, study, delivered, quarantined, failed, open, last_ms])?;
    if let Some(completed) = change.completed {
        let sql = "UPDATE studies SET done_delivered = ?, done_quarantined = ?, done_failed = ? \
                   WHERE version = ? AND study = ?";
        let of = |read: fn(&Count) -> u64| completed.as_ref().map(read).map(signed);
        let (delivered, quarantined, failed) = (of(|c| c.delivered), of(|c| c.quarantined), of(|c| c.failed));
        transaction.prepare_cached(sql)?.execute(params![delivered, quarantined, failed, version, study])?;
    }
    Ok(())
}

pub(super) const fn kind_of(number: i64) -> StreamKind {
    match number {
        0 => StreamKind::Object,
        1 => StreamKind::Study,
        _ => StreamKind::Act,
    }
}

pub(super) fn standing_of(number: i64) -> Standing {
    let place = usize::try_from(number).unwrap_or(usize::MAX);
    Standing::ALL.get(place).copied().unwrap_or(Standing::Recorded)
}

pub(super) fn study_of(version: Option<u32>, study: Option<[u8; 16]>) -> Option<IndexHash> {
    Some(IndexHash { version: version?, hash: KeyedHash(study?) })
}
