//! Verifies a store as one reader of one state, without writing: first by screening, in two threads; where that says anything
//! but "sound", by the exact verifier.

mod exact;
mod screen;
mod sealed;

use std::path::Path;

use super::connect::{self, Snapshot, classify};
use crate::verify::Report;
use crate::{Error, Frontier, Header};
pub use sealed::{KeptCheckpoint, SealRow, kept_checkpoints, seal_facts};

/// How much of each entry is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything: headers, links, tree, bodies, tags, and the pages of the file.
    Whole,
    /// Headers with their links, slots and the tree; neither bodies nor tags, nor what lies around the entries in the file.
    Headers,
}

/// Who is shown a store as it is verified.
pub trait Watcher {
    /// Reading begins; what was shown before is void.
    fn begin(&mut self) {}

    /// The header as stored of the next entry, with the tree that it is the last leaf of. Ends where an index is missing.
    fn leaf(&mut self, header: &[u8], tree: &Frontier) {
        let _ = (header, tree);
    }

    /// A sound entry: leaf index, header, body (empty where only headers are verified). In leaf order.
    fn entry(&mut self, index: u64, header: &Header, body: &str);
}

/// Shows sound entries only.
struct Visitor<'v>(&'v mut dyn FnMut(u64, &Header, &str));

impl Watcher for Visitor<'_> {
    fn entry(&mut self, index: u64, header: &Header, body: &str) {
        (self.0)(index, header, body);
    }
}

/// Verifies the store at `path` and shows every sound entry to `visit` on the way: leaf index, header, body, in leaf order.
///
/// Writes nothing (see `Snapshot`). Damage is in the report, also where the file cannot be read on; an error means that the
/// verification did not take place: no store, no access, no ledger, another schema version, or a database whose tables cannot
/// be listed. If something is found, or the store is changed while it is read, it is read once more, and `visit` is called anew
/// from index 0.
pub fn verify_store(path: impl AsRef<Path>, visit: &mut dyn FnMut(u64, &Header, &str)) -> Result<Report, Error> {
    verify_store_with(path, Depth::Whole, &mut Visitor(visit))
}

/// As [`verify_store`], to the depth that is asked for.
///
/// # Errors
/// As [`verify_store`].
pub fn verify_store_with(path: impl AsRef<Path>, depth: Depth, watcher: &mut dyn Watcher) -> Result<Report, Error> {
    let path = path.as_ref();
    let mut snapshot = Snapshot::open(path, false)?;
    let report = verify(path, false, &mut snapshot, depth, watcher);
    if !snapshot.was_disturbed() {
        return report;
    }
    verify(path, true, &mut Snapshot::open(path, true)?, depth, watcher)
}

fn verify(
    path: &Path,
    with_locks: bool,
    snapshot: &mut Snapshot,
    depth: Depth,
    watcher: &mut dyn Watcher,
) -> Result<Report, Error> {
    // One state: everything below reads inside this transaction.
    snapshot.connection.execute_batch("BEGIN").map_err(classify)?;
    connect::identify(&snapshot.connection)?;
    watcher.begin();
    if let Ok(report) = screen::screen(path, with_locks, &mut snapshot.connection, depth, watcher) {
        return Ok(report);
    }
    watcher.begin();
    exact::verify(&snapshot.connection, depth, watcher)
}
