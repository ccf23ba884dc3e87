//! The tree as files (c2sp.org/tlog-tiles): paths, entry bundles, and the edge from which a published log goes on.

use std::collections::BTreeMap;
use std::fmt;

use crate::header::parse_decimal;
use crate::merkle::nodes_root;
use crate::{HEADER_BYTES_MAX, LeafHash, RootHash, leaf_hash};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Height of a tile: a hash in a tile of level `l` stands for `2^(8 l)` leaves.
pub const TILE_HEIGHT: u32 = 8;
/// Tile levels that a log of 2^64 entries has.
const LEVELS: u8 = 8;
/// Largest tile in bytes.
pub const TILE_BYTES_MAX: usize = 32 * TILE_WIDTH as usize;
/// Largest entry bundle of ours in bytes.
pub const BUNDLE_BYTES_MAX: usize = (HEADER_BYTES_MAX + 2) * TILE_WIDTH as usize;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of the level, from 0.
    Hashes(u8),
    /// The entries themselves, each after its length.
    Entries,
}

impl TileKind {
    /// Returns the level that the tile stands on; entries stand on that of the leaves.
    pub const fn level(self) -> u8 {
        match self {
            Self::Hashes(level) => level,
            Self::Entries => 0,
        }
    }
}

/// The name of a tile or an entry bundle; the same name always has the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// Hashes or entries.
    pub kind: TileKind,
    /// Index within its level, from 0.
    pub index: u64,
    /// How many hashes or entries it holds, 1 to 256; below 256 it is partial.
    pub width: u16,
}

impl TilePath {
    /// Whether nothing is added to the tile any more.
    pub const fn is_full(&self) -> bool {
        self.width as u64 == TILE_WIDTH
    }

    /// Returns the full tile of the same place.
    pub const fn full(self) -> Self {
        Self { kind: self.kind, index: self.index, width: TILE_WIDTH as u16 }
    }

    /// Returns the indices of the leaves that the tile stands for.
    pub fn leaves(&self) -> std::ops::Range<u64> {
        let span = TILE_HEIGHT * u32::from(self.kind.level());
        let first = self.index << TILE_HEIGHT;
        (first << span)..((first + u64::from(self.width)) << span)
    }

    /// Returns the path that the text spells.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix("tile/")?;
        let (level, after) = rest.split_once('/')?;
        let kind = match level {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(u8::try_from(parse_decimal(level)?).ok().filter(|&level| level < 64)?),
        };
        rest = after;
        let mut width = TILE_WIDTH as u16;
        if let Some((before, partial)) = rest.split_once(".p/") {
            width =
                u16::try_from(parse_decimal(partial)?).ok().filter(|width| (1..TILE_WIDTH as u16).contains(width))?;
            rest = before;
        }
        let mut index: u64 = 0;
        for part in rest.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let path = Self { kind, index, width };
        (path.to_string() == text).then_some(path)
    }
}

/// The path below the log's prefix, as `tile/0/x001/x234/067.p/8`.
impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let (mut parts, mut rest) = (vec![self.index % 1000], self.index / 1000);
        while rest > 0 {
            parts.push(rest % 1000);
            rest /= 1000;
        }
        for part in parts.iter().skip(1).rev() {
            write!(f, "x{part:03}/")?;
        }
        write!(f, "{:03}", parts[0])?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Returns how many hashes the level has in a log of `size` leaves.
pub const fn hashes_at(size: u64, level: u8) -> u64 {
    if level >= LEVELS { 0 } else { size >> (TILE_HEIGHT * level as u32) }
}

/// Returns the tile of that kind and index in a log of `size` leaves; none if it would be empty.
pub fn tile_in(size: u64, kind: TileKind, index: u64) -> Option<TilePath> {
    let first = index.checked_mul(TILE_WIDTH)?;
    let width = hashes_at(size, kind.level()).checked_sub(first)?.min(TILE_WIDTH);
    let width = u16::try_from(width).ok().filter(|&width| width > 0)?;
    Some(TilePath { kind, index, width })
}

/// Returns every tile and entry bundle that a log of `new` leaves has and that it did not have, or had with fewer hashes, at
/// `old`: level by level, entries last, by rising index. From 0: all of them.
pub fn tiles_between(old: u64, new: u64) -> impl Iterator<Item = TilePath> {
    let kinds = (0..LEVELS).map(TileKind::Hashes).chain([TileKind::Entries]);
    kinds.flat_map(move |kind| {
        let (from, to) = (hashes_at(old, kind.level()), hashes_at(new, kind.level()));
        let indices = if from < to { from / TILE_WIDTH..to.div_ceil(TILE_WIDTH) } else { 0..0 };
        indices.filter_map(move |index| tile_in(new, kind, index))
    })
}

/// Returns the partial tiles and the partial bundle of a log of `size` leaves: what it goes on from.
pub fn edge_of(size: u64) -> impl Iterator<Item = TilePath> {
    let kinds = (0..LEVELS).map(TileKind::Hashes).chain([TileKind::Entries]);
    kinds.filter_map(move |kind| {
        let tile = tile_in(size, kind, hashes_at(size, kind.level()) / TILE_WIDTH)?;
        (!tile.is_full()).then_some(tile)
    })
}

