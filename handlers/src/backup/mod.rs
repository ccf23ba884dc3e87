//! Backup: a copy of a store, made while a worker may run, from which it can be restored with the same pseudonyms.
//!
//! Order, so that every reference in the copy holds: **the ledger first**, as one state. What it calls delivered was visible
//! before that entry was written, so its object is there when we come for it; and where each object lies was written down
//! before the entry that received it, so **sources come after the ledger**. What happens meanwhile is in the next backup.
//! Objects are stored by digest: what is there already is read and hashed, not copied again. **The manifest comes last**, by
//! a rename: a folder without one is no backup, and the one before stays whole until then.

mod files;
mod keys_file;
mod manifest;
mod restore;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::events::{self, BackupMade, Digest, EventData, ProcessedKey};
use domain::ids::StreamId;
use ledger::{Frontier, Origin, Peek, copy_store, verify_store};

pub use files::Before;
pub use keys_file::KeysFile;
pub use manifest::{Kind, MANIFEST, Manifest, Part};
pub use restore::{Checked, Restored, check, restore};
pub(crate) use restore::{ENDS, take_up_again};
pub use seal::{PERSON_LOG_N, Passphrase};

use crate::acting::{self, Person};
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::surroundings::Surroundings;
use files::{failed, of_store};

/// What a backup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it holds.
    pub manifest: Manifest,
    /// SHA-256 of the manifest.
    pub digest: Digest,
    /// Parts that were not there before.
    pub copied: u64,
    /// Their size in bytes.
    pub copied_bytes: u64,
    /// Whether the keys were written.
    pub keys_wrapped: bool,
}

impl Made {
    /// Returns the size of all parts in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.manifest.parts.iter().map(|part| part.size_bytes).sum()
    }
}

/// Copies the store into the folder `to`, which is empty or holds an earlier backup of the same store, and writes the keys
/// to a file of their own if one is named.
///
/// # Errors
/// `backup_folder` (it holds something else), `backup_other_store`, `backup_newer` (what is there has entries that the store
/// lacks), `keys_file_exists`, `keys_inside_backup`, `ledger_damaged` (a store that does not verify is no backup),
/// `backup_busy`, `backup_io`, `backup_full`. After an error the earlier backup is whole.
pub fn copy(
    store: &Store,
    to: &Path,
    keys_to: Option<&KeysFile<'_>>,
    surroundings: &dyn Surroundings,
    before: Before<'_>,
) -> Result<Made> {
    let _lock = lock(store)?;
    let earlier = Manifest::read(to)?;
    if earlier.is_none() && !files::is_empty(to)? && !to.join("objects").is_dir() {
        return Err(Error::damaged("backup_folder", "make a backup: the folder holds something else", None));
    }
    for folder in ["", "objects", "sealed"] {
        files::make_folder(&to.join(folder), 0o700, before).map_err(failed("make the backup's folder"))?;
    }
    let (root, backup) = (store.root().canonicalize(), to.canonicalize());
    if root.is_ok_and(|root| backup.as_ref().is_ok_and(|backup| backup.starts_with(root))) {
        return Err(Error::damaged("backup_folder", "make a backup: the folder lies in the store itself", None));
    }
    if let Some(file) = keys_to {
        file.must_be_new()?;
        let folder = file.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let (Ok(folder), Ok(backup)) = (folder.canonicalize(), backup)
            && folder.starts_with(backup)
        {
            let tried = "write the keys: the file lies in the backup that they open";
            return Err(Error::damaged("keys_inside_backup", tried, None));
        }
    }
    let mut copier = Copier::new(store, to, before);
    let (origin, size, found_root) = copier.ledgers(earlier.as_ref().map(|(manifest, _)| manifest))?;
    copier.sources()?;
    copier.objects()?;
    copier.config()?;
    copier.signing()?;
    if let Some(file) = keys_to {
        file.write(&store.keys, origin.as_str(), before)?;
    }
    let now = i64::try_from(surroundings.now_ms()).unwrap_or(i64::MAX);
    let made_at = events::Time::from_unix_ms(now).to_string();
    let (copied, copied_bytes) = (copier.copied, copier.copied_bytes);
    let manifest = Manifest::of(&origin, size, found_root, made_at, copier.missing, copier.parts);
    let digest = finish(to, &manifest, before)?;
    Ok(Made { manifest, digest, copied, copied_bytes, keys_wrapped: keys_to.is_some() })
}

