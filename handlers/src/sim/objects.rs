//! Objects on a simulated disk: what is written is there at once for this process, and for the next machine only once it was
//! synced. Raw objects may fail to open, vanish or change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::ids::{Location, StreamId};
use sha2::{Digest as _, Sha256};

use super::world::{Crash, Effect, Fate, World, about};
use crate::error::{Error, Result};
use crate::ports::objects::{Digest, Objects, OutputKey, Published, Source, StageToken, Staging};

/// What happens to a raw object after it was opened for the first time, until somebody repairs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// So many of the later openings fail.
    Flaky(u32),
    /// It is removed.
    Gone,
    /// Its last byte is another one.
    Changed,
    /// Something else lies in its place.
    Replaced,
}

impl Trouble {
    /// Returns what lies at the path afterwards.
    pub(super) fn after(self, bytes: &[u8]) -> Vec<u8> {
        let mut other = bytes.to_vec();
        match self {
            // As long as before, and it scans as before.
            Self::Changed => other.last_mut().into_iter().for_each(|byte| *byte ^= 0x55),
            Self::Replaced => other.fill(b'x'),
            Self::None | Self::Flaky(_) | Self::Gone => {}
        }
        other
    }
}

#[derive(Debug)]
struct RawFile {
    bytes: Arc<Vec<u8>>,
    other: Arc<Vec<u8>>,
    trouble: Trouble,
    opened: u32,
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// So many bytes survive the power.
    synced: usize,
}

#[derive(Debug, Default)]
struct Disk {
    raw: BTreeMap<Vec<u8>, RawFile>,
    files: Vec<File>,
    /// Name in `staging/` -> file, and whether the name would survive the power.
    staging: BTreeMap<String, usize>,
    staging_synced: BTreeSet<String>,
    /// Names that were removed and may come back with the power.
    removed: BTreeMap<String, usize>,
    /// Output key -> file, and whether the name is synced.
    visible: BTreeMap<String, (usize, bool)>,
}

/// A disk; clones share it.
#[derive(Clone)]
pub(super) struct SimObjects {
    world: Arc<World>,
    disk: Arc<Mutex<Disk>>,
}

fn store_error() -> Error {
    Error::store("call a disk that was told to fail", io::Error::other("simulated"))
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn name_about(name: &str) -> u32 {
    name.get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default()
}

/// The name of a stage that is not whole yet.
fn part(name: &str) -> String {
    format!("{name}.part")
}

/// Runs an effect as fate wants it: kept or not, then failing or dying.
macro_rules! act {
    ($self:ident, $fate:expr, $effect:expr) => {
        match $fate {
            Fate::Go | Fate::Stop => $effect,
            Fate::Fail(effect) => {
                if effect == Effect::Kept {
                    let _kept = $effect;
                }
                return Err(store_error());
            }
            Fate::Crash(crash, effect) => {
                if effect == Effect::Kept {
                    let _kept = $effect;
                }
                $self.world.die(crash);
                return $self.world.never().await;
            }
            Fate::Dead => return $self.world.never().await,
        }
    };
}

impl SimObjects {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, disk: Arc::default() }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a raw object at a path.
    pub(super) fn put_raw(&self, path: &[u8], bytes: Vec<u8>, trouble: Trouble) {
        let other = trouble.after(&bytes);
        let file = RawFile { bytes: Arc::new(bytes), other: Arc::new(other), trouble, opened: 0 };
        self.disk().raw.insert(path.to_vec(), file);
    }

    /// Whatever was removed or changed is again as it was.
    pub(super) fn repair(&self) {
        self.disk().raw.values_mut().for_each(|raw| raw.trouble = Trouble::None);
    }

    /// Returns what is visible, by key.
    pub(super) fn visible(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk();
        disk.visible.iter().map(|(key, (file, _))| (key.clone(), disk.files[*file].bytes.clone())).collect()
    }

    /// Returns the names in `staging/`.
    pub(super) fn staged(&self) -> Vec<String> {
        self.disk().staging.keys().cloned().collect()
    }

    /// Removes what no open stream staged, as the store does when it is opened.
    pub(super) fn sweep(&self, open: &[StreamId]) {
        let mut disk = self.disk();
        let orphans = |name: &String| !open.iter().any(|stream| name.starts_with(&stream.to_string()));
        let names: Vec<String> = disk.staging.keys().filter(|name| orphans(name)).cloned().collect();
        names.iter().for_each(|name| disk.unlink(name));
    }

    /// Takes from the disk what a machine that lost its power may lose. A killed process loses nothing that it wrote.
    pub(super) fn lose(&self, crash: Crash) {
        if crash == Crash::Process {
            return;
        }
        let world = &self.world;
        let mut disk = self.disk();
        for file in &mut disk.files {
            let unsynced = file.bytes.len() - file.synced;
            if unsynced > 0 {
                file.bytes.truncate(file.synced + world.below(unsynced + 1));
            }
            file.synced = file.bytes.len();
        }
        let Disk { staging, staging_synced, removed, visible, .. } = &mut *disk;
        staging.retain(|name, _| staging_synced.contains(name) || world.below(2) == 0);
        for (name, file) in std::mem::take(removed) {
            if world.below(2) == 0 {
                staging.entry(name).or_insert(file);
            }
        }
        visible.retain(|_, (_, synced)| *synced || world.below(2) == 0);
        visible.values_mut().for_each(|(_, synced)| *synced = true);
        *staging_synced = staging.keys().cloned().collect();
    }
}

