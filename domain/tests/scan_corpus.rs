//! The scanner against mutations of real files: never a panic, bounded memory, and one verdict however the bytes are shown.
//!
//! `MEDIMG_CORPUS` names the folders (separated by `:`); `MEDIMG_MUTATIONS` how many mutations (default 2,000),
//! `MEDIMG_SEED` the seed. Without a corpus it says that it did not run.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where it fails and prints its seed")]

use std::path::{Path, PathBuf};

use domain::Rejection;
use domain::dicom::inflate;
use domain::dicom::limits::Limits;
use domain::dicom::scan::{Scanner, Want, scan_slice};
use domain::dicom::skeleton::Skeleton;
use domain::dicom::testkit::{Random, mutated};

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

/// Scans with small windows, as a reader of a file would; of a deflated object only the counting pass.
fn scan_in_windows(bytes: &[u8], size: usize) -> Option<Result<Skeleton, Rejection>> {
    let mut scanner = Scanner::new(bytes.len() as u64, Limits::default());
    let mut least = 0;
    loop {
        let position = scanner.position() as usize;
        let end = (position + least.max(size)).min(bytes.len());
        match scanner.feed(&bytes[position.min(end)..end]) {
            Err(refused) => return Some(Err(refused)),
            Ok(Want::Bytes(n)) => {
                assert!(scanner.position() as usize + n <= bytes.len(), "more is wanted than there is");
                least = n;
            }
            Ok(Want::Bulk { .. }) => least = 0,
            Ok(Want::Inflate { offset }) => {
                let _ = inflate::count(&bytes[offset as usize..], &Limits::default());
                return None;
            }
            Ok(Want::End) => return Some(scanner.finish()),
        }
    }
}

/// Checks what a skeleton promises: ranges inside the object, subtrees closed, cuts in order.
fn check(skeleton: &Skeleton) {
    let mut kept = 0;
    for (index, element) in skeleton.elements.iter().enumerate() {
        assert!(element.start < element.value && element.value + element.len <= skeleton.data_set_end);
        assert!(element.end as usize > index && element.end as usize <= skeleton.elements.len());
        kept += skeleton.bytes(element).map_or(0, <[u8]>::len);
    }
    assert!(kept <= skeleton.kept.len() && skeleton.data_set_end <= skeleton.len);
    if let Some(found) = &skeleton.encapsulated {
        assert!(found.cuts.is_sorted_by(|a, b| a.offset + a.len <= b.offset));
        for cut in &found.cuts {
            let inside = |fragment: &domain::dicom::skeleton::Fragment| {
                fragment.value <= cut.offset && cut.offset + cut.len <= fragment.value + u64::from(fragment.len)
            };
            assert!(found.fragments.iter().any(inside), "a cut lies inside one fragment");
        }
        assert!(found.frames.iter().all(|first| (*first as usize) < found.fragments.len()));
    }
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
    for _ in 0..count {
        let bytes = std::fs::read(&paths[random.below(paths.len())]).unwrap();
        let split = if random.below(4) == 0 { bytes.len() } else { bytes.len().min(HEAD_BYTES) };
        let mut changed = mutated(&bytes[..split], &mut random);
        changed.extend_from_slice(&bytes[split..]);
        let verdict = scan_slice(&changed, Limits::default()).map(|(skeleton, _)| skeleton);
        *verdicts.entry(verdict.as_ref().map_or_else(|refused| refused.reason.code(), |_| "scanned")).or_default() += 1;
        if let Ok(skeleton) = &verdict {
            check(skeleton);
        }
        if let Some(again) = scan_in_windows(&changed, 1 + random.below(5000)) {
            if verdict != again {
                let file = std::env::temp_dir().join("scan_corpus_failed.dcm");
                std::fs::write(&file, &changed).unwrap();
                let short =
                    |v: &Result<Skeleton, Rejection>| v.as_ref().map(|s| s.elements.len()).map_err(Clone::clone);
                panic!("windows change the verdict of {}: {:?} {:?}", file.display(), short(&verdict), short(&again));
            }
        }
    }
    println!("{verdicts:?}");
    assert!(count < 1000 || verdicts.len() > 5, "mutations reach the scanned and the refused");
    if let Some(peak) = peak_memory() {
        println!("peak memory {} MB", peak >> 20);
        assert!(peak <= MEMORY_BYTES_MAX, "peak memory {peak} bytes");
    }
}
