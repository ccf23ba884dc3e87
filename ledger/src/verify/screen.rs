//! The first reading of a log: it says "sound", or that the log must be looked at closely, and never what is wrong. What it
//! calls sound is what the exact [`super::Verifier`] finds nothing in, at a fraction of its cost.
//!
//! Memory: the frontier, and the ends of the streams that were met last; an older end is looked up where it is needed. Tags
//! and slots are compared as sums of keyed hashes, so that neither has to be sorted.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::tree::HeadFacts;
use super::{HeadRow, Report};
use crate::{
    Body, Frontier, HEADER_BYTES_MAX, Header, LeafHash, Nonce, Origin, StreamKey, Tag, UtcMillis, body_hash,
    first_prev, leaf_hash,
};

/// Ends of streams that are remembered, twice: those met last, and those met before them.
const TIPS_MAX: usize = 1 << 15;

/// Something does not hold, or cannot be told: the exact verifier must read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt;

/// A sum of keyed hashes: equal for two collections if and only if they hold the same things equally often, but for a chance of
/// 2^-128. The key must be one that nobody could know who wrote the things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    key: [u8; 16],
    lanes: [u64; 4],
}

impl Sum {
    /// Begins with nothing.
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key, lanes: [0; 4] }
    }

    /// Adds one thing: at most 39 bytes, so that one block of SHA-256 holds it.
    fn add(&mut self, parts: &[&[u8]]) {
        let mut hash = Sha256::new().chain_update(self.key);
        parts.iter().for_each(|part| hash.update(part));
        let hash: [u8; 32] = hash.finalize().into();
        for (lane, bytes) in self.lanes.iter_mut().zip(hash.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*bytes));
        }
    }

    fn add_slot(&mut self, stream: StreamKey, seq: u64, index: u64) {
        self.add(&[&stream.0, &seq.to_le_bytes(), &index.to_le_bytes()]);
    }

    fn add_tag(&mut self, index: u64, tag: &Tag) {
        self.add(&[&[tag.kind as u8], &tag.hash.version.to_le_bytes(), &tag.hash.hash, &index.to_le_bytes()]);
    }
}

/// What stands beside the entries of a store, read in its own order: which slot of which stream each entry has, and the tags.
#[derive(Clone, Debug)]
pub struct Beside {
    slots: Sum,
    tags: Sum,
    streams: u64,
    last_slot: Option<(StreamKey, u64, u64)>,
    last_tag: Option<([u8; 16], &'static str, u32, u64)>,
}

impl Beside {
    /// Begins, with the key that the [`Screening`] of the same store has.
    pub const fn new(key: [u8; 16]) -> Self {
        Self { slots: Sum::new(key), tags: Sum::new(key), streams: 0, last_slot: None, last_tag: None }
    }

    /// Takes the next slot, by rising stream and number. Dense from 0, later ones of a stream further on in the log.
    pub fn slot(&mut self, stream: StreamKey, seq: u64, index: u64) -> Result<(), Doubt> {
        let fits = match self.last_slot {
            Some((before, number, at)) if before == stream => seq == number + 1 && index > at,
            Some((before, ..)) => stream > before && seq == 0,
            None => seq == 0,
        };
        self.streams += u64::from(seq == 0);
        self.last_slot = Some((stream, seq, index));
        self.slots.add_slot(stream, seq, index);
        if fits { Ok(()) } else { Err(Doubt) }
    }

    /// Takes the next tag, by rising hash, word, version and index.
    pub fn tag(&mut self, index: u64, tag: &Tag) -> Result<(), Doubt> {
        let key = (tag.hash.hash, tag.kind.as_str(), tag.hash.version, index);
        let fits = self.last_tag.is_none_or(|before| before < key);
        self.last_tag = Some(key);
        self.tags.add_tag(index, tag);
        if fits { Ok(()) } else { Err(Doubt) }
    }
}

/// An entry as stored, each column of the type that an append writes.
#[derive(Clone, Copy, Debug)]
pub struct StoredEntry<'a> {
    /// Index in the log.
    pub index: u64,
    /// The stream.
    pub stream: StreamKey,
    /// The number within it.
    pub seq: u64,
    /// The leaf hash.
    pub leaf: LeafHash,
    /// The nonce.
    pub nonce: Nonce,
    /// The header.
    pub header: &'a [u8],
    /// The body; not looked at where only headers are screened.
    pub body: &'a [u8],
}

/// The end of a stream so far.
#[derive(Clone, Copy, Debug)]
struct Tip {
    seq: u64,
    leaf: LeafHash,
    recorded_at: UtcMillis,
}