impl Disk {
    fn unlink(&mut self, name: &str) {
        if let Some(file) = self.staging.remove(name) {
            self.staging_synced.remove(name);
            self.removed.insert(name.to_owned(), file);
        }
    }

    /// Begins a part under a number that no stage of the stream has.
    fn create(&mut self, stream: StreamId) -> (String, usize) {
        let taken = |name: &String| self.staging.contains_key(name) || self.staging.contains_key(&part(name));
        let free = (0..1_000).map(|n| format!("{stream}-{n}")).find(|name| !taken(name));
        let name = free.expect("fewer than a thousand stages of a stream");
        self.files.push(File::default());
        self.staging.insert(part(&name), self.files.len() - 1);
        (name, self.files.len() - 1)
    }

    fn finish(&mut self, name: &str, file: usize) {
        self.files[file].synced = self.files[file].bytes.len();
        self.unlink(&part(name));
        self.staging.insert(name.to_owned(), file);
    }

    /// Links, unless the key is taken; says what `publish` answers.
    fn link(&mut self, token: &StageToken, key: &OutputKey, digest: Digest) -> Option<Published> {
        let staged = self.staging.get(&token.0).copied();
        match (self.visible.get(key.as_str()).map(|(file, _)| *file), staged) {
            (Some(file), Some(staged)) if file == staged => Some(Published::Now),
            (Some(file), _) if digest_of(&self.files[file].bytes) == digest => Some(Published::AlreadyThere),
            (Some(_), _) => Some(Published::Conflict),
            (None, Some(staged)) => {
                self.visible.insert(key.as_str().to_owned(), (staged, false));
                Some(Published::Now)
            }
            (None, None) => None,
        }
    }

    fn open(&mut self, path: &[u8]) -> io::Result<Arc<Vec<u8>>> {
        let raw = self.raw.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        raw.opened += 1;
        match &mut raw.trouble {
            _ if raw.opened == 1 => Ok(raw.bytes.clone()),
            Trouble::None | Trouble::Flaky(0) => Ok(raw.bytes.clone()),
            Trouble::Flaky(left) => {
                *left -= 1;
                Err(io::Error::other("simulated"))
            }
            Trouble::Gone => Err(io::ErrorKind::NotFound.into()),
            Trouble::Changed | Trouble::Replaced => Ok(raw.other.clone()),
        }
    }
}

