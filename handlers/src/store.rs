//! The embedded store: one folder with `processed/ staging/ raw/ ledger.sqlite sources.sqlite keys/ config.toml lock`.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ids::Keys;
use ledger::{Ledger, Open, Origin, SqliteLedger};

use crate::commit::ledger_error;
use crate::error::{Error, Result};
use crate::joined::Joined;
use crate::objects::folder::FolderObjects;
use crate::replay::dry::{DryLedger, DryObjects};
use crate::sources::Sources;
use crate::surroundings::Surroundings;
use crate::{keys, pipeline, segments};

/// Name of the project in the origin of its ledgers.
const ORIGIN_NAME: &str = "medimg";

/// Streams that are looked at when staged files are swept.
const SWEEP_STREAMS_MAX: usize = 1_000_000;

/// What a caller wants of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To process objects: the store is made if it is not there, and locked against a second worker.
    Work,
    /// To ask and to append what was asked: the store must be there.
    Ask,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// The keys.
    pub keys: Keys,
    /// The ledger.
    pub ledger: Arc<SqliteLedger>,
    /// Raw objects where they lie, staged and processed ones in the store.
    pub objects: Arc<FolderObjects>,
    /// Where each object lies.
    pub sources: Arc<Sources>,
    /// Held while a worker works; the system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

/// A store whose ledger is closed and whose lock is still held.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) keys: Keys,
    pub(crate) sources: Arc<Sources>,
    _lock: Option<File>,
}

impl Store {
    /// Opens the store at `root`.
    ///
    /// # Errors
    /// `store_missing`, `store_locked`, `key_missing`, `key_permissions`, `key_damaged`, `key_other` (the store was made with
    /// another key), `ledger_*`, `sources_*`, `disk_full`, `store_unwritable`.
    pub fn open(root: &Path, access: Access, environment: &str, surroundings: &dyn Surroundings) -> Result<Self> {
        let exists = fs::metadata(ledger_path(root)).is_ok_and(|meta| meta.len() > 0);
        if !exists && has_worked(root) {
            return Err(no_ledger(root));
        }
        let lock = match access {
            Access::Ask if !exists => return Err(no_ledger(root)),
            Access::Ask => None,
            Access::Work => {
                make_folders(root)?;
                Some(lock(root)?)
            }
        };
        // Keys are made for a new store only: a store without its keys is a loss to be told, not to be papered over.
        if !exists {
            keys::create_missing(&root.join("keys"))?;
        }
        let keys = keys::load(&root.join("keys"))?;
        let ledger = open_ledger(root, environment, surroundings)?;
        let ledger = with_past(root, ledger).map_err(|error| ledger_error("open a log before a recovery", error))?;
        pin_keys(&ledger, &keys)?;
        let sources = Sources::open(&root.join("sources.sqlite"))?;
        let objects = FolderObjects::new(root.join("processed"), root.join("staging"));
        let store = Self {
            root: root.to_owned(),
            keys,
            ledger: Arc::new(ledger),
            objects: Arc::new(objects),
            sources: Arc::new(sources),
            _lock: lock,
        };
        if access == Access::Work {
            store.sweep()?;
        }
        Ok(store)
    }

    /// As [`Store::open`], for what needs a store that is there.
    ///
    /// # Errors
    /// As [`Store::open`]; `store_missing`, `ledger_gone`.
    pub fn open_existing(
        root: &Path,
        access: Access,
        environment: &str,
        surroundings: &dyn Surroundings,
    ) -> Result<Self> {
        if !fs::metadata(ledger_path(root)).is_ok_and(|meta| meta.len() > 0) {
            return Err(no_ledger(root));
        }
        Self::open(root, access, environment, surroundings)
    }

    /// Closes the ledger and keeps the lock.
    pub(crate) fn close(self) -> Closed {
        Closed { keys: self.keys, sources: self.sources, _lock: self._lock }
    }

