//! `medimg checkpoint`: seals the log now and prints the signed checkpoint; the public key that it is verified with; and the one
//! place where that key is changed.

use domain::events::Digest;
use handlers::acting::Person;
use handlers::sealer::{self, StoreSealer};
use handlers::store::{Access, Store};
use handlers::surroundings::System;
use handlers::witness::client::Told;
use handlers::witness::cosign;
use serde_json::json;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::person;
use crate::witnesses::{self, WitnessFlags};

/// Seal the log now and print its signed checkpoint
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The checkpoint is a signed note (c2sp.org/tlog-checkpoint) and lies in the store as log/<n>/checkpoint, the \
    tiles beside it. Keep it, and the key of --vkey, outside: with both, anyone can verify a copy of the log. Every command that \
    records something seals too."
)]
pub(crate) struct Args {
    /// Print the public keys that have signed this log, oldest first, the one in use last
    #[arg(long)]
    vkey: bool,
    /// Change the signing key: both keys sign the newest checkpoint, and that you did is recorded
    #[arg(long, conflicts_with_all = ["vkey", "mend"])]
    rotate_key: bool,
    /// Make tiles that are missing or changed anew from the ledger, held against the newest checkpoint that was signed
    #[arg(long, conflicts_with = "vkey")]
    mend: bool,
    #[command(flatten)]
    witnesses: WitnessFlags,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let flags: Vec<_> = args.witnesses.flag().into_iter().collect();
    let config = context.config(&flags)?;
    let store = Store::open_existing(&context.store, Access::Ask, config.text("environment"), &System)?;
    if args.vkey {
        return keys(&store, context);
    }
    if args.mend {
        mend(&store, context)?;
    }
    if args.rotate_key {
        return rotate(&store, context);
    }
    let sealer = StoreSealer::open(store.root())?;
    block_on(sealer.seal())??;
    let told = match context.witnesses.get() {
        Some(witnesses) => block_on(cosign(&sealer, witnesses))??,
        None => Vec::new(),
    };
    let Some((note, checkpoint)) = sealer.published()? else {
        context.output.line("nothing is recorded yet, so there is nothing to seal")?;
        return Ok(Exit::Well);
    };
    if context.output.json {
        let keys: Vec<_> = note.signatures().iter().map(|line| format!("{:08x}", line.id)).collect();
        context.output.object(&json!({ "checkpoint": { "origin": checkpoint.origin, "size": checkpoint.size,
            "root": Digest(checkpoint.root.0), "keys": keys, "note": note.to_string() },
            "witnesses": told.iter().map(witnesses::object).collect::<Vec<_>>() }))?;
    } else {
        context.output.text(note.to_string())?;
    }
    witnessed(&told)
}

/// A witness that holds another history of the log is a matter for a person, now; one that is away is told.
fn witnessed(told: &[Told]) -> Result<Exit, Error> {
    let is_refused = |error: &Error| error.exit() == Exit::Integrity;
    let (refused, rest): (Vec<_>, Vec<_>) = told.iter().filter_map(witnesses::error_of).partition(is_refused);
    rest.iter().for_each(witnesses::warn);
    refused.into_iter().next().map_or(Ok(Exit::Well), Err)
}

fn keys(store: &Store, context: &mut Context) -> Result<Exit, Error> {
    // Opened so that a store which never sealed gets its key; nothing is sealed.
    let sealer = StoreSealer::open(store.root())?;
    let all = sealer::verifier_keys(store.root())?;
    let of_this_log = all.iter().filter(|key| key.name() == sealer.origin().as_str());
    for key in of_this_log {
        if context.output.json {
            let in_use = key == sealer.verifier();
            let id = format!("{:08x}", key.id());
            context.output.object(&json!({ "vkey": key.to_string(), "id": id, "in_use": in_use }))?;
        } else {
            context.output.line(key.to_string())?;
        }
    }
    Ok(Exit::Well)
}

fn rotate(store: &Store, context: &mut Context) -> Result<Exit, Error> {
    let person = Person::of_user(&person::name(), &store.keys);
    let rotated = block_on(sealer::rotate(store, &System, person, &|_| Ok(())))??;
    let (before, after) = (rotated.before, rotated.after);
    if context.output.json {
        context.output.object(&json!({ "rotated": { "before": before.to_string(), "after": after.to_string(),
            "size": rotated.size } }))?;
    } else {
        context.output.text(format!(
            "checkpoints are signed by key {:08x} from now on, and no more by {:08x}\n\
             both have signed the one over {} entries; give whoever verifies the new key:\n{after}\n",
            after.id(),
            before.id(),
            rotated.size
        ))?;
    }
    Ok(Exit::Well)
}

fn mend(store: &Store, context: &mut Context) -> Result<(), Error> {
    for (origin, mended) in block_on(sealer::mend_store(store.root()))?? {
        if context.output.json {
            context.output.object(&json!({ "mended": { "origin": origin.as_str(), "tiles": mended.tiles,
                "written": mended.written } }))?;
        } else {
            let told = format!("{origin}: {} of {} tiles were made anew\n", mended.written, mended.tiles);
            crate::output::note(&told);
        }
    }
    Ok(())
}
