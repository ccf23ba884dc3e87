//! Changed stores: every change by SQL is found, with the first bad index; damage of the file never goes unseen or crashes.

use std::path::{Path, PathBuf};

use ledger::verify::{Code, FirstBad, Report};
use ledger::{Error, Export, verify_store};
use rusqlite::Connection;

use crate::support::{Seeded, created, fill, folder};

const ENTRIES: u64 = 110;

/// A closed store and a place for changed copies of it.
struct Bench {
    folder: tempfile::TempDir,
    original: Vec<u8>,
}

impl Bench {
    async fn new(seed: u64) -> Self {
        eprintln!("seed {seed:#x}");
        let folder = folder();
        let ledger = created(&folder);
        fill(&ledger, &mut Seeded(seed), ENTRIES).await;
        drop(ledger);
        let path = folder.path().join("ledger.sqlite");
        // Without a log beside the file, so that every change lies in the file itself.
        let leave_log: String =
            Connection::open(&path).unwrap().query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).unwrap();
        assert_eq!(leave_log, "delete");
        let original = std::fs::read(path).unwrap();
        let bench = Self { folder, original };
        let clean = bench.verify_changed(|_| {});
        assert!(clean.is_sound() && clean.entries == ENTRIES, "{clean:?}");
        bench
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("copy.sqlite")
    }

    /// Verifies a fresh copy after `change`.
    fn verify_changed(&self, change: impl FnOnce(&Connection)) -> Report {
        std::fs::write(self.path(), &self.original).unwrap();
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").unwrap();
        change(&connection);
        drop(connection);
        verify(&self.path()).unwrap()
    }
}

fn verify(path: &Path) -> Result<Report, Error> {
    verify_store(path, &mut |_, _, _| {})
}

fn execute(connection: &Connection, sql: &str) {
    let changed = connection.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert!(changed > 0, "{sql} changes something");
}

/// Changes one bit of a text or blob, or one of a number, in the row that `which` names; false if nothing can be changed.
fn flip(connection: &Connection, table: &str, column: &str, which: &str, seeded: &mut Seeded) -> bool {
    use rusqlite::types::Value;
    let select = format!("SELECT {column} FROM {table} WHERE {which}");
    let (value, sql_type) = match connection.query_row(&select, [], |row| row.get::<_, Value>(0)).unwrap() {
        Value::Integer(number) => (Value::Integer(number ^ 1 << seeded.below(40)), "INTEGER"),
        Value::Text(text) => (Value::Blob(text.into_bytes()), "TEXT"),
        blob => (blob, "BLOB"),
    };
    let value = match value {
        Value::Blob(bytes) if bytes.is_empty() => return false,
        Value::Blob(mut bytes) => {
            let at = seeded.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << seeded.below(8);
            Value::Blob(bytes)
        }
        other => other,
    };
    let update = format!("UPDATE {table} SET {column} = CAST(?1 AS {sql_type}) WHERE {which}");
    match connection.execute(&update, [value]) {
        Ok(changed) => changed == 1,
        // The changed key is another row's: nothing was changed.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => false,
        Err(error) => panic!("{update}: {error}"),
    }
}

