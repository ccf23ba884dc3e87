//! Measures how long it takes to prove a study of `--entries` ledger entries (60,000) in a log of `--log` (100,000), from opening
//! the store to the durable bundle and its record:
//! `prove_speed [--entries N] [--log N] [--runs N] [--strict] [--write FILE] [FOLDER]`.
//!
//! The store is built in FOLDER, else in memory (`/dev/shm`) where there is such, and removed at the end. Each run is a process of
//! its own, whose peak memory is told. `--strict` exits 1 when the gate is short or a bundle does not check out.
#![allow(clippy::print_stdout, reason = "an example speaks to the terminal")]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use domain::Phi;
use handlers::acting::Person;
use handlers::ask;
use handlers::prove::{Asked, Request, prove, record};
use handlers::sealer::StoreSealer;
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use serde_json::{Value, json};

#[path = "../operate_speed/machine.rs"]
mod machine;
#[path = "../operate_speed/month.rs"]
#[allow(dead_code, reason = "the other benchmark uses what this one does not")]
mod month;

/// Seconds that the proof of a study may take.
const GATE_S: f64 = 2.0;
/// Entries of a hundred objects of a month.
const ENTRIES_PER_HUNDRED: u64 = 494;

struct Options {
    entries: u64,
    log: u64,
    runs: usize,
    strict: bool,
    write: Option<PathBuf>,
    folder: Option<PathBuf>,
    /// In the process of one run: the bundle to make, and whether with the log.
    one: Option<(PathBuf, bool)>,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options =
        Options { entries: 60_000, log: 100_000, runs: 5, strict: false, write: None, folder: None, one: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--entries" => options.entries = value()?.parse()?,
            "--log" => options.log = value()?.parse()?,
            "--runs" => options.runs = value()?.parse()?,
            "--write" => options.write = Some(value()?.into()),
            "--one-with-log" => options.one = Some((value()?.into(), true)),
            "--one-without-log" => options.one = Some((value()?.into(), false)),
            "--strict" => options.strict = true,
            other if other.starts_with('-') => return Err(format!("no option {other}").into()),
            folder => options.folder = Some(folder.into()),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    if let Some((bundle, with_log)) = &options.one {
        let store = options.folder.as_ref().ok_or("one run needs the store")?;
        println!("{}", one(store, bundle, *with_log)?);
        return Ok(ExitCode::SUCCESS);
    }
    let load = machine::load();
    let base = options.folder.clone().unwrap_or_else(|| {
        let memory = PathBuf::from("/dev/shm");
        if memory.is_dir() { memory } else { std::env::temp_dir() }
    });
    let folder = tempfile::tempdir_in(base)?;
    let begin = Instant::now();
    let objects = options.entries * 100 / ENTRIES_PER_HUNDRED + 1;
    let month = block_on(month::build_with(folder.path(), options.log, objects))??;
    block_on(StoreSealer::open(&month.root)?.seal())??;
    println!("{} entries of {} studies, built in {:.1} s", month.entries, month.studies, begin.elapsed().as_secs_f64());
    let mut figures = Vec::new();
    for with_log in [true, false] {
        figures.push(measured(&month.root, &folder.path().join("bundle.zip"), with_log, options.runs)?);
    }
    let seconds = figures[0]["seconds"].as_f64().unwrap_or(f64::NAN);
    let (holds, entries) = (seconds <= GATE_S, figures[0]["entries"].as_u64().unwrap_or(0));
    let verdict =
        if holds { "holds".to_owned() } else { format!("SHORT by {:.0} %", (seconds / GATE_S - 1.0) * 100.0) };
    let gate = format!("proof of a study of {entries} entries, s: {seconds:.2}, at most {GATE_S}: {verdict}");
    println!("gate {gate}");
    if let Some(path) = &options.write {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let result = json!({
            "commit": machine::commit(), "at": machine::now()?,
            "load": {"before": load, "after": machine::load(), "cores": cores},
            "rounds": options.runs, "log_entries": month.entries, "gates": {"proof of a study": gate}, "measured": figures,
        });
        std::fs::write(path, serde_json::to_string_pretty(&result)? + "\n")?;
    }
    let checked = figures.iter().all(|figure| figure["check_exit"] != 1 && figure["check_exit"] != 2);
    let short = options.strict && !(holds && checked && entries >= options.entries);
    Ok(if short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs in processes of their own; the median, and what the scripts of the last bundle say.
fn measured(store: &Path, bundle: &Path, with_log: bool, runs: usize) -> Result<Value, Box<dyn Error>> {
    let mut all: Vec<Value> = Vec::new();
    for _ in 0..runs {
        let mode = if with_log { "--one-with-log" } else { "--one-without-log" };
        let done = Command::new(std::env::current_exe()?).arg(mode).args([bundle, store]).output()?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
        }
        all.push(serde_json::from_slice(&done.stdout)?);
    }
    all.sort_by(|one, other| {
        one["seconds"].as_f64().unwrap_or(0.0).total_cmp(&other["seconds"].as_f64().unwrap_or(0.0))
    });
    let mut figure = all.get(all.len() / 2).cloned().ok_or("no runs")?;
    let begin = Instant::now();
    let mut checked = Command::new("python3");
    checked.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/prove/bundle/check.py")).arg(bundle);
    let exit = checked.output().ok().and_then(|done| done.status.code());
    figure["check_exit"] = json!(exit);
    figure["check_s"] = json!(begin.elapsed().as_secs_f64());
    println!("  {} the log: {figure}", if with_log { "with" } else { "without" });
    Ok(figure)
}

/// Makes one bundle as the command does.
fn one(root: &Path, bundle: &Path, with_log: bool) -> Result<Value, Box<dyn Error>> {
    let begin = Instant::now();
    let store = Store::open(root, Access::Ask, month::ENVIRONMENT, &System)?;
    let person = Person::of_user(&Phi::new("bench".to_owned()), &store.keys);
    let size_min = block_on(ask::head_size(&store))??;
    block_on(StoreSealer::open(root)?.seal())??;
    let request = Request { asked: Asked::Study(month::study_uid(0)), log: None, with_log, checkpoint: None, size_min };
    let made = block_on(prove(&store, &System, person, &request, create(bundle)?))??;
    block_on(record(&store, &System, person, &made))??;
    Ok(json!({
        "with_log": with_log, "seconds": begin.elapsed().as_secs_f64(), "cpu_s": machine::processors().as_secs_f64(), "entries": made.entries, "log_entries": size_min,
        "size_bytes": made.size_bytes, "memory_bytes_max": memory_max(),
    }))
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
}

/// The most memory that this process ever held, where the system tells it.
fn memory_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn block_on<T>(asked: impl Future<Output = T>) -> Result<T, Box<dyn Error>> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(asked))
}
