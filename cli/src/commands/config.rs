//! `medimg config show`: every setting with its value and, if asked, where that came from.

use serde_json::json;

use super::Context;
use crate::config::{Origin, variable};
use crate::error::Error;
use crate::exit::Exit;
use crate::ui::colour::Tone;
use crate::ui::table::{Cell, Table};

/// Show the configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print every setting; without --origin as a valid config.toml
    Show {
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
    },
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let Verb::Show { origin } = args.verb;
    let config = context.config(&[])?;
    if context.output.json {
        for one in &config.resolved {
            let mut object = json!({ "key": one.setting.name, "value": one.value, "told": one.setting.told });
            if origin {
                object["origin"] = json!(one.origin.to_string());
                object["variable"] = json!(variable(one.setting.name));
            }
            context.output.object(&object)?;
        }
    } else if origin {
        let mut table = Table::new(["setting", "value", "origin", "what it is for"]);
        for one in &config.resolved {
            let tone = if one.origin == Origin::Default { Tone::Dim } else { Tone::Strong };
            table.row([
                one.setting.name.into(),
                one.value.to_string().into(),
                Cell::new(tone, one.origin.to_string()),
                Cell::new(Tone::Dim, one.setting.told),
            ]);
        }
        context.output.text(table.render(context.output.style))?;
    } else {
        for one in &config.resolved {
            context.output.line(format!("# {}\n{} = {}", one.setting.told, one.setting.name, one.value))?;
        }
    }
    Ok(Exit::Well)
}
