//! The files of a published log against the entries: every tile and every bundle, as they come out of the headers.
//!
//! Memory: the edge of the tree, and one tile.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ledger::tiles::{
    BUNDLE_BYTES_MAX, Edge, TILE_WIDTH, TileKind, TilePath, entries_of, hashes_of, push_entry, tile_in,
};
use ledger::verify::{Code, Finding};
use ledger::{Frontier, LeafHash, RootHash};

use crate::sealer::disk::open_plain;

/// Folders below `tile/` are nested as deep as indices have groups of three digits, and a level.
const DEPTH_MAX: usize = 9;

/// What a comparison finds, and of which file.
pub(super) type Found = (Finding, String);

/// Compares as the entries are read.
#[derive(Debug)]
pub(super) struct Tiles {
    folder: PathBuf,
    /// Size of the published checkpoint: every tile of it must be there.
    published: u64,
    edge: Edge,
    /// The tree before the tile of leaves that is being filled, and the tree as the stored tiles have it from the first one on
    /// that differs.
    before: Frontier,
    stored: Option<Frontier>,
    /// Leaf at which the first stored tile of leaves differs.
    first_other: Option<u64>,
    at_published: Option<RootHash>,
    pub(super) found: VecDeque<Found>,
    pub(super) compared: u64,
}

impl Tiles {
    pub(super) fn new(folder: &Path, published: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            published,
            edge: Edge::new(),
            before: Frontier::new(),
            stored: None,
            first_other: None,
            at_published: None,
            found: VecDeque::new(),
            compared: 0,
        }
    }

    /// Takes the header of the next entry.
    pub(super) fn push(&mut self, header: &[u8], tree: &Frontier) {
        let mut full = Vec::new();
        // A header has at most 512 bytes.
        if self.edge.push(header, &mut full).is_none() {
            return;
        }
        // By level: leaves come first, so that the stored tree is known before the next tile begins.
        full.sort_by_key(|(path, _)| path.kind);
        for (path, bytes) in &full {
            self.compare(path, bytes);
        }
        if tree.size().is_multiple_of(TILE_WIDTH) {
            self.before = tree.clone();
        }
    }

    /// Compares what is not full, and looks for files that are none of the log's; `size` is how far the log may have gone on.
    pub(super) fn finish(&mut self, size: u64) {
        for (path, bytes) in self.edge.partial() {
            self.compare(&path, &bytes);
        }
        if let Err(error) = self.extra(&self.folder.join("tile"), "tile", size, 0)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.add(Code::TileMissing, None, false, "tile/ cannot be read".to_owned());
        }
    }

    /// Returns the leaf at which the published log and the entries part, if the published tiles hash to `root`.
    pub(super) fn parting(&self, root: Option<RootHash>) -> Option<u64> {
        if root.is_some() && self.at_published == root { self.first_other } else { None }
    }

    fn add(&mut self, code: Code, leaf_index: Option<u64>, at_or_after: bool, what: String) {
        if self.found.len() < ledger::verify::FINDINGS_MAX {
            self.found.push_back((Finding { code, leaf_index, at_or_after }, what));
        }
    }

    /// Compares the files of one place, full and partial, with what it holds by the entries.
    fn compare(&mut self, path: &TilePath, bytes: &[u8]) {
        let widths = partial_widths(&self.folder.join(format!("{}.p", path.full())));
        let full = self.read(&path.full());
        let needed = tile_in(self.published, path.kind, path.index).map(|tile| tile.width);
        let there =
            full.is_some() || needed.is_some_and(|needed| u64::from(needed) < TILE_WIDTH && widths.contains(&needed));
        if needed.is_some() && !there {
            let needed = TilePath { width: needed.unwrap_or(path.width), ..*path };
            let code = if path.kind == TileKind::Entries { Code::BundleMissing } else { Code::TileMissing };
            self.add(code, None, false, needed.to_string());
        }
        let mut stored: Vec<(TilePath, Vec<u8>)> = full.map(|bytes| (path.full(), bytes)).into_iter().collect();
        for width in widths.into_iter().filter(|&width| width <= path.width) {
            let partial = TilePath { width, ..*path };
            stored.extend(self.read(&partial).map(|bytes| (partial, bytes)));
        }
        if path.kind == TileKind::Hashes(0) {
            self.follow_stored(path, bytes, &stored);
        }
        for (file, theirs) in stored {
            self.compared += 1;
            // A full file of a place that is not full here was published since.
            let width = file.width.min(path.width);
            let ours = cut(path.kind, bytes, width);
            let theirs = if file.width > width { cut(path.kind, &theirs, width) } else { theirs };
            if ours != theirs {
                self.differs(&file, &ours, &theirs);
            }
        }
    }

    fn differs(&mut self, file: &TilePath, ours: &[u8], theirs: &[u8]) {
        let first = file.index * TILE_WIDTH;
        let at = first + first_difference(file.kind, ours, theirs);
        let (code, span) = match file.kind {
            TileKind::Entries => (Code::BundleDiffers, 0),
            TileKind::Hashes(level) => (Code::TileDiffers, 8 * u32::from(level)),
        };
        self.add(code, at.checked_shl(span), span > 0, file.to_string());
    }

    /// Grows the tree of the stored leaves from the first one on that is another than ours.
    fn follow_stored(&mut self, path: &TilePath, ours: &[u8], stored: &[(TilePath, Vec<u8>)]) {
        let ends = path.leaves();
        if self.published <= ends.start {
            return;
        }
        let width = (self.published - ends.start).min(TILE_WIDTH);
        let widest =
            stored.iter().filter(|(file, _)| u64::from(file.width) >= width).min_by_key(|(file, _)| file.width);
        let theirs = widest.map_or(ours, |(_, bytes)| bytes);
        let (Some(ours), Some(theirs)) = (hashes_of(ours), hashes_of(theirs)) else { return };
        let other = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs);
        if self.stored.is_none()
            && let Some(other) = other
        {
            self.first_other = Some(ends.start + other as u64);
            self.stored = Some(self.before.clone());
        }
        let Some(tree) = &mut self.stored else { return };
        for hash in theirs.iter().take(usize::try_from(width).unwrap_or(0)) {
            tree.push(LeafHash(*hash));
        }
        if tree.size() == self.published {
            self.at_published = Some(tree.root());
        }
    }

    fn read(&self, path: &TilePath) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than a tile may have shows that it is none.
        let file = open_plain(&self.folder.join(path.to_string())).ok()?;
        file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Names what lies in the folder and is no tile of a log of `size` entries.
    fn extra(&mut self, folder: &Path, name: &str, size: u64, depth: usize) -> io::Result<()> {
        // One file after the other: a folder of a long log has a thousand names.
        for file in fs::read_dir(folder)? {
            let file = file?;
            let name = format!("{name}/{}", file.file_name().to_string_lossy());
            if file.file_type()?.is_dir() && depth < DEPTH_MAX {
                self.extra(&file.path(), &name, size, depth + 1)?;
                continue;
            }
            let tile = TilePath::parse(&name).filter(|tile| fits(tile, size));
            if tile.is_none() || !file.file_type()?.is_file() {
                let told = if is_plain(&name) { name } else { "a file in tile/".to_owned() };
                self.add(Code::TileExtra, None, false, told);
            }
        }
        Ok(())
    }
}

