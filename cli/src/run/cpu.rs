//! Processor time of this process and of the ledger's thread, for measurements.

use std::fs;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Processor time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct CpuMs {
    /// Of the whole process, user and system, threads that ended included.
    pub(crate) total: f64,
    /// Of the thread that writes the ledger; null where the system does not tell.
    pub(crate) ledger: Option<f64>,
}

/// Name of the thread that writes the ledger.
const LEDGER_THREAD: &str = "ledger-commit";
/// Threads that are looked at.
const THREADS_MAX: usize = 4_096;

/// Returns the processor time so far. The store must still be open: with it the ledger's thread goes.
pub(crate) fn measure() -> CpuMs {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
    let total = spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6;
    CpuMs { total, ledger: ledger() }
}

fn ledger() -> Option<f64> {
    for task in fs::read_dir("/proc/self/task").ok()?.take(THREADS_MAX) {
        let task = task.ok()?.path();
        if fs::read_to_string(task.join("comm")).ok()?.trim_end() == LEDGER_THREAD {
            // First field: nanoseconds on a processor (Documentation/scheduler/sched-stats).
            let spent = fs::read_to_string(task.join("schedstat")).ok()?;
            return spent.split_whitespace().next()?.parse::<f64>().ok().map(|ns| ns / 1e6);
        }
    }
    None
}
