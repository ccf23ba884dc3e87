//! The signing key is changed: the newest checkpoint is signed by both keys, so that whoever knows the old one is led to the new
//! one; who did it is recorded; the old seed is erased. Cut short anywhere, the old key goes on, and the same command goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};

use domain::events::{ChangedSetting, ConfigChanged, Digest};
use ledger::note::VerifierKey;
use ledger::seal::Signer as _;
use uuid::Uuid;

use super::disk::{Disk as _, RealDisk};
use super::key::{self, NEXT, SIGNING};
use super::{StoreSealer, seal_error};
use crate::acting::{self, Person};
use crate::backup::Before;
use crate::error::{Error, Result};
use crate::keys;
use crate::store::Store;
use crate::surroundings::Surroundings;

/// Rounds against sealers of other processes that publish meanwhile.
const ROUNDS_MAX: u32 = 16;

/// What a change of the key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that signed until now.
    pub before: VerifierKey,
    /// The key that signs from now on.
    pub after: VerifierKey,
    /// Size of the checkpoint that both signed.
    pub size: u64,
}

/// Changes the key that signs the store's checkpoints.
///
/// # Errors
/// As sealing; what the ledger and the disk say. Until the new key has its name the old one signs.
pub async fn rotate(
    store: &Store,
    surroundings: &dyn Surroundings,
    person: Person,
    before: Before<'_>,
) -> Result<Rotated> {
    let (root, folder) = (store.root(), store.root().join("keys"));
    let failed = |error| Error::store("change the signing key", error);
    let sealer = StoreSealer::open(root)?;
    sealer.seal().await?;
    let _one = RealDisk.lock(&root.join("log").join("rotation.lock")).map_err(failed)?;
    before("make the next key").map_err(failed)?;
    if !folder.join(NEXT).exists() {
        keys::create_one(&folder, NEXT)?;
    }
    let seed = keys::read_key(&folder, NEXT)?;
    let next = key::of_seed(&seed, sealer.origin())?;
    before("list the next key").map_err(failed)?;
    key::list(root, next.verifier())?;
    before("sign with both keys").map_err(failed)?;
    let (size, checkpoint_root) = sign_with_both(&sealer, &next).await?;
    before("record the change").map_err(failed)?;
    let said = ConfigChanged {
        setting: ChangedSetting::SigningKey,
        key_before: sealer.verifier().id(),
        key_after: next.verifier().id(),
        size,
        root: checkpoint_root,
        tags: vec![person.tag()],
    };
    // Of the new key, so that a second attempt finds the entry of the first.
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, next.verifier().to_string().as_bytes());
    acting::record_under(id, store.ledger.as_ref(), &store.keys, surroundings, person, None, said.into()).await?;
    put_in_place(&folder, before).map_err(failed)?;
    let rotated = Rotated { before: sealer.verifier().clone(), after: next.verifier().clone(), size };
    StoreSealer::open(root)?.seal().await?;
    Ok(rotated)
}

/// Adds the next key's signature to the newest checkpoint; returns its size and root. Another process may publish a newer one
/// meanwhile, which then is the newest.
async fn sign_with_both(sealer: &StoreSealer, next: &ledger::seal::KeyInMemory) -> Result<(u64, Digest)> {
    for _ in 0..ROUNDS_MAX {
        let Some((note, checkpoint)) = sealer.published()? else { break };
        let line = next.sign(note.text()).await.map_err(|error| seal_error("sign with the next key", error))?;
        sealer.add_signatures(&note, &[line]).await?;
        let both = [sealer.verifier().clone(), next.verifier().clone()];
        let is_both = |note: &ledger::note::Note| note.verify(&both).is_ok_and(|verified| verified.len() == 2);
        if sealer.published()?.is_some_and(|(note, newest)| newest == checkpoint && is_both(&note)) {
            return Ok((checkpoint.size, Digest(checkpoint.root.0)));
        }
    }
    Err(Error::lost("seal_unavailable", "sign the newest checkpoint with both keys", "others publish all the time"))
}

/// Gives the next key the name of the one that signs, and erases the seed that had it.
fn put_in_place(folder: &std::path::Path, before: Before<'_>) -> io::Result<()> {
    // Held open: under the name nothing but a whole key ever stands.
    let mut old = OpenOptions::new().write(true).open(folder.join(SIGNING))?;
    before("put the next key in place")?;
    fs::rename(folder.join(NEXT), folder.join(SIGNING))?;
    before("make the change of the key durable")?;
    File::open(folder)?.sync_all()?;
    // The new key signs from here on. What a disk keeps of blocks that are written over is beyond us.
    before("erase the old key")?;
    old.write_all(&[0; 32])?;
    old.sync_all()
}
