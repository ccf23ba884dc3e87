//! Prints how fast a store is verified, as a share of the bare rate of SHA-256 over the same bytes in memory, and how much
//! memory it takes as the store grows. Usage: `verify_speed [--entries N,…] [--rounds N] [--folder DIR] [--write FILE] [--strict]`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it fails")]

mod make;
mod measure;

use std::path::{Path, PathBuf};

use measure::{Figures, Mode};

/// Rate of `verify` by that of bare hashing over the same bytes, at least.
const WHOLE_SHARE_MIN: f64 = 1.0 / 6.0;
/// The same where only headers are verified: by bare hashing of the headers.
const HEADERS_SHARE_MIN: f64 = 1.0 / 5.0;
/// Peak memory of the largest store by that of the smallest, at most.
const MEMORY_GROWTH_MAX: f64 = 1.2;
/// Time by that of bare hashing of the largest store by that of the smallest, at most.
const TIME_GROWTH_MAX: f64 = 1.25;

struct Args {
    entries: Vec<u64>,
    rounds: usize,
    folder: PathBuf,
    write: Option<PathBuf>,
    strict: bool,
}

fn args() -> Args {
    let (mut entries, mut rounds, mut folder) = (vec![100_000], 3, std::env::temp_dir());
    let (mut write, mut strict, mut given) = (None, false, std::env::args().skip(1));
    while let Some(name) = given.next() {
        let mut value = || given.next().unwrap();
        match name.as_str() {
            "--entries" => entries = value().split(',').map(|n| n.parse().unwrap()).collect(),
            "--rounds" => rounds = value().parse().unwrap(),
            "--folder" => folder = PathBuf::from(value()),
            "--write" => write = Some(PathBuf::from(value())),
            "--strict" => strict = true,
            other => panic!("no option {other}"),
        }
    }
    Args { entries, rounds, folder, write, strict }
}

fn main() {
    // A measurement of memory needs a process of its own: this program calls itself.
    let given: Vec<String> = std::env::args().skip(1).collect();
    if let [task, path, mode] = &given[..]
        && task == "--one"
    {
        return println!("{}", measure::one(Path::new(path), Mode::of(mode)));
    }
    // A store to look at with other tools.
    if let [task, path, entries] = &given[..]
        && task == "--make"
    {
        return make_store(Path::new(path), entries.parse().unwrap());
    }
    let args = args();
    let figures: Vec<Figures> = args.entries.iter().map(|&entries| of_store(&args, entries)).collect();
    let gates = gates(&figures);
    gates.iter().for_each(|(said, _)| println!("{said}"));
    if let Some(path) = &args.write {
        let gates: Vec<&String> = gates.iter().map(|(said, _)| said).collect();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let said = serde_json::json!({ "at": measure::now(), "commit": measure::commit(), "cores": cores,
            "load after": load.trim(), "rounds": args.rounds, "stores": figures.iter().map(Figures::object).collect::<Vec<_>>(),
            "gates": gates });
        std::fs::write(path, format!("{said:#}\n")).unwrap();
    }
    // What other programs on the machine explain is told; without --strict only more than that fails.
    if gates.iter().any(|(_, verdict)| *verdict == Verdict::Far || (args.strict && *verdict == Verdict::Short)) {
        std::process::exit(1);
    }
}

fn make_store(path: &Path, entries: u64) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(make::store(path, entries));
}

fn of_store(args: &Args, entries: u64) -> Figures {
    let folder = tempfile::tempdir_in(&args.folder).unwrap();
    let path = folder.path().join("ledger.sqlite");
    let begun = std::time::Instant::now();
    make_store(&path, entries);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{entries} entries made in {:.1} s, {} MB", begun.elapsed().as_secs_f64(), bytes / 1_000_000);
    let figures = Figures::of(&path, args.rounds);
    print!("{figures}");
    figures
}

/// How a figure stands to its gate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Holds,
    /// Short by no more than [`NOISE`].
    Short,
    Far,
}

/// By how much of a gate other programs on the machine move a figure: the verifier uses two cores and bare hashing one, so
/// where one of two is busy the figure is half as large.
const NOISE: f64 = 0.5;

/// Every gate: what it says, and how the figure stands to it.
fn gates(figures: &[Figures]) -> Vec<(String, Verdict)> {
    let mut gates = Vec::new();
    let mut gate = |name: String, value: f64, limit: f64, least: bool| {
        let within = |room: f64| if least { value >= limit * (1.0 - room) } else { value <= limit * (1.0 + room) };
        let verdict = match (within(0.0), within(NOISE)) {
            (true, _) => Verdict::Holds,
            (false, true) => Verdict::Short,
            (false, false) => Verdict::Far,
        };
        let bound = if least { "at least" } else { "at most" };
        let said = if verdict == Verdict::Holds { "holds" } else { "SHORT" };
        gates.push((format!("gate {name}: {value:.3}, {bound} {limit:.3}: {said}"), verdict));
    };
    for figures in figures {
        let entries = figures.entries;
        gate(format!("verify by bare SHA-256, {entries} entries"), figures.whole_share(), WHOLE_SHARE_MIN, true);
        gate(
            format!("headers only by bare SHA-256, {entries} entries"),
            figures.headers_share(),
            HEADERS_SHARE_MIN,
            true,
        );
    }
    if let [least, .., most] = figures {
        for (name, of) in [("verify", Figures::whole as fn(&Figures) -> _), ("headers only", Figures::headers)] {
            let (less, more) = (of(least), of(most));
            gate(format!("memory of {name}, growth"), more.memory_mb / less.memory_mb, MEMORY_GROWTH_MAX, false);
            // By the bare rate of the same store: what else the machine does meanwhile slows both.
            let share =
                |figures: &Figures| if name == "verify" { figures.whole_share() } else { figures.headers_share() };
            gate(format!("time of {name} by bare SHA-256, growth"), share(least) / share(most), TIME_GROWTH_MAX, false);
        }
    }
    gates
}
