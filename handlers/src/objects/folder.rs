//! `FolderObjects`: raw objects where they lie, staged ones in `staging/`, visible ones in `processed/`.
//!
//! A call does its disk work in place, on the worker that polls it: the worker threads exist for this work, and handing
//! each block to another thread costs more than the block (docs/adr/0004-trait-objects.md).

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use domain::ids::{Location, StreamId};
use sha2::{Digest as _, Sha256};

use super::beneath;
use crate::error::{Error, Result, Scope};
use crate::ports::objects::{Digest, FileSeen, Objects, OutputKey, Published, Source, StageToken, Staging};

/// The bucket name under which paths of this machine are known.
pub const FILE_BUCKET: &str = "file";

/// Folders known to exist are remembered up to this many; beyond it the memory is dropped and built anew.
const KNOWN_FOLDERS_MAX: usize = 4_096;

/// Ends the name of a file that is not whole yet.
const PART: &str = ".part";

/// Stages of one stream that interrupted runs may have left behind.
const STAGES_MAX: u32 = 1_000;

/// Objects in folders of one store.
#[derive(Debug)]
pub struct FolderObjects {
    processed: PathBuf,
    staging: PathBuf,
    known_folders: Mutex<HashSet<PathBuf>>,
}

impl FolderObjects {
    /// Uses the folders `processed` and `staging`, which exist and lie on one file system.
    pub fn new(processed: PathBuf, staging: PathBuf) -> Self {
        Self { processed, staging, known_folders: Mutex::default() }
    }

    fn staged_path(&self, token: &StageToken) -> Result<PathBuf> {
        let plain = |b: u8| b.is_ascii_hexdigit() || b == b'-' || b == b'.';
        if token.0.is_empty() || token.0.starts_with('.') || token.0.len() > 100 || !token.0.bytes().all(plain) {
            return Err(Error::broken("stage_token", "read a stage token of a folder store"));
        }
        Ok(self.staging.join(&token.0))
    }

    /// Makes the folder of `path` and everything above it durable, so that a crash does not lose a published name.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if self.known_folders.lock().is_ok_and(|known| known.contains(folder)) {
            return Ok(());
        }
        let mut missing = Vec::new();
        let mut at = folder;
        while at != self.processed && !at.is_dir() {
            missing.push(at);
            at = at.parent().unwrap_or(&self.processed);
        }
        for created in missing.into_iter().rev() {
            match fs::create_dir(created) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => sync_folder(created.parent().unwrap_or(&self.processed))?,
            }
        }
        if let Ok(mut known) = self.known_folders.lock() {
            if known.len() >= KNOWN_FOLDERS_MAX {
                known.clear();
            }
            known.insert(folder.to_owned());
        }
        Ok(())
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn hash_file(mut file: File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 256 << 10];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(Digest(hasher.finalize().into())),
            n => hasher.update(&block[..n]),
        }
    }
}

#[async_trait]
impl Objects for FolderObjects {
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>> {
        let path = Path::new(std::ffi::OsStr::from_bytes(location.key.expose()));
        Ok(Box::new(FileSource::open(path)?))
    }