/// Records that a backup was made.
///
/// # Errors
/// What the ledger says; the backup stands all the same.
pub async fn record(store: &Store, surroundings: &dyn Surroundings, person: Person, made: &Made) -> Result<()> {
    let said = BackupMade {
        size: made.manifest.size,
        root: made.manifest.root,
        parts: made.manifest.parts.len() as u64,
        size_bytes: made.size_bytes(),
        missing: made.manifest.missing.len() as u64,
        manifest: made.digest,
        keys_wrapped: made.keys_wrapped,
        tags: vec![person.tag()],
    };
    acting::record(store.ledger.as_ref(), &store.keys, surroundings, person, None, said.into()).await
}

/// One backup, or one forgetting, of a store at a time: what the one copies the other may erase.
///
/// # Errors
/// `backup_busy`.
pub(crate) fn lock(store: &Store) -> Result<File> {
    let tried = "lock the store against another backup";
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(store.root().join("backup.lock"));
    let file = file.map_err(of_store(tried))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::lost("backup_busy", tried, "another one runs")),
        Err(fs::TryLockError::Error(error)) => Err(of_store(tried)(error)),
    }
}

/// Where the copy of `sources.sqlite` lies until it is sealed; removed by whoever next holds the lock.
pub(crate) fn unsealed_sources(store: &Store) -> PathBuf {
    store.root().join("staging").join("sources.backup")
}

/// Everything is copied: makes it durable, names it in the manifest, and removes what no part names any more.
fn finish(to: &Path, manifest: &Manifest, before: Before<'_>) -> Result<Digest> {
    let tried = "finish the backup";
    for folder in ["objects", "sealed", ""] {
        files::sync_folder(&to.join(folder), before).map_err(failed(tried))?;
    }
    let (bytes, digest) = manifest.bytes();
    files::write(&to.join(MANIFEST), 0o600, before, |file| file.write_all(&bytes), |_, _| true)
        .map_err(failed(tried))?;
    files::sync_folder(to, before).map_err(failed(tried))?;
    // The backup stands from here on. What follows frees space, and lets go of sources that were forgotten meanwhile.
    let named: BTreeSet<PathBuf> = manifest.parts.iter().map(Part::file).collect();
    for folder in ["objects", "sealed"] {
        for entry in fs::read_dir(to.join(folder)).map_err(failed(tried))? {
            let name = entry.map_err(failed(tried))?.file_name();
            if !named.contains(&Path::new(folder).join(&name)) {
                before("remove a part that is named no more").map_err(failed(tried))?;
                fs::remove_file(to.join(folder).join(name)).map_err(failed(tried))?;
            }
        }
    }
    Ok(digest)
}

struct Copier<'a> {
    store: &'a Store,
    to: &'a Path,
    before: Before<'a>,
    parts: Vec<Part>,
    missing: Vec<String>,
    delivered: BTreeMap<ProcessedKey, Digest>,
    copied: u64,
    copied_bytes: u64,
}

impl<'a> Copier<'a> {
    fn new(store: &'a Store, to: &'a Path, before: Before<'a>) -> Self {
        let (parts, missing, delivered) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { store, to, before, parts, missing, delivered, copied: 0, copied_bytes: 0 }
    }