/// Adds an entry to the bytes of a bundle.
///
/// # Errors
/// None if the entry is longer than two bytes can say.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    bundle.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

/// Returns the entries of a bundle, at most 256; `None` if the bytes are not whole entries.
pub fn entries_of(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        if entries.len() as u64 == TILE_WIDTH {
            return None;
        }
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

/// Returns the hashes of a tile; `None` if the bytes are not whole hashes, 1 to 256.
pub fn hashes_of(tile: &[u8]) -> Option<&[[u8; 32]]> {
    let (hashes, rest) = tile.as_chunks::<32>();
    (rest.is_empty() && (1..=TILE_WIDTH as usize).contains(&hashes.len())).then_some(hashes)
}

/// The right edge of a published log: the hashes of its partial tiles and the entries of its partial bundle. At most
/// 8 tiles and one bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Hashes of the partial tile of each level; an empty one at the top is left out.
    levels: Vec<Vec<[u8; 32]>>,
    bundle: Vec<u8>,
}

impl Edge {
    /// Returns the edge of a log without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the edge of a log of `size` leaves from the bytes of its [`edge_of`] tiles. The entries must hash to the leaves;
    /// that the leaves are those of the log is for the caller to ask: compare [`Edge::root`] with what is signed.
    /// `None` if a tile is missing or has another form.
    pub fn read(size: u64, tiles: &BTreeMap<TilePath, Vec<u8>>) -> Option<Self> {
        let mut edge = Self { size, levels: Vec::new(), bundle: Vec::new() };
        for path in edge_of(size) {
            let bytes = tiles.get(&path)?;
            match path.kind {
                TileKind::Hashes(level) => {
                    let hashes = hashes_of(bytes).filter(|hashes| hashes.len() == usize::from(path.width))?;
                    edge.levels.resize(usize::from(level) + 1, Vec::new());
                    edge.levels[usize::from(level)] = hashes.to_vec();
                }
                TileKind::Entries => {
                    let entries = entries_of(bytes).filter(|entries| entries.len() == usize::from(path.width))?;
                    let leaves = entries.iter().map(|entry| leaf_hash(entry).0);
                    if !leaves.eq(edge.levels.first()?.iter().copied()) {
                        return None;
                    }
                    edge.bundle.clone_from(bytes);
                }
            }
        }
        Some(edge)
    }

    /// Returns how many leaves the log has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the RFC 6962 root of the log.
    pub fn root(&self) -> RootHash {
        // What is left over on a level is the last, smaller subtree of the level above.
        let mut right: Option<[u8; 32]> = None;
        for level in &self.levels {
            let mut nodes = level.clone();
            nodes.extend(right);
            right = nodes_root(&nodes);
        }
        right.map_or_else(crate::hash::empty_root, RootHash)
    }

    /// Appends an entry. Every tile and bundle that it fills goes to `full`.
    ///
    /// # Errors
    /// `None`, and nothing changed, if the entry is longer than two bytes can say.
    pub fn push(&mut self, entry: &[u8], full: &mut Vec<(TilePath, Vec<u8>)>) -> Option<LeafHash> {
        let leaf = leaf_hash(entry);
        push_entry(&mut self.bundle, entry)?;
        let (mut node, mut index) = (leaf.0, self.size / TILE_WIDTH);
        self.size += 1;
        if self.size.is_multiple_of(TILE_WIDTH) {
            let path = TilePath { kind: TileKind::Entries, index, width: TILE_WIDTH as u16 };
            full.push((path, std::mem::take(&mut self.bundle)));
        }
        // Ends at the first tile that is not full, at the latest on level 8.
        for level in 0..LEVELS {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(node);
            if (hashes.len() as u64) < TILE_WIDTH {
                break;
            }
            let path = TilePath { kind: TileKind::Hashes(level), index, width: TILE_WIDTH as u16 };
            full.push((path, hashes.concat()));
            node = nodes_root(hashes).unwrap_or(node);
            hashes.clear();
            index /= TILE_WIDTH;
        }
        Some(leaf)
    }

