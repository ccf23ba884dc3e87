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
    /// Returns bars if standard error is a terminal and nobody asked for quiet.
    pub(crate) fn open(quiet: bool) -> Option<Self> {
        let shown = std::io::stderr().is_terminal() && !quiet;
        shown.then(|| Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)) })
    }

    /// Adds the bar of a step that `total` objects go through.
    pub(crate) fn step(&self, name: &'static str, total: u64) -> Bar {
        let style = ProgressStyle::with_template("{prefix:<17} {bar:32} {pos:>6}/{len}")
            .expect("the template is a constant")
            .progress_chars("█▓░");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(name);
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
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
    /// One more object entered the step. The bar is never more than full: a step that is tried again counts again.
    pub(crate) fn advance(&self) {
        if self.0.length().is_none_or(|length| self.0.position() < length) {
            self.0.inc(1);
        }
    }
}
