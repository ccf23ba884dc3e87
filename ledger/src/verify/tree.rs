//! The entries as read against the head: which part of the log the head proves, and where it stops doing so.

use super::{Code, Finding, HeadRow};
use crate::{Frontier, LeafHash, RootHash};

/// The head row, its columns well-formed by type but not yet believed.
#[derive(Clone, Debug)]
pub(super) struct HeadFacts {
    pub(super) size: u64,
    root: RootHash,
    frontier: Vec<u8>,
}

impl HeadFacts {
    pub(super) fn read(row: &HeadRow<'_>) -> Option<Self> {
        let frontier = if let super::Cell::Blob(bytes) = row.frontier { bytes.to_vec() } else { return None };
        Some(Self { size: row.size.unsigned()?, root: RootHash(row.root.array()?), frontier })
    }

    /// Whether the row is the head of this tree.
    pub(super) fn is_of(&self, tree: &Frontier) -> bool {
        self.size == tree.size() && self.root == tree.root() && self.frontier == tree.to_bytes()
    }
}

/// Two trees, for a changed row may have kept either its header or its leaf column: they differ from the first such row on.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    by_header: Frontier,
    by_column: Option<Frontier>,
    /// The trees when they had the size that the head names.
    at_head: Option<[Frontier; 2]>,
    head_size: Option<u64>,
    /// Indices are missing from here on, so that later leaves have no known place.
    stopped: bool,
}

impl Tree {
    pub(super) fn new(head_size: Option<u64>) -> Self {
        let mut tree = Self { by_header: Frontier::new(), by_column: None, at_head: None, head_size, stopped: false };
        tree.keep_at_head();
        tree
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    pub(super) fn push(&mut self, by_header: LeafHash, by_column: LeafHash) {
        if self.stopped {
            return;
        }
        if by_header != by_column && self.by_column.is_none() {
            self.by_column = Some(self.by_header.clone());
        }
        self.by_header.push(by_header);
        if let Some(tree) = &mut self.by_column {
            tree.push(by_column);
        }
        self.keep_at_head();
    }

    fn keep_at_head(&mut self) {
        if self.head_size == Some(self.by_header.size()) {
            self.at_head = Some(self.trees());
        }
    }

    fn trees(&self) -> [Frontier; 2] {
        [self.by_header.clone(), self.by_column.clone().unwrap_or_else(|| self.by_header.clone())]
    }

    /// The tree over the headers; none if indices are missing.
    pub(super) fn by_header(&self) -> Option<&Frontier> {
        (!self.stopped).then_some(&self.by_header)
    }

    pub(super) fn root(&self) -> Option<RootHash> {
        (!self.stopped).then(|| self.by_header.root())
    }

    /// Returns what the head and the entries say against each other. `end` is one more than the highest index read.
    /// The number says below which index every entry is proved by the head.
    pub(super) fn compare(&self, head: &HeadFacts, end: u64) -> (Vec<Finding>, u64) {
        let place = |code, index, at_or_after| Finding { code, leaf_index: index, at_or_after };
        let trees = self.trees();
        let root = trees.iter().any(|tree| tree.root() == head.root);
        let frontier = trees.iter().any(|tree| tree.to_bytes() == head.frontier);
        if !self.stopped && (root || frontier) {
            // One of the two hashes covers every entry as read, so the entries stand and the rest of the row is wrong.
            let checks = [(root, Code::HeadRoot), (frontier, Code::HeadFrontier), (end == head.size, Code::HeadSize)];
            return (checks.iter().filter(|check| !check.0).map(|check| place(check.1, None, false)).collect(), end);
        }
        let mut findings = Vec::new();
        let Some(wanted) = Frontier::from_bytes(head.size, &head.frontier) else {
            findings.push(place(Code::HeadForm, None, false));
            findings.push(place(Code::TreeDiffers, Some(0), true));
            return (findings, 0);
        };
        if wanted.root() != head.root {
            findings.push(place(Code::HeadForm, None, false));
        }
        let (proved_below, differs) = agreement(&wanted, self.at_head.as_ref().unwrap_or(&trees));
        if differs {
            findings.push(place(Code::TreeDiffers, Some(proved_below), true));
        }
        if end < head.size {
            findings.push(place(Code::EntryMissing, Some(end), false));
        } else if end > head.size {
            findings.push(place(Code::EntryBeyondHead, Some(head.size), false));
        }
        (findings, proved_below)
    }
}

/// Returns up to which index the head's subtrees are found in one of our trees, and whether the next one, where both sides
/// have it, is in neither.
fn agreement(wanted: &Frontier, trees: &[Frontier; 2]) -> (u64, bool) {
    let mut proved_below = 0;
    let ours = trees[0].subtrees().zip(trees[1].subtrees());
    for ((first, count, wanted), ((f, c, by_header), (_, _, by_column))) in wanted.subtrees().zip(ours) {
        if (first, count) != (f, c) {
            return (proved_below, false);
        }
        if wanted != by_header && wanted != by_column {
            return (proved_below, true);
        }
        proved_below = first + count;
    }
    (proved_below, false)
}
