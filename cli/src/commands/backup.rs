//! `medimg backup -o DIR`: a copy of the store, made while a worker may run.

use std::path::PathBuf;

use handlers::acting::Person;
use handlers::backup::{self, KeysFile};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use serde_json::json;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::passphrase;
use crate::person;

/// Copy the store to a folder; what is there already is checked, not copied again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A worker may run meanwhile. The folder holds no key: ledger and processed objects lie in it as they are, \
    everything that may name a patient (sources, copies of originals, the configuration) as age files that only the store's \
    keys open. --keys-to writes the keys, wrapped with a passphrase (age), to a file that belongs somewhere else."
)]
pub(crate) struct Args {
    /// An empty folder, or the one of the last backup
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Write the keys, wrapped with a passphrase, to this new file; never in the backup
    #[arg(long, value_name = "FILE")]
    keys_to: Option<PathBuf>,
    /// Take the passphrase from the first line of this file (mode 600) and do not ask
    #[arg(long, value_name = "FILE", requires = "keys_to")]
    passphrase_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let passphrase = match &args.keys_to {
        Some(_) => Some(passphrase::get(args.passphrase_file.as_deref(), true)?),
        None => None,
    };
    let keys_to = args.keys_to.as_deref().zip(passphrase.as_ref());
    let keys_to = keys_to.map(|(path, passphrase)| KeysFile { path, passphrase });
    let made = backup::copy(&store, &args.output, keys_to.as_ref(), &System, &|_| Ok(()))?;
    block_on(backup::record(&store, &System, person, &made))??;
    let manifest = &made.manifest;
    if context.output.json {
        context.output.object(&json!({ "backup": {
            "origin": manifest.origin, "size": manifest.size, "root": manifest.root, "parts": manifest.parts.len(),
            "size_bytes": made.size_bytes(), "copied": made.copied, "copied_bytes": made.copied_bytes,
            "missing": manifest.missing, "manifest": made.digest, "keys_wrapped": made.keys_wrapped } }))?;
    } else {
        context.output.text(format!(
            "backup of {} entries: {} parts, {} bytes; {} parts, {} bytes of them new\n  manifest {}\n",
            manifest.size,
            manifest.parts.len(),
            made.size_bytes(),
            made.copied,
            made.copied_bytes,
            made.digest
        ))?;
    }
    if !made.keys_wrapped && !context.quiet {
        note("the backup holds no keys: without the store's keys/, or a file of --keys-to, it cannot be restored\n");
    }
    if manifest.missing.is_empty() {
        return Ok(Exit::Well);
    }
    note(&format!(
        "{} objects that the ledger names are not in the store as they were written; `--json` lists them\n",
        manifest.missing.len()
    ));
    Ok(Exit::SomeFailed)
}
