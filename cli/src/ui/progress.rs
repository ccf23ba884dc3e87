//! Progress bars on standard error, one a step; on anything but a terminal there are none.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bars of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
}

impl Progress {
    /// Returns bars that are drawn only if standard error is a terminal and nobody asked for quiet.
    pub(crate) fn open(quiet: bool) -> Self {
        let shown = std::io::stderr().is_terminal() && !quiet;
        let target = if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// Adds the bar of a step that `total` objects go through.
    pub(crate) fn step(&self, name: &'static str, total: u64) -> Bar {
        let style = ProgressStyle::with_template("{prefix:<17} {bar:32} {pos:>6}/{len} {msg}")
            .expect("the template is a constant")
            .progress_chars("█▓░");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(name);
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// Runs something that writes to the terminal while the bars are out of its way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bars.suspend(write)
    }
}

impl Drop for Progress {
    /// Takes the bars away, also when the run ends in an error, so that what is printed next stands on a clean line.
    fn drop(&mut self) {
        let _ = self.bars.clear();
    }
}

/// The bar of one step.
#[derive(Clone, Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// One more object is through.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    /// Leaves the bar standing as it is.
    pub(crate) fn stop(&self) {
        self.0.abandon();
    }
}