#[tokio::test]
async fn two_thousand_flips_in_every_column_are_found_with_the_first_bad_index() {
    let seed = 0xf11b5;
    let (bench, mut seeded, mut flips) = (Bench::new(seed).await, Seeded(seed), 0);
    let entry_columns = ["header", "nonce", "body", "leaf", "stream", "seq", "gseq"];
    while flips < 2000 {
        let (mut expected, mut said, mut changed) = (None, String::new(), true);
        let report = bench.verify_changed(|connection| {
            let pick = seeded.below(10);
            if pick < 5 {
                let (column, row) = (entry_columns[seeded.below(7) as usize], seeded.below(ENTRIES));
                said = format!("entries.{column} of {row}");
                changed = flip(connection, "entries", column, &format!("gseq = {row}"), &mut seeded);
                expected = Some(row);
            } else if pick < 9 {
                let count: i64 = connection.query_row("SELECT count(*) FROM tags", [], |row| row.get(0)).unwrap();
                let nth =
                    format!("SELECT hash, kind, version, gseq FROM tags LIMIT 1 OFFSET {}", seeded.below(count as u64));
                let which = format!("(hash, kind, version, gseq) = ({nth})");
                let gseq = |which: &str| -> i64 {
                    connection.query_row(&format!("SELECT gseq FROM tags WHERE {which}"), [], |row| row.get(0)).unwrap()
                };
                let row = gseq(&which);
                let column = ["hash", "kind", "version", "gseq"][seeded.below(4) as usize];
                said = format!("tags.{column} of {row}");
                let before = total_gseq(connection);
                changed = flip(connection, "tags", column, &which, &mut seeded);
                let moved = row + total_gseq(connection) - before;
                expected = Some(if moved < 0 { row } else { row.min(moved) } as u64);
            } else {
                let column = ["size", "root", "frontier"][seeded.below(3) as usize];
                said = format!("head.{column}");
                changed = flip(connection, "head", column, "id = 0", &mut seeded);
            }
        });
        if !changed {
            assert!(report.is_sound(), "{said}: {report:?}");
            continue;
        }
        flips += 1;
        let right = report.first_bad == Some(expected.map_or(FirstBad::NoEntry, FirstBad::At));
        assert!(right, "flip {flips}: {said}: expected {expected:?}: {report:?}");
    }
}

