//! Scanner and de-identification against mutations of real files: never a panic, bounded memory, one verdict however the
//! bytes are shown, and what is made of an accepted object can be read again.
//!
//! `MEDIMG_CORPUS` names the folders (separated by `:`); `MEDIMG_MUTATIONS` how many mutations (default 2,000),
//! `MEDIMG_SEED` the seed. Without a corpus it says that it did not run.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where it fails and prints its seed")]

use std::path::{Path, PathBuf};

use domain::dicom::testkit::{Random, deidentify_and_check, mutated, scan_and_check};

/// Real files nest folders a few levels deep.
const FOLDERS_DEEP_MAX: u32 = 8;
/// Larger files add time, not structure.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// Most mutations fall into this many first bytes, where structure is dense.
const HEAD_BYTES: usize = 8 << 10;
const MEMORY_BYTES_MAX: u64 = 64 << 20;

fn files(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && depth < FOLDERS_DEEP_MAX {
            files(&path, depth + 1, found);
        } else if entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= FILE_BYTES_MAX) {
            found.push(path);
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Peak resident memory in bytes, where the system tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[test]
fn mutations_of_real_files_have_one_verdict_and_bounded_memory() {
    let Some(corpus) = std::env::var_os("MEDIMG_CORPUS") else {
        println!("not run: MEDIMG_CORPUS names no folder");
        return;
    };
    let mut paths = Vec::new();
    std::env::split_paths(&corpus).for_each(|folder| files(&folder, 0, &mut paths));
    paths.sort();
    assert!(!paths.is_empty(), "MEDIMG_CORPUS names folders with files");
    let (count, seed) = (number("MEDIMG_MUTATIONS", 2000), number("MEDIMG_SEED", 20_261_123));
    println!("seed {seed}, {count} mutations of {} files", paths.len());
    let mut random = Random::new(seed);
    let mut verdicts = std::collections::BTreeMap::<&str, u64>::new();
    let mut ended = verdicts.clone();
    for _ in 0..count {
        let bytes = std::fs::read(&paths[random.below(paths.len())]).unwrap();
        let split = if random.below(4) == 0 { bytes.len() } else { bytes.len().min(HEAD_BYTES) };
        let mut changed = mutated(&bytes[..split], &mut random);
        changed.extend_from_slice(&bytes[split..]);
        let verdict = scan_and_check(&changed, 1 + random.below(5000));
        *verdicts.entry(verdict.as_ref().map_or_else(|refused| refused.reason.code(), |_| "scanned")).or_default() += 1;
        if verdict.is_ok() {
            let end = deidentify_and_check(&changed).map_or_else(|refused| refused.reason.code(), |_| "de-identified");
            *ended.entry(end).or_default() += 1;
        }
    }
    println!("{verdicts:?}, of the scanned {ended:?}");
    assert!(count < 1000 || verdicts.len() > 5, "mutations reach the scanned and the refused");
    assert!(
        count < 1000 || ended.get("de-identified").is_some_and(|n| n * 20 > count),
        "mutations reach the walk: {ended:?}"
    );
    if let Some(peak) = peak_memory() {
        println!("peak memory {} MB", peak >> 20);
        assert!(peak <= MEMORY_BYTES_MAX, "peak memory {peak} bytes");
    }
}

#[test]
fn inputs_of_the_fuzzer_are_scanned_and_deidentified_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut paths = Vec::new();
    for part in ["seeds", "corpus/scan", "artifacts/scan", "corpus/deidentify", "artifacts/deidentify"] {
        files(&folder.join(part), 0, &mut paths);
    }
    assert!(paths.len() >= 10, "the seeds are checked in");
    for path in paths {
        println!("{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        let _ = (scan_and_check(&bytes, 17), deidentify_and_check(&bytes));
    }
}
