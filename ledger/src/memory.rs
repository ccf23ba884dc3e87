//! The ledger in memory: the executable meaning of the ports, for tests and dry runs. It forgets everything when dropped.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    Appended, Decision, Entry, Error, Frontier, Head, Ledger, Log, LogEntry, Nonce, Origin, Prepared, READ_ENTRIES_MAX,
    Receipt, Stream, StreamKey, Tag, Tagged, Tip, UtcMillis,
};

/// Most entries that the store keeps; the next append answers [`Error::DiskFull`].
const ENTRIES_MAX: usize = 1 << 20;

/// A ledger in memory. Clones share the same entries, as two connections to one store would.
#[derive(Clone, Debug)]
pub struct MemoryLedger {
    origin: Origin,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Leaf indices of each stream's entries, in order.
    streams: HashMap<StreamKey, Vec<usize>>,
    tags: BTreeSet<(Tag, u64)>,
    frontier: Frontier,
}

impl MemoryLedger {
    /// Returns an empty ledger.
    pub fn new(origin: Origin) -> Self {
        Self { origin, state: Arc::default() }
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // No code below can panic between two changes that belong together, so a poisoned state is a sound one.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn append(&mut self, tip: &Tip, prepared: Prepared) -> Result<Appended, Error> {
        let stream = tip.stream;
        let held = self.streams.get(&stream).map_or(&[][..], Vec::as_slice);
        let at = |seq: u64| held.get(usize::try_from(seq).ok()?).map(|&index| &self.entries[index]);
        if let Some(taken) = at(tip.count) {
            let receipt = Receipt { header: taken.header.clone(), leaf: taken.leaf };
            let mine = receipt.header.decision_id == prepared.entry.header.decision_id;
            return if mine { Ok(Appended::Already(receipt)) } else { Err(Error::Conflict { stream, seq: tip.count }) };
        }
        let below = tip.count.checked_sub(1).map(|seq| at(seq).map(|entry| entry.leaf));
        if below != tip.last.map(|last| Some(last.leaf)) {
            return Err(Error::Damaged {
                what: "the stream does not end as the tip says",
                leaf_index: None,
                source: None,
            });
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Error::DiskFull { source: "the store in memory is full".into() });
        }
        let index = self.entries.len();
        self.frontier.push(prepared.entry.leaf);
        self.streams.entry(stream).or_default().push(index);
        self.tags.extend(prepared.tags.iter().map(|tag| (*tag, index as u64)));
        self.entries.push(prepared.entry.clone());
        Ok(Appended::New(prepared.into_receipt()))
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn load(&self, stream: StreamKey) -> Result<Stream, Error> {
        let entries = self.state(|state| {
            let held = state.streams.get(&stream).map_or(&[][..], Vec::as_slice);
            held.iter().map(|&index| state.entries[index].clone()).collect()
        });
        Ok(Stream { stream, entries })
    }

    async fn append(&self, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Appended, Error> {
        let prepared = Prepared::new(&self.origin, tip, decision, at, nonce)?;
        self.state(|state| state.append(tip, prepared))
    }
}

#[async_trait]
impl Log for MemoryLedger {
    async fn head(&self) -> Result<Head, Error> {
        Ok(Head::of(self.state(|state| state.frontier.clone())))
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<LogEntry>, Error> {
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.state(|state| {
            let rows = state.entries.iter().enumerate().skip(skip).take(limit.min(READ_ENTRIES_MAX));
            rows.map(|(index, entry)| LogEntry { leaf_index: index as u64, entry: entry.clone() }).collect()
        }))
    }

    async fn tagged(&self, tag: &Tag, from: u64, limit: usize) -> Result<Vec<Tagged>, Error> {
        Ok(self.state(|state| {
            let rows = state.tags.range((*tag, from)..=(*tag, u64::MAX)).take(limit.min(READ_ENTRIES_MAX));
            rows.map(|&(_, leaf_index)| {
                let stream = state.entries[leaf_index as usize].header.stream;
                Tagged { leaf_index, stream }
            })
            .collect()
        }))
    }
}
