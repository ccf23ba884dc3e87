//! Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2) and their verification (RFC 9162 §2.1.3.2, §2.1.4.2).
//!
//! The two halves share nothing but the hash of a node. Making a proof needs hashes of complete subtrees, which come from tiles:
//! [`Node::tile`] says from which, and [`TileSet`] computes them once the tiles are read, wherever they lie.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::hash::{empty_root, node_hash};
use crate::merkle::nodes_root;
use crate::tiles::{TILE_HEIGHT, TILE_WIDTH, TileKind, TilePath, hashes_of, tile_in};
use crate::{LeafHash, RootHash};

/// Most hashes of a proof: a tree of 2^64 leaves has 64 levels.
pub const PROOF_HASHES_MAX: usize = 64;

/// A complete subtree: `2^height` leaves from leaf `index * 2^height` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Height above the leaves, at most 63.
    pub height: u32,
    /// Index among the subtrees of its height, from 0.
    pub index: u64,
}

impl Node {
    /// Returns the tile that holds the subtree in a log of `size` leaves, and which of its hashes make the subtree's. `None` if
    /// the log has not that many leaves.
    pub fn tile(self, size: u64) -> Option<(TilePath, Range<usize>)> {
        let level = u8::try_from(self.height / TILE_HEIGHT).ok()?;
        let within = self.height % TILE_HEIGHT;
        let first = self.index.checked_mul(1 << within)?;
        let path = tile_in(size, TileKind::Hashes(level), first / TILE_WIDTH)?;
        let from = usize::try_from(first % TILE_WIDTH).ok()?;
        let range = from..from + (1 << within);
        (range.end <= usize::from(path.width)).then_some((path, range))
    }
}

/// Returns the complete subtrees that leaves `range` of a tree are made of, left to right. The range begins where a subtree of
/// its size may begin, as every range of a proof does.
pub fn nodes_of(range: Range<u64>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let (mut from, to) = (range.start, range.end);
    // Ends after at most 64 steps: each takes the largest power of two that is left.
    while from < to {
        let height = (to - from).ilog2();
        nodes.push(Node { height, index: from >> height });
        from += 1 << height;
    }
    nodes
}

/// Returns the ranges of leaves whose hashes prove that leaf `index` is in a tree of `size`, from the leaf's sibling to the
/// root's child; empty for what is in no such tree.
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    if index < size {
        let mut tree = 0..size;
        while tree.end - tree.start > 1 {
            let middle = split(&tree);
            let (mine, other) = if index < middle {
                (tree.start..middle, middle..tree.end)
            } else {
                (middle..tree.end, tree.start..middle)
            };
            ranges.push(other);
            tree = mine;
        }
    }
    ranges.reverse();
    ranges
}

/// Returns the ranges of leaves whose hashes prove that a tree of `old` leaves is the beginning of one of `new`; empty where
/// nothing is to be proved (`old` is 0 or `new`) and for `old` above `new`.
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    if old == 0 || old >= new {
        return ranges;
    }
    let mut tree = 0..new;
    // Whether the part of the tree at hand is a subtree of both, so that its hash is known from the old root.
    let mut is_whole = true;
    while tree.end != old {
        let middle = split(&tree);
        if old <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
            is_whole = false;
        }
    }
    if !is_whole {
        ranges.push(tree);
    }
    ranges.reverse();
    ranges
}

/// Where RFC 6962 splits a tree of two leaves or more: after the largest power of two below its size.
fn split(tree: &Range<u64>) -> u64 {
    tree.start + (1 << (tree.end - tree.start - 1).ilog2())
}

/// Returns the tiles from which the hashes of the ranges can be computed in a log of `size` leaves.
pub fn tiles_of(ranges: &[Range<u64>], size: u64) -> BTreeSet<TilePath> {
    let nodes = ranges.iter().flat_map(|range| nodes_of(range.clone()));
    nodes.filter_map(|node| Some(node.tile(size)?.0)).collect()
}

/// Tiles of a log of one size that were read.
#[derive(Clone, Debug, Default)]
pub struct TileSet {
    size: u64,
    tiles: BTreeMap<TilePath, Vec<u8>>,
}

