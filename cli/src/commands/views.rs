//! `medimg views`: the arrangement of the ledger that questions are answered from. Made of the ledger alone, so it can be
//! followed further, or built anew, at any time.

use handlers::bus::Bus;
use handlers::consumer;
use handlers::runner::report::Silent;
use handlers::store::{Access, Store};
use handlers::surroundings::{Surroundings as _, System};
use handlers::sweeper::{self, Swept};
use handlers::views::SqliteViews;
use handlers::views::rebuild::{self, Compared, Rebuilt};

use super::{Context, block_on};
use crate::error::Error;
use crate::exit::Exit;

/// Keep the views up to date, or build them anew
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Bring the views up to date with the ledger; complete the studies to which nothing came for `study.idle_ms`
    Refresh,
    /// Build the views anew beside the old ones, compare, and put them in their place; ends with 3 if they differed
    Rebuild,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let config = context.config(&[])?;
    let store = Store::open(&context.store, Access::Ask, config.text("environment"), &System)?;
    match args.verb {
        Verb::Refresh => {
            let bus = Bus::new(config.names("rules.disabled").iter().map(String::as_str))?;
            let idle_ms = config.number("study.idle_ms");
            let swept = block_on(sweeper::sweep(&store, &System, &bus, &Silent, idle_ms, System.now_ms()))??;
            let views = SqliteViews::open(&store.views_path())?;
            // What the sweep itself recorded.
            let followed = block_on(consumer::follow(&store.joined()?, &views, u64::MAX))??;
            refreshed(followed.next, swept, context)?;
            Ok(Exit::Well)
        }
        Verb::Rebuild => {
            let rebuilt = block_on(rebuild::rebuild(&store.joined()?, &store.views_path()))??;
            told(&rebuilt, context)
        }
    }
}

fn refreshed(size: u64, swept: Swept, context: &mut Context) -> Result<(), Error> {
    let Swept { completed, reopened, .. } = swept;
    if context.output.json {
        let said =
            serde_json::json!({ "as_of_size": size, "studies_completed": completed, "studies_reopened": reopened });
        return context.output.object(&said);
    }
    context.output.line(format!("views as of size {size}; studies completed: {completed}, reopened: {reopened}"))
}

/// Views that differ were no function of the ledger: what they answered may have left something out.
fn told(rebuilt: &Rebuilt, context: &mut Context) -> Result<Exit, Error> {
    let Rebuilt { size, compared } = rebuilt;
    let (word, differing, exit) = match compared {
        Compared::Equal => ("equal", &[][..], Exit::Well),
        Compared::Different(tables) => ("different", tables.as_slice(), Exit::Integrity),
        Compared::NotCompared(_) => ("not_compared", &[][..], Exit::Well),
    };
    if context.output.json {
        let differing: serde_json::Map<_, _> =
            differing.iter().map(|(table, rows)| ((*table).to_owned(), (*rows).into())).collect();
        let code = if let Compared::NotCompared(code) = compared { *code } else { None };
        let said = serde_json::json!({ "as_of_size": size, "compared": word, "differing": differing, "code": code });
        context.output.object(&said)?;
        return Ok(exit);
    }
    let beside = match compared {
        Compared::Equal => "equal to the old ones".to_owned(),
        Compared::NotCompared(None) => "there were none before".to_owned(),
        Compared::NotCompared(Some(code)) => format!("the old ones could not be compared: {code}"),
        Compared::Different(_) => {
            let tables: Vec<_> = differing.iter().map(|(table, rows)| format!("{table}: {rows} rows")).collect();
            format!("the old ones differed ({}); what they answered may have left something out", tables.join(", "))
        }
    };
    context.output.line(format!("views built anew as of size {size}; {beside}"))?;
    Ok(exit)
}
