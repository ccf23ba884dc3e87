//! `medimg export`: the ledger as lines of JSON that anyone can check with nothing but SHA-256.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ledger::Export;

use super::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;

/// Write the ledger as lines of JSON: the head, then every entry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An export holds no identifier of a patient. Kept elsewhere, it shows whether the store was rewritten."
)]
pub(crate) struct Args {
    /// A new file, or - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    context.config(&[])?;
    let failed = |error| match error {
        ledger::Error::Missing => handlers::store::no_ledger(&context.store),
        error => handlers::commit::ledger_error("export the ledger", error),
    };
    let export = Export::open(context.store.join("ledger.sqlite")).map_err(failed)?;
    let size = export.head().size;
    if args.output == Path::new("-") {
        for line in export {
            if context.output.closed() {
                break;
            }
            context.output.line(line.map_err(failed)?)?;
        }
        return Ok(Exit::Well);
    }
    let broken = |cause| Error::Write { what: "the export", cause };
    let part = part_of(&args.output);
    let mut file = BufWriter::new(create(&part).map_err(broken)?);
    let written = (|| {
        for line in export {
            writeln!(file, "{}", line.map_err(failed)?).map_err(broken)?;
        }
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(broken)?;
        // A link never replaces: what stands under the name stays, and the new file is whole or not there.
        std::fs::hard_link(&part, &args.output).map_err(broken)
    })();
    std::fs::remove_file(&part).or_else(|error| if written.is_ok() { Err(broken(error)) } else { Ok(()) })?;
    written?;
    if !context.quiet {
        note(&format!("exported {size} entries\n"));
    }
    Ok(Exit::Well)
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    name.into()
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)
}
