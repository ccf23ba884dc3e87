//! Hears what a run tells. Workers call it, so it counts and sends and waits for nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};

use domain::ids::StreamId;
use domain::workflow::Step;
use handlers::runner::report::{Observer, Report};

use crate::ui::progress::{Bar, Progress};

/// The steps that have a bar, in the order of the work.
pub(crate) const STEPS: [Step; 4] = [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery];

/// How many objects entered each of [`STEPS`]; one that is tried again counts again.
pub(crate) type StepCounts = [u64; STEPS.len()];

/// The observer of a run. The channel is not bounded by itself: a run sends one report for each object, and holds the
/// list of its items in memory anyway.
#[derive(Debug)]
pub(super) struct Watch {
    reports: Mutex<Option<Sender<Report>>>,
    entered: [AtomicU64; STEPS.len()],
    bars: OnceLock<Vec<Bar>>,
}

impl Watch {
    /// Returns an observer and the reports that it hears.
    pub(super) fn new() -> (Self, Receiver<Report>) {
        let (sender, receiver) = mpsc::channel();
        let entered = [const { AtomicU64::new(0) }; STEPS.len()];
        (Self { reports: Mutex::new(Some(sender)), entered, bars: OnceLock::new() }, receiver)
    }

    /// Shows a bar for each step; they stand as long as what is returned.
    pub(super) fn show(&self, progress: Progress, total: u64) -> Progress {
        let bars = STEPS.iter().map(|step| progress.step(step.name(), total)).collect();
        // Shown once a run; a second call would keep the first bars.
        let _ = self.bars.set(bars);
        progress
    }

    /// Ends the reports.
    fn close(&self) {
        *self.reports.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns how many objects entered each step.
    pub(super) fn counts(&self) -> StepCounts {
        std::array::from_fn(|at| self.entered[at].load(Ordering::Relaxed))
    }
}

/// Ends the reports when it is dropped: whoever waits for them must not wait for ever.
#[derive(Debug)]
pub(super) struct Closing(pub(super) std::sync::Arc<Watch>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Observer for Watch {
    fn step(&self, _stream: StreamId, step: Step) {
        let Some(at) = STEPS.iter().position(|one| *one == step) else { return };
        self.entered[at].fetch_add(1, Ordering::Relaxed);
        if let Some(bars) = self.bars.get() {
            bars[at].advance();
        }
    }

    fn ended(&self, report: &Report) {
        if let Some(reports) = &*self.reports.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody hears only if the main thread is gone, and then there is nobody to tell.
            reports.send(report.clone()).ok();
        }
    }
}
