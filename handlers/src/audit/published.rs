//! A log that is only there as it was published: checkpoint, tiles, bundles. Headers, links and order; no bodies.
//!
//! Memory: one bundle, the edge of the tree, and the ends of the streams of one part; a long log is read once for each part.

use std::io::{self, Read as _};
use std::path::Path;

use ledger::tiles::{BUNDLE_BYTES_MAX, TILE_WIDTH, TileKind, TilePath, entries_of, tile_in};
use ledger::verify::{Cell, Code, EntryRow, Report, Verifier};
use ledger::{Header, Origin, leaf_hash};

use super::sealed;
use super::trust::{self, Outside};
use super::{Audit, strangers};
use crate::error::{Error, Result};
use crate::sealer::disk::open_plain;

/// Entries whose streams are followed in one reading.
const PART_ENTRIES: u64 = 1 << 20;

/// Verifies the published log in `folder` (`log/<n>` of a store, or a copy of it): the checkpoint's signature, the root by the
/// bundles, every tile, and number, link and time of every header. Without keys from outside, those listed beside the folder
/// are believed. Writes nothing.
///
/// # Errors
/// `log_missing` when no checkpoint lies there, `log_damaged` when it does not say which log it is of.
pub fn audit_published(folder: &Path, outside: &Outside) -> Result<Audit> {
    let origin = origin(folder)?;
    let listed = match folder.canonicalize().ok().as_deref().and_then(Path::parent).and_then(Path::parent) {
        Some(root) => trust::listed(root)?,
        None => Vec::new(),
    };
    let mut watch = sealed::Watch::of_folder(folder, &origin, outside, &listed)?;
    // Without a checkpoint that is believed there is nothing that the log could be held against.
    let size = watch.published().map_or(0, |(size, _)| size);
    let mut report = read(folder, &origin, size, Some(&mut watch));
    let sealed = watch.finish(&mut report);
    let mut audit = Audit { ledger: report.clone(), past: Vec::new(), sealed: vec![sealed], misstep: None };
    strangers(outside, &[origin], &mut report, audit.sealed.last_mut());
    if report.is_sound() {
        report.proved_below = report.entries;
    }
    audit.ledger = report;
    Ok(audit)
}

fn origin(folder: &Path) -> Result<Origin> {
    let mut bytes = Vec::new();
    let tried = "read the checkpoint of a published log";
    let file = open_plain(&folder.join(crate::sealer::folder::CHECKPOINT)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::damaged("log_missing", format!("{tried}: there is none"), None),
        _ => Error::store(tried, error),
    })?;
    let limit = ledger::note::NOTE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| Error::store(tried, error))?;
    let damaged = || Error::damaged("log_damaged", format!("{tried}: it does not name a log of ours"), None);
    trust::origin_of(&bytes).ok_or_else(damaged)
}

/// Reads every bundle of a log of `size` entries, once for each part of its streams.
fn read(folder: &Path, origin: &Origin, size: u64, mut watch: Option<&mut sealed::Watch>) -> Report {
    let parts = size.div_ceil(PART_ENTRIES).max(1);
    let mut report: Option<Report> = None;
    for number in 0..parts {
        let mut verifier = Verifier::of_headers(origin.clone(), (number, parts));
        for index in 0..size.div_ceil(TILE_WIDTH) {
            let Some(path) = tile_in(size, TileKind::Entries, index) else { break };
            if !bundle(folder, path, &mut verifier, watch.as_deref_mut().filter(|_| number == 0)) {
                break;
            }
        }
        let found = verifier.finish();
        match &mut report {
            None => report = Some(found),
            Some(report) => report.join(found),
        }
    }
    report.expect("there is one part at least")
}

/// Shows a bundle's entries; whether the log can be read on behind it.
fn bundle(folder: &Path, path: TilePath, verifier: &mut Verifier, mut watch: Option<&mut sealed::Watch>) -> bool {
    let first = path.leaves().start;
    // What is missing is told by whoever compares the tiles; only what cannot be taken apart is told here.
    let Some(bytes) = any_of(folder, path) else {
        verifier.add(Code::BundleMissing, Some(first));
        return false;
    };
    let width = usize::from(path.width);
    let Some(entries) = entries_of(&bytes).filter(|entries| entries.len() >= width) else {
        verifier.add(Code::BundleDiffers, Some(first));
        return false;
    };
    for (index, header) in (first..).zip(&entries[..width]) {
        let leaf = leaf_hash(header);
        let parsed = Header::parse(header).ok();
        let stream = parsed.as_ref().map_or([0; 16], |header| header.stream.0);
        let seq = parsed.as_ref().and_then(|header| i64::try_from(header.seq).ok()).unwrap_or(0);
        let leaf_index = i64::try_from(index).unwrap_or(i64::MAX);
        verifier.entry(&EntryRow {
            leaf_index,
            stream: Cell::Blob(&stream),
            seq: Cell::Integer(seq),
            leaf: Cell::Blob(&leaf.0),
            nonce: Cell::Other,
            header: Cell::Text(header),
            body: Cell::Other,
        });
        if let (Some(watch), Some(tree)) = (&mut watch, verifier.tree_behind(leaf_index)) {
            watch.leaf(header, tree);
        }
    }
    true
}

/// The bundle, or the full one of which it is the beginning.
fn any_of(folder: &Path, path: TilePath) -> Option<Vec<u8>> {
    [path, path.full()].iter().find_map(|path| {
        let mut bytes = Vec::new();
        let file = open_plain(&folder.join(path.to_string())).ok()?;
        file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    })
}
