//! The tree of a published log: inclusion proofs of many leaves in rising order, and the one reading of all leaves.
//! Memory is bounded: one tile of each level, and the hashes along the right edge.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use ledger::proof::{Node, inclusion_ranges, nodes_of, verify_inclusion};
use ledger::tiles::{TILE_HEIGHT, TILE_WIDTH, TileKind, TilePath, entries_of, hashes_of, tile_in};
use ledger::{Frontier, LeafHash, node_hash};

use super::ENTRIES_MAX;
use super::published::{Published, differs};
use crate::error::{Error, Result};

/// A tile with the hashes of all complete subtrees in it.
#[derive(Debug)]
struct Pyramid {
    path: TilePath,
    /// Row `h` holds the subtrees of height `h` above the tile's own hashes.
    rows: Vec<Vec<[u8; 32]>>,
}

impl Pyramid {
    fn over(path: TilePath, tile: &[u8]) -> Option<Self> {
        let mut rows = vec![hashes_of(tile)?.to_vec()];
        for height in 1..TILE_HEIGHT as usize {
            let (pairs, _) = rows[height - 1].as_chunks::<2>();
            rows.push(pairs.iter().map(|[left, right]| node_hash(left, right)).collect());
        }
        Some(Self { path, rows })
    }
}

/// The tree, read tile by tile.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    published: &'a Published,
    size: u64,
    /// The tile of each level that was read last: neighbouring leaves have it in common.
    tiles: Vec<Option<Pyramid>>,
    /// What the incomplete subtrees at the right edge hash to, by their first leaf.
    edges: BTreeMap<u64, [u8; 32]>,
}

impl<'a> Tree<'a> {
    pub(super) fn of(published: &'a Published) -> Self {
        Self { published, size: published.checkpoint.size, tiles: Vec::new(), edges: BTreeMap::new() }
    }

    /// Returns the leaf hash at an index.
    ///
    /// # Errors
    /// What reading a tile says.
    pub(super) fn leaf(&mut self, index: u64) -> Result<LeafHash> {
        self.node(Node { height: 0, index }).map(LeafHash)
    }

    /// Returns a proof that leads from a leaf to the root of the checkpoint.
    ///
    /// # Errors
    /// `tiles_damaged` when the tiles do not lead there; what reading them says.
    pub(super) fn inclusion(&mut self, index: u64) -> Result<Vec<[u8; 32]>> {
        let ranges = inclusion_ranges(index, self.size);
        let hashes = ranges.into_iter().map(|range| self.range(range)).collect::<Result<Vec<_>>>()?;
        let leaf = self.leaf(index)?;
        if verify_inclusion(leaf, index, self.size, &hashes, &self.published.checkpoint.root) {
            Ok(hashes)
        } else {
            Err(differs("its tiles do not lead to the root of its checkpoint"))
        }
    }

    fn range(&mut self, range: Range<u64>) -> Result<[u8; 32]> {
        let nodes = nodes_of(range.clone());
        if let [node] = nodes[..] {
            return self.node(node);
        }
        if let Some(hash) = self.edges.get(&range.start) {
            return Ok(*hash);
        }
        let mut hash = None;
        // Of falling heights, so the smaller ones on the right belong together first; at most 64.
        for node in nodes.into_iter().rev() {
            let left = self.node(node)?;
            hash = Some(hash.map_or(left, |right| node_hash(&left, &right)));
        }
        let hash = hash.ok_or_else(|| differs("a proof needs a subtree without leaves"))?;
        self.edges.insert(range.start, hash);
        Ok(hash)
    }

    fn node(&mut self, node: Node) -> Result<[u8; 32]> {
        let beyond = || differs("a proof needs a subtree beyond its end");
        let (path, range) = node.tile(self.size).ok_or_else(beyond)?;
        let level = usize::from(path.kind.level());
        if self.tiles.len() <= level {
            self.tiles.resize_with(level + 1, || None);
        }
        let is_it = |tile: &&mut Pyramid| tile.path == path;
        if self.tiles[level].as_mut().filter(is_it).is_none() {
            self.tiles[level] = Pyramid::over(path, &self.published.read(path)?);
        }
        let height = (node.height % TILE_HEIGHT) as usize;
        let row = self.tiles[level].as_ref().and_then(|tile| tile.rows.get(height));
        row.and_then(|row| row.get(range.start >> height)).copied().ok_or_else(beyond)
    }
}

/// What all leaves say about a study.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The leaves that carry one of its subjects.
    pub(super) carrying: Vec<u64>,
    /// These, and all other leaves of the streams in which they stand.
    pub(super) leaves: Vec<u64>,
    /// How many streams these are.
    pub(super) streams: u64,
}

/// Reads every leaf and finds those of a study: what any reader of the published log finds.
///
/// # Errors
/// `tiles_damaged` when the leaves do not have the root of the checkpoint, `proof_too_large`; what the disk says.
pub(super) fn find(published: &Published, subjects: &[String]) -> Result<Found> {
    let (mut found, mut streams, mut frontier) = (Found::default(), HashSet::new(), Frontier::new());
    each(published, |index, header| {
        frontier.push(ledger::leaf_hash(header));
        let (stream, subject) = facts(header)?;
        if subjects.iter().any(|wanted| wanted.as_bytes() == subject) {
            found.carrying.push(index);
            streams.insert(stream);
        }
        Some(())
    })?;
    if frontier.root() != published.checkpoint.root {
        return Err(differs("its leaves do not have the root of its checkpoint"));
    }
    // The first entries of a stream do not know the study yet.
    let mut too_many = false;
    each(published, |index, header| {
        if streams.contains(&facts(header)?.0) {
            too_many |= found.leaves.len() >= ENTRIES_MAX;
            if !too_many {
                found.leaves.push(index);
            }
        }
        Some(())
    })?;
    if too_many {
        return Err(Error::broken("proof_too_large", "prove a study: it has more entries than one bundle may hold"));
    }
    found.streams = streams.len() as u64;
    Ok(found)
}

/// Calls `seen` with every leaf index and header, in order.
fn each(published: &Published, mut seen: impl FnMut(u64, &[u8]) -> Option<()>) -> Result<()> {
    let size = published.checkpoint.size;
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let Some(path) = tile_in(size, TileKind::Entries, index) else { break };
        let bundle = published.read(path)?;
        let headers = entries_of(&bundle).filter(|headers| headers.len() == usize::from(path.width));
        let headers = headers.ok_or_else(|| differs("an entry bundle is not whole"))?;
        for (at, header) in (index * TILE_WIDTH..).zip(headers) {
            seen(at, header).ok_or_else(|| differs("a leaf is no header"))?;
        }
    }
    Ok(())
}

/// Returns stream and subject of a header (docs/adr/0001): its third and its eighth line.
fn facts(header: &[u8]) -> Option<([u8; 32], &[u8])> {
    let mut lines = header.split(|&byte| byte == b'\n');
    let stream = lines.nth(2)?.try_into().ok()?;
    Some((stream, lines.nth(4)?))
}
