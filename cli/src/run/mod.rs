//! One run of the pipeline over a store: configuration into values, threads, signals, and what the run tells. The main
//! thread prints while others work, so a reader of standard output that is slow holds up no object.

mod cpu;
mod serve;
mod signals;
mod watch;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::dicom::deidentify::Profile;
use domain::dicom::limits::Limits;
use domain::events::{EventData, Intake};
use domain::ids::StreamId;
use handlers::acting::Person;
use handlers::bus::Bus;
use handlers::pipeline::Pipeline;
use handlers::replay::{Left, Request};
use handlers::runner::items::{self, Item};
use handlers::runner::replay::Replayed;
use handlers::runner::report::{Report, Summary};
use handlers::runner::{IntakeOptions, RunLimits, Runner};
use handlers::sealer::Beside;
use handlers::store::{self, Access, Store};
use handlers::surroundings::{Surroundings as _, System};
use handlers::sweeper;
use handlers::witness::Cosigning;
use handlers::witness::client::Witnesses;
use ledger::SqliteLedger;

use crate::config::Config;
use crate::error::Error;
use crate::person;
use crate::ui::progress::Progress;

pub(crate) use cpu::CpuMs;
pub(crate) use serve::Tale;
pub(crate) use watch::{STEPS, StepCounts};

/// What a run works on.
#[derive(Debug)]
pub(crate) enum Task {
    /// Streams without an end, then these items.
    Process(Vec<Item>),
    /// The streams of events that were put by hand.
    Put(Vec<(StreamId, EventData)>),
    /// Streams without an end, then what a person asks to be done again.
    Replay(Box<Request>),
}

/// Where objects lie, by stream.
pub(crate) type Places = HashMap<StreamId, PathBuf>;

/// Objects whose places are looked up to be shown.
const PLACES_MAX: usize = 1_000;

/// How a run went.
#[derive(Debug)]
pub(crate) struct Done {
    /// The counts, and what stopped the run.
    pub(crate) summary: Summary,
    /// What a replay did, if it came to know what to do.
    pub(crate) replayed: Option<Replayed>,
    /// Where the objects lie that a replay left as they are. For the operator's own terminal only.
    pub(crate) places: Places,
    /// How many objects entered each step.
    pub(crate) steps: StepCounts,
    /// Processor time, if it was asked for.
    pub(crate) cpu_ms: Option<CpuMs>,
}

/// Everything a run needs.
pub(crate) struct Run {
    store: Store,
    runner: Runner,
    workers: usize,
    watch: Arc<watch::Watch>,
    /// The rules, for what the sweeper says.
    bus: Bus,
    /// How long nothing must have come to a study, in milliseconds.
    idle_ms: u64,
    /// After how long without an entry a watch appends a heartbeat, in milliseconds; 0 is never.
    beat_ms: u64,
    /// Nothing is written.
    dry: bool,
    /// Who cosigns checkpoints while it runs.
    witnesses: Option<Arc<Witnesses>>,
}

impl Run {
    /// Opens the store for work and makes the runner as configured. `by_hand`: events are put by hand, for which the rules
    /// count that are switched off as well.
    pub(crate) fn open(store: &Path, config: &Config, by_hand: bool) -> Result<Self, Error> {
        Self::open_for(store, config, by_hand, Intake::Process)
    }

    /// As [`Run::open`]; objects come in this way.
    pub(crate) fn open_for(store: &Path, config: &Config, by_hand: bool, way: Intake) -> Result<Self, Error> {
        let bus = if by_hand { Bus::new([])? } else { bus(config)? };
        let store = Store::open(store, Access::Work, config.text("environment"), &System)?;
        let pipeline = store::pipeline(&store, profile(config)?, limits(config), Arc::new(System))?;
        Ok(Self::over(store, pipeline, bus, config, way, false))
    }

    /// Opens the store for a replay by the person at the keyboard. `dry`: the store is only read, and whatever the run would
    /// write goes into memory.
    pub(crate) fn open_to_replay(store: &Path, config: &Config, dry: bool) -> Result<Self, Error> {
        let access = if dry { Access::Ask } else { Access::Work };
        let (bus, store) = (bus(config)?, Store::open(store, access, config.text("environment"), &System)?);
        let make = if dry { store::dry_pipeline } else { store::pipeline };
        let pipeline = make(&store, profile(config)?, limits(config), Arc::new(System))?;
        let pipeline = pipeline.by(Person::of_user(&person::name(), &store.keys));
        Ok(Self::over(store, pipeline, bus, config, Intake::Process, dry))
    }

