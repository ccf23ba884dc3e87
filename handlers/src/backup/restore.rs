//! Restore: a backup is checked part by part while it is put together beside its place, and takes the place whole.
//!
//! A restored store may be older than what was recorded after the backup, and going on under the same origin would fork the
//! log. So it carries a mark (`heads::RESTORED`) until `recover` begins a new origin.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use domain::events::Digest;
use domain::ids::{KeyedHash, Keys, StreamId};
use ledger::{Peek, StreamKey, verify_store};

use super::files::{self, Before, failed};
use super::manifest::{Kind, Manifest, Part};
use super::{KeysFile, Passphrase};
use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::heads;
use crate::sealer;
use crate::sources::Sources;

/// What a check of a backup found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What the backup holds.
    pub manifest: Manifest,
    /// SHA-256 of the manifest.
    pub digest: Digest,
    /// Whether the sealed parts were opened too, for which the keys are needed.
    pub opened: bool,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup held.
    pub checked: Checked,
    /// Objects that had no end when the backup was made.
    pub unfinished: u64,
}

/// Checks every part of the backup in `from`: its digest, that the ledger verifies and is the one that the manifest names,
/// and, with the keys, that they are those of the store and open what is sealed. Writes nothing.
///
/// # Errors
/// `backup_missing`, `backup_manifest`, `part_missing`, `part_altered` (each names the part), `ledger_damaged`,
/// `backup_contradicts`, `passphrase_wrong`, `keys_file_damaged`, `key_other`, `backup_io`.
pub fn check(from: &Path, keys: Option<&KeysFile<'_>>) -> Result<Checked> {
    let (manifest, digest) = read_manifest(from)?;
    let keys = keys.map(KeysFile::read).transpose()?;
    for part in &manifest.parts {
        check_part(from, part, &mut io::sink())?;
    }
    check_ledgers(&manifest, keys.as_ref(), |part| from.join(part.file()))?;
    if let Some(keys) = &keys {
        let passphrase = Passphrase::of_store(keys);
        for part in manifest.parts.iter().filter(|part| part.is_sealed()) {
            open_part(from, part, &passphrase, &mut io::sink())?;
        }
    }
    Ok(Checked { manifest, digest, opened: keys.is_some() })
}

/// Restores the backup in `from` into `store`, which must be empty or not there. It is whole there or not at all.
///
/// # Errors
/// As [`check`]; `restore_occupied` when `store` holds something, `store_io`, `disk_full`.
pub fn restore(from: &Path, store: &Path, keys: &KeysFile<'_>, before: Before<'_>) -> Result<Restored> {
    let (manifest, digest) = read_manifest(from)?;
    let keys = keys.read()?;
    if !files::is_empty(store)? {
        return Err(Error::damaged("restore_occupied", "restore a backup: the store's folder holds something", None));
    }
    let building = building(store);
    if !is_ours(&building) {
        let tried = "restore a backup: beside the store's folder lies `.restoring`, which is not ours";
        return Err(Error::damaged("restore_occupied", tried, None));
    }
    let tried = "put the restored store together";
    fs::remove_dir_all(&building)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        .map_err(|error| Error::store(tried, error))?;
    build(from, &manifest, &keys, &building, before)?;
    let unfinished = open_again(&building, before)?;
    before("make the tiles anew").map_err(|error| Error::store("make the tiles of the log anew", error))?;
    sealer::in_place(sealer::mend_store(&building))?;
    sync_all(&building, before).map_err(|error| Error::store(tried, error))?;
    let parent = parent(store);
    let placed = before("put the restored store in its place")
        .and_then(|()| fs::rename(&building, store))
        .and_then(|()| files::sync_folder(parent, before));
    placed.map_err(|error| Error::store(tried, error))?;
    Ok(Restored { checked: Checked { manifest, digest, opened: true }, unfinished })
}