impl TileSet {
    /// Returns the set without tiles of a log of `size` leaves.
    pub const fn new(size: u64) -> Self {
        Self { size, tiles: BTreeMap::new() }
    }

    /// Adds a tile; `false` and nothing added if it has not the hashes that its name says.
    pub fn insert(&mut self, path: TilePath, bytes: Vec<u8>) -> bool {
        let fits = hashes_of(&bytes).is_some_and(|hashes| hashes.len() == usize::from(path.width));
        if fits {
            self.tiles.insert(path, bytes);
        }
        fits
    }

    /// Whether the tile is there.
    pub fn holds(&self, path: &TilePath) -> bool {
        self.tiles.contains_key(path)
    }

    /// Returns the hash of a complete subtree; `None` if its tile is not here.
    pub fn node(&self, node: Node) -> Option<[u8; 32]> {
        let (path, range) = node.tile(self.size)?;
        nodes_root(hashes_of(self.tiles.get(&path)?)?.get(range)?)
    }

    /// Returns the hash of each range, in order; `None` if a tile is not here ([`tiles_of`] names those that are needed).
    pub fn hashes(&self, ranges: &[Range<u64>]) -> Option<Vec<[u8; 32]>> {
        ranges.iter().map(|range| self.range(range.clone())).collect()
    }

    fn range(&self, range: Range<u64>) -> Option<[u8; 32]> {
        let nodes = nodes_of(range).into_iter().map(|node| self.node(node)).collect::<Option<Vec<_>>>()?;
        // Of falling heights, so the smaller ones on the right belong together first.
        nodes.into_iter().rev().reduce(|right, left| node_hash(&left, &right))
    }

    /// Returns the root of the log.
    pub fn root(&self) -> Option<RootHash> {
        if self.size == 0 { Some(empty_root()) } else { self.range(0..self.size).map(RootHash) }
    }
}

/// Whether the proof leads from the leaf at `index` to the root of a tree of `size` (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: LeafHash, index: u64, size: u64, proof: &[[u8; 32]], root: &RootHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut f, mut s, mut hash) = (index, size - 1, leaf.0);
    for node in proof {
        if s == 0 {
            return false;
        }
        if f & 1 == 1 || f == s {
            hash = node_hash(node, &hash);
            while f & 1 == 0 && f != 0 {
                f >>= 1;
                s >>= 1;
            }
        } else {
            hash = node_hash(&hash, node);
        }
        f >>= 1;
        s >>= 1;
    }
    s == 0 && hash == root.0
}

