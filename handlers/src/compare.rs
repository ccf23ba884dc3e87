//! `Comparison`: what differs between an object as received and as delivered, change by change, held against the receipt of
//! the ledger where there is one. Two files, their structure and short values in memory, long values by digest.

mod access;
mod judge;
mod record;
mod side;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use compliance::receipt::Receipt;
use domain::dicom::Tag;
use domain::dicom::limits::Limits;
use domain::dicom::skeleton::Content;

pub use access::record_access;
pub use judge::{Judged, Undone, Verdict, Why};
pub use record::{Record, about};
pub use side::Side;
pub use tree::{Change, Kind, Shape};

use crate::error::Result;

const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const FLOAT_PIXEL_DATA: [Tag; 2] = [Tag(0x7FE0, 0x0008), Tag(0x7FE0, 0x0009)];

/// Whether both objects show the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Neither has pixel data.
    None,
    /// Byte for byte, apart from byte order.
    Identical,
    /// The coded frames are byte for byte those of RAW; segments that code no image went, by name.
    IdenticalButFor(BTreeMap<&'static str, u64>),
    /// They are not.
    Different,
}

/// What the comparison found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The changes and what explains them. Without a receipt every change is unexplained and no line is left.
    pub verdict: Verdict,
    /// Changes that found no room.
    pub more: u64,
    /// How many elements are the same in both.
    pub same: u64,
    /// The pixel data.
    pub pixels: Pixels,
}

impl Comparison {
    /// Returns how many things nothing explains.
    pub fn unexplained(&self) -> u64 {
        let changes = self.verdict.changes.iter().filter(|judged| judged.why == Why::Unexplained).count();
        (changes + self.verdict.undone.len()) as u64 + self.more
    }
}

/// Reads an object where it lies.
///
/// # Errors
/// `source_*`; the rejection of the scan.
pub async fn read(path: &Path, limits: Limits) -> Result<Side> {
    Side::read(path, limits).await
}

/// Compares two objects, and holds their differences against the record of the one that was made of the other.
pub fn compare(raw: &Side, out: &Side, record: Option<&Record>) -> Comparison {
    let found = tree::differences(raw, out);
    let pixels = pixels(raw, out, &found.changes);
    let (more, same) = (found.more, found.same);
    let none = Receipt::default();
    let verdict = match record {
        Some(record) => judge::judge(found, &record.receipt, record.order_noted),
        None => judge::judge(found, &none, false),
    };
    Comparison { verdict, more, same, pixels }
}

fn pixels(raw: &Side, out: &Side, changes: &[Change]) -> Pixels {
    let has = |side: &Side| {
        let mut tags = FLOAT_PIXEL_DATA.iter().chain([&PIXEL_DATA]);
        tags.any(|tag| {
            let at = side.skeleton.find(None, *tag).map(|at| side.skeleton.elements[at]);
            at.is_some_and(|element| element.len > 0 || matches!(element.content, Content::Fragments))
        })
    };
    if !has(raw) && !has(out) {
        return Pixels::None;
    }
    let mut cuts = BTreeMap::new();
    for change in changes.iter().filter(|change| change.around.is_empty()) {
        match change.kind {
            Kind::Cut(what) => *cuts.entry(what).or_default() += 1,
            _ if change.tag == PIXEL_DATA || FLOAT_PIXEL_DATA.contains(&change.tag) => return Pixels::Different,
            _ => {}
        }
    }
    if cuts.is_empty() { Pixels::Identical } else { Pixels::IdenticalButFor(cuts) }
}
