//! Entries as stored, streams as loaded, and the tip that the next append builds on.

use crate::{Body, Error, Header, LeafHash, Nonce, StreamKey, UtcMillis, body_hash, leaf_hash};

/// One entry: the header bytes as stored and what they say, the nonce, and the body as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the header bytes say.
    pub header: Header,
    /// The header as stored: the hashed unit.
    pub header_bytes: Vec<u8>,
    /// Sixteen bytes hashed in front of the body.
    pub nonce: Nonce,
    /// The JSON array of the decision's events, as stored.
    pub body: String,
    /// Leaf hash of the header bytes.
    pub leaf: LeafHash,
}

impl Entry {
    /// Takes an entry from a store and checks everything that it says of itself: strict header, leaf hash, body hash.
    /// Links, order and tags need other rows: `verify` checks those.
    pub fn from_stored(header_bytes: Vec<u8>, nonce: Nonce, body: String, leaf: LeafHash) -> Result<Self, Error> {
        let damaged = |what| Error::Damaged { what, leaf_index: None, source: None };
        let header = Header::parse(&header_bytes).map_err(|_| damaged("a header is ill-formed"))?;
        if leaf_hash(&header_bytes) != leaf {
            return Err(damaged("a header does not have its leaf hash"));
        }
        if body_hash(&nonce, body.as_bytes()) != header.body {
            return Err(damaged("a body does not have the hash that its header names"));
        }
        Ok(Self { header, header_bytes, nonce, body, leaf })
    }

    /// Returns what the ledger reads of the body: its tags.
    pub fn read_body(&self) -> Result<Body, Error> {
        Body::read(&self.body, &self.header.types).map_err(|error| Error::Damaged {
            what: "a body is not what its header says",
            leaf_index: None,
            source: Some(Box::new(error)),
        })
    }
}

/// An entry and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Index in the log, from 0.
    pub leaf_index: u64,
    /// The entry.
    pub entry: Entry,
}

/// A stream as loaded: every entry from seq 0 on, dense, linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Which stream.
    pub stream: StreamKey,
    /// Its entries in order; empty if the stream has none.
    pub entries: Vec<Entry>,
}

impl Stream {
    /// Returns the tip that the next append builds on: its number is that of the last entry, which a stream that began in
    /// an earlier log of the store counts from 0 in each.
    pub fn tip(&self) -> Tip {
        let last = self.entries.last();
        let count = last.map_or(0, |entry| entry.header.seq + 1);
        let last = last.map(|entry| Last { leaf: entry.leaf, recorded_at: entry.header.recorded_at });
        Tip { stream: self.stream, count, last }
    }
}

/// The end of a stream as the caller knows it. Made by loading, by an append's receipt, or for a stream not yet begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    pub(crate) stream: StreamKey,
    pub(crate) count: u64,
    pub(crate) last: Option<Last>,
}

/// What the next entry takes from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) leaf: LeafHash,
    pub(crate) recorded_at: UtcMillis,
}

impl Tip {
    /// Returns the tip of a stream without entries. If it has some, the append answers `Already` or `Conflict`.
    pub const fn empty(stream: StreamKey) -> Self {
        Self { stream, count: 0, last: None }
    }

    /// Returns the stream.
    pub const fn stream(&self) -> StreamKey {
        self.stream
    }

    /// Returns how many entries the stream has: the seq of the next one.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// What an append answers: the stored header and its leaf hash. The leaf index comes later, from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The header as stored; for a decision that stood already, the one that was stored then.
    pub header: Header,
    /// Its leaf hash.
    pub leaf: LeafHash,
}

impl Receipt {
    /// Returns the tip after this entry, so that the next append needs no load.
    pub fn tip(&self) -> Tip {
        let last = Last { leaf: self.leaf, recorded_at: self.header.recorded_at };
        Tip { stream: self.header.stream, count: self.header.seq + 1, last: Some(last) }
    }
}
