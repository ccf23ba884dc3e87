//! The questions that the views answer, as SQL. Every value is bound; the text holds names of ours only.

use domain::ids::{IndexHash, KeyedHash};
use domain::study::Count;
use ledger::{STREAM_ENTRIES_MAX, StreamKey, TagKind};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use super::write::{kind_of, number_of, standing_of, study_of};
use super::{signed, unsigned};
use crate::ports::views::{Counted, EntryRow, Selection, Span, StreamRow, StudyRow};

const STREAM_COLUMNS: &str = "s.first_leaf, s.stream, s.kind, s.standing, s.why, s.version, s.study, s.entries, s.last_leaf, \
                              s.first_ms, s.last_ms, w.word";

/// Conditions that are joined by "and", with what is bound to them.
struct Where {
    text: String,
    bound: Vec<Value>,
}

impl Where {
    fn new() -> Self {
        Self { text: "1".to_owned(), bound: Vec::new() }
    }

    fn and(&mut self, condition: &str, bound: impl IntoIterator<Item = Value>) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self.bound.extend(bound);
    }

    fn one_of(&mut self, column: &str, values: Vec<i64>) {
        // An equality lets SQLite use the order of the index behind it; a list does not.
        match values.as_slice() {
            [one] => self.and(&format!("{column} = ?"), [Value::Integer(*one)]),
            _ => {
                let marks = vec!["?"; values.len()].join(", ");
                self.and(&format!("{column} IN ({marks})"), values.into_iter().map(Value::Integer));
            }
        }
    }

    /// Conditions on streams, whose first leaf stands in `column`.
    fn streams(&mut self, selection: &Selection, column: &str) {
        let by_tag = [
            (TagKind::Study, &selection.studies),
            (TagKind::Patient, &selection.patients),
            (TagKind::Accession, &selection.accessions),
        ];
        for (kind, hashes) in by_tag.into_iter().filter(|(_, hashes)| !hashes.is_empty()) {
            let (text, bound) = tagged(kind, hashes);
            self.and(&format!("{column} IN ({text})"), bound);
        }
        if let Some(stream) = selection.stream {
            let text = format!("{column} = (SELECT first_leaf FROM streams WHERE stream = ?)");
            self.and(&text, [Value::Blob(stream.0.to_vec())]);
        }
        let within = |condition: &str| format!("{column} IN (SELECT first_leaf FROM streams WHERE {condition})");
        match (selection.standing, &selection.why) {
            (Some(standing), None) => self.and(&within("standing = ?"), [Value::Integer(standing as i64)]),
            (None, Some(why)) => self.and(&within("why = ?"), [Value::Text(why.clone())]),
            (Some(standing), Some(why)) => {
                self.and(&within("standing = ? AND why = ?"), [(standing as i64).into(), why.clone().into()]);
            }
            (None, None) => {}
        }
    }

    fn span(&mut self, span: Span, column: &str) {
        if let Some(after) = span.after {
            self.and(&format!("{column} > ?"), [Value::Integer(signed(after))]);
        }
        self.and(&format!("{column} < ?"), [Value::Integer(signed(span.below))]);
    }
}

/// The streams that carry one of these tags.
fn tagged(kind: TagKind, hashes: &[IndexHash]) -> (String, Vec<Value>) {
    let one = "SELECT stream FROM tags WHERE hash = ? AND kind = ? AND version = ?";
    let bound = hashes.iter().flat_map(|hash| {
        [Value::Blob(hash.hash.0.to_vec()), Value::Integer(number_of(kind)), Value::Integer(hash.version.into())]
    });
    (vec![one; hashes.len()].join(" UNION ALL "), bound.collect())
}

