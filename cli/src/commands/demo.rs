//! `medimg demo`: synthetic studies through the whole pipeline; `--write` only writes their files.

use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::Context;
use crate::demo::{self, DemoFile, Expected};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::ui::colour::Tone;
use crate::ui::table::{Cell, Table};

/// Show the pipeline at work on synthetic studies
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only write the files of the demo to this folder
    #[arg(long, value_name = "DIR")]
    write: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let files = demo::studies(demo::SEED);
    demo::write(&files, &args.write).map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => Error::DemoExists,
        _ => Error::Write { what: "a file of the demo", cause },
    })?;
    list(&files, context)?;
    context.output.flush()?;
    if context.output.terminal {
        note(&format!("next: medimg process {}\n", args.write.display()));
    }
    Ok(Exit::Well)
}

/// Prints what each file is and how it must end.
fn list(files: &[DemoFile], context: &mut Context) -> Result<(), Error> {
    let mut table = Table::new(["file", "what it is", "will end"]);
    for (number, file) in (1..).zip(files) {
        let (ending, reason) = match file.expected {
            Expected::Delivered => ("delivered", None),
            Expected::Quarantined(reason) => ("quarantined", Some(reason)),
        };
        if context.output.json {
            let object = json!({ "item": number, "told": file.told, "expected": ending, "reason": reason,
                "size_bytes": file.bytes.len() });
            context.output.object(&object)?;
            continue;
        }
        table.row([
            if context.output.terminal { file.name.clone().into() } else { format!("#{number}").into() },
            file.told.into(),
            match reason {
                None => Cell::new(Tone::Good, ending),
                Some(reason) => Cell::new(Tone::Warn, format!("{ending}: {reason}")),
            },
        ]);
    }
    if context.output.json { Ok(()) } else { context.output.text(table.render(context.output.style)) }
}
