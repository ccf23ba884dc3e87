//! The sealer of an embedded store (docs/adr/0011): the machine of `ledger::seal` over `ledger.sqlite`, the folder `log/<n>/` and
//! the file `keys/signing`. n is the number of the recovery that began the log, 0 for the first.

mod beside;
pub mod disk;
pub mod folder;
mod heartbeat;
mod key;
mod rotate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt as _;
use ledger::note::{Note, VerifierKey};
use ledger::seal::{KeyInMemory, Mended, Published as _, SealError, Sealer, Signer as _, mend};
use ledger::tiles::{Edge, edge_of};
use ledger::{Checkpoint, Head, Origin, Peek, SqliteSeal};

pub use beside::Beside;
pub use heartbeat::beat;
pub use key::{SIGNING, verifier_keys};
pub use rotate::{Rotated, rotate};

use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::heads;
use crate::segments;
use disk::RealDisk;
use folder::FolderPublished;

/// The publication of a log of an embedded store.
pub type StorePublished = FolderPublished<Arc<SqliteSeal>, RealDisk>;

/// The sealer of the present log of one store.
#[derive(Debug)]
pub struct StoreSealer {
    root: PathBuf,
    seal: Arc<SqliteSeal>,
    sealer: Sealer<Arc<SqliteSeal>, Arc<SqliteSeal>, Arc<StorePublished>, KeyInMemory>,
    /// The file of the key that signs, as it was when it was read.
    key: Option<FileSeen>,
}

/// Device, inode and time of change of a file.
type FileSeen = (u64, u64, i64, i64);

fn key_file(root: &Path) -> Option<FileSeen> {
    let meta = std::fs::metadata(root.join("keys").join(SIGNING)).ok()?;
    Some((meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec()))
}

/// Follows a future of the ports of an embedded store, which answer in place and never wait: no runtime is needed.
pub fn in_place<T>(sealing: impl Future<Output = Result<T>>) -> Result<T> {
    sealing.now_or_never().unwrap_or_else(|| Err(Error::lost("seal_unavailable", "seal the log", "a port waited")))
}

/// Returns the folder in which the log with this origin is published.
pub fn folder_of(root: &Path, origin: &Origin) -> PathBuf {
    root.join("log").join(segments::number(origin).to_string())
}

/// Says what became of a sealing as an error of the handlers.
pub fn seal_error(tried: &'static str, error: SealError) -> Error {
    match error {
        SealError::Ledger(error) => ledger_error(tried, error),
        error if error.is_transient() => Error::lost(error.code(), tried, error),
        error => Error::damaged(error.code(), format!("{tried}: {error}"), None),
    }
}

/// Whether everything in the log of the store is sealed and published, as far as a look tells that changes nothing: head and
/// published checkpoint have one size. A store that cannot be looked at has nothing that could be sealed.
pub fn is_sealed(root: &Path) -> bool {
    let Ok(peek) = Peek::open(root.join("ledger.sqlite")) else { return true };
    let published = published(root, &peek.origin).ok().flatten().map_or(0, |(_, checkpoint)| checkpoint.size);
    (peek.sealed.unwrap_or(0), published) == (peek.head.size, peek.head.size)
}

/// Returns the published checkpoint of the log with this origin: the note, and what it says. No signature was verified.
///
/// # Errors
/// `tiles_damaged` when what is there is none, `store_io`.
pub fn published(root: &Path, origin: &Origin) -> Result<Option<(Note, Checkpoint)>> {
    use disk::Disk as _;
    let path = folder_of(root, origin).join(folder::CHECKPOINT);
    let bytes = RealDisk.read(&path).map_err(|error| Error::store("read the checkpoint", error))?;
    let damaged = || Error::damaged("tiles_damaged", "read the published checkpoint: it is none", None);
    let parse = |bytes: Vec<u8>| {
        let note = Note::parse(&bytes).map_err(|_| damaged())?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| damaged())?;
        Ok((note, checkpoint))
    };
    bytes.map(parse).transpose()
}

/// What a look at the publication of a store found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Entries of the log.
    pub size: u64,
    /// Those of them that no published checkpoint covers.
    pub unsealed: u64,
    /// When the first of these was recorded, in milliseconds since 1970.
    pub since: Option<u64>,
}

