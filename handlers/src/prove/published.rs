//! One log of the store as it was published: its checkpoint, the key that signed it, and its tiles. What is read here is
//! believed once it hashes to the checkpoint's root, never because it lies here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ledger::note::{NOTE_BYTES_MAX, Note, VerifierKey};
use ledger::tiles::{BUNDLE_BYTES_MAX, TILE_BYTES_MAX, TileKind, TilePath, entries_of};
use ledger::{Checkpoint, Origin};

use crate::error::{Error, Result};
use crate::segments;

/// Bytes of `log/vkeys` that are read: a store rotates its key a few times.
const VKEYS_BYTES_MAX: usize = 256 * 1024;

/// A published log up to one checkpoint.
#[derive(Debug)]
pub(super) struct Published {
    folder: PathBuf,
    /// The signed note, as published.
    pub(super) note: Vec<u8>,
    /// What it says.
    pub(super) checkpoint: Checkpoint,
    /// The newest key of the store that signed it.
    pub(super) key: VerifierKey,
}

impl Published {
    /// Opens what the store at `root` published of a log: up to `note`, or up to its newest checkpoint. `None` if it has none.
    ///
    /// # Errors
    /// `published_damaged` if the checkpoint is not signed by a key of the store or is of another log.
    pub(super) fn open(root: &Path, origin: &Origin, note: Option<Vec<u8>>) -> Result<Option<Self>> {
        let folder = root.join("log").join(segments::number(origin).to_string());
        let note = match note {
            Some(note) => note,
            None => match read_up_to(&folder.join("checkpoint"), NOTE_BYTES_MAX)? {
                Some(note) => note,
                None => return Ok(None),
            },
        };
        let parsed = Note::parse(&note).map_err(|error| damaged("the checkpoint is no signed note", error))?;
        let keys = keys(root, origin)?;
        let signed =
            parsed.verify(&keys).map_err(|error| damaged("the checkpoint is not signed by the store", error))?;
        let key = signed.last().map(|signed| signed.key.clone());
        let checkpoint = Checkpoint::parse(parsed.text())
            .ok()
            .filter(|checkpoint| checkpoint.origin == origin.as_str() && checkpoint.extensions.is_empty());
        match (checkpoint, key) {
            (Some(checkpoint), Some(key)) => Ok(Some(Self { folder, note, checkpoint, key })),
            _ => Err(differs("the checkpoint is not one of this log")),
        }
    }

    /// Reads a tile or an entry bundle. A partial one may have given way to the full one, which begins with it.
    ///
    /// # Errors
    /// `published_damaged` when it is missing or has another length; what the disk says.
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

/// Returns the keys of the store that sign this log, oldest first.
fn keys(root: &Path, origin: &Origin) -> Result<Vec<VerifierKey>> {
    let listed = read_up_to(&root.join("log").join("vkeys"), VKEYS_BYTES_MAX)?.unwrap_or_default();
    let listed = String::from_utf8(listed).map_err(|error| damaged("the list of keys is no text", error))?;
    let keys = listed.lines().filter_map(|line| VerifierKey::parse(line).ok());
    Ok(keys.filter(|key| key.name() == origin.as_str()).collect())
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
    Error::damaged("published_damaged", format!("read the published log: {what}"), None)
}

fn damaged(what: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::damaged("published_damaged", format!("read the published log: {what}"), Some(Box::new(cause)))
}
