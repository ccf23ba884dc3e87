//! The logs of a store: `ledger.sqlite`, and those that ended before a recovery, `ledger.<n>.sqlite` (docs/adr/0006).

use std::path::{Path, PathBuf};

use ledger::{Origin, Peek};

use crate::commit::ledger_error;
use crate::error::Result;
use crate::store::no_ledger;

/// Returns the number of the recovery that began the log; 0 for the first log of a store.
pub fn number(origin: &Origin) -> u32 {
    origin.as_str().split_once('#').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// Returns the name of the log with this number once it has ended.
pub fn name(number: u32) -> String {
    format!("ledger.{number}.sqlite")
}

/// Returns name and path of every log of the store, in their order, the present one last. A file of a number that the
/// present log does not come after is left by a recovery that was cut short, and is none.
///
/// # Errors
/// `store_missing`, `ledger_gone` and what the ledger says.
pub fn paths(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let present = root.join("ledger.sqlite");
    let peek = Peek::open(&present).map_err(|error| match error {
        ledger::Error::Missing => no_ledger(root),
        error => ledger_error("look at the ledger", error),
    })?;
    let mut all: Vec<_> = (0..number(&peek.origin)).map(|number| (name(number), root.join(name(number)))).collect();
    all.push(("ledger.sqlite".to_owned(), present));
    Ok(all)
}