    fn over(store: Store, pipeline: Pipeline, bus: Bus, config: &Config, way: Intake, dry: bool) -> Self {
        let intake = IntakeOptions { way, copy_raw_to: config.switch("copy_raw").then(|| store.raw()) };
        let watch = Arc::new(watch::Watch::new());
        let observer = Arc::clone(&watch) as Arc<dyn handlers::runner::report::Observer>;
        let runner = Runner::new(pipeline, bus.clone(), run_limits(config), intake, observer);
        let (idle_ms, beat_ms) = (config.number("study.idle_ms"), config.number("heartbeat.idle_ms"));
        Self { store, runner, workers: workers(config), watch, bus, idle_ms, beat_ms, dry, witnesses: None }
    }

    /// Has checkpoints cosigned while it runs.
    pub(crate) fn cosigned_by(self, witnesses: Option<&Arc<Witnesses>>) -> Self {
        Self { witnesses: witnesses.filter(|_| !self.dry).cloned(), ..self }
    }

    /// Returns the store.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Lists the files below `paths` without those of the store.
    pub(crate) fn items(&self, paths: &[PathBuf]) -> Vec<Item> {
        items::list(paths, self.store.root())
    }

    /// Runs the task to its end or until a signal stops it; `tell` gets every report on this thread as it comes.
    pub(crate) fn go(
        self,
        task: Task,
        quiet: bool,
        timings: bool,
        mut tell: impl FnMut(Report) -> Result<(), Error>,
    ) -> Result<Done, Error> {
        let Self { store, runner, workers, watch, bus, idle_ms, dry, witnesses, .. } = self;
        let total = match &task {
            Task::Process(items) => items.len() as u64,
            Task::Put(events) => events.len() as u64,
            Task::Replay(_) => 0,
        };
        let bars = Progress::open(quiet).map(|progress| watch.show(progress, total));
        let signals = signals::Signals::listen(runner.clone())?;
        let worker = std::thread::Builder::new().name("work".to_owned());
        let steps = Arc::clone(&watch);
        let log = store.ledger.clone();
        let beside = (!dry).then(|| Beside::start(store.root()));
        let cosigning = witnesses.map(|witnesses| Cosigning::start(store.root(), witnesses));
        // The worker closes the reports when it ends, however it ends.
        let worker = worker
            .spawn(move || work(follow(runner, task, log), workers, watch))
            .map_err(|cause| Error::Threads { cause })?;
        let mut told = Ok(());
        while let Some(reports) = steps.next() {
            for report in reports {
                if told.is_ok() {
                    told = tell(report);
                }
            }
        }
        let worked = worker.join().map_err(|_| panicked());
        // What interrupted runs left staged is nobody's once every stream has ended; the next start would sweep it too.
        if !dry && let Err(error) = store.sweep() {
            tracing::warn!(code = error.code(), "could not sweep staging");
        }
        if !dry {
            sweep_studies(&store, &bus, steps.as_ref(), idle_ms);
        }
        finish(beside);
        drop(cosigning);
        signals.stop();
        drop(bars);
        let cpu_ms = timings.then(cpu::measure);
        let left = |worked: &Worked| worked.1.as_ref().map(|replayed| replayed.left.clone()).unwrap_or_default();
        let places = worked.as_ref().ok().and_then(|worked| worked.as_ref().ok()).map(left);
        let places = places.map(|left| places_of(&store, &left)).unwrap_or_default();
        drop(store);
        told?;
        let (summary, replayed) = worked??;
        Ok(Done { summary, replayed, places, steps: steps.counts(), cpu_ms })
    }
}

/// Seals what is left while the store is still open. A failure is told where every verb seals, at its end.
fn finish(beside: Option<Beside>) {
    if let Some(Err(error)) = beside.map(Beside::finish) {
        tracing::debug!(code = error.code(), "could not seal the log");
    }
}

/// Completes the studies that are idle already. The objects have their ends; what cannot be said of a study now is said by
/// the next run, or by `views refresh`.
fn sweep_studies(store: &Store, bus: &Bus, observer: &watch::Watch, idle_ms: u64) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let swept = sweeper::sweep(store, &System, bus, observer, idle_ms, System.now_ms());
    match runtime.block_on(swept) {
        Ok(swept) => tracing::debug!(completed = swept.completed, reopened = swept.reopened, "swept studies"),
        Err(error) => tracing::warn!(code = error.code(), "could not look for idle studies"),
    }
}

