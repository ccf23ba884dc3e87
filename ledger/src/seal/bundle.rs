//! What is computed between two heads: the tiles that new entries make or change, as one staged bundle. Pure.
//!
//! Text, then bytes: `imgseal/v1`, origin, old size, new size, root, number of tiles, length of the marks, each a line; then the
//! marks; then for each tile its path, a space, its length, LF and its bytes.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{Batch, SealError, Sealed, Tile};
use crate::hash::write_hex;
use crate::header::parse_decimal;
use crate::tiles::{BUNDLE_BYTES_MAX, Edge, TilePath, tiles_between};
use crate::{Head, Origin, RootHash};

/// First line of a staged bundle.
const FORMAT: &str = "imgseal/v1";
/// Longest line of a staged bundle in bytes.
const LINE_BYTES_MAX: usize = 256;

/// The name of a staged bundle: `<old size>-<new size>-<32 hex digits of its SHA-256>`. Other bytes have another name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleName {
    from: u64,
    to: u64,
    digest: [u8; 16],
}

impl BundleName {
    /// Returns the name that the text spells.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let (from, to) = (parse_decimal(parts.next()?)?, parse_decimal(parts.next()?)?);
        let digest = crate::hash::parse_hex::<16>(parts.next()?.as_bytes())?;
        Some(Self { from, to, digest })
    }

    /// Returns the size that the bundle goes on from.
    pub const fn from(&self) -> u64 {
        self.from
    }

    /// Returns the size that the bundle makes.
    pub const fn to(&self) -> u64 {
        self.to
    }
}

impl fmt::Display for BundleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-", self.from, self.to)?;
        write_hex(&self.digest, f)
    }
}

/// Every tile that stands or changes between two heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    origin: String,
    from: u64,
    /// Size of the tree that it makes.
    pub to: u64,
    /// Root of the tree that it makes.
    pub root: RootHash,
    /// What the store wants to be told.
    pub marks: Vec<u8>,
    /// The tiles: full ones first, then the edge.
    pub tiles: Vec<Tile>,
}

impl Bundle {
    /// Grows the log from the edge by a batch: returns the bundle and the head that it makes. The edge must be that of the head.
    ///
    /// # Errors
    /// [`SealError::Damaged`] when the edge does not hash to the head's root; [`SealError::Forked`] when the batch does not lead
    /// to the log's own root.
    pub fn grow(origin: &Origin, head: &Head, mut edge: Edge, batch: &Batch) -> Result<(Self, Head), SealError> {
        if (edge.size(), edge.root()) != (head.size, head.root) {
            return Err(SealError::Damaged { what: "the tiles at the edge do not hash to the head's root" });
        }
        let (mut tiles, mut frontier) = (Vec::new(), head.frontier.clone());
        for header in &batch.headers {
            let leaf = edge.push(header, &mut tiles).ok_or(SealError::Damaged { what: "an entry is too long" })?;
            frontier.push(leaf);
        }
        // A partial tile without a new hash stands already.
        tiles.extend(edge.partial().into_iter().filter(|(path, _)| path.leaves().end > head.size));
        let next = Head::of(frontier);
        // Two computations that share nothing but the hash: what is signed is what the tiles hold.
        if next.root != edge.root() {
            return Err(SealError::Damaged { what: "the head's frontier does not lead to the tiles" });
        }
        if batch.end.as_ref().is_some_and(|end| (end.size, end.root) != (next.size, next.root)) {
            return Err(SealError::Forked { size: head.size });
        }
        let (from, marks) = (head.size, batch.marks.clone());
        let origin = origin.as_str().to_owned();
        Ok((Self { origin, from, to: next.size, root: next.root, marks, tiles }, next))
    }

    /// Returns name and bytes.
    pub fn encode(&self) -> (BundleName, Vec<u8>) {
        let Self { origin, from, to, root, marks, tiles } = self;
        let length = tiles.iter().map(|(_, bytes)| bytes.len() + 64).sum::<usize>() + marks.len() + 512;
        let mut bytes = Vec::with_capacity(length);
        let (root, count, marked) = (root.base64(), tiles.len(), marks.len());
        let head = format!("{FORMAT}\n{origin}\n{from}\n{to}\n{root}\n{count}\n{marked}\n");
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(marks);
        for (path, tile) in tiles {
            bytes.extend_from_slice(format!("{path} {}\n", tile.len()).as_bytes());
            bytes.extend_from_slice(tile);
        }
        (Self::name(*from, *to, &bytes), bytes)
    }

    fn name(from: u64, to: u64, bytes: &[u8]) -> BundleName {
        let mut digest = [0; 16];
        digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
        BundleName { from, to, digest }
    }

    /// Returns the bundle that a head names, from the bytes that are staged under its name.
    ///
    /// # Errors
    /// [`SealError::Damaged`] when they are not those that were staged, or make another tree.
    pub fn decode(origin: &Origin, sealed: &Sealed, bytes: &[u8]) -> Result<Self, SealError> {
        let damaged = SealError::Damaged { what: "the staged bundle is not the one that the head names" };
        let Some(name) = &sealed.staged else { return Err(damaged) };
        if Self::name(name.from, name.to, bytes) != *name {
            return Err(damaged);
        }
        let bundle = Self::parse(bytes).filter(|bundle| {
            (bundle.origin.as_str(), bundle.from, bundle.to) == (origin.as_str(), name.from, name.to)
                && (bundle.to, bundle.root) == (sealed.head.size, sealed.head.root)
                && bundle.tiles.len() == tiles_between(bundle.from, bundle.to).count()
        });
        bundle.ok_or(damaged)
    }