    /// Copies the log, and those before a recovery, and notes what they call delivered.
    fn ledgers(&mut self, earlier: Option<&Manifest>) -> Result<(Origin, u64, Digest)> {
        let mut head = None;
        for (name, path) in crate::segments::paths(self.store.root())? {
            let part = self.to.join("objects").join("ledger.part");
            self.remove(&part)?;
            (self.before)("copy the ledger").map_err(failed("copy the ledger"))?;
            copy_store(&path, &part).map_err(|error| ledger_error("copy the ledger", error))?;
            let delivered = &mut self.delivered;
            let report = verify_store(&part, &mut |_, header, body| note_delivered(header, body, delivered));
            let report = report.map_err(|error| ledger_error("verify the copy of the ledger", error))?;
            let peek = Peek::open(&part).map_err(|error| ledger_error("verify the copy of the ledger", error))?;
            if !report.is_sound() {
                let tried = format!("make a backup: {name} does not verify, and what is there before stays");
                return Err(Error::damaged("ledger_damaged", tried, None));
            }
            if let Some(earlier) = earlier {
                goes_on(earlier, &peek)?;
            }
            head = Some((peek.origin.clone(), peek.head.size, Digest(peek.head.root.0)));
            let tried = "copy the ledger";
            let (sha256, size_bytes) = files::hash(&part).map_err(failed(tried))?.unwrap_or((Digest([0; 32]), 0));
            File::open(&part).and_then(|file| file.sync_all()).map_err(failed(tried))?;
            let part_of_it = Part { name, sha256, size_bytes };
            (self.before)("give the copy of the ledger its name").map_err(failed(tried))?;
            fs::rename(&part, self.to.join(part_of_it.file())).map_err(failed(tried))?;
            self.add_new(part_of_it);
        }
        head.ok_or_else(|| crate::store::no_ledger(self.store.root()))
    }

    /// Seals where the objects lie, and the copies of originals that it names.
    fn sources(&mut self) -> Result<()> {
        let copy = unsealed_sources(self.store);
        self.remove(&copy)?;
        (self.before)("copy sources.sqlite").map_err(failed("copy sources.sqlite"))?;
        let copies = self.store.sources.copy_to(&copy).and_then(|()| self.store.sources.copies_in(&copy));
        let sealed = copies.and_then(|copies| self.seal(&copy, "sources.sqlite").map(|()| copies));
        // It may hold names: it goes whether or not it was sealed.
        self.remove(&copy)?;
        for (stream, sha256) in sealed? {
            self.original(stream, sha256)?;
        }
        Ok(())
    }

    fn seal(&mut self, file: &Path, name: &str) -> Result<()> {
        let tried = "seal a part of the store";
        let mut from = File::open(file).map_err(of_store(tried))?;
        let passphrase = Passphrase::of_store(&self.store.keys);
        let at = self.to.join("sealed").join("next");
        let fill = |to: &mut dyn io::Write| passphrase.seal(&mut from, to).map(drop);
        let written = files::write(&at, 0o600, self.before, fill, |_, _| true).map_err(failed(tried))?;
        let (sha256, size_bytes) = written.unwrap_or((Digest([0; 32]), 0));
        let part = Part { name: name.to_owned(), sha256, size_bytes };
        (self.before)("give a sealed part its name").map_err(failed(tried))?;
        fs::rename(&at, self.to.join(part.file())).map_err(failed(tried))?;
        self.add_new(part);
        Ok(())
    }

    /// Seals the copy of an original, unless it lies there sealed already and opens to the bytes that were received.
    fn original(&mut self, stream: StreamId, sha256: Digest) -> Result<()> {
        let name = format!("raw/{stream}.dcm");
        let part = Part { name: name.clone(), sha256: Digest([0; 32]), size_bytes: 0 };
        let (at, passphrase) = (self.to.join(part.file()), Passphrase::of_store(&self.store.keys));
        if restore::opens_to(&passphrase, &at) == Some(sha256) {
            let (sha256, size_bytes) = files::hash(&at).map_err(failed("read the backup"))?.unwrap_or((sha256, 0));
            self.parts.push(Part { name, sha256, size_bytes });
            return Ok(());
        }
        let mut from = match File::open(self.store.root().join(&name)) {
            Ok(file) => file,
            Err(_) => {
                self.missing.push(stream.to_string());
                return Ok(());
            }
        };
        let mut read = Reader { inner: &mut from, hashed: files::Hashed::new(io::sink()) };
        let fill = |to: &mut dyn io::Write| passphrase.seal(&mut read, to).map(drop);
        let written = files::write(&at, 0o600, self.before, fill, |_, _| true).map_err(failed("seal an original"))?;
        let (found, _) = read.hashed.finish();
        match written {
            Some((stored, size_bytes)) if found == sha256 => {
                self.add_new(Part { name, sha256: stored, size_bytes });
            }
            _ => {
                fs::remove_file(&at).map_err(failed("seal an original"))?;
                self.missing.push(stream.to_string());
            }
        }
        Ok(())
    }

