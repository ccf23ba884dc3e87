//! One run of the pipeline over a store: configuration into values, threads, signals, and what the run tells. The main
//! thread prints while others work, so a reader of standard output that is slow holds up no object.

mod cpu;
mod serve;
mod signals;
mod watch;

use std::sync::Arc;

use domain::dicom::deidentify::Profile;
use domain::dicom::limits::Limits;
use domain::events::{EventData, Intake};
use domain::ids::StreamId;
use handlers::bus::Bus;
use handlers::runner::items::{self, Item};
use handlers::runner::report::{Report, Summary};
use handlers::runner::{IntakeOptions, RunLimits, Runner};
use handlers::store::{self, Access, Store};
use handlers::surroundings::System;

use crate::config::Config;
use crate::error::Error;
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
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Done {
    /// The counts, and what stopped the run.
    pub(crate) summary: Summary,
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
}

impl Run {
    /// Opens the store for work and makes the runner as configured. `by_hand`: events are put by hand, for which the rules
    /// count that are switched off as well.
    pub(crate) fn open(store: &std::path::Path, config: &Config, by_hand: bool) -> Result<Self, Error> {
        Self::open_for(store, config, by_hand, Intake::Process)
    }

    /// As [`Run::open`]; objects come in this way.
    pub(crate) fn open_for(
        store: &std::path::Path,
        config: &Config,
        by_hand: bool,
        way: Intake,
    ) -> Result<Self, Error> {
        let off = if by_hand { &[][..] } else { config.names("rules.disabled") };
        let bus = Bus::new(off.iter().map(String::as_str))?;
        let store = Store::open(store, Access::Work, config.text("environment"), &System)?;
        let profile = Profile::basic().map_err(|error| Error::Stopped {
            code: "profile_damaged",
            tried: "load the profile".to_owned(),
            cause: Some(Box::new(error)),
        })?;
        let profile = profile.with_accept_pixels(config.switch("accept_pixels"));
        let pipeline = store::pipeline(&store, profile, limits(config), Arc::new(System))?;
        let intake = IntakeOptions { way, copy_raw_to: config.switch("copy_raw").then(|| store.raw()) };
        let watch = Arc::new(watch::Watch::new());
        let observer = Arc::clone(&watch) as Arc<dyn handlers::runner::report::Observer>;
        let runner = Runner::new(pipeline, bus, run_limits(config), intake, observer);
        Ok(Self { store, runner, workers: workers(config), watch })
    }

    /// Lists the files below `paths` without those of the store.
    pub(crate) fn items(&self, paths: &[std::path::PathBuf]) -> Vec<Item> {
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
        let Self { store, runner, workers, watch } = self;
        let total = match &task {
            Task::Process(items) => items.len() as u64,
            Task::Put(events) => events.len() as u64,
        };
        let bars = Progress::open(quiet).map(|progress| watch.show(progress, total));
        let signals = signals::Signals::listen(runner.clone())?;
        let worker = std::thread::Builder::new().name("work".to_owned());
        let steps = Arc::clone(&watch);
        // The worker closes the reports when it ends, however it ends.
        let worker = worker
            .spawn(move || work(follow(runner, task), workers, watch))
            .map_err(|cause| Error::Threads { cause })?;
        let mut told = Ok(());
        while let Some(reports) = steps.next() {
            for report in reports {
                if told.is_ok() {
                    told = tell(report);
                }
            }
        }
        let summary = worker.join().map_err(|_| panicked());
        // What interrupted runs left staged is nobody's once every stream has ended; the next start would sweep it too.
        if let Err(error) = store.sweep() {
            tracing::warn!(code = error.code(), "could not sweep staging");
        }
        signals.stop();
        drop(bars);
        let cpu_ms = timings.then(cpu::measure);
        drop(store);
        told?;
        Ok(Done { summary: summary??, steps: steps.counts(), cpu_ms })
    }
}

/// Does the work on a runtime of its own. Blocking work happens in place on its threads (docs/adr/0004).
fn work(
    task: impl Future<Output = Summary> + Send + 'static,
    workers: usize,
    watch: Arc<watch::Watch>,
) -> Result<Summary, Error> {
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

async fn follow(runner: Runner, task: Task) -> Summary {
    match task {
        Task::Process(items) => runner.process(items).await,
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
            all
        }
    }
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
