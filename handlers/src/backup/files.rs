//! Files that are written whole or not at all, with their digests.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::events::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// Called before each change of the disk, with what comes next. An error ends the work there as a crash would; the tests
/// stop at each in turn, and an operator's signal may stop it too.
pub type Before<'a> = &'a dyn Fn(&'static str) -> io::Result<()>;

/// A failure of a backup's own place while `tried`.
pub(super) fn failed(tried: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    move |error| {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Error::lost(if full { "backup_full" } else { "backup_io" }, tried, error)
    }
}

/// Counts and hashes what goes through it.
pub(super) struct Hashed<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W> Hashed<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// Returns digest and number of the bytes that went through.
    pub(super) fn finish(self) -> (Digest, u64) {
        (Digest(self.hasher.finalize().into()), self.bytes)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(block)?;
        self.hasher.update(&block[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Returns digest and size of a file; none if it is not there.
pub(super) fn hash(path: &Path) -> io::Result<Option<(Digest, u64)>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(mut file) => {
            let mut hashed = Hashed::new(io::sink());
            copy(&mut file, &mut hashed)?;
            Ok(Some(hashed.finish()))
        }
    }
}

/// Copies in blocks large enough that calls of the system cost little.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut block = vec![0; 256 << 10];
    loop {
        match from.read(&mut block)? {
            0 => return Ok(()),
            n => to.write_all(&block[..n])?,
        }
    }
}

/// Where a file is written before it has its name.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Writes a file under a temporary name, durably, and gives it its name if `keep` says so of digest and size. Its folder
/// is not yet durable.
pub(super) fn write(
    path: &Path,
    mode: u32,
    before: Before<'_>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    keep: impl FnOnce(Digest, u64) -> bool,
) -> io::Result<Option<(Digest, u64)>> {
    let part = part_of(path);
    before("create a file")?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&part)?;
    let mut hashed = Hashed::new(&file);
    before("write a file")?;
    fill(&mut hashed)?;
    let (digest, bytes) = hashed.finish();
    before("make a file durable")?;
    file.sync_all()?;
    if !keep(digest, bytes) {
        fs::remove_file(&part)?;
        return Ok(None);
    }
    before("give a file its name")?;
    fs::rename(&part, path)?;
    Ok(Some((digest, bytes)))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path, before: Before<'_>) -> io::Result<()> {
    before("make a folder durable")?;
    File::open(folder)?.sync_all()
}

/// Makes a folder, and those above it.
pub(super) fn make_folder(folder: &Path, mode: u32, before: Before<'_>) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    before("make a folder")?;
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

/// A file of the store that cannot be read while `tried`.
pub(super) fn of_store(tried: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::store(tried, error)
}

/// Whether a folder holds nothing; one that is not there holds nothing.
pub(super) fn is_empty(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed("look into a folder")(error)),
        Ok(mut entries) => Ok(entries.next().is_none()),
    }
}