pub(super) fn streams(
    connection: &Connection,
    selection: &Selection,
    span: Span,
    limit: usize,
) -> rusqlite::Result<Vec<StreamRow>> {
    let mut wanted = Where::new();
    wanted.streams(selection, "s.first_leaf");
    wanted.span(span, "s.first_leaf");
    wanted.bound.push(Value::Integer(signed(limit as u64)));
    let sql = format!(
        "SELECT {STREAM_COLUMNS} FROM streams s JOIN words w ON w.id = s.last_types WHERE {} ORDER BY s.first_leaf LIMIT ?",
        wanted.text
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map(params_from_iter(wanted.bound), stream_row)?.collect()
}

pub(super) fn stream(connection: &Connection, stream: StreamKey) -> rusqlite::Result<Option<StreamRow>> {
    let sql = format!("SELECT {STREAM_COLUMNS} FROM streams s JOIN words w ON w.id = s.last_types WHERE s.stream = ?");
    connection.prepare_cached(&sql)?.query_row([stream.0], stream_row).optional()
}

fn stream_row(row: &Row<'_>) -> rusqlite::Result<StreamRow> {
    let number = |at| row.get::<_, i64>(at).map(unsigned);
    Ok(StreamRow {
        first_leaf: number(0)?,
        stream: StreamKey(row.get(1)?),
        kind: kind_of(row.get(2)?),
        standing: standing_of(row.get(3)?),
        why: row.get(4)?,
        study: study_of(row.get(5)?, row.get(6)?),
        entries: number(7)?,
        last_leaf: number(8)?,
        first_ms: number(9)?,
        last_ms: number(10)?,
        last_types: row.get(11)?,
    })
}

/// Returns the conditions on entries, or `None` if no entry can fulfil them: a type or an actor that no entry has.
fn of_entries(connection: &Connection, selection: &Selection, span: Span) -> rusqlite::Result<Option<Where>> {
    let mut wanted = Where::new();
    if !selection.types.is_empty() {
        let types = words(connection, |word| word.split(',').any(|one| selection.types.contains(&one)))?;
        if types.is_empty() {
            return Ok(None);
        }
        wanted.one_of("e.types", types);
    }
    if !selection.actors.is_empty() {
        let mut statement = connection.prepare_cached("SELECT id FROM words WHERE word = ?")?;
        let ids = selection.actors.iter().map(|actor| statement.query_row([actor], |row| row.get(0)).optional());
        let actors: Vec<i64> = ids.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
        if actors.is_empty() {
            return Ok(None);
        }
        wanted.one_of("e.actor", actors);
    }
    wanted.streams(selection, "e.stream");
    for (sign, bound) in [(">=", selection.from_ms), ("<", selection.to_ms)] {
        if let Some(bound) = bound {
            wanted.and(&format!("e.at_ms {sign} ?"), [Value::Integer(signed(bound))]);
        }
    }
    wanted.span(span, "e.leaf");
    Ok(Some(wanted))
}

/// Lists of types; there are few, since an entry holds what one step says.
fn words(connection: &Connection, chosen: impl Fn(&str) -> bool) -> rusqlite::Result<Vec<i64>> {
    // Actors are words too; those of persons are many, and none is a type.
    let mut statement = connection.prepare_cached("SELECT id, word FROM words WHERE word LIKE 'imaging.%'")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    rows.filter(|row| row.as_ref().map_or(true, |(_, word)| chosen(word))).map(|row| row.map(|(id, _)| id)).collect()
}

pub(super) fn entries(
    connection: &Connection,
    selection: &Selection,
    span: Span,
    limit: usize,
) -> rusqlite::Result<Vec<EntryRow>> {
    let Some(mut wanted) = of_entries(connection, selection, span)? else { return Ok(Vec::new()) };
    wanted.bound.push(Value::Integer(signed(limit as u64)));
    let sql = format!(
        "SELECT e.leaf, s.stream, e.seq, t.word, a.word, e.at_ms FROM entries e CROSS JOIN streams s ON s.first_leaf = e.stream \
         CROSS JOIN words t ON t.id = e.types CROSS JOIN words a ON a.id = e.actor WHERE {} ORDER BY e.leaf LIMIT ?",
        wanted.text
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        Ok(EntryRow {
            leaf: unsigned(row.get(0)?),
            stream: StreamKey(row.get(1)?),
            seq: unsigned(row.get(2)?),
            types: row.get(3)?,
            actor: row.get(4)?,
            at_ms: unsigned(row.get(5)?),
        })
    };
    statement.query_map(params_from_iter(wanted.bound), read)?.collect()
}

pub(super) fn count(connection: &Connection, selection: &Selection, span: Span) -> rusqlite::Result<Counted> {
    if selection.is_everything() {
        let entries = span.below.saturating_sub(span.after.map_or(0, |after| after + 1));
        return Ok(Counted { streams: 0, entries });
    }
    if selection.is_of_streams() {
        let mut wanted = Where::new();
        wanted.streams(selection, "s.first_leaf");
        wanted.span(span, "s.first_leaf");
        let sql = format!("SELECT count(*), coalesce(sum(s.entries), 0) FROM streams s WHERE {}", wanted.text);
        let mut statement = connection.prepare_cached(&sql)?;
        return statement.query_row(params_from_iter(wanted.bound), |row| {
            Ok(Counted { streams: unsigned(row.get(0)?), entries: unsigned(row.get(1)?) })
        });
    }
    let Some(wanted) = of_entries(connection, selection, span)? else { return Ok(Counted::default()) };
    let sql = format!("SELECT count(*) FROM entries e WHERE {}", wanted.text);
    let mut statement = connection.prepare_cached(&sql)?;
    let entries = statement.query_row(params_from_iter(wanted.bound), |row| row.get(0).map(unsigned))?;
    Ok(Counted { streams: 0, entries })
}

pub(super) fn leaves(connection: &Connection, stream: StreamKey) -> rusqlite::Result<Vec<u64>> {
    let sql = "SELECT leaf FROM entries WHERE stream = (SELECT first_leaf FROM streams WHERE stream = ?) ORDER BY leaf LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![stream.0, signed(STREAM_ENTRIES_MAX)], |row| row.get(0).map(unsigned))?;
    rows.collect()
}

pub(super) fn has_tag(
    connection: &Connection,
    stream: StreamKey,
    kind: TagKind,
    hash: IndexHash,
) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tags WHERE hash = ? AND kind = ? AND version = ? \
               AND stream = (SELECT first_leaf FROM streams WHERE stream = ?))";
    let bound = params![hash.hash.0, number_of(kind), hash.version, stream.0];
    connection.prepare_cached(sql)?.query_row(bound, |row| row.get(0))
}

