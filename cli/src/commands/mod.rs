//! The verbs, one a file.

mod completions;
mod config;
mod demo;
mod man;

use std::path::PathBuf;

use crate::config::{Config, Flag};
use crate::error::Error;
use crate::exit::Exit;
use crate::logs;
use crate::output::Output;

/// What the program can be asked to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Demo(demo::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(&self, context: &mut Context) -> Result<Exit, Error> {
        match self {
            Self::Demo(args) => demo::run(args, context),
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
    #[allow(dead_code, reason = "the verbs with progress come with the handlers")]
    pub(crate) quiet: bool,
    /// Standard output.
    pub(crate) output: Output,
}

impl Context {
    /// Returns the configuration of the store with these flags over it, and starts the logs as it says.
    pub(crate) fn config(&self, flags: &[Flag]) -> Result<Config, Error> {
        let config = Config::load(&self.store, std::env::vars_os(), flags)?;
        logs::start(&config);
        Ok(config)
    }
}
