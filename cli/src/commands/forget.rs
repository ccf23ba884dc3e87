//! `medimg forget STUDY --reason TEXT`: erases where the objects of a study lie, and the copies of their originals.

use std::io::{self, IsTerminal as _};

use domain::Phi;
use handlers::acting::Person;
use handlers::forget::{self, Asked, Count};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use serde_json::json;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::person;

/// Erase where the objects of a study lie, copies of their originals and notes; the ledger stays whole
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What stays: the entries of the ledger (keyed hashes, digests, counts), the processed objects, the files at \
    their site, and backups that were made before. An object that was refused before its study was read is found by no study. \
    Nothing is remembered of a forgotten object again: process on the same file repeats its verdict and writes no path down."
)]
pub(crate) struct Args {
    /// The study: its original or new Study Instance UID, or the short name that process printed
    #[arg(value_name = "STUDY")]
    study: String,
    /// Why: kept beside the sources, erasable; the ledger holds a salted digest of it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Also objects without an end: nothing takes them up again by itself
    #[arg(long)]
    unfinished: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&[])?;
    // Work: while an object is processed its place is written down, so a worker and a forgetting exclude each other.
    let store = Store::open_existing(&context.store, Access::Work, config.text("environment"), &System)?;
    let person = Person::of_user(&person::name(), &store.keys);
    let (study, reason) = (Phi::new(args.study.trim().to_owned()), Phi::new(args.reason.clone()));
    if !args.yes && !confirmed(&block_on(forget::look(&store, &study))??)? {
        return Err(Error::NotConfirmed);
    }
    let asked = Asked { study: &study, reason: &reason, unfinished_too: args.unfinished };
    let done = block_on(forget::forget(&store, &System, person, asked, &|_| Ok(())))??;
    if context.output.json {
        context.output.object(&json!({ "forgotten": { "objects": done.objects, "sources": done.sources,
            "copies": done.copies, "notes": done.notes, "unfinished": done.unfinished,
            "recorded": !done.is_nothing() } }))?;
    } else if done.is_nothing() {
        context.output.line(format!("nothing was left to forget of {} objects", done.objects))?;
    } else {
        context.output.text(format!(
            "forgotten: {} places, {} copies and {} notes of {} objects; that is recorded\n\
             the entries of the ledger and the processed objects stay\n",
            done.sources, done.copies, done.notes, done.objects
        ))?;
    }
    Ok(Exit::Well)
}

fn confirmed(count: &Count) -> Result<bool, Error> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let Count { objects, sources, copies, notes, .. } = count;
    note(&format!("{objects} objects: erase {sources} places, {copies} copies and {notes} notes for good? [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|cause| Error::Read { what: "the answer", cause })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
