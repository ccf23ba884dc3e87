//! Prints the cpu time of one append with its share of the commit, as the pipeline appends: five entries per object, bodies
//! of the size of a CT's receipt, some objects in flight. Usage: `append_cost [DIR [OBJECTS [IN_FLIGHT,… [WORK_KIB]]]]`; DIR on
//! tmpfs for the figure; WORK_KIB are hashed before each append and their time is taken off.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it fails")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ledger::{Decision, Ledger, Log, Nonce, Open, Origin, SqliteLedger, Tip, UtcMillis};
use sha2::{Digest, Sha256};

mod bodies;

use bodies::STEPS;

/// Time on a cpu of all threads that still run, in nanoseconds: user and system together, finer than the kernel's ticks.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let on_cpu = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("schedstat")).ok());
    on_cpu.map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Stands for what the pipeline does before an append.
fn work(kib: usize) {
    if kib > 0 {
        std::hint::black_box(Sha256::digest(vec![7; kib << 10]));
    }
}

async fn run(folder: PathBuf, objects: u64, in_flight: u64, work_kib: usize, decisions: Arc<Vec<Decision>>) {
    let path = folder.join(format!("cost-{in_flight}.sqlite"));
    let origin = Origin::new("medimg", "bench", [7; 16]).unwrap();
    let store = Arc::new(SqliteLedger::open(&path, Open::CreateWith(origin)).unwrap());
    let next = Arc::new(AtomicU64::new(0));
    let (before, began) = (cpu_ns(), Instant::now());
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (store, next, decisions) = (store.clone(), next.clone(), decisions.clone());
            tokio::spawn(async move {
                loop {
                    let object = next.fetch_add(1, Ordering::Relaxed);
                    if object >= objects {
                        return;
                    }
                    let mut tip = Tip::empty(bodies::stream(object));
                    for step in 0..STEPS.len() {
                        let decision = &decisions[object as usize * STEPS.len() + step];
                        work(work_kib);
                        let at = UtcMillis::from_unix_ms(1_700_000_000_000 + object);
                        tip = store.append(&tip, decision, at, Nonce([step as u8; 16])).await.unwrap().receipt().tip();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (after, wall) = (cpu_ns(), began.elapsed());
    let appends = objects * STEPS.len() as u64;
    assert_eq!(store.head().await.unwrap().size, appends);
    drop(store);
    let began_work = cpu_ns();
    (0..appends).for_each(|_| work(work_kib));
    // Work that takes turns with appends finds a colder cache than this: the difference is theirs.
    let cpu_us = (after - before).saturating_sub(cpu_ns() - began_work) as f64 / 1000.0 / appends as f64;
    let bytes = std::fs::metadata(&path).unwrap().len() / appends;
    println!(
        "{in_flight:>3} in flight: {appends} appends, cpu {cpu_us:.1} µs each, wall {:.1} µs each, {bytes} bytes each",
        wall.as_micros() as f64 / appends as f64
    );
    std::fs::remove_file(path).unwrap();
}

fn main() {
    // The runtime of `medimg process --workers 1`: without I/O, a wake-up of a thread that runs is no system call.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut args = std::env::args().skip(1);
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let objects = args.next().map_or(4000, |n| n.parse().unwrap());
    let decisions: Arc<Vec<Decision>> = Arc::new(bodies::decisions(0..objects));
    let in_flight_list = args.next().unwrap_or_else(|| "1,11,24,60,200".to_owned());
    let work_kib = args.next().map_or(0, |kib| kib.parse().unwrap());
    for in_flight in in_flight_list.split(',').map(|n| n.parse().unwrap()) {
        runtime.block_on(run(folder.clone(), objects, in_flight, work_kib, decisions.clone()));
    }
}