/// Does the work on a runtime of its own. Blocking work happens in place on its threads (docs/adr/0004).
fn work<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
    workers: usize,
    watch: Arc<watch::Watch>,
) -> Result<T, Error> {
    let _closing = watch::Closing(watch);
    let failed = |cause| Error::Threads { cause };
    if workers == 1 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        return Ok(runtime.block_on(task));
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_time().build().map_err(failed)?;
    let followed = runtime.spawn(task);
    runtime.block_on(followed).map_err(|_| panicked())
}

fn panicked() -> Error {
    Error::Stopped { code: "task_panicked", tried: "run the pipeline".to_owned(), cause: None }
}

/// What a run came to, and what a replay did.
type Worked = (Summary, Option<Replayed>);

async fn follow(runner: Runner, task: Task, log: Arc<SqliteLedger>) -> Worked {
    match task {
        Task::Process(items) => (runner.process(items).await, None),
        Task::Replay(request) => runner.replay(log.as_ref(), &request).await,
        Task::Put(events) => {
            let mut all = Summary::default();
            for (stream, event) in events {
                let one = runner.put(stream, &event).await;
                all.delivered += one.delivered;
                all.quarantined += one.quarantined;
                all.failed += one.failed;
                all.pending += one.pending;
                all.interrupted |= one.interrupted;
                all.stopped_by = one.stopped_by;
                if all.stopped_by.is_some() || all.interrupted {
                    break;
                }
            }
            (all, None)
        }
    }
}

/// Returns where these objects lie, as far as it is known; at most [`PLACES_MAX`] of them.
pub(crate) fn places_of(store: &Store, left: &[Left]) -> Places {
    let place = |left: &Left| {
        let row = store.sources.get(left.stream, &store.keys).ok().flatten()?;
        Some((left.stream, PathBuf::from(OsString::from_vec(row.location.key.expose().clone()))))
    };
    left.iter().filter(|left| left.needs_a_person()).take(PLACES_MAX).filter_map(place).collect()
}

/// Returns the rules as configured.
pub(crate) fn bus(config: &Config) -> Result<Bus, Error> {
    Ok(Bus::new(config.names("rules.disabled").iter().map(String::as_str))?)
}

/// Returns the profile as configured.
pub(crate) fn profile(config: &Config) -> Result<Profile, Error> {
    let profile = Profile::basic().map_err(|error| Error::Stopped {
        code: "profile_damaged",
        tried: "load the profile".to_owned(),
        cause: Some(Box::new(error)),
    })?;
    Ok(profile.with_accept_pixels(config.switch("accept_pixels")))
}

fn workers(config: &Config) -> usize {
    match usize::try_from(config.number("workers")).unwrap_or(1) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

fn run_limits(config: &Config) -> RunLimits {
    RunLimits {
        in_flight_max: usize::try_from(config.number("in_flight_max")).unwrap_or(usize::MAX),
        in_flight_bytes_max: config.number("in_flight_mb_max") << 20,
        retry_delay_ms_max: config.number("retry_delay_ms_max"),
    }
}

/// Returns what one object may cost: the settings lower the bounds that the scan is built for.
pub(crate) fn limits(config: &Config) -> Limits {
    let number = |name| u32::try_from(config.number(name)).unwrap_or(u32::MAX);
    Limits {
        object_bytes_max: config.number("limits.object_mb_max") << 20,
        nesting_max: number("limits.nesting_max"),
        elements_max: number("limits.elements_max"),
        kept_bytes_max: number("limits.kept_mb_max") << 20,
        fragments_max: number("limits.fragments_max"),
        inflated_bytes_max: config.number("limits.inflated_mb_max") << 20,
        inflate_ratio_max: config.number("limits.inflate_ratio_max"),
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_scan_and_the_runner() {
        let config = Config::load(std::path::Path::new("no-such-store"), std::iter::empty(), &[]).expect("defaults");
        assert_eq!(limits(&config), Limits::default());
        let (ours, theirs) = (run_limits(&config), RunLimits::default());
        assert_eq!(ours.in_flight_max, theirs.in_flight_max);
        assert_eq!(ours.in_flight_bytes_max, theirs.in_flight_bytes_max);
        assert_eq!(ours.retry_delay_ms_max, theirs.retry_delay_ms_max);
    }
}
