//! Measures what an operator waits for: the history of a study, the report of a month and the dry run of a replay, over a
//! store of `--entries` ledger entries (100,000), and with `--growth` over ten times as many:
//! `operate_speed [--entries N] [--runs N] [--growth] [--strict] [--write FILE] [FOLDER]`.
//!
//! The store is built in FOLDER, else in memory (`/dev/shm`) where there is such, and removed at the end. Times are medians;
//! each begins with opening the store, as a command does. `--strict` exits 1 when a gate is short.
#![allow(clippy::print_stdout, reason = "an example speaks to the terminal")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::measure::Figure;

mod machine;
mod measure;
mod month;

struct Options {
    entries: u64,
    runs: usize,
    growth: bool,
    strict: bool,
    write: Option<PathBuf>,
    folder: Option<PathBuf>,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { entries: 100_000, runs: 9, growth: false, strict: false, write: None, folder: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--entries" => options.entries = value()?.parse()?,
            "--runs" => options.runs = value()?.parse()?,
            "--write" => options.write = Some(value()?.into()),
            "--growth" => options.growth = true,
            "--strict" => options.strict = true,
            other if other.starts_with('-') => return Err(format!("no option {other}").into()),
            folder => options.folder = Some(folder.into()),
        }
    }
    Ok(options)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    let load = machine::load();
    let base = options.folder.clone().unwrap_or_else(|| {
        let memory = PathBuf::from("/dev/shm");
        if memory.is_dir() { memory } else { std::env::temp_dir() }
    });
    let (entries, figures) = of_size(&base, options.entries, options.runs)?;
    let gates = gates(entries, &figures);
    for gate in &gates {
        println!("{}", gate.told());
    }
    let grown = if options.growth { Some(of_size(&base, options.entries * 10, options.runs)?) } else { None };
    let mut growth = Map::new();
    if let Some((_, grown)) = &grown {
        for (small, large) in figures.iter().zip(grown) {
            let (wall, cpu) = (large.seconds / small.seconds, large.cpu_s / small.cpu_s);
            println!("growth of {} by ten times the entries: {wall:.1} on the wall, {cpu:.1} cpu", small.name);
            growth.insert(small.name.to_owned(), json!({"seconds": wall, "cpu_s": cpu}));
        }
    }
    if let Some(path) = &options.write {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let told = gates.iter().map(|gate| (gate.name.to_owned(), gate.told().into())).collect::<Map<_, _>>();
        let values = gates.iter().map(|gate| (gate.name.to_owned(), gate.value.into())).collect::<Map<_, _>>();
        let sizes: Vec<Value> = std::iter::once((&entries, &figures))
            .chain(grown.iter().map(|(entries, figures)| (entries, figures)))
            .map(|(entries, figures)| json!({"entries": entries, "measured": figures}))
            .collect();
        let result = json!({
            "commit": machine::commit(), "at": machine::now()?, "load": {"before": load, "after": machine::load(), "cores": cores},
            "rounds": options.runs, "figures": values, "gates": told, "growth": growth, "sizes": sizes,
        });
        std::fs::write(path, serde_json::to_string_pretty(&result)? + "\n")?;
    }
    let short = options.strict && gates.iter().any(|gate| !gate.holds());
    Ok(if short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Builds a store and measures it; returns its entries and the figures.
fn of_size(base: &Path, entries: u64, runs: usize) -> Result<(u64, Vec<Figure>), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(base)?;
    let begin = Instant::now();
    let month = measure::block_on(month::build(folder.path(), entries))??;
    println!("{} entries of {} studies, built in {:.1} s", month.entries, month.studies, begin.elapsed().as_secs_f64());
    let figures = measure::all(&month, runs)?;
    for Figure { name, seconds, cpu_s, spread, runs } in &figures {
        let (wall, cpu) = (seconds * 1e3, cpu_s * 1e3);
        // A history reads its study, everything else the whole log.
        let whole = if name.starts_with("history") { None } else { Some(month.entries as f64 / seconds) };
        let speed = whole.map(|speed| format!(", {speed:.0} entries/s")).unwrap_or_default();
        println!("  {name:<24} {wall:>9.1} ms, {cpu:>9.1} ms cpu, spread {spread:.2}, {runs} runs{speed}");
    }
    Ok((month.entries, figures))
}

/// A figure that must not be short.
struct Gate {
    name: &'static str,
    value: f64,
    bound: f64,
    at_most: bool,
}

fn gates(entries: u64, figures: &[Figure]) -> Vec<Gate> {
    let seconds = |name: &str| figures.iter().find(|figure| figure.name == name).map_or(f64::NAN, |it| it.seconds);
    let speed = |name: &str| entries as f64 / seconds(name);
    vec![
        Gate { name: "history of a study, ms", value: seconds("history") * 1e3, bound: 50.0, at_most: true },
        Gate { name: "report of a month, s", value: seconds("report"), bound: 3.0, at_most: true },
        Gate {
            name: "replay dry run of everything, entries/s",
            value: speed("replay everything"),
            bound: 50_000.0,
            at_most: false,
        },
        Gate {
            name: "replay dry run of --failed, entries/s",
            value: speed("replay --failed"),
            bound: 50_000.0,
            at_most: false,
        },
    ]
}

impl Gate {
    /// Whether it holds; what was not measured does not.
    fn holds(&self) -> bool {
        if self.at_most { self.value <= self.bound } else { self.value >= self.bound }
    }

    fn told(&self) -> String {
        let Self { name, value, bound, at_most } = self;
        let verdict = if self.holds() {
            "holds".to_owned()
        } else {
            format!("SHORT by {:.0} %", (value / bound - 1.0).abs() * 100.0)
        };
        format!("gate {name}: {value:.2}, {} {bound}: {verdict}", if *at_most { "at most" } else { "at least" })
    }
}
