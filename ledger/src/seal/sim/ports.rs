//! The ports of one sealer of the simulation.

use std::sync::Arc;

use async_trait::async_trait;

use super::world::{Part, State, World};
use crate::Head;
use crate::note::{NoteKey, SignatureLine, VerifierKey};
use crate::seal::memory::joined;
use crate::seal::{
    Batch, BundleName, Published, Replaced, SealError, SealHead, Sealed, Signer, Swapped, Tile, Unsealed,
};
use crate::tiles::TilePath;

/// The connection of one sealer to the world.
#[derive(Clone)]
pub(super) struct Ports {
    pub(super) world: Arc<World>,
    pub(super) actor: usize,
    pub(super) key: Arc<NoteKey>,
}

impl Ports {
    async fn call<T>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut State, Part) -> Result<T, SealError>,
    ) -> Result<T, SealError> {
        self.world.call(self.actor, name, act).await
    }
}

/// Writes what is new; other bytes under a name are damage.
fn add<K: Ord + Clone>(
    map: &mut std::collections::BTreeMap<K, Vec<u8>>,
    name: &K,
    bytes: &[u8],
) -> Result<(), SealError> {
    if map.get(name).is_some_and(|there| there != bytes) {
        return Err(SealError::Damaged { what: "other bytes under one name" });
    }
    map.insert(name.clone(), bytes.to_vec());
    Ok(())
}

#[async_trait]
impl SealHead for Ports {
    async fn load(&self) -> Result<Sealed, SealError> {
        self.call("load", |state, _| Ok(state.cell.clone())).await
    }

    async fn swap(&self, from: &Sealed, to: &Sealed) -> Result<Swapped, SealError> {
        self.call("swap", |state, part| {
            if state.cell != *from {
                return Ok(Swapped::Lost);
            }
            if part == Part::Whole {
                assert!(to.head.size > from.head.size, "the head goes forward");
                let name = to.staged.as_ref().expect("a bundle is named");
                assert!(state.staged.contains_key(name), "the bundle that is swapped in is staged");
                state.cell = to.clone();
            }
            Ok(Swapped::Done)
        })
        .await
    }
}

#[async_trait]
impl Unsealed for Ports {
    async fn next(&self, head: &Head, limit: usize) -> Result<Batch, SealError> {
        self.call("next", |state, _| {
            let end = state.head();
            if end.size < head.size {
                return Err(SealError::RolledBack { what: "the log", size: end.size, published: head.size });
            }
            let from = usize::try_from(head.size).expect("small");
            let headers: Vec<_> = state.log[from..].iter().take(limit).cloned().collect();
            let whole = from + headers.len() == state.log.len();
            let marks = format!("marks of {from}").into_bytes();
            Ok(Batch { headers, marks, end: whole.then_some(end) })
        })
        .await
    }

    async fn sealed(&self, marks: &[u8], _head: &Head) -> Result<(), SealError> {
        assert!(marks.starts_with(b"marks of "), "the marks are those of the batch");
        self.call("sealed", |_, _| Ok(())).await
    }
}

#[async_trait]
impl Published for Ports {
    async fn stage(&self, name: &BundleName, bytes: &[u8]) -> Result<(), SealError> {
        self.call("stage", |state, part| if part == Part::Whole { add(&mut state.staged, name, bytes) } else { Ok(()) })
            .await
    }

    async fn staged(&self, name: &BundleName) -> Result<Option<Vec<u8>>, SealError> {
        self.call("staged", |state, _| Ok(state.staged.get(name).cloned())).await
    }

    async fn staged_names(&self) -> Result<Vec<BundleName>, SealError> {
        self.call("staged names", |state, _| Ok(state.staged.keys().cloned().collect())).await
    }

    async fn unstage(&self, name: &BundleName) -> Result<(), SealError> {
        self.call("unstage", |state, part| {
            if part == Part::Whole {
                assert_ne!(state.cell.staged.as_ref(), Some(name), "the head's own bundle goes");
                state.staged.remove(name);
            }
            Ok(())
        })
        .await
    }

    async fn tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, SealError> {
        self.call("tile", |state, _| Ok(state.tiles.get(path).cloned())).await
    }

    async fn write_tiles(&self, tiles: &[Tile]) -> Result<(), SealError> {
        self.call("write tiles", |state, part| {
            for (path, bytes) in tiles {
                let skipped = part == Part::Some && state.random.below(2) == 0;
                if !skipped && (path.is_full() || !state.tiles.contains_key(&path.full())) {
                    add(&mut state.tiles, path, bytes)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn mend_tiles(&self, _tiles: &[Tile]) -> Result<(), SealError> {
        panic!("a sealer mends nothing");
    }

    async fn drop_partials(&self, full: &[TilePath]) -> Result<(), SealError> {
        self.call("drop partials", |state, part| {
            let drawn = state.random.below(2) == 0;
            if part == Part::Whole || drawn {
                state.tiles.retain(|path, _| path.is_full() || !full.contains(&path.full()));
            }
            Ok(())
        })
        .await
    }

    async fn checkpoint(&self) -> Result<Option<Vec<u8>>, SealError> {
        self.call("checkpoint", |state, _| Ok(state.checkpoint.clone())).await
    }

    async fn replace_checkpoint(&self, seen: Option<&[u8]>, next: &[u8]) -> Result<Replaced, SealError> {
        self.call("publish", |state, part| {
            if state.checkpoint.as_deref() != seen {
                return Ok(Replaced::Lost);
            }
            if part == Part::Whole {
                state.publish(next);
            }
            Ok(Replaced::Done)
        })
        .await
    }

    async fn keep_checkpoint(&self, size: u64, note: &[u8]) -> Result<(), SealError> {
        self.call("keep", |state, part| {
            let both = joined(size, state.kept.get(&size).map(Vec::as_slice), note)?;
            if part == Part::Whole {
                state.kept.insert(size, both);
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Signer for Ports {
    fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    async fn sign(&self, text: &str) -> Result<SignatureLine, SealError> {
        self.call("sign", |state, _| {
            // A signature that was made may be anywhere from now on, whether or not anybody heard of it.
            state.assert_true(text, "signed");
            Ok(self.key.sign(text, 0))
        })
        .await
    }
}