fn fits(tile: &TilePath, size: u64) -> bool {
    tile_in(size, tile.kind, tile.index).is_some_and(|whole| tile.width <= whole.width)
}

/// Whether a name may be told: that of a file of ours has no other characters.
fn is_plain(name: &str) -> bool {
    name.len() <= 80
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/.".contains(&byte))
}

fn partial_widths(folder: &Path) -> Vec<u16> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let width = |file: io::Result<fs::DirEntry>| file.ok()?.file_name().to_str()?.parse::<u16>().ok();
    let mut widths: Vec<u16> =
        files.filter_map(width).filter(|width| (1..TILE_WIDTH).contains(&u64::from(*width))).take(255).collect();
    widths.sort_unstable();
    widths
}

/// The first `width` hashes or entries.
fn cut(kind: TileKind, bytes: &[u8], width: u16) -> Vec<u8> {
    if let TileKind::Hashes(_) = kind {
        return bytes[..bytes.len().min(32 * usize::from(width))].to_vec();
    }
    let Some(entries) = entries_of(bytes) else { return bytes.to_vec() };
    let mut cut = Vec::new();
    // An entry that came out of a bundle fits into one.
    let _ = entries.iter().take(usize::from(width)).try_for_each(|entry| push_entry(&mut cut, entry));
    cut
}

/// Which hash or entry is the first that is not the same.
fn first_difference(kind: TileKind, ours: &[u8], theirs: &[u8]) -> u64 {
    let byte = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    if let TileKind::Hashes(_) = kind {
        return (byte / 32) as u64;
    }
    let (mut end, mut number) = (0, 0);
    // The length of an entry stands before it.
    for entry in entries_of(ours).unwrap_or_default() {
        end += 2 + entry.len();
        if byte < end {
            break;
        }
        number += 1;
    }
    number
}
