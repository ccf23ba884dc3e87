//! Whatever is changed in the ledger's database behind its back, `medimg verify` finds: exit code 3 and where it begins.

use std::path::Path;

use pipeline_tests::medimg::{Place, Ran};
use pipeline_tests::random::{Random, count_from};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;

const SEED: u64 = 0x6d65_6469_6d67_0002;
/// Objects in the log: five entries each.
const OBJECTS: u32 = 200;
const INTEGRITY: i32 = 3;
/// What the proof covers. The store's own settings (`meta`) are no part of the log.
const TABLES: [&str; 3] = ["entries", "tags", "head"];

/// A store whose ledger has 1,000 entries and lies in one file, without a write-ahead log.
fn thousand_entries() -> Place {
    let place = Place::new();
    place.ct_slices(OBJECTS);
    place.process(&[]).ended(0);
    database(&place).pragma_update(None, "journal_mode", "DELETE").expect("one file");
    place.run("verify", &[] as &[&str]).ended(0);
    place
}

fn database(place: &Place) -> Connection {
    let connection = Connection::open(place.store().join("ledger.sqlite")).expect("the ledger opens");
    // An attacker with the file is not stopped by a trigger.
    let triggers: Vec<String> = names(&connection, "trigger");
    for trigger in triggers {
        connection.execute_batch(&format!("DROP TRIGGER \"{trigger}\"")).expect("dropped");
    }
    connection
}

fn names(connection: &Connection, kind: &str) -> Vec<String> {
    let mut query = connection.prepare("SELECT name FROM sqlite_master WHERE type = ?").expect("sqlite_master");
    let rows = query.query_map([kind], |row| row.get(0)).expect("names");
    rows.map(|name| name.expect("a name")).collect()
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let mut query = connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).expect("columns");
    query.query_map([], |row| row.get(0)).expect("columns").map(|name| name.expect("a name")).collect()
}

/// Returns the one number that the query answers.
fn number(connection: &Connection, sql: &str) -> u64 {
    let number: i64 = connection.query_row(sql, [], |row| row.get(0)).expect("a number");
    u64::try_from(number).expect("not below 0")
}

/// One row of a table, as it stands.
#[derive(Clone)]
struct RowOf {
    table: String,
    columns: Vec<String>,
    cells: Vec<Cell>,
}

impl RowOf {
    fn random(connection: &Connection, table: &str, random: &mut Random) -> Self {
        let columns = columns(connection, table);
        let count = number(connection, &format!("SELECT count(*) FROM {table}"));
        let sql = format!("SELECT * FROM {table} LIMIT 1 OFFSET {}", random.below(count));
        let cells =
            connection.query_row(&sql, [], |row| (0..columns.len()).map(|at| row.get(at)).collect()).expect("a row");
        Self { table: table.to_owned(), columns, cells }
    }

    fn cell(&self, name: &str) -> Option<&Cell> {
        self.columns.iter().position(|column| column == name).map(|at| &self.cells[at])
    }

    /// The leaf index of the entry that the row belongs to; none for a row of the head.
    fn leaf_index(&self) -> Option<u64> {
        match self.cell("gseq") {
            Some(Cell::Integer(gseq)) => u64::try_from(*gseq).ok(),
            _ => None,
        }
    }

    /// Replaces this row by `cells`; returns whether the database let it happen.
    fn replace(&self, connection: &Connection, cells: &[Cell]) -> bool {
        let matches: Vec<_> = self.columns.iter().map(|column| format!("\"{column}\" IS ?")).collect();
        let delete = format!("DELETE FROM {} WHERE {}", self.table, matches.join(" AND "));
        assert_eq!(connection.execute(&delete, params_from_iter(&self.cells)).expect("deleted"), 1);
        let marks = vec!["?"; cells.len()].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({marks})", self.table);
        if connection.execute(&insert, params_from_iter(cells)).is_ok() {
            return true;
        }
        connection.execute(&insert, params_from_iter(&self.cells)).expect("put back");
        false
    }
}

/// Flips one bit of one byte of the cell; a number is flipped in one of its low 40 bits.
fn flipped(cell: &Cell, random: &mut Random) -> Cell {
    let flip = |bytes: &[u8], random: &mut Random| {
        let mut bytes = bytes.to_vec();
        let at = random.index(bytes.len());
        bytes[at] ^= 1 << random.below(7);
        bytes
    };
    match cell {
        Cell::Integer(number) => Cell::Integer(number ^ (1 << random.below(40))),
        Cell::Blob(bytes) => Cell::Blob(flip(bytes, random)),
        Cell::Text(text) => {
            String::from_utf8(flip(text.as_bytes(), random)).map_or_else(|e| Cell::Blob(e.into_bytes()), Cell::Text)
        }
        other => panic!("no column of the ledger holds {other:?}"),
    }
}

