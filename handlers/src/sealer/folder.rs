//! A log published in a folder, as c2sp.org/tlog-tiles says: `checkpoint` and `tile/…`. Beside them `staged/`, what waits to be
//! published, and `part/`, what is being written. Files are whole before they have a name, and a name is never given twice.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Numbers the files that this process writes.
    parts: AtomicU64,
    /// Folders that this process made durable.
    prepared: Mutex<BTreeSet<String>>,
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

impl<K: Keeps, D: Disk> FolderPublished<K, D> {
    /// Publishes in `folder`, which is made with those above it when something is first written; the one above those is there.
    pub fn new(folder: PathBuf, keeps: K, disk: D) -> Self {
        Self { folder, keeps, disk, parts: AtomicU64::new(0), prepared: Mutex::default() }
    }

    /// Makes folder and part folder where they are missing. The name of each is durable before something lies in it.
    fn prepare(&self, within: &str) -> io::Result<()> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        // The folder itself is looked at: somebody may have removed it meanwhile.
        if prepared.contains(within) && self.disk.exists(&self.folder.join(within)) {
            return Ok(());
        }
        let above = self.folder.parent().unwrap_or(&self.folder);
        for folder in [above, &self.folder, &self.folder.join(PART), &self.folder.join(within)] {
            self.disk.make_folder(folder)?;
            // Whoever made it may have stopped before its name was durable.
            self.disk.sync_folder(folder.parent().unwrap_or(folder))?;
        }
        prepared.insert(within.to_owned());
        Ok(())
    }

    /// Writes a file that has no name yet; its bytes are durable.
    fn part(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        // Of this process and never again: nobody else writes to it.
        let name = format!("{}-{}", std::process::id(), self.parts.fetch_add(1, Ordering::Relaxed));
        let part = self.folder.join(PART).join(name);
        self.disk.write(&part, bytes)?;
        self.disk.sync(&part)?;
        Ok(part)
    }

    /// Gives bytes a name that nothing has; the same bytes under it are done already. The name is not durable yet.
    fn place(&self, path: &Path, bytes: &[u8]) -> Result<(), SealError> {
        let tried = "write a file of the publication";
        let other = SealError::Damaged { what: "other bytes stand under a name that is written once" };
        match self.disk.read(path).map_err(failed(tried))? {
            Some(there) if there == bytes => return Ok(()),
            Some(_) => return Err(other),
            None => {}
        }
        let part = self.part(bytes).map_err(failed(tried))?;
        let linked = self.disk.link(&part, path).map_err(failed(tried))?;
        self.disk.remove(&part).map_err(failed(tried))?;
        // Another process was first; its bytes must be ours.
        let same = linked || self.disk.read(path).map_err(failed(tried))?.as_deref() == Some(bytes);
        if same { Ok(()) } else { Err(other) }
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
        self.prepare(STAGED).map_err(&failed)?;
        let folder = self.folder.join(STAGED);
        self.place(&folder.join(name.to_string()), bytes)?;
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
        self.prepare("tile").map_err(&failed)?;
        let folders = self.make_folders(tiles).map_err(&failed)?;
        for tile in tiles {
            if !self.full_stands(tile)? {
                self.place(&self.at(&tile.0), &tile.1)?;
            }
        }
        // Also of tiles that stood: whoever wrote them may have stopped before their names were durable.
        self.sync_folders(&folders).map_err(failed)
    }

    async fn mend_tiles(&self, tiles: &[Tile]) -> Result<(), SealError> {
        let failed = failed("mend tiles");
        self.prepare("tile").map_err(&failed)?;
        let folders = self.make_folders(tiles).map_err(&failed)?;
        for (path, bytes) in tiles {
            let part = self.part(bytes).map_err(&failed)?;
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
        self.prepare("tile").map_err(&failed)?;
        let part = self.part(next).map_err(&failed)?;
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
