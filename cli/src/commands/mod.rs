//! The verbs, one a file.

mod bus;
mod completions;
mod config;
mod demo;
mod doctor;
mod export;
mod history;
mod man;
mod process;
mod report;
mod verify;

use std::path::PathBuf;

use handlers::runner::report::Summary;

use crate::config::{Config, Flag};
use crate::error::Error;
use crate::exit::Exit;
use crate::logs;
use crate::output::Output;

/// What the program can be asked to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Demo(demo::Args),
    Process(process::Args),
    History(history::Args),
    Verify(verify::Args),
    Report(report::Args),
    Export(export::Args),
    Bus(bus::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(&self, context: &mut Context) -> Result<Exit, Error> {
        match self {
            Self::Demo(args) => demo::run(args, context),
            Self::Process(args) => process::run(args, context),
            Self::History(args) => history::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Report(args) => report::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Bus(args) => bus::run(args, context),
            Self::Doctor(args) => doctor::run(args, context),
            Self::Config(args) => config::run(args, context),
            Self::Completions(args) => completions::run(args, context),
            Self::Man(args) => man::run(args, context),
        }
    }
}

/// What every verb works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Folder of the store.
    pub(crate) store: PathBuf,
    /// Nobody wants to see progress.
    pub(crate) quiet: bool,
    /// Standard output.
    pub(crate) output: Output,
    /// How a person called this program, for the commands that are proposed next.
    pub(crate) program: String,
}

impl Context {
    /// Returns the configuration of the store with these flags over it, and starts the logs as it says.
    pub(crate) fn config(&self, flags: &[Flag]) -> Result<Config, Error> {
        let config = Config::load(&self.store, std::env::vars_os(), flags)?;
        logs::start(&config);
        Ok(config)
    }
}

/// Returns how a run ends: what stopped it counts more than what became of its objects. `untold` items were not taken up.
fn settle(summary: Summary, untold: u64, rules_off: &[String]) -> Result<Exit, Error> {
    let left = summary.pending + untold;
    match summary.stopped_by {
        Some(error) => Err(error.into()),
        None if summary.interrupted => Err(Error::Interrupted { left }),
        None if left > 0 && !rules_off.is_empty() => Err(Error::Waiting { left, rules: rules_off.join(", ") }),
        None if left > 0 => Err(Error::Interrupted { left }),
        None if summary.quarantined + summary.failed + summary.unreadable > 0 => Ok(Exit::SomeFailed),
        None => Ok(Exit::Well),
    }
}

/// Waits for a question to the ledger, which needs neither timers nor threads.
fn block_on<T>(asked: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|cause| Error::Threads { cause })?;
    Ok(runtime.block_on(asked))
}