    /// Returns the store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns all logs of the store as one.
    ///
    /// # Errors
    /// What reading the logs that ended before a recovery says.
    pub fn joined(&self) -> Result<Joined<'_>> {
        Joined::new(&self.ledger).map_err(|error| ledger_error("read the logs of the store", error))
    }

    /// Returns the folder of copied originals.
    pub fn raw(&self) -> PathBuf {
        self.root.join("raw")
    }

    /// Returns the folder of processed objects.
    pub fn processed(&self) -> PathBuf {
        self.root.join("processed")
    }

    /// Returns the path of the views, which need not be there.
    pub fn views_path(&self) -> PathBuf {
        self.root.join("views.sqlite")
    }

    /// Returns the ports as a pipeline wants them.
    pub fn ledger_port(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger) as Arc<dyn Ledger>
    }

    /// Removes staged files that no unfinished stream will publish. For whoever holds the lock.
    ///
    /// # Errors
    /// `sources_io` and `store_io`.
    pub fn sweep(&self) -> Result<()> {
        let open: HashSet<_> = self.sources.open_streams(SWEEP_STREAMS_MAX)?.into_iter().collect();
        if open.len() < SWEEP_STREAMS_MAX {
            let removed = self.objects.sweep_staging(&open)?;
            tracing::debug!(removed, "swept staging");
        }
        Ok(())
    }
}

/// Whether objects were processed here: `sources.sqlite` is made after the ledger, so where it stands there was one.
fn has_worked(root: &Path) -> bool {
    root.join("sources.sqlite").exists()
}

/// The error of a store without a ledger: nothing was ever processed, or what was recorded is gone. A new ledger in the
/// place of a lost one would hide the loss.
pub fn no_ledger(root: &Path) -> Error {
    if has_worked(root) {
        return Error::damaged(
            "ledger_gone",
            "open a store: objects were processed in it, and its ledger is gone or empty",
            None,
        );
    }
    Error::damaged("store_missing", "open a store: there is none at the path", None)
}

fn ledger_path(root: &Path) -> PathBuf {
    root.join("ledger.sqlite")
}

fn make_folders(root: &Path) -> Result<()> {
    for (name, mode) in [("", 0o750), ("processed", 0o750), ("staging", 0o700), ("raw", 0o700)] {
        let folder = if name.is_empty() { root.to_owned() } else { root.join(name) };
        let tried = || format!("make the store's folder {}", if name.is_empty() { "itself" } else { name });
        fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(folder)
            .map_err(|error| Error::store(tried(), error))?;
    }
    Ok(())
}

fn lock(root: &Path) -> Result<File> {
    let failed = |error| Error::store("open the store's lock", error);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(root.join("lock"));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let tried = "take the store's lock: another worker is processing in this store";
            Err(Error::lost("store_locked", tried, "the lock is held"))
        }
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn open_ledger(root: &Path, environment: &str, surroundings: &dyn Surroundings) -> Result<SqliteLedger> {
    let path = ledger_path(root);
    let failed = |error| ledger_error("open the ledger", error);
    match SqliteLedger::open(&path, Open::Existing) {
        Err(ledger::Error::Missing) => {
            let mut id = [0; 16];
            surroundings.random(&mut id);
            let origin = Origin::new(ORIGIN_NAME, environment, id).ok_or_else(|| {
                Error::damaged(
                    "environment_name",
                    "name the ledger: the environment's name has other characters than a-z 0-9 -",
                    None,
                )
            })?;
            match SqliteLedger::open(&path, Open::CreateWith(origin)) {
                // Another process made it in the same moment.
                Err(ledger::Error::Exists) => SqliteLedger::open(&path, Open::Existing).map_err(failed),
                other => other.map_err(failed),
            }
        }
        other => other.map_err(failed),
    }
}

/// Adds the logs that ended when the store was recovered.
fn with_past(root: &Path, ledger: SqliteLedger) -> std::result::Result<SqliteLedger, ledger::Error> {
    let listed = ledger.meta(segments::PAST)?;
    let past: Vec<_> = segments::numbers(listed.as_deref()).map(|number| root.join(segments::name(number))).collect();
    if past.is_empty() { Ok(ledger) } else { ledger.with_past(&past) }
}

/// Compares keys with the check values that stand beside a log, which must name every one of them.
///
/// # Errors
/// `key_other`.
pub fn compare_keys(pinned: &[(String, String)], keys: &Keys) -> Result<()> {
    for (name, key) in keys::named(keys) {
        let (at, value) = (format!("kcv.{name}"), key.check_value().to_string());
        if !pinned.iter().any(|(pin, found)| *pin == at && *found == value) {
            let tried = format!("compare keys/{name} with the ledger: it was written with another key");
            return Err(Error::damaged("key_other", tried, None));
        }
    }
    Ok(())
}

