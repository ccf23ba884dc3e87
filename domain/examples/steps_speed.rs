//! Times the steps of the pipeline that are `domain`'s over many different objects, each as cold as a run finds it:
//! `steps_speed [--rounds N] FILE|FOLDER…`. For each step the least round is printed, in microseconds an object.
//!
//! With `--rounds 1` under `valgrind --tool=callgrind` it gives instructions that repeat on a busy machine.
#![allow(clippy::print_stdout, reason = "an example speaks to the terminal")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::dicom::limits::Limits;
use domain::dicom::scan::scan_slice;
use domain::dicom::{Identity, Profile, deidentify, validate};
use domain::ids::{Key, Keys};

const STEPS: [&str; 4] = ["scan", "identity", "validate", "deidentify"];

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (mut rounds, mut paths, mut at) = (9, Vec::new(), 0);
    while let Some(arg) = args.get(at) {
        if arg == "--rounds" {
            at += 1;
            rounds = args.get(at).and_then(|number| number.parse().ok()).unwrap_or(rounds);
        } else {
            collect(Path::new(arg), &mut paths)?;
        }
        at += 1;
    }
    paths.sort();
    let objects = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let keys = Keys { stream: Key::new([1; 32]), index: vec![(1, Key::new([2; 32]))], mapping: Key::new([3; 32]) };
    let Ok(profile) = Profile::basic().map(|profile| profile.with_accept_pixels(true)) else { return Ok(()) };
    let mut least = [Duration::MAX; STEPS.len()];
    for _ in 0..rounds {
        let spent = round(&objects, &profile, &keys);
        least.iter_mut().zip(spent).for_each(|(least, spent)| *least = spent.min(*least));
    }
    let count = objects.len().max(1) as f64;
    print!("{} objects, least of {rounds} rounds, us an object:", objects.len());
    for (step, spent) in STEPS.iter().zip(least) {
        print!(" {step} {:.1}", spent.as_secs_f64() * 1e6 / count);
    }
    println!();
    Ok(())
}

/// Adds the file, or the files of a folder and of the folders in it.
fn collect(path: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        paths.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        collect(&entry?.path(), paths)?;
    }
    Ok(())
}

/// Takes each object through the steps, as the pipeline does: what one step left is dropped before the next object.
fn round(objects: &[Vec<u8>], profile: &Profile, keys: &Keys) -> [Duration; STEPS.len()] {
    let mut spent = [Duration::ZERO; STEPS.len()];
    for bytes in objects {
        let begin = Instant::now();
        let Ok((skeleton, _)) = scan_slice(bytes, Limits::default()) else { continue };
        let scanned = Instant::now();
        let Ok(identity) = Identity::read(&skeleton) else { continue };
        let read = Instant::now();
        let validation = validate(&skeleton, &identity);
        let validated = Instant::now();
        let plan = deidentify(&skeleton, profile, keys);
        let end = Instant::now();
        std::hint::black_box((&validation, &plan));
        for (sum, step) in spent.iter_mut().zip([scanned - begin, read - scanned, validated - read, end - validated]) {
            *sum += step;
        }
    }
    spent
}