/// Whether the proof shows that a tree of `old` leaves with `old_root` is the beginning of one of `new` with `new_root`
/// (RFC 9162 §2.1.4.2). The tree of no leaves is the beginning of each; trees of one size must have one root.
pub fn verify_consistency(old: u64, old_root: &RootHash, new: u64, new_root: &RootHash, proof: &[[u8; 32]]) -> bool {
    if old > new {
        return false;
    }
    if old == new || old == 0 {
        let roots = if old == new { old_root == new_root } else { *old_root == empty_root() };
        return roots && proof.is_empty();
    }
    let mut nodes = proof.iter();
    let first = if old.is_power_of_two() { Some(&old_root.0) } else { nodes.next() };
    let Some(&first) = first else { return false };
    let (mut f, mut s) = (old - 1, new - 1);
    while f & 1 == 1 {
        f >>= 1;
        s >>= 1;
    }
    let (mut before, mut after) = (first, first);
    for node in nodes {
        if s == 0 {
            return false;
        }
        if f & 1 == 1 || f == s {
            before = node_hash(node, &before);
            after = node_hash(node, &after);
            while f & 1 == 0 && f != 0 {
                f >>= 1;
                s >>= 1;
            }
        } else {
            after = node_hash(&after, node);
        }
        f >>= 1;
        s >>= 1;
    }
    s == 0 && before == old_root.0 && after == new_root.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::{Edge, tiles_between};
    use crate::{leaf_hash, merkle_root};

    fn entry(n: usize) -> Vec<u8> {
        format!("{n}").into_bytes()
    }

    fn log(size: usize) -> (Vec<LeafHash>, TileSet) {
        let (mut edge, mut tiles, mut set) = (Edge::new(), Vec::new(), TileSet::new(size as u64));
        let leaves = (0..size).map(|n| edge.push(&entry(n), &mut tiles).expect("short")).collect();
        tiles.extend(edge.partial());
        let wanted: BTreeSet<_> = tiles_between(0, size as u64).collect();
        for (path, bytes) in
            tiles.into_iter().filter(|(path, _)| wanted.contains(path) && path.kind != TileKind::Entries)
        {
            assert!(set.insert(path, bytes));
        }
        (leaves, set)
    }

    #[test]
    fn the_tiles_hash_to_the_root_of_the_leaves() {
        for size in [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000] {
            let (leaves, tiles) = log(size);
            assert_eq!(tiles.root(), Some(merkle_root(&leaves)), "{size}");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_in_no_other_place() {
        for size in 0..=70 {
            let (leaves, tiles) = log(size);
            let root = merkle_root(&leaves);
            for index in 0..size as u64 {
                let proof = tiles.hashes(&inclusion_ranges(index, size as u64)).expect("tiles");
                for (at, leaf) in leaves.iter().enumerate() {
                    let holds = verify_inclusion(*leaf, index, size as u64, &proof, &root);
                    assert_eq!(holds, at as u64 == index, "leaf {at} at {index} of {size}");
                }
                assert!(!verify_inclusion(leaf_hash(b"other"), index, size as u64, &proof, &root));
                let longer = [proof.clone(), vec![[0; 32]]].concat();
                assert!(!verify_inclusion(leaves[index as usize], index, size as u64, &longer, &root));
            }
        }
    }

    #[test]
    fn every_two_sizes_of_a_small_tree_are_proved_consistent_and_no_altered_proof_is() {
        let roots: Vec<_> = (0..=70).map(|size| merkle_root(&log(size).0)).collect();
        for new in 0..=70_usize {
            let tiles = log(new).1;
            for old in 0..=new {
                let proof = tiles.hashes(&consistency_ranges(old as u64, new as u64)).expect("tiles");
                let holds = |proof: &[_], old_root, new_root| {
                    verify_consistency(old as u64, old_root, new as u64, new_root, proof)
                };
                assert!(holds(&proof, &roots[old], &roots[new]), "{old} to {new}");
                let other = RootHash([9; 32]);
                assert!(!holds(&proof, &other, &roots[new]), "{old} to {new}");
                assert!(!holds(&proof, &roots[old], &other) || old == 0, "{old} to {new}");
                for at in 0..proof.len() {
                    let mut altered = proof.clone();
                    altered[at][7] ^= 1;
                    assert!(!holds(&altered, &roots[old], &roots[new]), "{old} to {new}, hash {at}");
                    let shorter = &proof[..at];
                    assert!(!holds(shorter, &roots[old], &roots[new]), "{old} to {new}, {at} hashes");
                }
                assert!(!holds(&[proof, vec![[0; 32]]].concat(), &roots[old], &roots[new]), "{old} to {new}, one more");
            }
        }
    }

    #[test]
    fn large_trees_are_proved_from_the_few_tiles_that_are_named() {
        let (size, old) = (66_000, 65_537);
        let (leaves, all) = log(size);
        let (root, old_root) = (merkle_root(&leaves), merkle_root(&leaves[..old]));
        let of = |ranges: &[Range<u64>]| {
            let mut few = TileSet::new(size as u64);
            let named = tiles_of(ranges, size as u64);
            assert!(named.len() <= 6, "{named:?}");
            named.into_iter().for_each(|path| assert!(few.insert(path, all.tiles[&path].clone())));
            few.hashes(ranges).expect("the tiles that were named")
        };
        for index in [0, 255, 256, 40_000, 65_535, 65_536, 65_999] {
            let proof = of(&inclusion_ranges(index, size as u64));
            assert!(verify_inclusion(leaves[index as usize], index, size as u64, &proof, &root), "{index}");
        }
        let proof = of(&consistency_ranges(old as u64, size as u64));
        assert!(verify_consistency(old as u64, &old_root, size as u64, &root, &proof));
    }
}