    async fn stage(&self, stream: StreamId) -> Result<Box<dyn Staging>> {
        // Numbered, not drawn at random: the same decision then names the same stage. What an earlier run left behind under
        // a number may be what its entry names, so it is passed over, never written to. The number is taken by the name of
        // the part: a token that an entry names, and whose file was lost, must never name a file that is being written.
        for attempt in 0..STAGES_MAX {
            let name = format!("{stream}-{attempt}");
            let (whole, part) = (self.staging.join(&name), self.staging.join(format!("{name}{PART}")));
            match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&part) {
                Ok(file) => {
                    let staged = StagedFile { part, whole, name, file, finished: false };
                    if !staged.whole.exists() {
                        return Ok(Box::new(staged));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::store("create a staged object", error)),
            }
        }
        Err(Error::broken(
            "stages_left",
            format!("stage an object: {STAGES_MAX} earlier stages of stream {stream} were left"),
        ))
    }

    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>> {
        let (staged, target) = (self.staged_path(token)?, self.processed.join(key.as_str()));
        let folder = target.parent().unwrap_or(&self.processed);
        let failed = |error| Error::store("publish a staged object", error);
        self.make_folder(folder).map_err(failed)?;
        let linked = match fs::hard_link(&staged, &target) {
            // The folder was removed behind our back: forget what we knew and make it again, once.
            Err(error) if error.kind() == io::ErrorKind::NotFound && staged.exists() => {
                self.known_folders.lock().map(|mut known| known.clear()).ok();
                self.make_folder(folder).map_err(failed)?;
                fs::hard_link(&staged, &target)
            }
            other => other,
        };
        match linked {
            Ok(()) => {
                sync_folder(folder).map_err(failed)?;
                Ok(Some(Published::Now))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // One inode under both names: an earlier call linked it and its answer was lost. Its folder may not
                // have been synced then.
                if same_file(&staged, &target) {
                    sync_folder(folder).map_err(failed)?;
                    return Ok(Some(Published::Now));
                }
                Ok(Some(self.compare(key, digest)?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match hash_existing(&target)? {
                None => Ok(None),
                Some(found) if found == digest => Ok(Some(Published::AlreadyThere)),
                Some(_) => Ok(Some(Published::Conflict)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    async fn discard(&self, token: &StageToken) -> Result<()> {
        match fs::remove_file(self.staged_path(token)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::store("discard a staged object", error))
            }
            _ => Ok(()),
        }
    }

    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>> {
        hash_existing(&self.processed.join(key.as_str()))
    }
}

impl FolderObjects {
    fn compare(&self, key: &OutputKey, digest: Digest) -> Result<Published> {
        Ok(match hash_existing(&self.processed.join(key.as_str()))? {
            Some(found) if found == digest => Published::AlreadyThere,
            _ => Published::Conflict,
        })
    }

    /// Removes what earlier runs staged and nobody will publish: every staged file whose stream is not in `open`.
    ///
    /// # Errors
    /// `store_io` when `staging/` cannot be listed.
    pub fn sweep_staging(&self, open: &HashSet<StreamId>) -> Result<usize> {
        let failed = |error| Error::store("list staged objects", error);
        let mut removed = 0;
        for entry in fs::read_dir(&self.staging).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let stream = name.to_str().and_then(|name| StreamId::parse(name.split('-').next()?));
            if stream.is_some_and(|stream| !open.contains(&stream)) && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

fn hash_existing(path: &Path) -> Result<Option<Digest>> {
    let failed = |error| Error::store("read a processed object", error);
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(file) => hash_file(file).map(Some).map_err(failed),
    }
}

/// A file of this machine, pinned by what `fstat` said when it was opened.
#[derive(Debug)]
struct FileSource {
    file: File,
    pin: Pin,
}

#[derive(Debug, PartialEq, Eq)]
struct Pin {
    len: u64,
    device_inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Pin {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self {
            len: meta.len(),
            device_inode: (meta.dev(), meta.ino()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

fn source_link(error: io::Error) -> Error {
    let tried = "open a source: a link stands in its path, which had none when it was listed".to_owned();
    Error::Transient { scope: Scope::Object, code: "source_link", tried, source: Some(Box::new(error)) }
}

impl FileSource {
    fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::source("open a source", error);
        // A key is a canonical path: a link in it was put there since, and may lead anywhere.
        let file = beneath::open_file(path)
            .map_err(|error| if beneath::is_link(&error) { source_link(error) } else { failed(error) })?;
        let pin = Pin::of(&file).map_err(failed)?;
        Ok(Self { file, pin })
    }
}

fn nanoseconds((seconds, rest): (i64, i64)) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[async_trait]
impl Source for FileSource {
    fn size_bytes(&self) -> u64 {
        self.pin.len
    }

    async fn read_at(&mut self, offset: u64, block: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(block, offset).map_err(|error| Error::source("read a source", error))
    }

    async fn check_unchanged(&mut self) -> Result<()> {
        let now = Pin::of(&self.file).map_err(|error| Error::source("look at a source", error))?;
        if now == self.pin { Ok(()) } else { Err(Error::source_changed("read a source that was changed meanwhile")) }
    }

    fn file(&self) -> Option<FileSeen> {
        let Pin { len, device_inode: (_, inode), modified, changed } = self.pin;
        let (modified_ns, changed_ns) = (nanoseconds(modified), nanoseconds(changed));
        Some(FileSeen { size_bytes: len, inode, modified_ns, changed_ns })
    }
}

struct StagedFile {
    part: PathBuf,
    whole: PathBuf,
    name: String,
    file: File,
    finished: bool,
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.finished {
            // What was not finished is nobody's; should the removal fail, the next run sweeps it.
            fs::remove_file(&self.part).ok();
        }
    }
}

#[async_trait]
impl Staging for StagedFile {
    async fn write(&mut self, block: &[u8]) -> Result<()> {
        self.file.write_all(block).map_err(|error| Error::store("write a staged object", error))
    }

    async fn finish(mut self: Box<Self>) -> Result<StageToken> {
        let failed = |error| Error::store("make a staged object durable", error);
        self.file.sync_all().map_err(failed)?;
        // Whoever sees the name sees the whole object, also after a crash: its bytes were durable before.
        fs::rename(&self.part, &self.whole).map_err(failed)?;
        self.finished = true;
        Ok(StageToken(std::mem::take(&mut self.name)))
    }
}
