//! `medimg man`: the manual pages, one of the whole and one a verb.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory as _;

use super::Context;
use crate::args::Cli;
use crate::error::Error;
use crate::exit::Exit;

/// Print the manual page, or write all of them to a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write medimg.1 and a page for each verb to this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let failed = |cause| Error::Write { what: "a manual page", cause };
    match &args.dir {
        Some(dir) => {
            fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
            context.output.text(page)?;
        }
    }
    Ok(Exit::Well)
}
