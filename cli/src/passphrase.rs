//! The passphrase under which keys are wrapped: asked for without showing it, or read from a file of the operator alone.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use handlers::backup::Passphrase;

use crate::error::Error;
use crate::output::note;

/// Fewer characters are soon guessed, whatever scrypt costs.
const CHARS_MIN: usize = 12;
/// More bytes are no passphrase.
const BYTES_MAX: u64 = 4096;

/// Returns the passphrase; a new one is asked for twice, and must be long enough.
pub(crate) fn get(file: Option<&Path>, new: bool) -> Result<Passphrase, Error> {
    let text = match file {
        Some(file) => read(file)?,
        None => ask(new)?,
    };
    let passphrase = Passphrase::of_person(text);
    if new && passphrase.chars() < CHARS_MIN {
        return Err(Error::Passphrase { what: "it has fewer than 12 characters" });
    }
    Ok(passphrase)
}

/// The first line of the file, without its line feed.
fn read(path: &Path) -> Result<String, Error> {
    let failed = |cause| Error::Read { what: "the file of the passphrase", cause };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(Error::Passphrase { what: "others may read its file; it must have mode 600" });
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(Error::Passphrase { what: "its file is empty" }) } else { Ok(line.to_owned()) }
}

fn ask(new: bool) -> Result<String, Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Passphrase { what: "there is no terminal to ask on" });
    }
    let failed = |cause| Error::Read { what: "the passphrase", cause };
    note("passphrase of the keys: ");
    let text = rpassword::read_password().map_err(failed)?;
    if new {
        note("the same again: ");
        if rpassword::read_password().map_err(failed)? != text {
            return Err(Error::Passphrase { what: "the two are not the same" });
        }
    }
    Ok(text)
}