    fn parse(mut rest: &[u8]) -> Option<Self> {
        if line(&mut rest)? != FORMAT {
            return None;
        }
        let origin = line(&mut rest)?.to_owned();
        let (from, to) = (parse_decimal(line(&mut rest)?)?, parse_decimal(line(&mut rest)?)?);
        let root = RootHash::from_base64(line(&mut rest)?.as_bytes())?;
        let (count, marked) = (parse_decimal(line(&mut rest)?)?, parse_decimal(line(&mut rest)?)?);
        let (marks, after) = rest.split_at_checked(usize::try_from(marked).ok()?)?;
        rest = after;
        let mut tiles = Vec::new();
        // Ends at the latest with the bytes: each tile takes some.
        for _ in 0..count {
            let (path, length) = line(&mut rest)?.split_once(' ')?;
            let (path, length) = (TilePath::parse(path)?, usize::try_from(parse_decimal(length)?).ok()?);
            let (tile, after) = rest.split_at_checked(length).filter(|_| length <= BUNDLE_BYTES_MAX)?;
            tiles.push((path, tile.to_vec()));
            rest = after;
        }
        rest.is_empty().then(|| Self { origin, from, to, root, marks: marks.to_vec(), tiles })
    }

    /// Returns the full tiles, whose partial ones nobody needs any more.
    pub fn full(&self) -> Vec<TilePath> {
        self.tiles.iter().map(|(path, _)| *path).filter(TilePath::is_full).collect()
    }
}

fn line<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let end = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = &after[1..];
    std::str::from_utf8(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frontier, leaf_hash};

    fn origin() -> Origin {
        Origin::parse("medimg/test/00112233445566778899aabbccddeeff").expect("an origin")
    }

    /// Head and edge of a log of these entries.
    fn log(entries: &[&[u8]]) -> (Head, Edge) {
        let (mut frontier, mut edge) = (Frontier::new(), Edge::new());
        for entry in entries {
            frontier.push(leaf_hash(entry));
            edge.push(entry, &mut Vec::new()).expect("short");
        }
        (Head::of(frontier), edge)
    }

    fn batch(entries: &[&[u8]], end: Option<Head>) -> Batch {
        Batch { headers: entries.iter().map(|entry| entry.to_vec()).collect(), marks: b"m".to_vec(), end }
    }

    #[test]
    fn a_bundle_goes_on_only_from_tiles_that_hash_to_the_head() {
        let ((head, _), (_, other)) = (log(&[b"one", b"two"]), log(&[b"one", b"too"]));
        let grown = Bundle::grow(&origin(), &head, other, &batch(&[b"three"], None));
        assert!(matches!(grown, Err(SealError::Damaged { .. })), "{grown:?}");
        let shorter = Bundle::grow(&origin(), &head, log(&[b"one"]).1, &batch(&[b"three"], None));
        assert!(matches!(shorter, Err(SealError::Damaged { .. })), "{shorter:?}");
    }

    #[test]
    fn a_batch_that_does_not_lead_to_the_root_of_the_log_makes_no_bundle() {
        let ((head, edge), (end, _)) = (log(&[b"one"]), log(&[b"one", b"two"]));
        let leads = |entry: &[u8]| Bundle::grow(&origin(), &head, edge.clone(), &batch(&[entry], Some(end.clone())));
        assert!(leads(b"two").is_ok());
        assert!(matches!(leads(b"too"), Err(SealError::Forked { size: 1 })));
    }

    #[test]
    fn a_bundle_is_read_as_it_was_staged_and_in_no_other_way() {
        let (head, edge) = log(&[b"one"]);
        let entries: Vec<Vec<u8>> = (0..600).map(|n| format!("entry {n}").into_bytes()).collect();
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        let (bundle, next) = Bundle::grow(&origin(), &head, edge, &batch(&entries, None)).expect("grown");
        let (name, bytes) = bundle.encode();
        assert_eq!(BundleName::parse(&name.to_string()), Some(name.clone()));
        assert_eq!((name.from(), name.to(), bundle.tiles.len()), (1, 601, tiles_between(1, 601).count()));
        let sealed = Sealed { head: next, staged: Some(name) };
        assert_eq!(Bundle::decode(&origin(), &sealed, &bytes).expect("as staged"), bundle);
        for at in (0..bytes.len()).step_by(97) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Bundle::decode(&origin(), &sealed, &altered).is_err(), "byte {at}");
            assert!(Bundle::decode(&origin(), &sealed, &bytes[..at]).is_err(), "cut at {at}");
        }
        let other = Origin::parse("medimg/test/ffeeddccbbaa99887766554433221100").expect("an origin");
        assert!(Bundle::decode(&other, &sealed, &bytes).is_err(), "of another log");
        assert!(Bundle::decode(&origin(), &Sealed { staged: None, ..sealed }, &bytes).is_err());
    }

    #[test]
    fn a_partial_tile_without_a_new_hash_is_not_written_again() {
        let entries: Vec<Vec<u8>> = (0..257).map(|n| format!("entry {n}").into_bytes()).collect();
        let (head, edge) = log(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let (bundle, _) = Bundle::grow(&origin(), &head, edge, &batch(&[b"more"], None)).expect("grown");
        let paths: Vec<String> = bundle.tiles.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["tile/0/001.p/2", "tile/entries/001.p/2"]);
    }
}
