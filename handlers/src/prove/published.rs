//! One log of the store as it was published: its checkpoint, the key that signed it, and its tiles. What is read here is
//! believed once it hashes to the checkpoint's root, never because it lies here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ledger::note::{Note, VerifierKey};
use ledger::tiles::{BUNDLE_BYTES_MAX, TILE_BYTES_MAX, TileKind, TilePath, entries_of};
use ledger::{Checkpoint, Origin};

use crate::error::{Error, Result};
use crate::sealer;

/// A published log up to one checkpoint.
#[derive(Debug)]
pub(super) struct Published {
    folder: PathBuf,
    /// The signed note.
    pub(super) note: Note,
    /// What it says.
    pub(super) checkpoint: Checkpoint,
    /// The newest key of the store that signed it.
    pub(super) key: VerifierKey,
}

impl Published {
    /// Opens what the store at `root` published of a log: up to `note`, or up to its newest checkpoint. `None` if it has none.
    ///
    /// # Errors
    /// `tiles_damaged` if the checkpoint is not signed by a key of the store or is of another log, and what the disk says.
    pub(super) fn open(root: &Path, origin: &Origin, note: Option<Note>) -> Result<Option<Self>> {
        let note = match note {
            Some(note) => note,
            None => match sealer::published(root, origin)? {
                Some((note, _)) => note,
                None => return Ok(None),
            },
        };
        let of_log = |key: &VerifierKey| key.name() == origin.as_str();
        let keys: Vec<_> = sealer::verifier_keys(root)?.into_iter().filter(of_log).collect();
        let unsigned = |error| damaged("its checkpoint is not signed by a key of the store", error);
        let signed = note.verify(&keys).map_err(unsigned)?;
        // The keys are listed oldest first.
        let key = keys.iter().rfind(|key| signed.iter().any(|signed| signed.key == *key)).cloned();
        let is_ours =
            |checkpoint: &Checkpoint| checkpoint.origin == origin.as_str() && checkpoint.extensions.is_empty();
        match (Checkpoint::parse(note.text()).ok().filter(is_ours), key) {
            (Some(checkpoint), Some(key)) => {
                Ok(Some(Self { folder: sealer::folder_of(root, origin), note, checkpoint, key }))
            }
            _ => Err(differs("its checkpoint is not one of this log")),
        }
    }

    /// Returns what lies in a folder, as if a key had signed this checkpoint.
    #[cfg(test)]
    pub(super) fn in_folder(folder: &Path, checkpoint: Checkpoint) -> Self {
        let key = ledger::note::NoteKey::from_seed(&checkpoint.origin, ledger::note::KeyKind::Ed25519, &[7; 32]);
        let key = key.expect("a key");
        let text = checkpoint.to_string();
        let note = Note::new(text.clone(), vec![key.sign(&text, 0)]).expect("a note");
        Self { folder: folder.to_owned(), note, checkpoint, key: key.verifier().clone() }
    }

    /// Reads a tile or an entry bundle. A partial one may have given way to the full one, which begins with it.
    ///
    /// # Errors
    /// `tiles_damaged` when it is missing or has another length; what the disk says.
    pub(super) fn read(&self, path: TilePath) -> Result<Vec<u8>> {
        let size_max = match path.kind {
            TileKind::Hashes(_) => TILE_BYTES_MAX,
            TileKind::Entries => BUNDLE_BYTES_MAX,
        };
        let read = |path: TilePath| read_up_to(&self.folder.join(path.to_string()), size_max);
        let bytes = match read(path)? {
            None if !path.is_full() => read(path.full())?,
            found => found,
        };
        let bytes = bytes.ok_or_else(|| differs("a tile that its checkpoint needs is missing"))?;
        cut(bytes, path).ok_or_else(|| differs("a tile does not have the length that its name says"))
    }
}

/// Returns the part of a tile that its name says.
fn cut(mut bytes: Vec<u8>, path: TilePath) -> Option<Vec<u8>> {
    let width = usize::from(path.width);
    let length = match path.kind {
        TileKind::Hashes(_) => 32 * width,
        TileKind::Entries => entries_of(&bytes)?.get(..width)?.iter().map(|entry| entry.len() + 2).sum(),
    };
    (bytes.len() >= length).then(|| {
        bytes.truncate(length);
        bytes
    })
}

/// Returns the bytes of a file, `None` if there is none.
fn read_up_to(path: &Path, size_max: usize) -> Result<Option<Vec<u8>>> {
    let failed = |error| Error::store("read the published log", error);
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(failed)?,
    };
    if found.len() > size_max as u64 {
        return Err(differs("a file of it is larger than it may be"));
    }
    match fs::read(path) {
        // A partial tile was just replaced by the full one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(failed),
    }
}

pub(super) fn differs(what: &str) -> Error {
    Error::damaged("tiles_damaged", format!("read the published log: {what}"), None)
}

fn damaged(what: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::damaged("tiles_damaged", format!("read the published log: {what}"), Some(Box::new(cause)))
}
