//! Logs: to standard error, of our own crates only. Libraries may put values of an object into their messages, so theirs
//! are off whatever the level.

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Config;

const OURS: [&str; 5] = ["medimg", "handlers", "compliance", "ledger", "domain"];

/// Starts the logs as configured. A second call changes nothing.
pub(crate) fn start(config: &Config) {
    let level = match config.text("log.level") {
        "error" => Level::ERROR,
        "info" => Level::INFO,
        "debug" => Level::DEBUG,
        "trace" => Level::TRACE,
        _ => Level::WARN,
    };
    let registry = tracing_subscriber::registry().with(ours(level));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // The only failure is that logs were started before, which is what is wanted.
    let _ = if config.text("log.format") == "json" {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer).try_init()
    };
    for variable in &config.unknown_variables {
        tracing::warn!(variable, "an environment variable is no setting and was left out");
    }
}

fn ours(level: Level) -> Targets {
    Targets::new().with_targets(OURS.map(|name| (name, level))).with_default(LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_libraries_are_off_at_every_level() {
        let filter = ours(Level::TRACE);
        assert!(filter.would_enable("handlers::runner", &Level::TRACE));
        assert!(!filter.would_enable("dicom_object::file", &Level::ERROR));
        assert!(!ours(Level::WARN).would_enable("ledger", &Level::INFO));
    }
}