fn read_manifest(from: &Path) -> Result<(Manifest, Digest)> {
    Manifest::read(from)?.ok_or_else(|| {
        Error::damaged("backup_missing", "read a backup: there is no manifest, so it was never finished", None)
    })
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a store is put together: on the same file system, under a name that a later call finds and removes.
fn building(store: &Path) -> PathBuf {
    let mut name = store.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    parent(store).join(name)
}

/// Whether what lies where a store is put together is nothing, or was left by us: the mark is the first file made there.
fn is_ours(building: &Path) -> bool {
    let Ok(entries) = fs::read_dir(building) else { return !building.exists() };
    let mark = building.join(heads::RESTORED);
    let part = files::part_of(&mark);
    mark.exists() || entries.flatten().all(|entry| entry.path() == part)
}

fn part_error(code: &'static str, part: &Part) -> Error {
    Error::damaged(code, format!("read part {} of a backup", part.name), None)
}

/// Reads a part whole, to `to`, and compares it with its digest.
fn check_part(from: &Path, part: &Part, to: &mut dyn io::Write) -> Result<()> {
    let tried = || format!("read part {} of a backup", part.name);
    let mut file = File::open(from.join(part.file())).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => part_error("part_missing", part),
        _ => failed(tried())(error),
    })?;
    let mut hashed = files::Hashed::new(to);
    files::copy(&mut file, &mut hashed).map_err(failed(tried()))?;
    let found = hashed.finish();
    if found == (part.sha256, part.size_bytes) { Ok(()) } else { Err(part_error("part_altered", part)) }
}

fn open_part(from: &Path, part: &Part, passphrase: &Passphrase, to: &mut dyn io::Write) -> Result<()> {
    let tried = || format!("open part {} of a backup", part.name);
    let mut file = File::open(from.join(part.file())).map_err(failed(tried()))?;
    passphrase.open(&mut file, to).map(drop).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            part_error("part_altered", part)
        }
        _ => failed(tried())(error),
    })
}

/// Returns the digest of what a sealed file opens to; none if it does not.
pub(super) fn opens_to(passphrase: &Passphrase, path: &Path) -> Option<Digest> {
    let mut hashed = files::Hashed::new(io::sink());
    passphrase.open(&mut File::open(path).ok()?, &mut hashed).ok()?;
    Some(hashed.finish().0)
}

/// Verifies the logs, and that the last one is the one that the manifest names and was written with these keys.
fn check_ledgers(manifest: &Manifest, keys: Option<&Keys>, path: impl Fn(&Part) -> PathBuf) -> Result<()> {
    let contradicts = |what: &str| Error::damaged("backup_contradicts", format!("check a backup: {what}"), None);
    let mut present = None;
    for part in manifest.parts.iter().filter(|part| part.kind() == Some(Kind::Ledger)) {
        let failed = |error| ledger_error("verify the ledger of a backup", error);
        let report = verify_store(path(part), &mut |_, _, _| {}).map_err(failed)?;
        if !report.is_sound() {
            let tried = format!("verify part {} of a backup: it is not what was written", part.name);
            return Err(Error::damaged("ledger_damaged", tried, None));
        }
        let peek = Peek::open(path(part)).map_err(failed)?;
        if part.name == "ledger.sqlite" {
            present = Some(peek);
        }
    }
    let present = present.ok_or_else(|| contradicts("it has no ledger"))?;
    let same = present.origin.as_str() == manifest.origin
        && (present.head.size, present.head.root.0) == (manifest.size, manifest.root.0);
    if !same {
        return Err(contradicts("its ledger is not the one that its manifest names"));
    }
    let Some(keys) = keys else { return Ok(()) };
    let pinned = present.meta().map_err(|error| ledger_error("compare the keys with the ledger", error))?;
    crate::store::compare_keys(&pinned, keys)
}

