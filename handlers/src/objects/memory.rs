//! `MemoryObjects`: the port in memory, for tests of everything above it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::ids::{Location, StreamId};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::ports::objects::{Digest, Objects, OutputKey, Published, Source, StageToken, Staging};

#[derive(Debug, Default)]
struct State {
    raw: HashMap<Location, Arc<Vec<u8>>>,
    staged: BTreeMap<String, Arc<Vec<u8>>>,
    visible: BTreeMap<String, (String, Arc<Vec<u8>>)>,
    staged_total: u64,
}

/// Objects in memory; clones share what they hold.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects {
    state: Arc<Mutex<State>>,
}

impl MemoryObjects {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a raw object.
    pub fn put_raw(&self, location: Location, bytes: Vec<u8>) {
        self.state().raw.insert(location, Arc::new(bytes));
    }

    /// Returns every visible object by key.
    pub fn visible(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().visible.iter().map(|(key, (_, bytes))| (key.clone(), bytes.to_vec())).collect()
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>> {
        let bytes = self.state().raw.get(location).cloned();
        let gone = || Error::source("open a source", std::io::ErrorKind::NotFound.into());
        Ok(Box::new(MemorySource(bytes.ok_or_else(gone)?)))
    }

    async fn stage(&self, stream: StreamId) -> Result<Box<dyn Staging>> {
        let mut state = self.state();
        state.staged_total += 1;
        let name = format!("{stream}-{:08x}", state.staged_total);
        Ok(Box::new(MemoryStaging { objects: self.clone(), name, bytes: Vec::new() }))
    }

    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>> {
        let mut state = self.state();
        let staged = state.staged.get(&token.0).cloned();
        Ok(match (state.visible.get(key.as_str()), staged) {
            (Some((by, _)), _) if *by == token.0 => Some(Published::Now),
            (Some((_, bytes)), _) if digest_of(bytes) == digest => Some(Published::AlreadyThere),
            (Some(_), _) => Some(Published::Conflict),
            (None, Some(bytes)) => {
                state.visible.insert(key.as_str().to_owned(), (token.0.clone(), bytes));
                Some(Published::Now)
            }
            (None, None) => None,
        })
    }

    async fn discard(&self, token: &StageToken) -> Result<()> {
        self.state().staged.remove(&token.0);
        Ok(())
    }

    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>> {
        Ok(self.state().visible.get(key.as_str()).map(|(_, bytes)| digest_of(bytes)))
    }
}

struct MemorySource(Arc<Vec<u8>>);

#[async_trait]
impl Source for MemorySource {
    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read_at(&mut self, offset: u64, block: &mut [u8]) -> Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = from.checked_add(block.len()).and_then(|to| self.0.get(from..to));
        let bytes = bytes.ok_or_else(|| Error::source_changed("read a source"))?;
        block.copy_from_slice(bytes);
        Ok(())
    }

    async fn check_unchanged(&mut self) -> Result<()> {
        Ok(())
    }
}

struct MemoryStaging {
    objects: MemoryObjects,
    name: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl Staging for MemoryStaging {
    async fn write(&mut self, block: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(block);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<StageToken> {
        let bytes = Arc::new(std::mem::take(&mut self.bytes));
        self.objects.state().staged.insert(self.name.clone(), bytes);
        Ok(StageToken(self.name.clone()))
    }
}
