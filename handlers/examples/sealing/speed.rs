//! How long an append waits for the first published checkpoint that covers it, while entries are appended steadily and the
//! sealer runs beside: `speed [--seconds N] [--per-second N] [--json] [FOLDER]`.
//!
//! FOLDER must lie on a file system that syncs. `tests/bench/ledger.py` holds the gate.

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use handlers::sealer::{Beside, published};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use ledger::{Ledger as _, Log as _};
use serde_json::json;

/// How often the published checkpoint is read: the error of each time.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// When the last appends are not covered by then, they never will be.
const WAIT_MAX: Duration = Duration::from_secs(60);

struct Options {
    seconds: u64,
    per_second: u64,
    json: bool,
    folder: PathBuf,
}

fn options(args: &[String]) -> Result<Options, Box<dyn Error>> {
    let mut options = Options { seconds: 20, per_second: 500, json: false, folder: std::env::temp_dir() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--seconds" => options.seconds = value()?.parse()?,
            "--per-second" => options.per_second = value()?.parse()?,
            "--json" => options.json = true,
            folder => options.folder = folder.into(),
        }
    }
    Ok(options)
}

pub(crate) async fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let options = options(args)?;
    let folder = tempfile::tempdir_in(&options.folder)?;
    let mut waits = measure(&folder.path().canonicalize()?.join("store"), &options).await?;
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    let (appends, per_second, p50, p99, longest) = (waits.len(), options.per_second, at(0.5), at(0.99), at(1.0));
    println!(
        "append to checkpoint, {appends} appends at {per_second}/s: p50 {p50:.2} s, p99 {p99:.2} s, longest {longest:.2} s"
    );
    if options.json {
        let figures =
            json!({ "appends": appends, "per_second": per_second, "p50_s": p50, "p99_s": p99, "longest_s": longest });
        println!("{figures}");
    }
    Ok(())
}

/// Returns the seconds that each append waited.
async fn measure(root: &std::path::Path, options: &Options) -> Result<Vec<f64>, Box<dyn Error>> {
    let store = Store::open(root, Access::Work, "bench", &System)?;
    let beside = Beside::start(root);
    let origin = store.ledger.origin().clone();
    let (began, mut waiting, mut waits) = (Instant::now(), VecDeque::new(), Vec::new());
    let (mut size, mut appended) = (0, 0);
    let all = options.seconds * options.per_second;
    // Ends: every append is due at some time, and nothing is waited for longer than the limit.
    while appended < all || !waiting.is_empty() {
        let due = (began.elapsed().as_millis() as u64 * options.per_second / 1000).min(all);
        if due > appended {
            super::append(&store, appended, due - appended).await?;
            let durable = Instant::now();
            waiting.extend((appended..due).map(|index| (index, durable)));
            appended = due;
        }
        if let Some((_, checkpoint)) = published(root, &origin)? {
            size = checkpoint.size;
        }
        while waiting.front().is_some_and(|(index, _)| *index < size) {
            let (_, durable) = waiting.pop_front().ok_or("a queue that is not empty")?;
            waits.push(durable.elapsed().as_secs_f64());
        }
        if waiting.front().is_some_and(|(_, durable)| durable.elapsed() > WAIT_MAX) {
            return Err("no checkpoint came".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    beside.finish()?;
    assert_eq!(store.ledger.head().await?.size, all);
    Ok(waits)
}