/// Looks at what is published of the present log, and writes nothing: how much is covered, that the tiles at the edge hash to the
/// checkpoint's root, and that a listed key signed it.
///
/// # Errors
/// `tiles_damaged`, `vkeys_damaged`, and what the ledger and the disk say.
pub fn look(root: &Path) -> Result<Look> {
    let failed = |error| ledger_error("look at the ledger", error);
    let path = root.join("ledger.sqlite");
    let peek = Peek::open(&path).map_err(failed)?;
    let seen = published(root, &peek.origin)?;
    let covered = seen.as_ref().map_or(0, |(_, checkpoint)| checkpoint.size.min(peek.head.size));
    let mut found = Look { size: peek.head.size, unsealed: peek.head.size - covered, since: None };
    if let Some((note, checkpoint)) = &seen {
        let damaged = |what: &str| Error::damaged("tiles_damaged", format!("look at the published log: {what}"), None);
        if note.verify(&verifier_keys(root)?).is_err() {
            return Err(damaged("no listed key signed its checkpoint"));
        }
        let leads =
            edge(&folder_of(root, &peek.origin), checkpoint)?.is_some_and(|edge| edge.root() == checkpoint.root);
        // A sealer beside may have gone on meanwhile, and then the edge is another one.
        if !leads && published(root, &peek.origin)? == seen {
            return Err(damaged("the tiles at its edge are missing or do not lead to its root"));
        }
    }
    if found.unsealed > 0
        && let Some(seal) = SqliteSeal::look(&path).map_err(failed)?
    {
        let header = seal.headers(covered, 1).map_err(failed)?.into_iter().next();
        found.since = header.and_then(|header| Some(ledger::Header::parse(&header).ok()?.recorded_at.unix_ms()));
    }
    Ok(found)
}

/// Reads the partial tiles of a published checkpoint; `None` if one is missing or has another form.
fn edge(folder: &Path, checkpoint: &Checkpoint) -> Result<Option<Edge>> {
    use disk::Disk as _;
    let mut tiles = BTreeMap::new();
    for path in edge_of(checkpoint.size) {
        let bytes = RealDisk.read(&folder.join(path.to_string()));
        if let Some(bytes) = bytes.map_err(|error| Error::store("read a tile", error))? {
            tiles.insert(path, bytes);
        }
    }
    Ok(Edge::read(checkpoint.size, &tiles))
}

impl StoreSealer {
    /// Opens the sealer of the store at `root`. A store that has no signing key yet gets one.
    ///
    /// # Errors
    /// `ledger_restored` (what would be sealed may have been sealed otherwise), `key_missing`, `key_permissions`,
    /// `key_damaged`, `vkeys_damaged`, and what opening the ledger says.
    pub fn open(root: &Path) -> Result<Self> {
        let seal = SqliteSeal::open(root.join("ledger.sqlite"));
        let seal = Arc::new(seal.map_err(|error| ledger_error("open the ledger to seal it", error))?);
        if heads::restored(root)?.is_some_and(|mark| mark.number() >= segments::number(seal.origin())) {
            let tried = "seal a store that was restored: its log may have gone on elsewhere";
            return Err(Error::damaged("ledger_restored", tried, None));
        }
        let key = key_file(root);
        let signer = key::signer(root, seal.origin())?;
        let opened = Self { key, ..Self::over(root, seal, signer) };
        // Nothing depends on it: what is left half written has no name.
        opened.publication().sweep().ok();
        Ok(opened)
    }

    /// Whether another key signs by now.
    pub(crate) fn is_stale(&self) -> bool {
        self.key.is_none() || self.key != key_file(&self.root)
    }

    fn over(root: &Path, seal: Arc<SqliteSeal>, signer: KeyInMemory) -> Self {
        let origin = seal.origin().clone();
        let published = FolderPublished::new(folder_of(root, &origin), Arc::clone(&seal), RealDisk);
        let (head, unsealed) = (Arc::clone(&seal), Arc::clone(&seal));
        let sealer = Sealer::new(origin, head, unsealed, Arc::new(published), signer);
        Self { root: root.to_owned(), seal, sealer, key: None }
    }