/// Reads the entries of a store in leaf order.
#[derive(Debug)]
pub struct Screening {
    origin: Origin,
    head: HeadFacts,
    tree: Frontier,
    /// Streams met last, and those before.
    young: HashMap<StreamKey, Tip>,
    old: HashMap<StreamKey, Tip>,
    slots: Sum,
    /// None where only headers are screened.
    tags: Option<Sum>,
}

impl Screening {
    /// Begins with a log that names itself and has a head.
    pub fn new(origin: Origin, head: HeadRow<'_>, key: [u8; 16], bodies: bool) -> Result<Self, Doubt> {
        let head = HeadFacts::read(&head).ok_or(Doubt)?;
        let tags = bodies.then(|| Sum::new(key));
        let (young, old) = (HashMap::new(), HashMap::new());
        Ok(Self { origin, head, tree: Frontier::new(), young, old, slots: Sum::new(key), tags })
    }

    /// Returns the tree over the entries so far.
    pub const fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// Takes the next entry; returns its header and body (empty where only headers are screened). `header_at` answers with
    /// index and header of a stream's entry, as stored.
    pub fn entry<'a>(
        &mut self,
        row: &StoredEntry<'a>,
        header_at: &mut dyn FnMut(StreamKey, u64) -> Option<(u64, Vec<u8>)>,
    ) -> Result<(Header, &'a str), Doubt> {
        if row.index != self.tree.size() || row.header.len() > HEADER_BYTES_MAX {
            return Err(Doubt);
        }
        let leaf = leaf_hash(row.header);
        let header = Header::parse_beside(row.header, Some(&self.origin)).map_err(|_| Doubt)?;
        let own = header.stream == row.stream && header.seq == row.seq && leaf == row.leaf;
        if !own || header.origin != self.origin {
            return Err(Doubt);
        }
        self.tree.push(leaf);
        self.link(&header, row.index, header_at)?;
        self.keep(header.stream, Tip { seq: header.seq, leaf, recorded_at: header.recorded_at });
        self.slots.add_slot(header.stream, header.seq, row.index);
        let Some(tags) = &mut self.tags else { return Ok((header, "")) };
        if body_hash(&row.nonce, row.body) != header.body {
            return Err(Doubt);
        }
        let body = std::str::from_utf8(row.body).map_err(|_| Doubt)?;
        let read = Body::read(body, &header.types).map_err(|_| Doubt)?;
        read.tags.iter().for_each(|tag| tags.add_tag(row.index, tag));
        Ok((header, body))
    }

    /// Checks number, link and time against the entry before in the stream.
    fn link(
        &mut self,
        header: &Header,
        index: u64,
        header_at: &mut dyn FnMut(StreamKey, u64) -> Option<(u64, Vec<u8>)>,
    ) -> Result<(), Doubt> {
        if header.seq == 0 {
            // That the stream has no other entry of this number is for the slots to say.
            return if header.prev == first_prev(&header.origin, header.stream) { Ok(()) } else { Err(Doubt) };
        }
        let known = self.young.get(&header.stream).or_else(|| self.old.get(&header.stream)).copied();
        let before = match known {
            Some(tip) => tip,
            None => {
                let (at, stored) = header_at(header.stream, header.seq - 1).ok_or(Doubt)?;
                let before = Header::parse_beside(&stored, Some(&self.origin)).map_err(|_| Doubt)?;
                if at >= index || before.stream != header.stream {
                    return Err(Doubt);
                }
                Tip { seq: before.seq, leaf: leaf_hash(&stored), recorded_at: before.recorded_at }
            }
        };
        let fits = before.seq.checked_add(1) == Some(header.seq)
            && before.leaf == header.prev
            && before.recorded_at <= header.recorded_at;
        if fits { Ok(()) } else { Err(Doubt) }
    }

    fn keep(&mut self, stream: StreamKey, tip: Tip) {
        if self.young.len() >= TIPS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, tip);
    }

    /// Returns the report of a sound log, when what stands beside the entries and the head fit them.
    pub fn finish(self, beside: &Beside) -> Result<Report, Doubt> {
        let tags = self.tags.as_ref().is_none_or(|tags| *tags == beside.tags);
        if !tags || self.slots != beside.slots || !self.head.is_of(&self.tree) {
            return Err(Doubt);
        }
        let (entries, root) = (self.tree.size(), Some(self.tree.root()));
        Ok(Report { entries, streams: beside.streams, root, proved_below: entries, ..Report::new() })
    }
}