pub(super) fn studies_of_new(connection: &Connection, new_studies: &[IndexHash]) -> rusqlite::Result<Vec<IndexHash>> {
    if new_studies.is_empty() {
        return Ok(Vec::new());
    }
    let (text, bound) = tagged(TagKind::NewStudy, new_studies);
    let sql = format!(
        "SELECT DISTINCT version, study FROM streams WHERE first_leaf IN ({text}) AND study IS NOT NULL \
         ORDER BY version, study LIMIT 1024"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(bound), |row| Ok(study_of(row.get(0)?, row.get(1)?)))?;
    rows.filter_map(Result::transpose).collect()
}

pub(super) fn studies_due(
    connection: &Connection,
    idle_since_ms: u64,
    after: Option<IndexHash>,
    limit: usize,
) -> rusqlite::Result<Vec<StudyRow>> {
    let sql = "SELECT version, study, delivered, quarantined, failed, open, last_ms, done_delivered, done_quarantined, \
               done_failed FROM studies WHERE (version, study) > (?, ?) AND (\
               (done_delivered IS NULL AND open = 0 AND last_ms <= ? AND delivered + quarantined + failed > 0) OR \
               (done_delivered IS NOT NULL AND (open, delivered, quarantined, failed) \
               <> (0, done_delivered, done_quarantined, done_failed))) ORDER BY version, study LIMIT ?";
    let (version, study) = after.map_or((0, [0; 16]), |study| (study.version, study.hash.0));
    let mut statement = connection.prepare_cached(sql)?;
    let bound = params![version, study, signed(idle_since_ms), signed(limit as u64)];
    let read = |row: &Row<'_>| {
        let number = |at| row.get::<_, i64>(at).map(unsigned);
        let done = |at| row.get::<_, Option<i64>>(at).map(|found| found.map(unsigned));
        let completed = match (done(7)?, done(8)?, done(9)?) {
            (Some(delivered), Some(quarantined), Some(failed)) => {
                Some(Count { delivered, quarantined, failed, open: 0 })
            }
            _ => None,
        };
        let count = Count { delivered: number(2)?, quarantined: number(3)?, failed: number(4)?, open: number(5)? };
        let study = IndexHash { version: row.get(0)?, hash: KeyedHash(row.get(1)?) };
        Ok(StudyRow { study, count, last_ms: number(6)?, completed })
    };
    statement.query_map(bound, read)?.collect()
}