    /// Returns the origin of the log.
    pub fn origin(&self) -> &Origin {
        self.seal.origin()
    }

    /// Returns the key that signs.
    pub fn verifier(&self) -> &VerifierKey {
        self.sealer.signer().verifier()
    }

    /// Returns where it publishes.
    pub fn publication(&self) -> &Arc<StorePublished> {
        self.sealer.published()
    }

    /// Seals and publishes everything that stands in the log.
    ///
    /// # Errors
    /// `ledger_rolled_back`, `ledger_forked`, `tiles_damaged`, `signer_failed`, `seal_unavailable`, `disk_full`, and what the
    /// ledger says. Whatever it was, the next call goes on.
    pub async fn seal(&self) -> Result<Head> {
        self.sealer.seal().await.map_err(|error| seal_error("seal the log", error))
    }

    /// Returns the published checkpoint: the note, and what it says.
    ///
    /// # Errors
    /// As [`published`].
    pub fn published(&self) -> Result<Option<(Note, Checkpoint)>> {
        published(&self.root, self.origin())
    }

    /// Adds signatures of others to a checkpoint.
    ///
    /// # Errors
    /// As [`StoreSealer::seal`].
    pub async fn add_signatures(&self, checkpoint: &Note, lines: &[ledger::note::SignatureLine]) -> Result<()> {
        let added = self.sealer.add_signatures(checkpoint, lines).await;
        added.map_err(|error| seal_error("add signatures to a checkpoint", error))
    }

    /// Whether something stands in the log that is not sealed.
    pub(crate) fn is_behind(&self) -> Result<bool> {
        let sizes = self.seal.sizes().map_err(|error| ledger_error("look at the ledger", error))?;
        Ok(sizes.0 > sizes.1)
    }
}

/// Makes the tiles of every log of the store anew where they are missing or changed, each held against the newest checkpoint that
/// is kept in the log's file, and publishes that checkpoint where none is. Returns what was mended, log by log.
///
/// # Errors
/// `ledger_forked` and `ledger_rolled_back` when a log is not what was signed (then nothing of it is written), and what the
/// ledger and the disk say.
pub async fn mend_store(root: &Path) -> Result<Vec<(Origin, Mended)>> {
    let mut mended = Vec::new();
    for (_, path) in segments::paths(root)? {
        let seal = SqliteSeal::look(&path).map_err(|error| ledger_error("open a log to mend its tiles", error))?;
        // One from before there was sealing has no tiles.
        let Some(seal) = seal else { continue };
        let newest = seal.newest_checkpoint().map_err(|error| ledger_error("read the checkpoints of a log", error))?;
        let Some((_, text)) = newest else { continue };
        let kept = Note::parse(text.as_bytes()).ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        let Some(checkpoint) = kept.filter(|kept| kept.origin == seal.origin().as_str()) else {
            return Err(Error::damaged(
                "tiles_damaged",
                "mend tiles: the newest checkpoint that is kept is none",
                None,
            ));
        };
        let (origin, seal) = (seal.origin().clone(), Arc::new(seal));
        let published = FolderPublished::new(folder_of(root, &origin), Arc::clone(&seal), RealDisk);
        let read = async |from, limit| Ok(seal.headers(from, limit)?);
        let failed = |error| seal_error("mend the tiles of a log", error);
        let done = mend(&checkpoint, &published, read).await.map_err(failed)?;
        publish_kept(&published, &checkpoint, &text).await.map_err(failed)?;
        mended.push((origin, done));
    }
    Ok(mended)
}

/// Publishes a checkpoint that is kept where none, or none that can be read, or an older one is.
async fn publish_kept(published: &StorePublished, kept: &Checkpoint, text: &str) -> std::result::Result<(), SealError> {
    let seen = published.checkpoint().await?;
    let size = |bytes: &Vec<u8>| Some(Checkpoint::parse(Note::parse(bytes).ok()?.text()).ok()?.size);
    if seen.as_ref().and_then(size).is_none_or(|size| size < kept.size) {
        published.replace_checkpoint(seen.as_deref(), text.as_bytes()).await?;
    }
    Ok(())
}
