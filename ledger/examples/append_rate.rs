//! Measures durable appends: 256 appenders on one store, beside plain SQLite (WAL, synchronous=FULL) inserting the same bytes in
//! groups of 100, in turns on the same file system: `append_rate [--objects N] [--rounds N] [--json] [FOLDER]`; or how time and
//! memory grow with the log: `append_rate --growth ENTRIES [--json] [FOLDER]`.
//!
//! FOLDER must lie on a file system that syncs; what a sync takes there is told. `tests/bench/ledger.py` holds the gates.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it fails")]

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ledger::{Decision, Ledger, Log, Nonce, Open, Origin, SqliteLedger, Tip, UtcMillis};
use rusqlite::{Connection, params};
use serde_json::json;

mod bodies;

const APPENDERS: u64 = 256;
const GROUP: usize = 100;
const SYNCS: u32 = 50;
/// Entries between two looks at time and memory.
const STEP_ENTRIES: u64 = 250_000;

struct Options {
    objects: u64,
    rounds: usize,
    growth: Option<u64>,
    json: bool,
    folder: PathBuf,
}

fn options() -> Options {
    let mut options = Options { objects: 20_000, rounds: 5, growth: None, json: false, folder: std::env::temp_dir() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--objects" => options.objects = args.next().unwrap().parse().unwrap(),
            "--rounds" => options.rounds = args.next().unwrap().parse().unwrap(),
            "--growth" => options.growth = Some(args.next().unwrap().parse().unwrap()),
            "--json" => options.json = true,
            folder => options.folder = folder.into(),
        }
    }
    options
}

fn main() {
    let options = options();
    let figures = match options.growth {
        Some(entries) => growth(&options.folder, entries),
        None => rates(&options),
    };
    if options.json {
        println!("{figures}");
    }
}

/// Seconds of a sync of 4 KiB, the median.
fn sync_s(folder: &Path) -> f64 {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let one = |_| {
        file.write_all(&[7; 4096]).unwrap();
        let began = Instant::now();
        file.sync_data().unwrap();
        began.elapsed().as_secs_f64()
    };
    median((0..SYNCS).map(one).collect())
}

fn rates(options: &Options) -> serde_json::Value {
    let decisions: Arc<Vec<Decision>> = Arc::new(bodies::decisions(0..options.objects));
    let appends = decisions.len() as f64;
    let sync = sync_s(&options.folder);
    println!("a sync of 4 KiB takes {:.2} ms there", sync * 1e3);
    let (mut ours, mut plain, mut keyed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let folder = tempfile::tempdir_in(&options.folder).unwrap();
        let at = |name: &str| folder.path().join(name);
        let store = open(&at("ours.sqlite"));
        ours.push(appends / append(&store, 0..options.objects, &decisions));
        drop(store);
        let rows = rows(&at("ours.sqlite"));
        plain.push(appends / insert(&at("plain.sqlite"), &rows, ""));
        keyed.push(appends / insert(&at("keyed.sqlite"), &rows, ", UNIQUE(stream, seq)"));
        let (ours, plain, keyed) = (ours[round], plain[round], keyed[round]);
        println!("round {round}: ours {ours:.0}/s, plain {plain:.0}/s, plain with our key {keyed:.0}/s");
    }
    let ratio = |of: &[f64]| median(ours.iter().zip(of).map(|(ours, other)| ours / other).collect());
    let (to_plain, to_keyed) = (ratio(&plain), ratio(&keyed));
    json!({ "appenders": APPENDERS, "appends": appends, "rounds": options.rounds, "sync_ms": sync * 1e3,
        "appends_per_s": median(ours), "plain_per_s": median(plain), "plain_with_key_per_s": median(keyed),
        "to_plain": to_plain, "to_plain_with_key": to_keyed })
}

/// Appends so many entries to one store; time and memory at each step.
fn growth(folder: &Path, entries: u64) -> serde_json::Value {
    let scratch = tempfile::tempdir_in(folder).unwrap();
    let store = open(&scratch.path().join("ours.sqlite"));
    let (mut seconds, mut object, mut steps) = (0.0, 0, Vec::new());
    for size in (STEP_ENTRIES..=entries).step_by(STEP_ENTRIES as usize) {
        let objects = object..size / bodies::STEPS.len() as u64;
        object = objects.end;
        let decisions = Arc::new(bodies::decisions(objects.clone()));
        seconds += append(&store, objects, &decisions);
        drop(decisions);
        println!("{size} entries: {seconds:.1} s, {:.1} MB resident", resident_mb());
        steps.push(json!({ "entries": size, "seconds": seconds, "resident_mb": resident_mb() }));
    }
    json!({ "steps": steps })
}

/// Memory of this process, where the system tells it.
fn resident_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.map_or(f64::NAN, |pages| pages * 4096.0 / 1e6)
}

fn open(path: &Path) -> Arc<SqliteLedger> {
    let origin = Origin::new("medimg", "bench", [7; 16]).unwrap();
    Arc::new(SqliteLedger::open(path, Open::CreateWith(origin)).unwrap())
}

/// Appends five entries an object, 256 objects at a time; returns seconds.
fn append(store: &Arc<SqliteLedger>, objects: Range<u64>, decisions: &Arc<Vec<Decision>>) -> f64 {
    let next = Arc::new(AtomicU64::new(objects.start));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..APPENDERS)
            .map(|_| {
                let (store, next, decisions) = (Arc::clone(store), Arc::clone(&next), Arc::clone(decisions));
                tokio::spawn(appender(store, next, objects.clone(), decisions))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.head().await.unwrap().size, objects.end * bodies::STEPS.len() as u64);
    });
    began.elapsed().as_secs_f64()
}

/// Takes objects until none is left, and waits for each entry before it appends the next.
async fn appender(store: Arc<SqliteLedger>, next: Arc<AtomicU64>, objects: Range<u64>, decisions: Arc<Vec<Decision>>) {
    loop {
        let object = next.fetch_add(1, Ordering::Relaxed);
        if object >= objects.end {
            return;
        }
        let mut tip = Tip::empty(bodies::stream(object));
        let first = (object - objects.start) as usize * bodies::STEPS.len();
        for (step, decision) in decisions[first..].iter().take(bodies::STEPS.len()).enumerate() {
            let at = UtcMillis::from_unix_ms(1_700_000_000_000 + object);
            let appended = store.append(&tip, decision, at, Nonce([step as u8; 16])).await.unwrap();
            tip = appended.receipt().tip();
        }
    }
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

/// Inserts the same bytes with nothing else done, into one table with this key beside its row id.
fn insert(path: &Path, rows: &[Row], key: &str) -> f64 {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    let columns = "id INTEGER PRIMARY KEY, stream BLOB, seq INTEGER, leaf BLOB, nonce BLOB, header TEXT, body TEXT";
    connection.execute_batch(&format!("CREATE TABLE plain({columns}{key})")).unwrap();
    let sql = "INSERT INTO plain(stream, seq, leaf, nonce, header, body) VALUES (?, ?, ?, ?, ?, ?)";
    let mut insert = connection.prepare(sql).unwrap();
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
