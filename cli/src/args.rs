//! The command line as a whole: what every verb takes, and how a wrong line is told.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::commands::Verb;
use crate::config::{STORE_DEFAULT, STORE_VARIABLE};
use crate::error::Error;

/// Takes DICOM in, de-identifies it, and keeps every step in a ledger that verifies.
#[derive(Debug, clap::Parser)]
#[command(
    name = "medimg",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Standard output is data, standard error is progress and errors.\n\
        Exit codes: 0 all well, 1 some item failed or was quarantined, 2 usage, 3 integrity, 75 try again later"
)]
pub(crate) struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The verb.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Global {
    /// Folder of the store [default: $MEDIMG_STORE, else ./medimg-data]
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Folder outside the store that keeps its newest head [default: $MEDIMG_HEADS, else the user's state folder]
    #[arg(long, global = true, value_name = "DIR")]
    heads: Option<PathBuf>,
    /// Print data and errors as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Global {
    /// Returns the folder that --store names.
    pub(crate) fn store_flag(&self) -> Option<PathBuf> {
        self.store.clone()
    }

    /// Returns the folder of heads that was named.
    pub(crate) fn heads(&self) -> Option<&Path> {
        self.heads.as_deref()
    }

    /// Returns the folder of the store.
    pub(crate) fn store(&self) -> PathBuf {
        let named = self.store.clone().or_else(|| std::env::var_os(STORE_VARIABLE).map(PathBuf::from));
        named.unwrap_or_else(|| PathBuf::from(STORE_DEFAULT))
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A verb.
    Run(Box<Cli>),
    /// Help or the version: this text, on standard output.
    Text(String),
    /// Nothing, so this help is due on standard error.
    Nothing(String),
}

/// Returns what the command line asks for.
pub(crate) fn parse(line: impl Iterator<Item = OsString>) -> Result<Asked, Error> {
    match Cli::try_parse_from(line) {
        Ok(cli) => Ok(Asked::Run(Box::new(cli))),
        Err(wrong) => match wrong.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Asked::Text(wrong.render().to_string())),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ok(Asked::Nothing(wrong.render().to_string())),
            _ => Err(Error::Usage { what: told(&wrong, std::io::stderr().is_terminal()), near: near(&wrong) }),
        },
    }
}

/// Says what is wrong. What was typed may be a path, and a path may be a name: it is repeated to a terminal only.
fn told(wrong: &clap::Error, terminal: bool) -> String {
    let rendered = wrong.render().to_string();
    let first = rendered.lines().next().unwrap_or_default();
    let safe = wrong.kind().as_str().unwrap_or("it cannot be understood");
    let full = first.strip_prefix("error: ").filter(|_| terminal).unwrap_or(safe);
    full.trim_end_matches(':').to_owned()
}

/// The words of ours that come nearest to what was typed.
fn near(wrong: &clap::Error) -> Option<String> {
    [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .filter_map(|kind| wrong.get(kind))
        .find_map(|value| match value {
            ContextValue::String(word) => Some(word.clone()),
            ContextValue::Strings(words) => words.first().cloned(),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn wrong(line: &[&str]) -> clap::Error {
        Cli::try_parse_from(line).expect_err("a wrong line")
    }

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_was_typed_is_repeated_to_a_terminal_only() {
        let wrong = wrong(&["medimg", "config", "show", "in/DOE^JANE.dcm"]);
        assert!(told(&wrong, true).contains("DOE^JANE"));
        assert!(!told(&wrong, false).contains("DOE"));
    }

    #[test]
    fn a_misspelt_verb_or_flag_is_told_the_nearest() {
        assert_eq!(near(&wrong(&["medimg", "confg"])).as_deref(), Some("config"));
        assert_eq!(near(&wrong(&["medimg", "--jsn", "config", "show"])).as_deref(), Some("--json"));
    }
}
