//! The proof that a witness asks for before it signs a checkpoint (c2sp.org/tlog-witness), from the published tiles.

use super::{Published, SealError};
use crate::proof::{TileSet, consistency_ranges, tiles_of};

/// Returns the proof that the tree of `old` leaves is the beginning of the published one of `new`: at most 64 hashes, none where
/// there is nothing to prove.
///
/// # Errors
/// [`SealError::Damaged`] when a tile is missing or has another form; what reading says.
pub async fn consistency_proof(published: &dyn Published, old: u64, new: u64) -> Result<Vec<[u8; 32]>, SealError> {
    let (ranges, mut tiles) = (consistency_ranges(old, new), TileSet::new(new));
    for path in tiles_of(&ranges, new) {
        // The partial tiles of an older size are gone once their full tile stands, which begins with the same hashes.
        let bytes = match published.tile(&path).await? {
            None if !path.is_full() => published.tile(&path.full()).await?.map(|full| first(full, path.width)),
            found => found,
        };
        if !bytes.is_some_and(|bytes| tiles.insert(path, bytes)) {
            return Err(SealError::Damaged { what: "a tile is missing or has another form" });
        }
    }
    tiles.hashes(&ranges).ok_or(SealError::Damaged { what: "a tile is missing or has another form" })
}

fn first(mut full: Vec<u8>, width: u16) -> Vec<u8> {
    full.truncate(32 * usize::from(width));
    full
}
