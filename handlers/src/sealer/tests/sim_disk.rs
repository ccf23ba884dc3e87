//! A disk that keeps what was synced and may lose the rest when the power goes, at whichever call.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sealer::disk::Disk;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    /// Names as a running system sees them, and as they stand on the disk.
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    calls: u64,
    /// The call at which the power goes.
    dies_at: Option<u64>,
    dead: bool,
}

/// The disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// Returns a disk with one durable folder.
    pub(super) fn with_folder(path: &Path) -> Self {
        let disk = Self::default();
        disk.state().names.insert(path.to_owned(), Node::Folder);
        disk.state().durable.insert(path.to_owned(), Node::Folder);
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the power go at call `index` from now; counts calls from 0.
    pub(super) fn die_at(&self, index: Option<u64>) {
        let mut state = self.state();
        (state.calls, state.dies_at) = (0, index);
    }

    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The power is back. `survives` says of each change that was not synced whether the disk has it all the same.
    pub(super) fn power_loss(&self, mut survives: impl FnMut() -> bool) {
        let mut state = self.state();
        for inode in &mut state.inodes {
            if inode.bytes != inode.synced && !survives() {
                inode.bytes = inode.synced.clone();
            }
            inode.synced = inode.bytes.clone();
        }
        let all: std::collections::BTreeSet<PathBuf> =
            state.names.keys().chain(state.durable.keys()).cloned().collect();
        let mut names: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for path in all {
            let (seen, on_disk) = (state.names.get(&path).copied(), state.durable.get(&path).copied());
            let node = if seen != on_disk && survives() { seen } else { on_disk };
            let is_there = path.parent().is_none_or(|above| {
                names.contains_key(above) || !state.durable.keys().chain(state.names.keys()).any(|path| path == above)
            });
            if let (Some(node), true) = (node, is_there) {
                names.insert(path, node);
            }
        }
        state.durable = names.clone();
        state.names = names;
        (state.dead, state.dies_at) = (false, None);
    }

    /// One call: nothing happens any more once the power is gone.
    fn call<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        let index = state.calls;
        state.calls += 1;
        if state.dies_at == Some(index) {
            state.dead = true;
        }
        if state.dead {
            return Err(io::Error::other("the power is gone"));
        }
        act(&mut state)
    }
}

impl State {
    fn above(&self, path: &Path) -> io::Result<()> {
        let above = path.parent().and_then(|above| self.names.get(above));
        if above == Some(&Node::Folder) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for SimDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.call(|state| Ok(state.file(path).ok().map(|inode| state.inodes[inode].bytes.clone())))
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().names.contains_key(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<bool> {
        self.call(|state| {
            state.above(path)?;
            let new = !state.names.contains_key(path);
            state.names.entry(path.to_owned()).or_insert(Node::Folder);
            Ok(new)
        })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.call(|state| {
            state.above(path)?;
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.inodes.len();
            state.inodes.push(Inode { bytes: bytes.to_vec(), synced: Vec::new() });
            state.names.insert(path.to_owned(), Node::File(inode));
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            let inode = state.file(path)?;
            state.inodes[inode].synced = state.inodes[inode].bytes.clone();
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            let inside = |name: &Path| name.parent() == Some(path);
            state.durable.retain(|name, _| !inside(name));
            let now: Vec<_> =
                state.names.iter().filter(|(name, _)| inside(name)).map(|(n, node)| (n.clone(), *node)).collect();
            state.durable.extend(now);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.call(|state| {
            state.above(to)?;
            let inode = state.file(from)?;
            let free = !state.names.contains_key(to);
            if free {
                state.names.insert(to.to_owned(), Node::File(inode));
            }
            Ok(free)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|state| {
            state.above(to)?;
            let inode = state.file(from)?;
            state.names.remove(from);
            state.names.insert(to.to_owned(), Node::File(inode));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            state.names.remove(path);
            Ok(())
        })
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|state| {
            state.names.retain(|name, _| name != path && name.parent() != Some(path));
            Ok(())
        })
    }

    fn list(&self, path: &Path, limit: usize) -> io::Result<Vec<String>> {
        self.call(|state| {
            let inside = state.names.keys().filter(|name| name.parent() == Some(path));
            let names = inside.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned()));
            Ok(names.take(limit).collect())
        })
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<File>> {
        self.call(|_| Ok(None))
    }
}
