//! A log published in a folder, as c2sp.org/tlog-tiles says: `checkpoint` and `tile/…`. Beside them `staged/`, what waits to be
//! published, and `part/`, what is being written. Files are whole before they have a name, and a name is never given twice.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ledger::SqliteSeal;
use ledger::seal::{BundleName, Published, Replaced, SealError, Tile};
use ledger::tiles::TilePath;

use super::disk::{Disk, RealDisk};

/// Name of the checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// Where bundles are staged.
const STAGED: &str = "staged";
/// Where files are written before they have their name.
const PART: &str = "part";
/// Names that are listed at once.
const NAMES_MAX: usize = 1_024;

/// Where the checkpoints of a log are kept for good.
pub trait Keeps: Send + Sync {
    /// Keeps a checkpoint, as [`Published::keep_checkpoint`] says.
    fn keep(&self, size: u64, note: &[u8]) -> Result<(), SealError>;
}

impl Keeps for SqliteSeal {
    fn keep(&self, size: u64, note: &[u8]) -> Result<(), SealError> {
        self.keep_checkpoint(size, note)
    }
}

/// The publication of one log.
pub struct FolderPublished<K, D = RealDisk> {
    folder: PathBuf,
    keeps: K,
    disk: D,
    /// Names the files that this writer makes, like no other's: a process id comes again, and a part may have got a name by a
    /// link before its writer stopped.
    token: u64,
    parts: AtomicU64,
}

impl<K, D> fmt::Debug for FolderPublished<K, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FolderPublished")
    }
}

fn failed(tried: &'static str) -> impl Fn(io::Error) -> SealError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            SealError::DiskFull { tried, source: Box::new(source) }
        }
        io::ErrorKind::InvalidData => SealError::Damaged { what: "a file of the publication is too large" },
        _ => SealError::Unavailable { tried, source: Some(Box::new(source)) },
    }
}

/// Bytes under a name that is written once are those that are to stand there.
fn same(there: &[u8], bytes: &[u8]) -> Result<(), SealError> {
    let other = SealError::Damaged { what: "other bytes stand under a name that is written once" };
    if there == bytes { Ok(()) } else { Err(other) }
}

impl<K: Keeps, D: Disk> FolderPublished<K, D> {
    /// Publishes in `folder`, which is made with those above it when something is first written; the one above those is there.
    pub fn new(folder: PathBuf, keeps: K, disk: D) -> Self {
        let mut token = [0; 8];
        // Without random bytes a name may be taken, and then the write fails.
        getrandom::fill(&mut token).ok();
        Self::with_token(folder, keeps, disk, u64::from_le_bytes(token))
    }

    pub(super) fn with_token(folder: PathBuf, keeps: K, disk: D, token: u64) -> Self {
        Self { folder, keeps, disk, token, parts: AtomicU64::new(0) }
    }

    /// Makes the folders of the publication where they are missing. `part/` comes last, once the names of the others are durable:
    /// where it stands, they are.
    fn prepare(&self) -> io::Result<()> {
        let (disk, part) = (&self.disk, self.folder.join(PART));
        if disk.exists(&part) {
            return Ok(());
        }
        let above = self.folder.parent().unwrap_or(&self.folder);
        for folder in [above, &self.folder, &self.folder.join(STAGED), &self.folder.join("tile")] {
            disk.make_folder(folder)?;
        }
        for folder in [&self.folder, above, above.parent().unwrap_or(above)] {
            disk.sync_folder(folder)?;
        }
        disk.make_folder(&part).map(drop)
    }

