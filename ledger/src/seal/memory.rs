//! The ports in memory: their executable meaning, for tests and simulations. And any [`Log`] as the unsealed end of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Batch, BundleName, Published, Replaced, SealError, SealHead, Sealed, Signer, Swapped, Tile, Unsealed};
use crate::note::{KeyKind, Note, NoteKey, SignatureLine, VerifierKey};
use crate::tiles::TilePath;
use crate::{Head, Log, Origin, READ_ENTRIES_MAX};

/// A cell in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct MemorySealHead(Arc<Mutex<Sealed>>);

impl Default for MemorySealHead {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Sealed::empty())))
    }
}

#[async_trait]
impl SealHead for MemorySealHead {
    async fn load(&self) -> Result<Sealed, SealError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn swap(&self, from: &Sealed, to: &Sealed) -> Result<Swapped, SealError> {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *cell != *from {
            return Ok(Swapped::Lost);
        }
        *cell = to.clone();
        Ok(Swapped::Done)
    }
}

/// A publication in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryPublished(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    staged: BTreeMap<BundleName, Vec<u8>>,
    tiles: BTreeMap<TilePath, Vec<u8>>,
    checkpoint: Option<Vec<u8>>,
    kept: BTreeMap<u64, Vec<u8>>,
}

impl MemoryPublished {
    fn files<T>(&self, act: impl FnOnce(&mut Files) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns every tile.
    pub fn tiles(&self) -> BTreeMap<TilePath, Vec<u8>> {
        self.files(|files| files.tiles.clone())
    }

    /// Returns every checkpoint that is kept, by size.
    pub fn kept(&self) -> BTreeMap<u64, Vec<u8>> {
        self.files(|files| files.kept.clone())
    }

    /// Puts other bytes in the place of a tile, or takes it away.
    pub fn tamper(&self, path: TilePath, bytes: Option<Vec<u8>>) {
        self.files(|files| match bytes {
            Some(bytes) => drop(files.tiles.insert(path, bytes)),
            None => drop(files.tiles.remove(&path)),
        });
    }
}

/// Adds what is the same already, or new; other bytes under the same name are damage.
fn add<K: Ord + Clone>(map: &mut BTreeMap<K, Vec<u8>>, name: &K, bytes: &[u8]) -> Result<(), SealError> {
    if map.get(name).is_some_and(|there| there != bytes) {
        return Err(SealError::Damaged { what: "other bytes stand under a name that is written once" });
    }
    map.insert(name.clone(), bytes.to_vec());
    Ok(())
}

#[async_trait]
impl Published for MemoryPublished {
    async fn stage(&self, name: &BundleName, bytes: &[u8]) -> Result<(), SealError> {
        self.files(|files| add(&mut files.staged, name, bytes))
    }

    async fn staged(&self, name: &BundleName) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.files(|files| files.staged.get(name).cloned()))
    }

    async fn staged_names(&self) -> Result<Vec<BundleName>, SealError> {
        Ok(self.files(|files| files.staged.keys().take(1_024).cloned().collect()))
    }

    async fn unstage(&self, name: &BundleName) -> Result<(), SealError> {
        self.files(|files| drop(files.staged.remove(name)));
        Ok(())
    }

    async fn tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.files(|files| files.tiles.get(path).cloned()))
    }

    async fn write_tiles(&self, tiles: &[Tile]) -> Result<(), SealError> {
        self.files(|files| tiles.iter().try_for_each(|(path, bytes)| add(&mut files.tiles, path, bytes)))
    }

    async fn mend_tiles(&self, tiles: &[Tile]) -> Result<(), SealError> {
        self.files(|files| files.tiles.extend(tiles.iter().cloned()));
        Ok(())
    }

    async fn drop_partials(&self, full: &[TilePath]) -> Result<(), SealError> {
        self.files(|files| files.tiles.retain(|path, _| path.is_full() || !full.contains(&path.full())));
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<Vec<u8>>, SealError> {
        Ok(self.files(|files| files.checkpoint.clone()))
    }

    async fn replace_checkpoint(&self, seen: Option<&[u8]>, next: &[u8]) -> Result<Replaced, SealError> {
        Ok(self.files(|files| {
            if files.checkpoint.as_deref() != seen {
                return Replaced::Lost;
            }
            files.checkpoint = Some(next.to_vec());
            Replaced::Done
        }))
    }

    async fn keep_checkpoint(&self, size: u64, note: &[u8]) -> Result<(), SealError> {
        self.files(|files| {
            let both = joined(size, files.kept.get(&size).map(Vec::as_slice), note)?;
            files.kept.insert(size, both);
            Ok(())
        })
    }
}

/// Returns the checkpoint of a size with the signatures of both notes.
///
/// # Errors
/// [`SealError::Forked`] when their texts differ.
pub(crate) fn joined(size: u64, kept: Option<&[u8]>, note: &[u8]) -> Result<Vec<u8>, SealError> {
    let parse =
        |bytes| Note::parse(bytes).map_err(|_| SealError::Damaged { what: "a checkpoint that is kept is none" });
    let Some(kept) = kept else { return Ok(note.to_vec()) };
    let (mut both, new) = (parse(kept)?, parse(note)?);
    if both.text() != new.text() {
        return Err(SealError::Forked { size });
    }
    new.signatures().iter().for_each(|line| both.add(line.clone()));
    Ok(both.to_string().into_bytes())
}

/// The unsealed end of a log that gives the order itself.
#[derive(Clone, Debug)]
pub struct FollowedLog<L>(pub L);

#[async_trait]
impl<L: Log> Unsealed for FollowedLog<L> {
    async fn next(&self, head: &Head, limit: usize) -> Result<Batch, SealError> {
        let end = self.0.head().await?;
        if end.size < head.size {
            return Err(SealError::RolledBack { what: "the log", size: end.size, published: head.size });
        }
        let mut headers = Vec::new();
        let wanted = limit.min(usize::try_from(end.size - head.size).unwrap_or(limit));
        while headers.len() < wanted {
            let rows = self.0.entries(head.size + headers.len() as u64, READ_ENTRIES_MAX).await?;
            if rows.is_empty() {
                return Err(SealError::Damaged { what: "the log ends before its head" });
            }
            headers.extend(rows.into_iter().map(|row| row.entry.header_bytes));
        }
        headers.truncate(wanted);
        let whole = head.size + headers.len() as u64 == end.size;
        Ok(Batch { headers, marks: Vec::new(), end: whole.then_some(end) })
    }

    async fn sealed(&self, _marks: &[u8], _head: &Head) -> Result<(), SealError> {
        Ok(())
    }
}

/// A key in memory. The seed is erased when it is dropped, and `Debug` prints the public half alone.
#[derive(Debug)]
pub struct KeyInMemory(NoteKey);

impl KeyInMemory {
    /// Makes the key of a log from its seed; `None` if the origin can name no key.
    pub fn of(origin: &Origin, seed: &[u8; 32]) -> Option<Self> {
        NoteKey::from_seed(origin.as_str(), KeyKind::Ed25519, seed).ok().map(Self)
    }
}

#[async_trait]
impl Signer for KeyInMemory {
    fn verifier(&self) -> &VerifierKey {
        self.0.verifier()
    }

    async fn sign(&self, text: &str) -> Result<SignatureLine, SealError> {
        Ok(self.0.sign(text, 0))
    }
}
