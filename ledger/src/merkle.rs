//! The RFC 6962 tree over the leaf hashes: its root, and the frontier from which a log goes on without reading its past.

use crate::hash::{empty_root, node_hash};
use crate::{LeafHash, RootHash};

/// The head of a log: how many entries, and what they hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 Merkle tree hash of their leaf hashes.
    pub root: RootHash,
    /// The roots of the complete subtrees, largest first.
    pub frontier: Frontier,
}

impl Head {
    /// Returns the head that a frontier stands for.
    pub fn of(frontier: Frontier) -> Self {
        Self { size: frontier.size(), root: frontier.root(), frontier }
    }
}

/// The compact form of a tree that grows to the right: one hash for each 1 bit of its size, largest subtree first.
/// At most 64 hashes, so at most 2,048 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<[u8; 32]>,
}

impl Frontier {
    /// Returns the frontier of a log without entries.
    pub const fn new() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// Returns how many leaves the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: LeafHash) {
        let mut node = leaf.0;
        // Each 1 bit at the low end of the size is a complete subtree that is now joined with its right sibling.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// Returns the RFC 6962 root.
    pub fn root(&self) -> RootHash {
        let mut nodes = self.nodes.iter().rev();
        let Some(&last) = nodes.next() else { return empty_root() };
        RootHash(nodes.fold(last, |right, left| node_hash(left, &right)))
    }

    /// Returns the subtrees, leftmost first: index of the first leaf, number of leaves, hash.
    pub fn subtrees(&self) -> impl Iterator<Item = (u64, u64, &[u8; 32])> {
        let mut start = 0;
        let bits = (0..u64::BITS).rev().filter(|bit| self.size >> bit & 1 == 1);
        bits.zip(&self.nodes).map(move |(bit, hash)| {
            let first = start;
            start += 1 << bit;
            (first, 1 << bit, hash)
        })
    }

    /// Returns the hashes one after the other, largest subtree first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.nodes.concat()
    }

    /// Returns the frontier of `size` leaves from what `to_bytes` returned; `None` if the length does not fit the size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size.count_ones() as usize * 32 {
            return None;
        }
        let nodes = bytes.chunks_exact(32).filter_map(|node| node.try_into().ok()).collect();
        Some(Self { size, nodes })
    }
}

/// Returns the RFC 6962 root of the leaves, by its definition (§2.1): the split is the largest power of two below the count.
pub fn merkle_root(leaves: &[LeafHash]) -> RootHash {
    let nodes: Vec<_> = leaves.iter().map(|leaf| leaf.0).collect();
    nodes_root(&nodes).map_or_else(empty_root, RootHash)
}

/// Returns what neighbouring subtrees of one height hash to; the last of them may be smaller. `None` of none.
pub(crate) fn nodes_root(nodes: &[[u8; 32]]) -> Option<[u8; 32]> {
    match nodes {
        [] => None,
        [node] => Some(*node),
        // Depth is the logarithm of the count, at most 64.
        nodes => {
            let (left, right) = nodes.split_at(nodes.len().next_power_of_two() / 2);
            Some(node_hash(&nodes_root(left)?, &nodes_root(right)?))
        }
    }
}