    /// Returns the partial tiles and the partial bundle as they are now.
    pub fn partial(&self) -> Vec<(TilePath, Vec<u8>)> {
        let bytes = |path: TilePath| match path.kind {
            TileKind::Hashes(level) => self.levels.get(usize::from(level)).map(|hashes| hashes.concat()),
            TileKind::Entries => Some(self.bundle.clone()),
        };
        edge_of(self.size).filter_map(|path| Some((path, bytes(path)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frontier, merkle_root};

    /// The tiles of a log by their definition, level by level from the leaves.
    fn by_definition(entries: &[Vec<u8>]) -> BTreeMap<TilePath, Vec<u8>> {
        let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut tiles = BTreeMap::new();
        for path in tiles_between(0, entries.len() as u64) {
            let range = path.leaves();
            let leaves = &leaves[range.start as usize..range.end as usize];
            let bytes = match path.kind {
                TileKind::Hashes(level) => {
                    leaves.chunks(1 << (8 * level)).flat_map(|chunk| merkle_root(chunk).0).collect()
                }
                TileKind::Entries => {
                    let mut bundle = Vec::new();
                    let entries = &entries[range.start as usize..range.end as usize];
                    entries.iter().for_each(|entry| push_entry(&mut bundle, entry).expect("short"));
                    bundle
                }
            };
            tiles.insert(path, bytes);
        }
        tiles
    }

    fn entries(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|n| format!("entry {n}\n").into_bytes()).collect()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = TilePath { kind: TileKind::Hashes(0), index: 1_234_067, width: 256 };
        assert_eq!(path.to_string(), "tile/0/x001/x234/067");
        let partial = TilePath { kind: TileKind::Entries, index: 273, width: 112 };
        assert_eq!(partial.to_string(), "tile/entries/273.p/112");
        for path in [path, partial, TilePath { kind: TileKind::Hashes(7), index: 0, width: 1 }] {
            assert_eq!(TilePath::parse(&path.to_string()), Some(path));
        }
        for text in [
            "tile/0/1",
            "tile/00/001",
            "tile/0/x001/001.p/256",
            "tile/0/001.p/0",
            "tile/0/001.p/01",
            "tile/0/",
            "tile/0/x000/001",
            "tile/64/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/e/001",
            "tile/0/001.p/",
        ] {
            assert_eq!(TilePath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_log_of_70000_entries_has_the_tiles_of_the_specification() {
        let all: Vec<_> = tiles_between(0, 70_000).collect();
        let of = |kind| all.iter().filter(move |path| path.kind == kind);
        assert_eq!(of(TileKind::Hashes(0)).count(), 274);
        assert_eq!(of(TileKind::Hashes(0)).filter(|path| path.is_full()).count(), 273);
        assert_eq!(of(TileKind::Hashes(0)).next_back().map(|path| path.width), Some(112));
        assert_eq!(of(TileKind::Hashes(1)).map(|path| path.width).collect::<Vec<_>>(), [256, 17]);
        assert_eq!(of(TileKind::Hashes(2)).map(|path| path.width).collect::<Vec<_>>(), [1]);
        assert_eq!(of(TileKind::Entries).count(), 274);
        let widths = tiles_between(0, 256).map(|path| (path.kind, path.width)).collect::<Vec<_>>();
        assert_eq!(widths, [(TileKind::Hashes(0), 256), (TileKind::Hashes(1), 1), (TileKind::Entries, 256)]);
    }

    #[test]
    fn an_edge_makes_the_tiles_that_the_definition_makes_wherever_it_is_taken_up_again() {
        let entries = entries(66_000);
        for (from, to) in
            [(0, 0), (0, 1), (1, 255), (255, 256), (256, 257), (300, 1_000), (65_535, 65_537), (512, 66_000)]
        {
            let (before, after) = (by_definition(&entries[..from]), by_definition(&entries[..to]));
            let mut edge = Edge::read(from as u64, &before).expect("edge");
            let mut made = Vec::new();
            for entry in &entries[from..to] {
                edge.push(entry, &mut made).expect("short");
            }
            made.extend(edge.partial());
            let mut frontier = Frontier::new();
            entries[..to].iter().for_each(|entry| frontier.push(leaf_hash(entry)));
            assert_eq!((edge.size(), edge.root()), (to as u64, frontier.root()), "{from} to {to}");
            let mut grown = before.clone();
            grown.extend(made.iter().cloned());
            assert!(after.iter().all(|(path, bytes)| grown.get(path) == Some(bytes)), "{from} to {to}");
            let named: Vec<_> = tiles_between(from as u64, to as u64).collect();
            assert!(named.iter().all(|path| made.iter().any(|(made, _)| made == path)), "{from} to {to}");
        }
    }

    #[test]
    fn an_edge_whose_entries_do_not_hash_to_its_leaves_is_refused() {
        let entries = entries(300);
        let whole = by_definition(&entries);
        for path in edge_of(300).filter(|path| path.kind.level() == 0) {
            let mut tiles = whole.clone();
            if let Some(last) = tiles.get_mut(&path).and_then(|bytes| bytes.last_mut()) {
                *last ^= 1;
            }
            assert_eq!(Edge::read(300, &tiles), None, "{path}");
            tiles.remove(&path);
            assert_eq!(Edge::read(300, &tiles), None, "{path} is missing");
        }
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        assert_eq!(entries_of(&[]), Some(Vec::new()));
        assert_eq!(entries_of(&[0, 1, 7, 0, 0]), Some(vec![&[7][..], &[]]));
        for bundle in [&[0][..], &[0, 2, 7], &[0, 1, 7, 0]] {
            assert_eq!(entries_of(bundle), None);
        }
        assert!(entries_of(&[0; 512]).is_some_and(|entries| entries.len() == 256));
        assert_eq!(entries_of(&[0; 514]), None);
    }
}
