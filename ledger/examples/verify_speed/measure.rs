//! One measurement, each in a process of its own; and the medians of several, in turns.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use ledger::verify::Report;
use ledger::{Depth, Header, UtcMillis, Watcher};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Entries that are held in memory at once to be hashed.
const CHUNK: usize = 50_000;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// SHA-256 over headers and bodies in memory, one thread, nothing else.
    Bare,
    /// The same over headers.
    BareHeaders,
    /// `verify_store`.
    Whole,
    /// `verify_store_with`, headers only.
    Headers,
}

impl Mode {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Bare, "bare"), (Self::BareHeaders, "bare-headers"), (Self::Whole, "whole"), (Self::Headers, "headers")];

    pub(crate) fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|(_, word)| *word == name).unwrap().0
    }
}

/// What one process measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) seconds: f64,
    pub(crate) cpu_s: f64,
    pub(crate) memory_mb: f64,
    bytes: f64,
    entries: f64,
}

/// Measures in this process, and returns what was found as JSON.
pub(crate) fn one(path: &Path, mode: Mode) -> Value {
    let begun = Instant::now();
    let (seconds, bytes, entries) = match mode {
        Mode::Bare => bare(path, true),
        Mode::BareHeaders => bare(path, false),
        Mode::Whole => sound(&ledger::verify_store(path, &mut |_, _, _| {}).unwrap(), begun),
        Mode::Headers => sound(&ledger::verify_store_with(path, Depth::Headers, &mut Nobody).unwrap(), begun),
    };
    json!({ "seconds": seconds, "bytes": bytes, "entries": entries, "cpu_s": cpu_s(), "memory_mb": memory_mb() })
}

/// Who is shown nothing.
struct Nobody;

impl Watcher for Nobody {
    fn entry(&mut self, _: u64, _: &Header, _: &str) {}
}

fn sound(report: &Report, begun: Instant) -> (f64, u64, u64) {
    assert!(report.is_sound(), "{report:?}");
    (begun.elapsed().as_secs_f64(), 0, report.entries)
}

/// Hashes what every entry's two hashes cover; only the hashing is timed.
fn bare(path: &Path, bodies: bool) -> (f64, u64, u64) {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut query = connection.prepare("SELECT header, nonce, body FROM entries NOT INDEXED ORDER BY gseq").unwrap();
    let mut rows = query.query([]).unwrap();
    let (mut taken, mut bytes, mut entries, mut ended) = (Duration::ZERO, 0, 0, false);
    while !ended {
        let mut chunk: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let Some(row) = rows.next().unwrap() else {
                ended = true;
                break;
            };
            let text = |at| row.get_ref(at).unwrap().as_bytes().unwrap().to_vec();
            let (header, nonce) = ([&[0][..], &text(0)].concat(), text(1));
            let body = if bodies { [nonce, text(2)].concat() } else { Vec::new() };
            bytes += (header.len() + body.len()) as u64;
            entries += 1;
            chunk.push((header, body));
        }
        let begun = Instant::now();
        for (header, body) in &chunk {
            std::hint::black_box(Sha256::digest(header));
            if bodies {
                std::hint::black_box(Sha256::digest(body));
            }
        }
        taken += begun.elapsed();
    }
    (taken.as_secs_f64(), bytes, entries)
}

fn cpu_s() -> f64 {
    let tasks = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = tasks.rsplit(") ").next().unwrap_or_default();
    let ticks: f64 = after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1000.0
}

pub(crate) fn now() -> String {
    // Whole seconds, as every file of results has them.
    let now = UtcMillis::from_system_time(SystemTime::now()).to_string();
    now.split('.').next().map_or(now.clone(), |seconds| format!("{seconds}Z"))
}

pub(crate) fn commit() -> String {
    let said = Command::new("git").args(["rev-parse", "HEAD"]).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}

/// The medians of one store.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) entries: u64,
    /// Medians in the order of [`Mode::ALL`].
    taken: [Taken; 4],
    /// Medians of the shares of each round, in which all four were measured one after the other.
    shares: [f64; 2],
}

impl Figures {
    pub(crate) fn of(path: &Path, rounds: usize) -> Self {
        let rounds: Vec<[Taken; 4]> =
            (0..rounds.max(1)).map(|_| Mode::ALL.map(|(_, word)| spawned(path, word))).collect();
        let middle = |value: &dyn Fn(&[Taken; 4]) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let taken = std::array::from_fn(|at| Taken {
            seconds: middle(&|round| round[at].seconds),
            cpu_s: middle(&|round| round[at].cpu_s),
            memory_mb: middle(&|round| round[at].memory_mb),
            bytes: rounds[0][at].bytes,
            entries: rounds[0][at].entries,
        });
        let shares = [
            middle(&|round| round[0].seconds / round[2].seconds),
            middle(&|round| round[1].seconds / round[3].seconds),
        ];
        Self { entries: taken[2].entries as u64, taken, shares }
    }

    pub(crate) const fn whole(&self) -> Taken {
        self.taken[2]
    }

    pub(crate) const fn headers(&self) -> Taken {
        self.taken[3]
    }

    pub(crate) const fn whole_share(&self) -> f64 {
        self.shares[0]
    }

    pub(crate) const fn headers_share(&self) -> f64 {
        self.shares[1]
    }

    pub(crate) fn object(&self) -> Value {
        let taken = Mode::ALL.iter().zip(&self.taken).map(|((_, word), taken)| {
            let said = json!({ "seconds": taken.seconds, "cpu_s": taken.cpu_s, "memory_mb": taken.memory_mb });
            ((*word).to_owned(), said)
        });
        json!({ "entries": self.entries, "bytes": self.taken[0].bytes, "measured": taken.collect::<serde_json::Map<_, _>>(),
            "verify by bare SHA-256": self.shares[0], "headers only by bare SHA-256": self.shares[1] })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((_, word), taken) in Mode::ALL.iter().zip(&self.taken) {
            let bytes = if word.contains("headers") { self.taken[1].bytes } else { self.taken[0].bytes };
            let (rate, each) = (bytes / taken.seconds / 1e6, taken.seconds * 1e6 / self.entries as f64);
            let Taken { seconds, cpu_s, memory_mb, .. } = taken;
            writeln!(
                f,
                "{word:>12}: {seconds:.2} s wall, {cpu_s:.2} s of cpu (all threads, whole process), {rate:.0} MB/s, {each:.2} µs an entry, peak {memory_mb:.1} MB"
            )?;
        }
        Ok(())
    }
}

fn spawned(path: &Path, word: &str) -> Taken {
    let program = std::env::current_exe().unwrap();
    let ran = Command::new(program).arg("--one").arg(path).arg(word).output().unwrap();
    assert!(ran.status.success(), "{word}: {}", String::from_utf8_lossy(&ran.stderr));
    let said: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let number = |name: &str| said[name].as_f64().unwrap();
    Taken {
        seconds: number("seconds"),
        cpu_s: number("cpu_s"),
        memory_mb: number("memory_mb"),
        bytes: number("bytes"),
        entries: number("entries"),
    }
}
