//! The verbs, one a file.

mod backup;
mod bus;
mod checkpoint;
mod completions;
mod config;
mod demo;
mod diff;
mod doctor;
mod explain;
mod export;
mod follow;
mod forget;
mod history;
mod man;
mod process;
mod prove;
mod recover;
mod replay;
mod report;
mod restore;
mod verify;
mod views;
mod watch;
mod why;
mod witness;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use handlers::runner::report::Summary;
use handlers::witness::client::Witnesses;

use crate::config::{Config, Flag};
use crate::error::Error;
use crate::exit::Exit;
use crate::guard::{Guard, Use};
use crate::logs;
use crate::output::Output;
use crate::ui::item::printable;
use crate::witnesses;

/// What the program can be asked to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Demo(demo::Args),
    Process(process::Args),
    Watch(watch::Args),
    History(Box<history::Args>),
    Replay(replay::Args),
    Verify(verify::Args),
    Checkpoint(checkpoint::Args),
    Prove(prove::Args),
    Report(report::Args),
    Views(views::Args),
    Export(export::Args),
    Follow(follow::Args),
    Why(why::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Bus(bus::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Recover(recover::Args),
    Forget(forget::Args),
    Witness(witness::Args),
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
            Self::Watch(args) => watch::run(args, context),
            Self::History(args) => history::run(args, context),
            Self::Replay(args) => replay::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Checkpoint(args) => checkpoint::run(args, context),
            Self::Prove(args) => prove::run(args, context),
            Self::Report(args) => report::run(args, context),
            Self::Views(args) => views::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Follow(args) => follow::run(args, context),
            Self::Why(args) => why::run(args, context),
            Self::Diff(args) => diff::run(args, context),
            Self::Explain(args) => explain::run(args, context),
            Self::Bus(args) => bus::run(args, context),
            Self::Backup(args) => backup::run(args, context),
            Self::Restore(args) => restore::run(args, context),
            Self::Recover(args) => recover::run(args, context),
            Self::Forget(args) => forget::run(args, context),
            Self::Witness(args) => witness::run(args, context),
            Self::Doctor(args) => doctor::run(args, context),
            Self::Config(args) => config::run(args, context),
            Self::Completions(args) => completions::run(args, context),
            Self::Man(args) => man::run(args, context),
        }
    }

    /// Returns what it does with the store, for the guard.
    pub(crate) const fn uses(&self) -> Use {
        match self {
            Self::Process(_)
            | Self::Watch(_)
            | Self::Bus(_)
            | Self::Forget(_)
            | Self::Demo(_)
            | Self::Replay(_)
            | Self::Checkpoint(_)
            | Self::Prove(_)
            | Self::Views(_) => Use::Works,
            Self::Follow(_)
            | Self::Why(_)
            | Self::Diff(_)
            | Self::History(_)
            | Self::Verify(_)
            | Self::Report(_)
            | Self::Export(_)
            | Self::Backup(_)
            | Self::Doctor(_) => Use::Asks,
            Self::Recover(_) => Use::Makes,
            Self::Witness(_)
            | Self::Restore(_)
            | Self::Explain(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_) => Use::None,
        }
    }

    /// Whether it may have recorded something, which then is sealed. What only reads writes nothing, not even that.
    pub(crate) const fn may_record(&self) -> bool {
        match self {
            Self::Replay(args) => args.records(),
            Self::Process(_)
            | Self::Watch(_)
            | Self::Bus(_)
            | Self::Forget(_)
            | Self::Demo(_)
            | Self::Views(_)
            | Self::Why(_)
            | Self::Diff(_)
            | Self::History(_)
            | Self::Prove(_)
            | Self::Report(_)
            | Self::Backup(_)
            | Self::Recover(_) => true,
            // The verb itself seals.
            Self::Checkpoint(_)
            | Self::Verify(_)
            | Self::Follow(_)
            | Self::Export(_)
            | Self::Doctor(_)
            | Self::Restore(_)
            | Self::Explain(_)
            | Self::Witness(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    /// Whether it is the demo, which leaves nothing outside its store.
    pub(crate) const fn is_demo(&self) -> bool {
        matches!(self, Self::Demo(_))
    }
}

/// What every verb works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Folder of the store.
    pub(crate) store: PathBuf,
    /// The folder as a person named it with --store; none if it is the default or that of the environment.
    pub(crate) store_flag: Option<PathBuf>,
    /// Where its newest head is kept.
    pub(crate) guard: Guard,
    /// Nobody wants to see progress.
    pub(crate) quiet: bool,
    /// Standard output.
    pub(crate) output: Output,
    /// How a person called this program, for the commands that are proposed next.
    pub(crate) program: String,
    /// Who cosigns checkpoints, once the configuration is read.
    pub(crate) witnesses: OnceCell<Arc<Witnesses>>,
}

impl Context {
    /// Returns a command as a person would call it now: by the same program, on the same store. The store's path is shown to a
    /// terminal only.
    pub(crate) fn command(&self, words: &str) -> String {
        let store = self.store_flag.as_ref().map(|path| match self.output.terminal {
            true => quoted(&printable(&path.to_string_lossy())),
            false => "DIR".to_owned(),
        });
        let store = store.map(|path| format!(" --store {path}")).unwrap_or_default();
        format!("{} {words}{store}", self.program)
    }

    /// Returns the configuration of the store with these flags over it, and starts the logs as it says.
    pub(crate) fn config(&self, flags: &[Flag]) -> Result<Config, Error> {
        let config = Config::load(&self.store, std::env::vars_os(), flags)?;
        logs::start(&config);
        if let Some(witnesses) = witnesses::of(&self.store, &config) {
            self.witnesses.set(witnesses).ok();
        }
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

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./_-+=:,@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Waits for a question to the ledger, which needs neither timers nor threads.
pub(crate) fn block_on<T>(asked: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|cause| Error::Threads { cause })?;
    Ok(runtime.block_on(asked))
}