    /// Copies the objects that the log calls delivered.
    fn objects(&mut self) -> Result<()> {
        for (key, sha256) in std::mem::take(&mut self.delivered) {
            let name = format!("processed/{key}");
            let at = self.to.join("objects").join(sha256.to_string());
            let held = files::hash(&at).map_err(failed("read the backup"))?;
            if let Some((found, size_bytes)) = held
                && found == sha256
            {
                self.parts.push(Part { name, sha256, size_bytes });
                continue;
            }
            let mut from = match File::open(self.store.processed().join(key.as_str())) {
                Ok(file) => file,
                Err(_) => {
                    self.missing.push(key.to_string());
                    continue;
                }
            };
            let fill = |to: &mut dyn io::Write| files::copy(&mut from, to);
            let keep = |found, _| found == sha256;
            let written = files::write(&at, 0o600, self.before, fill, keep).map_err(failed("copy an object"))?;
            match written {
                Some((_, size_bytes)) => self.add_new(Part { name, sha256, size_bytes }),
                None => self.missing.push(key.to_string()),
            }
        }
        Ok(())
    }

    fn config(&mut self) -> Result<()> {
        let file = self.store.root().join("config.toml");
        if file.is_file() { self.seal(&file, "config.toml") } else { Ok(()) }
    }

    /// Seals what signs checkpoints, and whose signatures stand under older ones. Tiles and checkpoint are made anew from the log.
    fn signing(&mut self) -> Result<()> {
        for name in ["keys/signing", "log/vkeys"] {
            let file = self.store.root().join(name);
            if file.is_file() {
                self.seal(&file, name)?;
            }
        }
        Ok(())
    }

    fn add_new(&mut self, part: Part) {
        self.copied += 1;
        self.copied_bytes += part.size_bytes;
        self.parts.push(part);
    }

    fn remove(&self, file: &Path) -> Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove what was left half made")(error))
            }
            _ => Ok(()),
        }
    }
}

/// Hashes what is read through it.
struct Reader<'a> {
    inner: &'a mut File,
    hashed: files::Hashed<io::Sink>,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(block)?;
        io::Write::write_all(&mut self.hashed, &block[..n])?;
        Ok(n)
    }
}

fn note_delivered(header: &ledger::Header, body: &str, delivered: &mut BTreeMap<ProcessedKey, Digest>) {
    if !header.types.iter().any(|name| name.starts_with("imaging.instance.delivered.")) {
        return;
    }
    for event in events::read(body.as_bytes()).unwrap_or_default() {
        if let EventData::InstanceDelivered(said) = event.data {
            delivered.insert(said.key, said.sha256);
        }
    }
}

/// Refuses to put an older or another log in the place of the one that a backup holds.
fn goes_on(earlier: &Manifest, now: &Peek) -> Result<()> {
    let store_of = |origin: &str| origin.split('#').next().unwrap_or_default().to_owned();
    if store_of(&earlier.origin) != store_of(now.origin.as_str()) {
        let tried = "make a backup: the folder holds one of another store";
        return Err(Error::damaged("backup_other_store", tried, None));
    }
    if earlier.origin != now.origin.as_str() {
        return Ok(());
    }
    let same = earlier.size <= now.head.size
        && now.grown(&Frontier::new(), earlier.size).is_ok_and(|tree| tree.root().0 == earlier.root.0);
    if same {
        return Ok(());
    }
    let tried = format!(
        "make a backup: the one in the folder holds {} entries, which are not the first of the store's {}",
        earlier.size, now.head.size
    );
    Err(Error::damaged("backup_newer", tried, None))
}
