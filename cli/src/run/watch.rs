//! Hears what a run tells. Workers call it, so it counts and sends and waits for nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use domain::ids::StreamId;
use domain::workflow::Step;
use handlers::runner::report::{Observer, Report};
use handlers::watch::{News, Told};

use crate::ui::progress::{Bar, Progress};

/// The steps that have a bar, in the order of the work.
pub(crate) const STEPS: [Step; 4] = [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery];

/// How many objects entered each of [`STEPS`]; one that is tried again counts again.
pub(crate) type StepCounts = [u64; STEPS.len()];

/// Reports that wait until whoever tells them is woken before its time.
const WAKE_AT: usize = 64;
/// How long reports wait at most to be told: short for a person, long beside an object.
const TELL_EVERY: Duration = Duration::from_millis(40);

/// What may wait to be told in a run without an end; while there is more, no further object is taken up.
const UNTOLD_MAX: usize = 4_096;

/// The observer of a run. What it holds is not bounded by itself: a run over a list makes one report for each of its items,
/// which are in memory anyway; a run without an end is held up by [`UNTOLD_MAX`].
#[derive(Debug)]
pub(super) struct Watch {
    heard: Mutex<Heard>,
    many: Condvar,
    entered: [AtomicU64; STEPS.len()],
    bars: OnceLock<Vec<Bar>>,
}

/// Reports that nobody has told yet, and whether more may come.
#[derive(Debug, Default)]
struct Heard {
    reports: Vec<Report>,
    news: Vec<News>,
    closed: bool,
}

impl Watch {
    /// Returns an observer.
    pub(super) fn new() -> Self {
        let entered = [const { AtomicU64::new(0) }; STEPS.len()];
        Self { heard: Mutex::default(), many: Condvar::new(), entered, bars: OnceLock::new() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for reports and returns them, many at a time: waking a thread for each costs as much as recording it.
    /// `None` when the run has ended and everything was told.
    pub(super) fn next(&self) -> Option<Vec<Report>> {
        self.next_told(TELL_EVERY).map(|(reports, _)| reports)
    }

    /// As [`Watch::next`], with news of a watch, after `every` at the latest; then both may be empty.
    pub(super) fn next_told(&self, every: Duration) -> Option<(Vec<Report>, Vec<News>)> {
        let quiet = |heard: &mut Heard| !heard.closed && heard.reports.len() < WAKE_AT;
        let waited = self.many.wait_timeout_while(self.heard(), every, quiet);
        let (mut heard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (reports, news) = (std::mem::take(&mut heard.reports), std::mem::take(&mut heard.news));
        if reports.is_empty() && news.is_empty() && heard.closed { None } else { Some((reports, news)) }
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
        self.heard().closed = true;
        self.many.notify_all();
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
        let mut heard = self.heard();
        heard.reports.push(report.clone());
        if heard.reports.len() == WAKE_AT {
            self.many.notify_all();
        }
    }
}

impl Told for Watch {
    fn news(&self, news: News) {
        self.heard().news.push(news);
    }

    fn keeps_up(&self) -> bool {
        let heard = self.heard();
        heard.reports.len() + heard.news.len() < UNTOLD_MAX
    }
}
