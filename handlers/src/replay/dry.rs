//! The ports of a dry run: reads fall through to the store, what would be written stays in memory and goes with it. The run
//! above them is the same code.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::ids::{Location, StreamId};
use ledger::{Appended, Decision, Entry, Ledger, Nonce, Origin, Prepared, Receipt, Stream, StreamKey, Tip, UtcMillis};
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::ports::objects::{Digest, Objects, OutputKey, Published, Source, StageToken, Staging};

/// Entries that a dry run holds at once; the next append answers that the disk is full. What has ended is let go of.
const ENTRIES_MAX: usize = 1 << 18;

/// A ledger whose appends are forgotten.
pub struct DryLedger {
    inner: Arc<dyn Ledger>,
    over: Mutex<Over>,
}

#[derive(Default)]
struct Over {
    /// What was appended to each stream that has not ended since.
    entries: HashMap<StreamKey, Vec<Entry>>,
    held: usize,
}

impl DryLedger {
    /// Lays a dry ledger over this one.
    pub fn new(inner: Arc<dyn Ledger>) -> Self {
        Self { inner, over: Mutex::default() }
    }
}

impl Over {
    fn append(&mut self, tip: &Tip, below: u64, prepared: Prepared) -> Result<Appended, ledger::Error> {
        let stream = tip.stream();
        let ours = self.entries.get(&stream).map_or(&[][..], Vec::as_slice);
        if let Some(taken) = tip.count().checked_sub(below).and_then(|at| ours.get(usize::try_from(at).ok()?)) {
            let receipt = Receipt { header: taken.header.clone(), leaf: taken.leaf };
            let mine = receipt.header.decision_id == prepared.entry.header.decision_id;
            let conflict = ledger::Error::Conflict { stream, seq: tip.count() };
            return if mine { Ok(Appended::Already(receipt)) } else { Err(conflict) };
        }
        if self.held >= ENTRIES_MAX {
            return Err(ledger::Error::DiskFull { source: "a dry run holds no more in memory".into() });
        }
        let entry = prepared.entry;
        let receipt = Receipt { header: entry.header.clone(), leaf: entry.leaf };
        let ends = entry.header.types.iter().any(|name| {
            name.starts_with("imaging.instance.delivered.")
                || name.starts_with("imaging.instance.quarantined.")
                || name.starts_with("imaging.processing.failed.")
        });
        if ends {
            self.held -= self.entries.remove(&stream).map_or(0, |entries| entries.len());
        } else {
            self.entries.entry(stream).or_default().push(entry);
            self.held += 1;
        }
        Ok(Appended::New(receipt))
    }
}

#[async_trait]
impl Ledger for DryLedger {
    fn origin(&self) -> &Origin {
        self.inner.origin()
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, ledger::Error> {
        let mut loaded = self.inner.load(stream).await?;
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.entries.extend(over.entries.get(&stream).into_iter().flatten().cloned());
        Ok(loaded)
    }

    async fn append(
        &self,
        tip: &Tip,
        decision: &Decision,
        at: UtcMillis,
        nonce: Nonce,
    ) -> Result<Appended, ledger::Error> {
        let prepared = Prepared::new(self.inner.origin(), tip, decision, at, nonce)?;
        let below = self.inner.load(tip.stream()).await?.entries.len() as u64;
        if tip.count() < below {
            return Err(ledger::Error::Conflict { stream: tip.stream(), seq: tip.count() });
        }
        self.over.lock().unwrap_or_else(PoisonError::into_inner).append(tip, below, prepared)
    }
}

/// Objects of which nothing is kept but digests.
pub struct DryObjects {
    inner: Arc<dyn Objects>,
    /// Digest of each staged object by token, and of each that would be visible by key.
    digests: Arc<Mutex<HashMap<String, Digest>>>,
}

impl DryObjects {
    /// Lays dry objects over these.
    pub fn new(inner: Arc<dyn Objects>) -> Self {
        Self { inner, digests: Arc::default() }
    }

    fn digests<T>(&self, act: impl FnOnce(&mut HashMap<String, Digest>) -> T) -> T {
        act(&mut self.digests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Objects for DryObjects {
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>> {
        self.inner.open(location).await
    }

    async fn stage(&self, stream: StreamId) -> Result<Box<dyn Staging>> {
        let token = StageToken(format!("{stream}-dry"));
        Ok(Box::new(DryStaging { token, hasher: Sha256::new(), digests: Arc::clone(&self.digests) }))
    }

    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>> {
        let ours = self.digests(|digests| digests.get(key.as_str()).copied());
        let there = match ours {
            Some(there) => Some(there),
            None => self.inner.digest(key).await?,
        };
        Ok(match there {
            Some(there) if there == digest => Some(Published::AlreadyThere),
            Some(_) => Some(Published::Conflict),
            None => self.digests(|digests| {
                let staged = digests.contains_key(&token.0);
                staged.then(|| digests.insert(key.as_str().to_owned(), digest)).map(|_| Published::Now)
            }),
        })
    }

    async fn discard(&self, token: &StageToken) -> Result<()> {
        self.digests(|digests| digests.remove(&token.0));
        Ok(())
    }

    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>> {
        match self.digests(|digests| digests.get(key.as_str()).copied()) {
            Some(digest) => Ok(Some(digest)),
            None => self.inner.digest(key).await,
        }
    }
}

struct DryStaging {
    token: StageToken,
    hasher: Sha256,
    digests: Arc<Mutex<HashMap<String, Digest>>>,
}

#[async_trait]
impl Staging for DryStaging {
    async fn write(&mut self, block: &[u8]) -> Result<()> {
        self.hasher.update(block);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<StageToken> {
        let digest = Digest(self.hasher.finalize().into());
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(self.token.0.clone(), digest);
        Ok(self.token)
    }
}
