//! The seam for witnesses: who else signs a checkpoint, and the proofs that they ask for (c2sp.org/tlog-witness).

use async_trait::async_trait;

use super::{Published, SealError};
use crate::note::{Note, SignatureLine};
use crate::proof::{TileSet, consistency_ranges, tiles_of};

/// Others who sign a checkpoint after the log did.
///
/// Called after the checkpoint is published, never before: nobody waits for a witness to see what is sealed. The caller gives
/// up after a time of its own, and then drops the future; what came back is added under the same text, if it is still
/// published, and to the checkpoint that is kept.
#[async_trait]
pub trait Cosigners: Send + Sync {
    /// Returns the lines that were given for this checkpoint: those of witnesses that were reached and saw that it goes on from
    /// what they had seen. None is no error here; a quorum is for whoever verifies. [`consistency_proof`] makes the proof that a
    /// witness wants from the tiles, which hold the checkpoint's whole tree.
    async fn cosign(&self, checkpoint: &Note, published: &dyn Published) -> Vec<SignatureLine>;
}

/// Nobody else signs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCosigners;

#[async_trait]
impl Cosigners for NoCosigners {
    async fn cosign(&self, _checkpoint: &Note, _published: &dyn Published) -> Vec<SignatureLine> {
        Vec::new()
    }
}

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
