//! Measures durable appends: 256 appenders on one store, beside plain SQLite (WAL, synchronous=FULL) inserting the same bytes in
//! groups of 100, in turns on the same file system: `append_rate [--objects N] [--rounds N] [--strict] [--json] [FOLDER]`.
//!
//! FOLDER must lie on a file system that syncs; the time of its sync is printed. `--strict` exits 1 when the gate is short.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ledger::{Decision, Ledger, Log, Nonce, Open, Origin, SqliteLedger, Tip, UtcMillis};
use rusqlite::{Connection, params};

mod bodies;

const APPENDERS: u64 = 256;
const GROUP: usize = 100;
const GATE: f64 = 0.8;

struct Options {
    objects: u64,
    rounds: usize,
    strict: bool,
    folder: PathBuf,
}

fn options() -> Options {
    let mut options = Options { objects: 20_000, rounds: 5, strict: false, folder: std::env::temp_dir() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--objects" => options.objects = args.next().unwrap().parse().unwrap(),
            "--rounds" => options.rounds = args.next().unwrap().parse().unwrap(),
            "--strict" => options.strict = true,
            folder => options.folder = folder.into(),
        }
    }
    options
}

/// Appends five entries an object, 256 objects at a time; returns seconds.
fn ours(path: &Path, objects: u64, decisions: &Arc<Vec<Decision>>) -> f64 {
    let origin = Origin::new("medimg", "bench", [7; 16]).unwrap();
    let store = Arc::new(SqliteLedger::open(path, Open::CreateWith(origin)).unwrap());
    let next = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..APPENDERS)
            .map(|_| {
                let (store, next, decisions) = (Arc::clone(&store), Arc::clone(&next), Arc::clone(decisions));
                tokio::spawn(async move {
                    loop {
                        let object = next.fetch_add(1, Ordering::Relaxed);
                        if object >= objects {
                            return;
                        }
                        let mut tip = Tip::empty(bodies::stream(object));
                        for step in 0..bodies::STEPS.len() {
                            let decision = &decisions[object as usize * bodies::STEPS.len() + step];
                            let at = UtcMillis::from_unix_ms(1_700_000_000_000 + object);
                            let appended = store.append(&tip, decision, at, Nonce([step as u8; 16])).await.unwrap();
                            tip = appended.receipt().tip();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.head().await.unwrap().size, objects * bodies::STEPS.len() as u64);
    });
    let seconds = began.elapsed().as_secs_f64();
    drop(store);
    seconds
}

/// One row as our store holds it.
struct Row {
    stream: Vec<u8>,
    seq: i64,
    leaf: Vec<u8>,
    nonce: Vec<u8>,
    header: String,
    body: String,
}

fn rows(path: &Path) -> Vec<Row> {
    let connection = Connection::open(path).unwrap();
    let mut all =
        connection.prepare("SELECT stream, seq, leaf, nonce, header, body FROM entries ORDER BY gseq").unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            stream: row.get(0)?,
            seq: row.get(1)?,
            leaf: row.get(2)?,
            nonce: row.get(3)?,
            header: row.get(4)?,
            body: row.get(5)?,
        })
    };
    all.query_map([], read).unwrap().map(Result::unwrap).collect()
}

/// Inserts the same bytes with nothing else done: one table, or with an index over (stream, seq) as ours has one.
fn plain(path: &Path, rows: &[Row], indexed: bool) -> f64 {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    let unique = if indexed { ", UNIQUE(stream, seq)" } else { "" };
    let table = format!(
        "CREATE TABLE plain(id INTEGER PRIMARY KEY, stream BLOB, seq INTEGER, leaf BLOB, nonce BLOB, header TEXT, body TEXT{unique})"
    );
    connection.execute_batch(&table).unwrap();
    let mut insert = connection
        .prepare("INSERT INTO plain(stream, seq, leaf, nonce, header, body) VALUES (?, ?, ?, ?, ?, ?)")
        .unwrap();
    let began = Instant::now();
    for group in rows.chunks(GROUP) {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for row in group {
            insert.execute(params![row.stream, row.seq, row.leaf, row.nonce, row.header, row.body]).unwrap();
        }
        connection.execute_batch("COMMIT").unwrap();
    }
    began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    let options = options();
    let decisions: Arc<Vec<Decision>> = Arc::new(bodies::decisions(0..options.objects));
    let appends = decisions.len() as f64;
    let (mut rates, mut ratios, mut indexed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let folder = tempfile::tempdir_in(&options.folder).unwrap();
        let (store, table, index) =
            (folder.path().join("a.sqlite"), folder.path().join("b.sqlite"), folder.path().join("c.sqlite"));
        let ours = ours(&store, options.objects, &decisions);
        let rows = rows(&store);
        let (bare, with_index) = (plain(&table, &rows, false), plain(&index, &rows, true));
        println!(
            "round {round}: ours {:.0}/s, plain {:.0}/s, plain with the index {:.0}/s",
            appends / ours,
            appends / bare,
            appends / with_index
        );
        rates.push(appends / ours);
        ratios.push(bare / ours);
        indexed.push(with_index / ours);
    }
    let ratio = median(ratios);
    println!("{APPENDERS} appenders: {:.0}/s, {ratio:.2} x plain, {:.2} x plain with the index", median(rates), median(indexed));
    if options.strict && ratio < GATE { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
