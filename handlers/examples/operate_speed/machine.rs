//! Where and of what figures were measured: load, time, commit.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use domain::events::Time;
use handlers::surroundings::{Surroundings as _, System};
use rustix::time::{ClockId, clock_gettime};

/// The load of the last 1, 5 and 15 minutes, where the system tells it.
pub(crate) fn load() -> Vec<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).filter_map(|number| number.parse().ok()).collect()
}

/// The time, to the second.
pub(crate) fn now() -> Result<String, Box<dyn Error>> {
    let time = Time::from_unix_ms(i64::try_from(System.now_ms())?).to_string();
    Ok(format!("{}Z", time.get(..19).ok_or("a time that is too short")?))
}

/// The commit that was measured, as `tests/bench/bench.py` names it.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let done = Command::new("git").args(args).output().ok().filter(|done| done.status.success())?;
        Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(head), Some(changed)) if changed.is_empty() => head,
        (Some(head), Some(_)) => format!("{head} with changes"),
        _ => "unknown".to_owned(),
    }
}

/// Time that this process has had on all processors.
pub(crate) fn processors() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
