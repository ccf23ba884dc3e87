//! Sealed logs for judges and for the clock: `sealing log STORE SIZE…` makes a store whose ledger is sealed at each of these
//! sizes and keeps each signed checkpoint as `STORE/checkpoint.<size>`; `sealing speed …` measures how long an append waits for
//! the first checkpoint that covers it (see `speed.rs`).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example speaks to the terminal and stops where it fails"
)]

use std::error::Error;
use std::path::Path;

use handlers::sealer::{StoreSealer, in_place};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use ledger::{Ledger as _, Link, Log as _, Nonce, Tip, UtcMillis};

#[path = "../../../ledger/examples/bodies/mod.rs"]
mod bodies;
mod speed;

/// Objects whose entries are under way to the ledger at once.
const BATCH: u64 = 200;
const BEGIN_MS: u64 = 1_790_812_800_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    match args.first().map(String::as_str) {
        Some("log") => {
            let (root, sizes) = args[1..].split_first().ok_or("a folder for the store")?;
            let sizes = sizes.iter().map(|size| size.parse()).collect::<Result<Vec<u64>, _>>()?;
            runtime.block_on(log(Path::new(root), &sizes))
        }
        Some("speed") => runtime.block_on(speed::run(&args[1..])),
        _ => Err("sealing log STORE SIZE… | sealing speed [--seconds N] [--per-second N] [--json] [FOLDER]".into()),
    }
}

async fn log(root: &Path, sizes: &[u64]) -> Result<(), Box<dyn Error>> {
    let store = Store::open(root, Access::Work, "oracle", &System)?;
    let sealer = StoreSealer::open(root)?;
    for &size in sizes {
        let mut done = store.ledger.head().await?.size;
        // Ends: each turn appends.
        while done < size {
            let entries = (size - done).min(BATCH * bodies::STEPS.len() as u64);
            done += append(&store, done, entries).await?;
        }
        let head = in_place(sealer.seal())?;
        let (note, checkpoint) = sealer.published()?.ok_or("nothing was published")?;
        std::fs::write(root.join(format!("checkpoint.{}", checkpoint.size)), note.to_string())?;
        println!("sealed at {}, {} entries", checkpoint.size, head.size);
    }
    Ok(())
}

/// Appends so many entries, five an object; the last object may be left on its way.
async fn append(store: &Store, from: u64, entries: u64) -> Result<u64, Box<dyn Error>> {
    let steps = bodies::STEPS.len() as u64;
    // The objects of each turn are its own: what an earlier one left on its way stays there.
    let objects = from..from + entries.div_ceil(steps);
    let decisions = bodies::decisions(objects.clone());
    let links: Vec<Link> = decisions
        .into_iter()
        .take(usize::try_from(entries)?)
        .zip(from..)
        .map(|(decision, n)| Link { decision, at: UtcMillis::from_unix_ms(BEGIN_MS + n), nonce: Nonce([n as u8; 16]) })
        .collect();
    let chains = links.chunks(bodies::STEPS.len()).zip(objects);
    let appended = chains.map(|(chain, object)| async move {
        store.ledger.append_chain(&Tip::empty(bodies::stream(object)), chain).await
    });
    let answers = futures::future::join_all(appended).await;
    answers.into_iter().flatten().try_for_each(|answer| answer.map(drop))?;
    Ok(entries)
}