#[async_trait]
impl Objects for SimObjects {
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>> {
        let path = location.key.expose().clone();
        let failed = |error| Error::source("open a source", error);
        match self.world.call("open", about(&path[path.len().saturating_sub(4)..])).await {
            Fate::Go | Fate::Stop => {}
            Fate::Fail(_) => return Err(failed(io::Error::other("simulated"))),
            Fate::Crash(crash, _) => {
                self.world.die(crash);
                return self.world.never().await;
            }
            Fate::Dead => return self.world.never().await,
        }
        let bytes = self.disk().open(&path).map_err(failed)?;
        Ok(Box::new(SimSource { world: self.world.clone(), bytes }))
    }

    async fn stage(&self, stream: StreamId) -> Result<Box<dyn Staging>> {
        let fate = self.world.call("stage", about(&stream.0.0)).await;
        let (name, file) = act!(self, fate, self.disk().create(stream));
        Ok(Box::new(SimStaging { objects: self.clone(), name, file, finished: false }))
    }

    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>> {
        let fate = self.world.call("publish link", name_about(&token.0)).await;
        let published = act!(self, fate, self.disk().link(token, key, digest));
        if published == Some(Published::Now) {
            let fate = self.world.call("publish sync", name_about(&token.0)).await;
            act!(self, fate, {
                let mut disk = self.disk();
                disk.visible.get_mut(key.as_str()).into_iter().for_each(|(_, synced)| *synced = true);
            });
        }
        self.world.pause().await;
        Ok(published)
    }

    async fn discard(&self, token: &StageToken) -> Result<()> {
        let fate = self.world.call("discard", name_about(&token.0)).await;
        act!(self, fate, self.disk().unlink(&token.0));
        Ok(())
    }

    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>> {
        let fate = self.world.call("digest", 0).await;
        Ok(act!(self, fate, self.visible().get(key.as_str()).map(|bytes| digest_of(bytes))))
    }
}

struct SimSource {
    world: Arc<World>,
    bytes: Arc<Vec<u8>>,
}

#[async_trait]
impl Source for SimSource {
    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read_at(&mut self, offset: u64, block: &mut [u8]) -> Result<()> {
        match self.world.call("read", 0).await {
            Fate::Go | Fate::Stop => {}
            Fate::Fail(_) => return Err(Error::source("read a source", io::Error::other("simulated"))),
            Fate::Crash(crash, _) => {
                self.world.die(crash);
                return self.world.never().await;
            }
            Fate::Dead => return self.world.never().await,
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = from.checked_add(block.len()).and_then(|to| self.bytes.get(from..to));
        block.copy_from_slice(range.ok_or_else(|| Error::source_changed("read a source"))?);
        Ok(())
    }

    async fn check_unchanged(&mut self) -> Result<()> {
        Ok(())
    }
}

struct SimStaging {
    objects: SimObjects,
    name: String,
    file: usize,
    finished: bool,
}

impl Drop for SimStaging {
    /// A live process tidies up what it did not finish; one that is gone leaves it.
    fn drop(&mut self) {
        if !self.finished && !self.objects.world.is_dead() {
            self.objects.disk().unlink(&part(&self.name));
        }
    }
}

#[async_trait]
impl Staging for SimStaging {
    async fn write(&mut self, block: &[u8]) -> Result<()> {
        let fate = self.objects.world.call("write", name_about(&self.name)).await;
        let (objects, file) = (&self.objects, self.file);
        act!(objects, fate, objects.disk().files[file].bytes.extend_from_slice(block));
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<StageToken> {
        let fate = self.objects.world.call("stage sync", name_about(&self.name)).await;
        let (objects, file) = (self.objects.clone(), self.file);
        act!(objects, fate, {
            self.finished = true;
            objects.disk().finish(&self.name, file);
        });
        Ok(StageToken(self.name.clone()))
    }
}
