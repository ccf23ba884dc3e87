//! Cosignatures for the checkpoints of our own store: once, and beside a run. Asked for after a checkpoint is published, so neither an
//! append nor a sealing ever waits for a witness.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ledger::note::SignatureLine;
use tokio::sync::oneshot;

use super::client::{Outcome, Told, Witnesses};
use crate::error::Result;
use crate::sealer::StoreSealer;

/// How often the published checkpoint is looked at: a busy log asks its witnesses for one checkpoint in so much time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks the witnesses for cosignatures of the published checkpoint and adds what verifies to it. Returns what became of each;
/// nothing if nothing is published.
///
/// # Errors
/// What reading and adding say. No witness makes an error: see [`Outcome::code`].
pub async fn cosign(sealer: &StoreSealer, witnesses: &Witnesses) -> Result<Vec<Told>> {
    let Some((note, checkpoint)) = sealer.published()? else { return Ok(Vec::new()) };
    if checkpoint.size == 0 {
        return Ok(Vec::new());
    }
    let told = witnesses.ask(&note, sealer.publication().as_ref()).await;
    let line = |told: &Told| match &told.outcome {
        Outcome::Cosigned(line) if !note.signatures().contains(line) => Some(line.clone()),
        _ => None,
    };
    let lines: Vec<SignatureLine> = told.iter().filter_map(line).collect();
    if !lines.is_empty() {
        sealer.add_signatures(&note, &lines).await?;
    }
    Ok(told)
}

/// The thread that has checkpoints cosigned while a run goes on.
#[derive(Debug)]
pub struct Cosigning {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cosigning {
    /// Begins to have the checkpoints of the store at `root` cosigned.
    pub fn start(root: &Path, witnesses: Arc<Witnesses>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let root = root.to_owned();
        // Without a thread the end of the command asks.
        let thread =
            std::thread::Builder::new().name("cosign".to_owned()).spawn(move || work(root, &witnesses, stopped));
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

/// Ends the thread at once: a question that is out is dropped, and what it would have brought is asked for again.
impl Drop for Cosigning {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

fn work(root: PathBuf, witnesses: &Witnesses, stopped: oneshot::Receiver<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = follow(&root, witnesses) => {}
        }
    });
}

/// Never ends by itself. What a witness says is told when it changes, not each time it is asked.
async fn follow(root: &Path, witnesses: &Witnesses) {
    let (mut sealer, mut said): (Option<StoreSealer>, Vec<Told>) = (None, Vec::new());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // The key may have been changed meanwhile by another process.
        let open = sealer.take().filter(|open| !open.is_stale());
        let Ok(open) = open.map_or_else(|| StoreSealer::open(root), Ok) else { continue };
        match cosign(&open, witnesses).await {
            Ok(told) => said = tell(told, said),
            Err(error) => tracing::warn!(code = error.code(), "cosignatures could not be added to the checkpoint"),
        }
        sealer = Some(open);
    }
}

/// Tells what is new; returns what was said last of each witness.
fn tell(told: Vec<Told>, said: Vec<Told>) -> Vec<Told> {
    let last = |told: &Told| said.iter().find(|said| said.witness == told.witness).cloned();
    let news = told.into_iter().map(|told| {
        if matches!(told.outcome, Outcome::Resting) {
            return last(&told).unwrap_or(told);
        }
        let before = last(&told).and_then(|last| last.outcome.code());
        match told.outcome.code() {
            Some(code) if before != Some(code) => {
                tracing::warn!(code, witness = told.witness, "no cosignature: {}", told.outcome);
            }
            None if before.is_some() => tracing::info!(witness = told.witness, "it cosigns again"),
            _ => {}
        }
        told
    });
    news.collect()
}