fn build(from: &Path, manifest: &Manifest, keys: &Keys, building: &Path, before: Before<'_>) -> Result<()> {
    let tried = "put the restored store together";
    let store_failed = |error| Error::store(tried, error);
    // Modes as the store itself makes them: who may read what was delivered could read it before.
    for (folder, mode) in [("", 0o750), ("processed", 0o750), ("staging", 0o700), ("raw", 0o700), ("keys", 0o700)] {
        files::make_folder(&building.join(folder), mode, before).map_err(store_failed)?;
        if folder.is_empty() {
            let mark = heads::restored_mark(&manifest.origin, manifest.size, manifest.root);
            let fill = |file: &mut dyn io::Write| file.write_all(mark.as_bytes());
            files::write(&building.join(heads::RESTORED), 0o600, before, fill, |_, _| true).map_err(store_failed)?;
        }
    }
    let passphrase = Passphrase::of_store(keys);
    for part in &manifest.parts {
        let at = building.join(&part.name);
        if let Some(Kind::Processed(_)) = part.kind() {
            files::make_folder(parent(&at), 0o755, before).map_err(store_failed)?;
        }
        if let Some(Kind::VerifierKeys) = part.kind() {
            files::make_folder(parent(&at), 0o755, before).map_err(store_failed)?;
        }
        let mode = match part.kind() {
            Some(Kind::Processed(_) | Kind::Ledger | Kind::Config | Kind::VerifierKeys) => 0o644,
            _ => 0o600,
        };
        // What a part is wrong in is told as that, not as what the write made of it.
        let mut wrong = None;
        let fill = |to: &mut dyn io::Write| {
            let read = match part.is_sealed() {
                true => check_part(from, part, &mut io::sink()).and_then(|()| open_part(from, part, &passphrase, to)),
                false => check_part(from, part, to),
            };
            read.map_err(|error| {
                wrong = Some(error);
                io::Error::other("the part cannot be used")
            })
        };
        let written = files::write(&at, mode, before, fill, |_, _| true);
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        written.map_err(store_failed)?;
    }
    check_ledgers(manifest, Some(keys), |part| building.join(&part.name))?;
    crate::keys::write_all(&building.join("keys"), keys, before)
}

/// The copy of `sources.sqlite` is younger than that of the ledger: what it calls ended need not have ended there. The
/// ledger decides, and every stream without an end is taken up again.
fn open_again(building: &Path, before: Before<'_>) -> Result<u64> {
    let paths = crate::segments::paths(building)?.into_iter().map(|(_, path)| path);
    before("note which objects have no end").map_err(|error| Error::store("note which objects have no end", error))?;
    take_up_again(paths, &Sources::open(&building.join("sources.sqlite"))?)
}

/// Notes in `sources` which objects have no end, as these logs tell in their order; returns how many.
pub(crate) fn take_up_again(logs: impl Iterator<Item = PathBuf>, sources: &Sources) -> Result<u64> {
    let mut open: BTreeSet<StreamKey> = BTreeSet::new();
    for path in logs {
        let mut note = |_, header: &ledger::Header, _: &str| note_open(header, &mut open);
        verify_store(path, &mut note).map_err(|error| ledger_error("look for objects without an end", error))?;
    }
    let streams: Vec<_> = open.iter().map(|stream| StreamId(KeyedHash(stream.0))).collect();
    sources.set_ended(&streams, false)?;
    Ok(streams.len() as u64)
}

/// Types of the events with which an object comes to an end, without their versions.
pub(crate) const ENDS: [&str; 3] =
    ["imaging.instance.delivered.", "imaging.instance.quarantined.", "imaging.processing.failed."];

/// Keeps in `open` the streams of objects whose last entry is no end.
fn note_open(header: &ledger::Header, open: &mut BTreeSet<StreamKey>) {
    let is_one_of =
        |starts: &[&str]| header.types.iter().any(|name| starts.iter().any(|start| name.starts_with(start)));
    if is_one_of(&ENDS) {
        open.remove(&header.stream);
    } else if is_one_of(&["imaging.object.received.", "imaging.instance.", "imaging.replay.requested."]) {
        open.insert(header.stream);
    }
}

/// Makes every folder durable; the files were as they were written.
fn sync_all(folder: &Path, before: Before<'_>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // At most study, series, object: the depth is that of our own names.
            sync_all(&entry.path(), before)?;
        }
    }
    files::sync_folder(folder, before)
}
