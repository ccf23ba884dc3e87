//! Tiles that were lost or changed, made anew from the log and held against a signed root before the first is written.

use super::{Published, SealError, Tile};
use crate::tiles::{Edge, TilePath};
use crate::{Checkpoint, Frontier, leaf_hash};

/// Headers that are read at once.
const READ_MAX: usize = 4_096;

/// What was mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Tiles and bundles that the log has.
    pub tiles: u64,
    /// Those of them that were missing or had other bytes.
    pub written: u64,
}

/// Makes every tile of the checkpoint's tree anew from the log and writes those that are not there as they must be. `read`
/// returns headers as stored from a leaf index on, at most so many. The signature is for the caller to verify.
///
/// # Errors
/// [`SealError::RolledBack`] when the log has fewer entries, [`SealError::Forked`] when they have another root: then nothing is
/// written. What the ports say.
pub async fn mend(
    checkpoint: &Checkpoint,
    published: &dyn Published,
    read: impl AsyncFn(u64, usize) -> Result<Vec<Vec<u8>>, SealError>,
) -> Result<Mended, SealError> {
    let mut frontier = Frontier::new();
    while frontier.size() < checkpoint.size {
        let headers = some(&read, frontier.size(), checkpoint).await?;
        headers.iter().for_each(|header| frontier.push(leaf_hash(header)));
    }
    if frontier.root() != checkpoint.root {
        return Err(SealError::Forked { size: checkpoint.size });
    }
    let (mut edge, mut mended) = (Edge::new(), Mended::default());
    while edge.size() < checkpoint.size {
        let mut tiles = Vec::new();
        for header in some(&read, edge.size(), checkpoint).await? {
            edge.push(&header, &mut tiles).ok_or(SealError::Damaged { what: "an entry is too long" })?;
        }
        let full: Vec<TilePath> = tiles.iter().map(|(path, _)| *path).collect();
        write(published, tiles, &mut mended).await?;
        published.drop_partials(&full).await?;
    }
    // The log may have changed between the two readings.
    if edge.root() != checkpoint.root {
        return Err(SealError::Forked { size: checkpoint.size });
    }
    write(published, edge.partial(), &mut mended).await?;
    Ok(mended)
}

async fn some(
    read: &impl AsyncFn(u64, usize) -> Result<Vec<Vec<u8>>, SealError>,
    from: u64,
    checkpoint: &Checkpoint,
) -> Result<Vec<Vec<u8>>, SealError> {
    let wanted = usize::try_from(checkpoint.size - from).unwrap_or(READ_MAX).min(READ_MAX);
    let mut headers = read(from, wanted).await?;
    headers.truncate(wanted);
    if headers.is_empty() {
        return Err(SealError::RolledBack { what: "the log", size: from, published: checkpoint.size });
    }
    Ok(headers)
}

async fn write(published: &dyn Published, tiles: Vec<Tile>, mended: &mut Mended) -> Result<(), SealError> {
    let mut wrong = Vec::new();
    for (path, bytes) in tiles {
        mended.tiles += 1;
        if published.tile(&path).await?.as_ref() != Some(&bytes) {
            wrong.push((path, bytes));
        }
    }
    mended.written += wrong.len() as u64;
    if wrong.is_empty() { Ok(()) } else { published.mend_tiles(&wrong).await }
}
