//! `medimg restore FROM`: checks a backup, and puts a store together from it.

use std::path::PathBuf;

use handlers::backup::{self, Checked, KeysFile};
use serde_json::json;

use super::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;
use crate::passphrase;

/// Put a store together from a backup, or only check the backup
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The store named by --store must be empty or not there; it is whole there or not at all. A restored store \
    answers, and works again after `medimg recover`: entries may have been written after the backup."
)]
pub(crate) struct Args {
    /// Folder of the backup
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// The keys, as backup --keys-to wrote them; without them a backup can be checked in part only
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    keys: Option<PathBuf>,
    /// Take the passphrase from the first line of this file (mode 600) and do not ask
    #[arg(long, value_name = "FILE", requires = "keys")]
    passphrase_file: Option<PathBuf>,
    /// Only check every part, and write nothing
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let passphrase = match &args.keys {
        Some(_) => Some(passphrase::get(args.passphrase_file.as_deref(), false)?),
        None => None,
    };
    let keys = args.keys.as_deref().zip(passphrase.as_ref());
    let keys = keys.map(|(path, passphrase)| KeysFile { path, passphrase });
    let (checked, unfinished) = match &keys {
        Some(keys) if !args.check => {
            let restored = backup::restore(&args.from, &context.store, keys, &|_| Ok(()))?;
            (restored.checked, Some(restored.unfinished))
        }
        keys => (backup::check(&args.from, keys.as_ref())?, None),
    };
    tell(&checked, unfinished, context)?;
    if checked.manifest.missing.is_empty() { Ok(Exit::Well) } else { Ok(Exit::SomeFailed) }
}

fn tell(checked: &Checked, unfinished: Option<u64>, context: &mut Context) -> Result<(), Error> {
    let Checked { manifest, digest, opened } = checked;
    let what = if unfinished.is_some() { "restored" } else { "checked" };
    if context.output.json {
        return context.output.object(&json!({ what: {
            "origin": manifest.origin, "size": manifest.size, "root": manifest.root, "made_at": manifest.made_at,
            "parts": manifest.parts.len(), "missing": manifest.missing, "manifest": digest, "opened": opened,
            "unfinished": unfinished } }));
    }
    context.output.text(format!(
        "{what}: the backup of {}, {} entries, {} parts, every one as it was written\n  manifest {digest}\n",
        manifest.made_at,
        manifest.size,
        manifest.parts.len()
    ))?;
    context.output.flush()?;
    if context.quiet {
        return Ok(());
    }
    if !opened {
        note("the sealed parts were not opened: for that, give the keys with --keys\n");
    }
    if !manifest.missing.is_empty() {
        note(&format!("{} objects were missing when the backup was made\n", manifest.missing.len()));
    }
    if let Some(unfinished) = unfinished {
        note(&format!("{unfinished} objects have no end yet\nnext: {} recover --reason TEXT\n", context.program));
    }
    Ok(())
}