    /// Writes files that have no name yet; their bytes are durable when it returns. All are written before the first is synced,
    /// so that the disk writes them together.
    fn parts<'b>(&self, files: impl Iterator<Item = &'b [u8]>) -> io::Result<Vec<PathBuf>> {
        let mut parts = Vec::new();
        for bytes in files {
            let number = self.parts.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{:016x}-{number}", std::process::id(), self.token);
            let part = self.folder.join(PART).join(name);
            self.disk.write(&part, bytes)?;
            parts.push(part);
        }
        parts.iter().try_for_each(|part| self.disk.sync(part))?;
        Ok(parts)
    }

    /// Gives files their names; the same bytes under a name are done already, others are damage. Names are not durable yet.
    fn place(&self, files: &[(PathBuf, &[u8])]) -> Result<(), SealError> {
        let failed = failed("write a file of the publication");
        let mut new = Vec::new();
        for (path, bytes) in files {
            match self.disk.read(path).map_err(&failed)? {
                Some(there) => same(&there, bytes)?,
                None => new.push((path, *bytes)),
            }
        }
        let parts = self.parts(new.iter().map(|(_, bytes)| *bytes)).map_err(&failed)?;
        for ((path, bytes), part) in new.into_iter().zip(parts) {
            if !self.disk.link(&part, path).map_err(&failed)? {
                // Another process was first; its bytes must be ours.
                same(&self.disk.read(path).map_err(&failed)?.unwrap_or_default(), bytes)?;
            }
            self.disk.remove(&part).map_err(&failed)?;
        }
        Ok(())
    }

    fn at(&self, path: &TilePath) -> PathBuf {
        self.folder.join(path.to_string())
    }

    /// Makes the folders of these tiles.
    fn make_folders(&self, tiles: &[Tile]) -> io::Result<BTreeSet<PathBuf>> {
        let mut folders = BTreeSet::new();
        for (path, _) in tiles {
            let at = self.at(path);
            let below = at.ancestors().skip(1).take_while(|folder| *folder != self.folder);
            folders.extend(below.map(Path::to_owned));
        }
        // A set is in order: what lies above comes first.
        for folder in &folders {
            self.disk.make_folder(folder)?;
        }
        Ok(folders)
    }

    /// Makes names durable, the deepest first; at last those in the publication's folder itself.
    fn sync_folders(&self, folders: &BTreeSet<PathBuf>) -> io::Result<()> {
        folders.iter().rev().try_for_each(|folder| self.disk.sync_folder(folder))?;
        self.disk.sync_folder(&self.folder)
    }

    /// Whether the full tile of a partial one stands, which then begins with it.
    fn full_stands(&self, (path, bytes): &Tile) -> Result<bool, SealError> {
        if path.is_full() || !self.disk.exists(&self.at(&path.full())) {
            return Ok(false);
        }
        let full = self.disk.read(&self.at(&path.full())).map_err(failed("read a tile"))?.unwrap_or_default();
        if full.starts_with(bytes) {
            return Ok(true);
        }
        Err(SealError::Damaged { what: "a full tile does not begin with its partial one" })
    }

    /// Removes what writers that are gone left without a name.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sweep(&self) -> Result<(), SealError> {
        let failed = failed("remove what was left half written");
        let folder = self.folder.join(PART);
        for name in self.disk.list(&folder, NAMES_MAX).map_err(&failed)? {
            let writer = name.split('-').next().unwrap_or_default();
            let alive = writer == std::process::id().to_string() || Path::new("/proc").join(writer).exists();
            if !alive {
                self.disk.remove(&folder.join(name)).map_err(&failed)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<K: Keeps, D: Disk> Published for FolderPublished<K, D> {
    async fn stage(&self, name: &BundleName, bytes: &[u8]) -> Result<(), SealError> {
        let failed = failed("stage a bundle");
        self.prepare().map_err(&failed)?;
        let folder = self.folder.join(STAGED);
        self.place(&[(folder.join(name.to_string()), bytes)])?;
        self.disk.sync_folder(&folder).map_err(&failed)
    }

    async fn staged(&self, name: &BundleName) -> Result<Option<Vec<u8>>, SealError> {
        self.disk.read(&self.folder.join(STAGED).join(name.to_string())).map_err(failed("read a staged bundle"))
    }

    async fn staged_names(&self) -> Result<Vec<BundleName>, SealError> {
        let names = self.disk.list(&self.folder.join(STAGED), NAMES_MAX).map_err(failed("list staged bundles"))?;
        Ok(names.iter().filter_map(|name| BundleName::parse(name)).collect())
    }

    async fn unstage(&self, name: &BundleName) -> Result<(), SealError> {
        self.disk.remove(&self.folder.join(STAGED).join(name.to_string())).map_err(failed("let a staged bundle go"))
    }

    async fn tile(&self, path: &TilePath) -> Result<Option<Vec<u8>>, SealError> {
        self.disk.read(&self.at(path)).map_err(failed("read a tile"))
    }

    async fn write_tiles(&self, tiles: &[Tile]) -> Result<(), SealError> {
        let failed = failed("write tiles");
        self.prepare().map_err(&failed)?;
        let folders = self.make_folders(tiles).map_err(&failed)?;
        let mut files = Vec::with_capacity(tiles.len());
        for tile in tiles {
            if !self.full_stands(tile)? {
                files.push((self.at(&tile.0), tile.1.as_slice()));
            }
        }
        self.place(&files)?;
        // Also of tiles that stood: whoever wrote them may have stopped before their names were durable.
        self.sync_folders(&folders).map_err(failed)
    }

    async fn mend_tiles(&self, tiles: &[Tile]) -> Result<(), SealError> {
        let failed = failed("mend tiles");
        self.prepare().map_err(&failed)?;
        let folders = self.make_folders(tiles).map_err(&failed)?;
        let parts = self.parts(tiles.iter().map(|(_, bytes)| bytes.as_slice())).map_err(&failed)?;
        for ((path, _), part) in tiles.iter().zip(parts) {
            self.disk.rename(&part, &self.at(path)).map_err(&failed)?;
        }
        self.sync_folders(&folders).map_err(failed)
    }

    async fn drop_partials(&self, full: &[TilePath]) -> Result<(), SealError> {
        for path in full {
            let folder = format!("{path}.p");
            self.disk.remove_folder(&self.folder.join(folder)).map_err(failed("let partial tiles go"))?;
        }
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<Vec<u8>>, SealError> {
        self.disk.read(&self.folder.join(CHECKPOINT)).map_err(failed("read the checkpoint"))
    }

    async fn replace_checkpoint(&self, seen: Option<&[u8]>, next: &[u8]) -> Result<Replaced, SealError> {
        let failed = failed("publish a checkpoint");
        self.prepare().map_err(&failed)?;
        let part = self.parts(std::iter::once(next)).map_err(&failed)?.remove(0);
        let _lock = self.disk.lock(&self.folder.join("lock")).map_err(&failed)?;
        let at = self.folder.join(CHECKPOINT);
        if self.disk.read(&at).map_err(&failed)?.as_deref() != seen {
            self.disk.remove(&part).map_err(&failed)?;
            return Ok(Replaced::Lost);
        }
        self.disk.rename(&part, &at).map_err(&failed)?;
        self.disk.sync_folder(&self.folder).map_err(failed)?;
        Ok(Replaced::Done)
    }

    async fn keep_checkpoint(&self, size: u64, note: &[u8]) -> Result<(), SealError> {
        self.keeps.keep(size, note)
    }
}

impl<K: Keeps + ?Sized> Keeps for Arc<K> {
    fn keep(&self, size: u64, note: &[u8]) -> Result<(), SealError> {
        (**self).keep(size, note)
    }
}
