//! `medimg recover --reason TEXT`: an older store that was restored goes on under a new origin.

use domain::Phi;
use handlers::recover::{self, Asked};
use handlers::surroundings::System;
use serde_json::json;

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;
use crate::person;

/// Let an older store that was restored go on, under a new origin
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Only for a store of which a newer state was seen, or that was restored. What was lost is named in the \
    first entry of the new log; the old log stays beside it and is verified with it. The reason is kept in sources.sqlite, \
    which can be erased; the ledger holds a salted digest of it."
)]
pub(crate) struct Args {
    /// Why: what was lost, and who decided
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&[])?;
    let heads = context.guard.heads();
    let (user, reason) = (person::name(), Phi::new(args.reason.clone()));
    let asked = Asked { user: &user, reason: &reason };
    let done = recover::recover(&context.store, config.text("environment"), heads, &System, asked, &|_| Ok(()));
    let done = block_on(done)??;
    if context.output.json {
        context.output.object(&json!({ "recovered": { "origin": done.origin.as_str(), "held_size": done.held_size,
            "restored_size": done.restored_size, "unfinished": done.unfinished } }))?;
    } else {
        let lost = done.held_size.saturating_sub(done.restored_size);
        context.output.text(format!(
            "recovered: goes on as {} after {} entries; {lost} that were seen are lost\n{} objects have no end yet\n",
            done.origin, done.restored_size, done.unfinished
        ))?;
    }
    Ok(Exit::Well)
}