fn total_gseq(connection: &Connection) -> i64 {
    connection.query_row("SELECT sum(gseq) FROM tags", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn deleted_rows_streams_and_tails_are_found_at_the_first_missing_index() {
    let bench = Bench::new(0xde1).await;
    for row in 0..ENTRIES {
        for tags_too in [false, true] {
            let report = bench.verify_changed(|connection| {
                execute(connection, &format!("DELETE FROM entries WHERE gseq = {row}"));
                if tags_too {
                    connection.execute("DELETE FROM tags WHERE gseq = ?", [row as i64]).unwrap();
                }
            });
            assert_eq!(report.first_bad, Some(FirstBad::At(row)), "row {row}: {report:?}");
        }
        let report = bench.verify_changed(|connection| {
            execute(connection, &format!("DELETE FROM entries WHERE gseq >= {row}"));
            connection.execute("DELETE FROM tags WHERE gseq >= ?", [row as i64]).unwrap();
        });
        assert_eq!(report.first_bad, Some(FirstBad::At(row)), "cut at {row}: {report:?}");
        assert!(report.proved_below <= row);
        let mut first = 0;
        let report = bench.verify_changed(|connection| {
            let of = format!("SELECT stream FROM entries WHERE gseq = {row}");
            let min = format!("SELECT min(gseq) FROM entries WHERE stream = ({of})");
            first = connection.query_row(&min, [], |row| row.get::<_, i64>(0)).unwrap();
            let of = format!("SELECT gseq FROM entries WHERE stream = ({of})");
            connection.execute(&format!("DELETE FROM tags WHERE gseq IN ({of})"), []).unwrap();
            execute(connection, &format!("DELETE FROM entries WHERE gseq IN ({of})"));
        });
        assert_eq!(report.first_bad, Some(FirstBad::At(first as u64)), "stream of {row}: {report:?}");
    }
}

#[tokio::test]
async fn swapped_and_moved_up_rows_are_found_at_or_before_their_place() {
    let seed = 0x5a9;
    let (bench, mut seeded) = (Bench::new(seed).await, Seeded(seed));
    for case in 0..300 {
        let (a, b) = (seeded.below(ENTRIES - 1), seeded.below(ENTRIES));
        let (low, high) = (a.min(b), a.max(b).max(a.min(b) + 1));
        let with_tags = case % 2 == 0;
        let report = bench.verify_changed(|connection| {
            for table in if with_tags { &["entries", "tags"][..] } else { &["entries"] } {
                for (from, to) in [(low as i64, -9), (high as i64, low as i64), (-9, high as i64)] {
                    connection.execute(&format!("UPDATE {table} SET gseq = {to} WHERE gseq = {from}"), []).unwrap();
                }
            }
        });
        assert_found_at_or_before(&report, low, &format!("swap {low} {high}, tags {with_tags}"));
    }
    for row in 0..ENTRIES - 1 {
        // A row is taken out and everything behind it moves up, tags included. Where that leaves a whole log that only the
        // head knows to be shorter, the first missing index is what can be said; `proved_below` says how sure that is.
        let report = bench.verify_changed(|connection| {
            execute(connection, &format!("DELETE FROM entries WHERE gseq = {row}"));
            connection.execute("DELETE FROM tags WHERE gseq = ?", [row as i64]).unwrap();
            for table in ["entries", "tags"] {
                for step in ["-gseq", "-gseq - 1"] {
                    let which = if step == "-gseq" { format!("gseq > {row}") } else { "gseq < 0".to_owned() };
                    connection.execute(&format!("UPDATE {table} SET gseq = {step} WHERE {which}"), []).unwrap();
                }
            }
        });
        assert!(!report.is_sound(), "moved up at {row}");
        assert!(report.proved_below <= row, "moved up at {row}: {report:?}");
    }
}

fn assert_found_at_or_before(report: &Report, row: u64, case: &str) {
    let right = match report.first_bad {
        Some(FirstBad::At(found)) => found == row,
        Some(FirstBad::AtOrAfter(found)) => found <= row,
        _ => false,
    };
    assert!(right, "{case}: {report:?}");
    assert!(report.proved_below <= row, "{case}: {report:?}");
}

#[tokio::test]
async fn added_and_deleted_tags_and_swapped_bodies_are_found_at_their_entry() {
    let bench = Bench::new(0x7a6).await;
    for row in 0..ENTRIES {
        let added =
            format!("INSERT INTO tags VALUES (zeroblob(16), 'study', 1, {row}) ON CONFLICT DO UPDATE SET version = 9");
        let report = bench.verify_changed(|connection| execute(connection, &added));
        assert_eq!(report.first_bad, Some(FirstBad::At(row)), "{report:?}");
        let delete = format!("DELETE FROM tags WHERE gseq = {row}");
        let mut deleted = 0;
        let report = bench.verify_changed(|connection| deleted = connection.execute(&delete, []).unwrap());
        assert_eq!(report.first_bad, (deleted > 0).then_some(FirstBad::At(row)), "{report:?}");
        let next = (row + 1) % ENTRIES;
        let report = bench.verify_changed(|connection| {
            for column in ["nonce", "body"] {
                let swap = format!(
                    "UPDATE entries SET {column} = (SELECT o.{column} FROM entries o WHERE o.gseq = {row} + {next} - entries.gseq) \
                     WHERE gseq IN ({row}, {next})"
                );
                execute(connection, &swap);
            }
        });
        assert_eq!(report.first_bad, Some(FirstBad::At(row.min(next))), "{report:?}");
    }
    let stray = "INSERT INTO tags VALUES (zeroblob(16), 'study', 1, 100000)";
    let report = bench.verify_changed(|connection| execute(connection, stray));
    assert_eq!(report.findings[0].code, Code::TagStray);
    let flood = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
                 INSERT INTO tags SELECT zeroblob(16), 'study', i + 50, 7 FROM n";
    let report = bench.verify_changed(|connection| execute(connection, flood));
    assert_eq!(report.first_bad, Some(FirstBad::At(7)));
    assert!(report.findings.len() <= 100 && report.findings_count > 1000);
}

#[tokio::test]
async fn a_head_that_is_gone_doubled_or_ahead_is_found() {
    let bench = Bench::new(0x4ead).await;
    let report = bench.verify_changed(|connection| execute(connection, "DELETE FROM head"));
    assert_eq!((report.first_bad, report.findings[0].code), (Some(FirstBad::NoEntry), Code::HeadForm));
    let double = "PRAGMA ignore_check_constraints = ON; INSERT INTO head SELECT 1, size, root, frontier FROM head";
    let report = bench.verify_changed(|connection| connection.execute_batch(double).unwrap());
    assert!(report.findings.iter().any(|f| f.code == Code::HeadForm), "{report:?}");
    let beyond = "INSERT INTO entries SELECT gseq + 1, zeroblob(16), seq, leaf, nonce, header, body FROM entries \
                  ORDER BY gseq DESC LIMIT 1";
    let report = bench.verify_changed(|connection| execute(connection, beyond));
    assert_eq!(report.first_bad, Some(FirstBad::At(ENTRIES)), "{report:?}");
    assert!(report.findings.iter().any(|f| f.code == Code::EntryBeyondHead));
}

#[tokio::test]
async fn garbage_of_any_type_in_any_column_is_a_finding() {
    let bench = Bench::new(0x6a7b).await;
    let loosen = "PRAGMA writable_schema = ON; \
        UPDATE sqlite_schema SET sql = replace(replace(sql, ' STRICT, WITHOUT', ' WITHOUT'), ') STRICT', ')'); \
        UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', ''); PRAGMA writable_schema = RESET";
    let garbage = [
        "NULL",
        "1e300",
        "-7",
        "9223372036854775807",
        "x''",
        "''",
        "x'ff00'",
        "CAST(x'ff00fe' AS TEXT)",
        "zeroblob(30000000)",
        "CAST(zeroblob(30000000) AS TEXT)",
        "zeroblob(16)",
        "zeroblob(32)",
        "'\u{1f600}'",
    ];
    for value in garbage {
        for column in ["stream", "seq", "leaf", "nonce", "header", "body"] {
            let report = bench.verify_changed(|connection| {
                connection.execute_batch(loosen).unwrap();
                execute(connection, &format!("UPDATE entries SET {column} = {value} WHERE gseq = 70"));
            });
            assert_eq!(report.first_bad, Some(FirstBad::At(70)), "{column} = {value}: {report:?}");
        }
        for column in ["size", "root", "frontier"] {
            let report = bench.verify_changed(|connection| {
                connection.execute_batch(loosen).unwrap();
                execute(connection, &format!("UPDATE head SET {column} = {value}"));
            });
            assert_eq!(report.first_bad, Some(FirstBad::NoEntry), "head.{column} = {value}: {report:?}");
            assert!(has_own_finding(&report), "head.{column} = {value}: {report:?}");
        }
        for column in ["kind", "hash", "version", "gseq"] {
            let mut changed = false;
            let report = bench.verify_changed(|connection| {
                connection.execute_batch(loosen).unwrap();
                let first = "(hash, kind, version, gseq) = (SELECT hash, kind, version, gseq FROM tags WHERE gseq >= 70 ORDER BY gseq LIMIT 1)";
                // A key column of a table WITHOUT ROWID takes no NULL, however the schema is written.
                let update = format!("UPDATE tags SET {column} = {value} WHERE {first}");
                changed = connection.execute(&update, []).is_ok();
            });
            assert_eq!(has_own_finding(&report), changed, "tags.{column} = {value}: {report:?}");
        }
    }
}

/// Beside the schema, which the test itself loosened.
fn has_own_finding(report: &Report) -> bool {
    report.findings.iter().any(|finding| !matches!(finding.code, Code::Schema | Code::StorePages))
}

#[tokio::test]
async fn a_damaged_file_never_crashes_and_what_is_called_sound_is_unchanged() {
    let seed = 0xb17e;
    let (bench, mut seeded) = (Bench::new(seed).await, Seeded(seed));
    std::fs::write(bench.path(), &bench.original).unwrap();
    let exported: Vec<String> = Export::open(bench.path()).unwrap().map(Result::unwrap).collect();
    let mut seen = 0;
    for _ in 0..400 {
        let mut bytes = bench.original.clone();
        let at = seeded.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << seeded.below(8);
        std::fs::write(bench.path(), &bytes).unwrap();
        match verify(&bench.path()) {
            Ok(report) if report.is_sound() => {
                let now: Vec<String> = Export::open(bench.path()).unwrap().map(Result::unwrap).collect();
                assert!(now == exported, "byte {at} was changed and called sound");
            }
            Ok(_) | Err(_) => seen += 1,
        }
    }
    assert!(seen > 200, "most bytes of the file are in use: {seen}");
    for _ in 0..60 {
        let length = seeded.below(bench.original.len() as u64) as usize;
        std::fs::write(bench.path(), &bench.original[..length]).unwrap();
        assert!(!verify(&bench.path()).is_ok_and(|report| report.is_sound()), "cut to {length} bytes");
    }
}
