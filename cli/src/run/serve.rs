//! A run that is fed by a watch: it goes on until a signal stops it, something that all objects need fails, or, with `once`,
//! everything that is complete was taken in.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handlers::runner::report::Report;
use handlers::sealer::{Beside, beat};
use handlers::store::Store;
use handlers::surroundings::System;
use handlers::watch::{News, QUEUE_MAX, Told, WatchOptions, Watcher};
use handlers::witness::Cosigning;
use tokio::sync::mpsc;

use super::{Done, Places, Run, finish, panicked, signals, sweep_studies, work};
use crate::error::Error;

/// How long what happened waits at most to be told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Studies are looked at as often as one may become idle, within these bounds.
const SWEEP_EVERY_MIN: Duration = Duration::from_secs(1);
/// See [`SWEEP_EVERY_MIN`].
const SWEEP_EVERY_MAX: Duration = Duration::from_secs(60);

/// What a run without an end tells.
#[derive(Debug)]
pub(crate) enum Tale {
    /// An object ended, or could not be read.
    Ended(Report),
    /// Something about the watch.
    News(News),
    /// Time has passed; what was held back may be printed.
    Tick,
}

impl Run {
    /// Returns how many streams an earlier run left without an end, at most `limit`.
    pub(crate) fn unfinished(&self, limit: usize) -> Result<usize, Error> {
        Ok(self.store.sources.open_streams(limit)?.len())
    }

    /// Returns the ports of a person who asks where an object lies.
    pub(crate) fn places(&self) -> (Arc<handlers::sources::Sources>, domain::ids::Keys) {
        (Arc::clone(&self.store.sources), self.store.keys.clone())
    }

    /// Watches `folder` and follows every object in it to its end; `tell` is called on this thread.
    pub(crate) fn serve(
        self,
        folder: &Path,
        options: WatchOptions,
        mut tell: impl FnMut(Tale) -> Result<(), Error>,
    ) -> Result<Done, Error> {
        let Self { store, runner, workers, watch, bus, idle_ms, beat_ms, witnesses, .. } = self;
        let (sources, told) = (Arc::clone(&store.sources), Arc::clone(&watch) as Arc<dyn Told>);
        let keys = store.keys.clone();
        let watcher = Watcher::new(folder, store.root(), sources, keys, Arc::new(System), options, told)?;
        let signals = signals::Signals::listen(runner.clone())?;
        let (items, handed_over) = mpsc::channel(QUEUE_MAX);
        let (serving, feed, steps) = (runner.clone(), watcher.feed(), Arc::clone(&watch));
        let task = async move { serving.serve(handed_over, feed).await };
        let spawned = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let failed = |cause| Error::Threads { cause };
        let worker = spawned("work").spawn(move || work(task, workers, watch)).map_err(failed)?;
        // The sender goes with the watcher, however that ends; then the run ends as well.
        let watching = spawned("watch").spawn(move || watcher.run(&items)).map_err(failed)?;
        let beside = Beside::start(store.root());
        let cosigning = witnesses.map(|witnesses| Cosigning::start(store.root(), witnesses));
        let (mut told, mut swept, mut beaten) = (Ok(()), Instant::now(), Instant::now());
        let beat_every = Duration::from_millis(beat_ms / 4).clamp(SWEEP_EVERY_MIN, SWEEP_EVERY_MAX);
        let sweep_every = Duration::from_millis(idle_ms).clamp(SWEEP_EVERY_MIN, SWEEP_EVERY_MAX);
        while let Some((reports, news)) = steps.next_told(TELL_EVERY) {
            let tales = news.into_iter().map(Tale::News).chain(reports.into_iter().map(Tale::Ended));
            for tale in tales.chain([Tale::Tick]) {
                if told.is_ok() {
                    told = tell(tale);
                }
            }
            if told.is_err() {
                runner.stop();
            }
            if swept.elapsed() >= sweep_every {
                sweep_studies(&store, &bus, steps.as_ref(), idle_ms);
                swept = Instant::now();
            }
            if beat_ms > 0 && beaten.elapsed() >= beat_every {
                show_life(&store, beat_ms);
                beaten = Instant::now();
            }
        }
        let summary = worker.join().map_err(|_| panicked());
        let watched = watching.join().map_err(|_| panicked());
        if let Err(error) = store.sweep() {
            tracing::warn!(code = error.code(), "could not sweep staging");
        }
        sweep_studies(&store, &bus, steps.as_ref(), idle_ms);
        finish(Some(beside));
        drop(cosigning);
        signals.stop();
        drop(store);
        told?;
        let summary = summary??;
        watched?;
        Ok(Done { summary, replayed: None, places: Places::default(), steps: steps.counts(), cpu_ms: None })
    }
}

/// Appends a heartbeat if one is due; what fails is tried again.
fn show_life(store: &Store, beat_ms: u64) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    match runtime.block_on(beat(store, &System, beat_ms)) {
        Ok(beaten) => tracing::debug!(beaten, "looked whether a heartbeat is due"),
        Err(error) => tracing::warn!(code = error.code(), "could not append a heartbeat"),
    }
}
