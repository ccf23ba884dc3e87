//! The logs of a store: `ledger.sqlite`, and those that ended before a recovery, `ledger.<n>.sqlite` (docs/adr/0006).

use std::path::{Path, PathBuf};

use ledger::{Origin, Peek};

use crate::commit::ledger_error;
use crate::error::Result;
use crate::store::no_ledger;

/// A store with more logs than this was not recovered as often by any person.
const PAST_MAX: usize = 1_000;
/// The name under which a log lists the numbers of those that ended before it.
pub(crate) const PAST: &str = "past";

/// Returns the number of the recovery that began the log; 0 for the first log of a store.
pub fn number(origin: &Origin) -> u32 {
    origin.as_str().split_once('#').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// Returns the name of the log with this number once it has ended.
pub fn name(number: u32) -> String {
    format!("ledger.{number}.sqlite")
}

/// Returns name and path of every log of the store, in their order, the present one last. The present log says which
/// ended before it; a file that it does not name is left by a recovery that was cut short, and is none.
///
/// # Errors
/// `store_missing`, `ledger_gone` and what the ledger says.
pub fn paths(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let present = root.join("ledger.sqlite");
    let failed = |error| match error {
        ledger::Error::Missing => no_ledger(root),
        error => ledger_error("look at the ledger", error),
    };
    let meta = Peek::open(&present).and_then(|peek| peek.meta()).map_err(failed)?;
    let listed = meta.iter().find(|(name, _)| name == PAST).map(|(_, listed)| listed.as_str());
    let mut all: Vec<_> = numbers(listed).map(|number| (name(number), root.join(name(number)))).collect();
    all.push(("ledger.sqlite".to_owned(), present));
    Ok(all)
}

/// Returns the numbers that a value beside the log lists, oldest first.
pub(crate) fn numbers(listed: Option<&str>) -> impl Iterator<Item = u32> {
    listed.unwrap_or_default().split(',').filter_map(|number| number.parse().ok()).take(PAST_MAX)
}