/// Returns the first bad index that `verify --json` names, if it names one, and whether it is exact.
fn first_bad(run: &Ran) -> Option<(u64, bool)> {
    let report: Value = serde_json::from_str(run.stdout.lines().last().unwrap_or("null")).expect("verify prints JSON");
    report["first_bad"].as_u64().map(|index| (index, report["first_bad_at_or_after"] != true))
}

/// Verifies and claims that the damage is found, and not placed after the entry that was changed.
fn assert_found(place: &Place, changed: Option<u64>, what: &str) {
    let run = place.run("verify", &["--json"]);
    assert_eq!(run.code, Some(INTEGRITY), "not found: {what}: {}", run.stdout);
    match (changed, first_bad(&run)) {
        (Some(changed), Some((named, exact))) => {
            assert!(
                if exact { named == changed } else { named <= changed },
                "{what}: changed {changed}, named {named}"
            );
        }
        (Some(changed), None) => panic!("{what}: entry {changed} was changed and no index is named: {}", run.stdout),
        (None, _) => {}
    }
}

#[test]
fn every_flipped_bit_in_entry_body_tag_and_head_columns_is_found_where_it_is() {
    let place = thousand_entries();
    let connection = database(&place);
    let mut random = Random::new(SEED);
    let flips = count_from("MEDIMG_FLIPS", 150);
    let mut done = 0;
    for number in 0..flips {
        let row = RowOf::random(&connection, TABLES[random.index(TABLES.len())], &mut random);
        let at = random.index(row.cells.len());
        if matches!(&row.cells[at], Cell::Blob(bytes) if bytes.is_empty()) {
            continue;
        }
        let mut cells = row.cells.clone();
        cells[at] = flipped(&cells[at], &mut random);
        let what = format!("flip {number}, seed {SEED:#x}, {}.{}", row.table, row.columns[at]);
        if row.replace(&connection, &cells) {
            let moved = row.columns[at] == "gseq";
            assert_found(&place, row.leaf_index().filter(|_| !moved), &what);
            RowOf { cells, ..row.clone() }.replace(&connection, &row.cells);
            done += 1;
        }
    }
    // The rest is what the tables' own constraints refuse.
    assert!(done * 10 > flips * 8, "only {done} of {flips} flips could be made");
    drop(connection);
    place.run("verify", &[] as &[&str]).ended(0);
}

/// Runs SQL on a copy of the ledger, and claims that it is found at `index`; then puts the ledger back.
fn assert_sql_is_found(place: &Place, sql: &str, index: Option<u64>) {
    let path = place.store().join("ledger.sqlite");
    let kept = place.root().join("kept.sqlite");
    copy(&path, &kept);
    database(place).execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_found(place, index, sql);
    copy(&kept, &path);
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("copied");
}

#[test]
fn deleted_swapped_and_cut_entries_are_found() {
    let place = thousand_entries();
    let last = number(&database(&place), "SELECT max(gseq) FROM entries");
    let mut random = Random::new(SEED + 1);
    for _ in 0..20 {
        let (one, other) = (random.below(last), random.below(last));
        assert_sql_is_found(&place, &format!("DELETE FROM entries WHERE gseq = {one}"), Some(one));
        assert_sql_is_found(
            &place,
            &format!("DELETE FROM tags WHERE gseq = {one}; DELETE FROM entries WHERE gseq = {one}"),
            Some(one),
        );
        if one != other {
            let swap = format!(
                "UPDATE entries SET gseq = -1 WHERE gseq = {one}; UPDATE entries SET gseq = {one} WHERE gseq = {other}; \
                 UPDATE entries SET gseq = {other} WHERE gseq = -1"
            );
            assert_sql_is_found(&place, &swap, Some(one.min(other)));
        }
        assert_sql_is_found(
            &place,
            &format!("DELETE FROM entries WHERE gseq > {one}; DELETE FROM tags WHERE gseq > {one}"),
            Some(one + 1),
        );
    }
    assert_sql_is_found(
        &place,
        &format!("DELETE FROM entries WHERE gseq = {last}; DELETE FROM tags WHERE gseq = {last}"),
        Some(last),
    );
    assert_sql_is_found(&place, "DELETE FROM head", None);
    assert_sql_is_found(&place, "DELETE FROM tags", None);
    assert_sql_is_found(&place, "DELETE FROM entries; DELETE FROM tags", Some(0));
}

#[test]
fn a_whole_stream_that_was_deleted_is_found() {
    let place = thousand_entries();
    let stream = "(SELECT stream FROM entries ORDER BY gseq LIMIT 1 OFFSET 500)";
    let first = number(&database(&place), &format!("SELECT min(gseq) FROM entries WHERE stream = {stream}"));
    let tags = format!("DELETE FROM tags WHERE gseq IN (SELECT gseq FROM entries WHERE stream = {stream})");
    assert_sql_is_found(&place, &format!("{tags}; DELETE FROM entries WHERE stream = {stream}"), Some(first));
}