/// Compares the keys with those that the store was made with; the first opening says which those are.
fn pin_keys(ledger: &SqliteLedger, keys: &Keys) -> Result<()> {
    let failed = |error| ledger_error("compare the keys with the store", error);
    let wanted: Vec<_> =
        keys::named(keys).map(|(name, key)| (format!("kcv.{name}"), key.check_value().to_string())).collect();
    let pinned = |at: &str| ledger.meta(at).map_err(failed);
    let mut absent = Vec::new();
    for (at, value) in &wanted {
        match pinned(at)? {
            Some(pinned) => compare_key(at, value, &pinned)?,
            None => absent.push((at.clone(), value.clone())),
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    ledger.set_metas_if_absent(&absent).map_err(failed)?;
    // Another process may have been first.
    absent.iter().try_for_each(|(at, value)| compare_key(at, value, &pinned(at)?.unwrap_or_default()))
}

fn compare_key(at: &str, value: &str, pinned: &str) -> Result<()> {
    if pinned == value {
        return Ok(());
    }
    let name = at.trim_start_matches("kcv.");
    let tried = format!("open a store with keys/{name}: the store was made with another key");
    Err(Error::damaged("key_other", tried, None))
}

/// Makes the pipeline of a store.
///
/// # Errors
/// `profile_damaged` when the profile does not load whole.
pub fn pipeline(
    store: &Store,
    profile: domain::dicom::deidentify::Profile,
    limits: domain::dicom::limits::Limits,
    surroundings: Arc<dyn Surroundings>,
) -> Result<pipeline::Pipeline> {
    let pipeline = pipeline::Pipeline::new(
        store.ledger_port(),
        Arc::clone(&store.objects) as Arc<dyn crate::ports::objects::Objects>,
        Arc::clone(&store.sources) as Arc<dyn crate::ports::sources::SourceTable>,
        store.keys.clone(),
        profile,
        limits,
        surroundings,
    )?;
    Ok(pipeline.with_copies(store.raw()))
}

/// Makes the pipeline of a dry run: it reads the store, and what it would write goes into memory.
///
/// # Errors
/// As [`pipeline`], and what opening `sources.sqlite` says.
pub fn dry_pipeline(
    store: &Store,
    profile: domain::dicom::deidentify::Profile,
    limits: domain::dicom::limits::Limits,
    surroundings: Arc<dyn Surroundings>,
) -> Result<pipeline::Pipeline> {
    let sources = Sources::open_discarding(&store.root.join("sources.sqlite"))?;
    let pipeline = pipeline::Pipeline::new(
        Arc::new(DryLedger::new(store.ledger_port())),
        Arc::new(DryObjects::new(Arc::clone(&store.objects) as Arc<dyn crate::ports::objects::Objects>)),
        Arc::new(sources),
        store.keys.clone(),
        profile,
        limits,
        surroundings,
    )?;
    Ok(pipeline.with_copies(store.raw()))
}

#[cfg(test)]
mod tests {
    use domain::Phi;
    use domain::ids::Location;

    use super::*;
    use crate::sources::SourceRow;
    use crate::surroundings::System;

    #[test]
    fn what_an_unfinished_stream_staged_is_kept_and_the_rest_is_swept() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().join("store");
        let store = Store::open(&root, Access::Work, "test", &System).expect("open");
        let rows = ["/open", "/ended"].map(|path| {
            let location = Location { bucket: "file".into(), key: Phi::new(path.into()), version: "00".into() };
            SourceRow { stream: store.keys.object_stream(&location), location, size_bytes: 1, copied: false }
        });
        store.sources.put(&rows).expect("put");
        store.sources.set_ended(&[rows[1].stream], true).expect("end");
        let staged = rows.each_ref().map(|row| root.join("staging").join(format!("{}-0", row.stream)));
        staged.iter().for_each(|path| fs::write(path, b"bytes").expect("write"));
        drop(store);
        drop(Store::open(&root, Access::Work, "test", &System).expect("open again"));
        assert_eq!(staged.map(|path| path.exists()), [true, false]);
    }
}
