//! The key that signs checkpoints, in `keys/signing` (32 bytes, 0600), and the public halves of all that ever did, in `log/vkeys`.
//! It makes no part of the keys that are pinned to the store: it may change (`rotate.rs`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use domain::ids::Key;
use ledger::Origin;
use ledger::note::VerifierKey;
use ledger::seal::{KeyInMemory, Signer as _};

use super::disk::{Disk as _, RealDisk, open_plain};
use crate::error::{Error, Result};
use crate::keys;

/// Name of the key's file in `keys/`.
pub const SIGNING: &str = "signing";
/// Name of the key that a rotation is about to put in its place.
pub(super) const NEXT: &str = "signing.next";
/// More bytes than this are no list of keys: a line has about 120, and a key is not changed a thousand times.
const LIST_BYTES_MAX: u64 = 1 << 18;

/// Returns the signer of this log. A store that has none yet gets one; where checkpoints were signed already, the key that is
/// gone is told.
///
/// # Errors
/// `key_missing`, `key_permissions`, `key_damaged`, `vkeys_damaged`, and what the disk says.
pub(super) fn signer(root: &Path, origin: &Origin) -> Result<KeyInMemory> {
    let folder = root.join("keys");
    let known = verifier_keys(root)?;
    if !folder.join(SIGNING).exists() {
        if known.iter().any(|key| key.name() == origin.as_str()) {
            return Err(Error::damaged("key_missing", "open keys/signing: it is not there, and it has signed", None));
        }
        keys::create_one(&folder, SIGNING)?;
    }
    let signer = of_seed(&keys::read_key(&folder, SIGNING)?, origin)?;
    if !known.contains(signer.verifier()) {
        list(root, signer.verifier())?;
    }
    Ok(signer)
}

/// Makes the signer of a log from a seed.
pub(super) fn of_seed(seed: &Key, origin: &Origin) -> Result<KeyInMemory> {
    let signer = KeyInMemory::of(origin, seed.bytes());
    signer.ok_or_else(|| Error::damaged("key_damaged", "read keys/signing: it makes no key of Ed25519", None))
}

/// Returns the public keys that have signed checkpoints of the store's logs, oldest first. They say whom to ask for, not whom to
/// believe: that comes from outside.
///
/// # Errors
/// `vkeys_damaged`, `store_io`.
pub fn verifier_keys(root: &Path) -> Result<Vec<VerifierKey>> {
    let mut text = String::new();
    match open_plain(&root.join("log").join("vkeys")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.and_then(|file| file.take(LIST_BYTES_MAX).read_to_string(&mut text)),
    }
    .map_err(|error| Error::store("read log/vkeys", error))?;
    let damaged = |error| Error::damaged("vkeys_damaged", "read log/vkeys: a line is no key", Some(Box::new(error)));
    text.lines().map(|line| VerifierKey::parse(line).map_err(damaged)).collect()
}

/// Adds a key to the list, behind those that are there. Durable when it returns.
pub(super) fn list(root: &Path, key: &VerifierKey) -> Result<()> {
    let folder = root.join("log");
    let failed = |error| Error::store("write log/vkeys", error);
    match fs::DirBuilder::new().mode(0o755).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        // The first publication makes its name durable; until then nothing is signed, and the list is made anew.
        _ => {}
    }
    let _lock = RealDisk.lock(&folder.join("lock")).map_err(failed)?;
    // Another process may have been first.
    let mut known = verifier_keys(root)?;
    if known.contains(key) {
        return Ok(());
    }
    known.push(key.clone());
    let next = folder.join("vkeys.new");
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&next);
    let written = written.and_then(|mut file| {
        known.iter().try_for_each(|key| writeln!(file, "{key}"))?;
        file.sync_all()
    });
    let named = written.and_then(|()| fs::rename(&next, folder.join("vkeys")));
    named.and_then(|()| File::open(&folder)?.sync_all()).map_err(failed)
}
