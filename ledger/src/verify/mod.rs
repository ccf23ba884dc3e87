//! The verifier: every row in, every contradiction out (DESIGN §5). Pure and incremental; it believes no column.
//!
//! The exact verifier believes nothing and names everything. Memory: the frontier, one entry's tags, and a tip for each stream
//! that it follows, which is below 200 bytes; of a long log each of several readings follows a part. A sound log is told from any
//! other by [`Screening`], faster and in bounded memory.

mod report;
mod rows;
mod screen;
mod tree;

use std::collections::HashMap;

pub use report::{Code, FINDINGS_MAX, Finding, FirstBad, Report};
pub use rows::{Cell, EntryRow, HeadRow, TagRow};
pub use screen::{Beside, Doubt, Screening, StoredEntry, Sum};

use crate::{
    BODY_BYTES_MAX, Body, Frontier, HEADER_BYTES_MAX, Header, IndexHash, LeafHash, Nonce, Origin, StreamKey, TAGS_MAX, Tag,
    TagKind, UtcMillis, body_hash, first_prev, leaf_hash,
};
use tree::{HeadFacts, Tree};

/// Takes the rows of a store in leaf order and says what does not hold.
///
/// Feed it `tag` for every tag row by rising leaf index, each before the entry of that index, and `entry` for every entry
/// row by rising index; then `finish`.
#[derive(Clone, Debug)]
pub struct Verifier {
    origin: Option<Origin>,
    head: Option<HeadFacts>,
    tree: Tree,
    tips: HashMap<StreamKey, StreamTip>,
    /// Tag rows since the last entry, all of one index.
    tags: Vec<(u64, Tag)>,
    /// Index that the next row must have.
    next: u64,
    /// Where the last run of missing indices began.
    gap: Option<u64>,
    part: Part,
    report: Report,
}

/// Which streams a reading follows, and how much of an entry it verifies.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Number of the reading, from 0. Only the first looks at anything else than the order within streams.
    pub number: u64,
    /// How many readings there are.
    pub of: u64,
    /// Whether bodies and tags are verified, not headers only.
    pub bodies: bool,
}

impl Part {
    const WHOLE: Self = Self { number: 0, of: 1, bodies: true };

    fn follows(&self, stream: StreamKey) -> bool {
        // Stream ids are keyed hashes; one that somebody chose costs memory at most.
        let (first, _) = stream.0.split_first_chunk::<8>().expect("a stream has 16 bytes");
        u64::from_be_bytes(*first) % self.of.max(1) == self.number
    }
}

/// The end of a stream so far.
#[derive(Clone, Debug)]
struct StreamTip {
    count: u64,
    leaf_index: u64,
    leaf: LeafHash,
    recorded_at: UtcMillis,
    /// The entry contradicts itself, so nothing can be said against the one that links to it.
    suspect: bool,
}

/// Where a row says that it stands.
struct Slot {
    stream: StreamKey,
    seq: u64,
    index: u64,
    leaf: LeafHash,
    suspect: bool,
}

impl Verifier {
    /// Begins a verification of the log that the store says it is.
    pub fn new(origin: Option<Origin>, head: Option<HeadRow<'_>>) -> Self {
        Self::of_part(origin, head, Part::WHOLE)
    }

    /// Begins a reading of a log of which only headers are there, without a head; what they hash to is for the caller to compare.
    pub fn of_headers(origin: Origin, (number, of): (u64, u64)) -> Self {
        let mut verifier = Self::of_part(Some(origin), None, Part { number, of, bodies: false });
        verifier.report = Report::new();
        verifier
    }

    /// Begins one of the readings of the log; [`Report::join`] joins what they find.
    pub fn of_part(origin: Option<Origin>, head: Option<HeadRow<'_>>, part: Part) -> Self {
        let head = head.and_then(|row| HeadFacts::read(&row));
        let tree = Tree::new(head.as_ref().map(|head| head.size));
        let mut verifier = Self {
            origin,
            head,
            tree,
            tips: HashMap::new(),
            tags: Vec::new(),
            next: 0,
            gap: None,
            part,
            report: Report::new(),
        };
        if part.number > 0 {
            return verifier;
        }
        if verifier.head.is_none() {
            verifier.add(Code::HeadForm, None);
        }
        if verifier.origin.is_none() {
            verifier.add(Code::OriginUnknown, None);
        }
        verifier
    }

    /// Adds what only the store can see: damaged pages, another schema, rows that cannot be read.
    pub fn add(&mut self, code: Code, leaf_index: Option<u64>) {
        self.report.add(Finding { code, leaf_index, at_or_after: false });
    }

    /// Returns what was found so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Returns the index that the next entry must have.
    pub const fn next_index(&self) -> u64 {
        self.next
    }

    /// Returns the tree of which the entry of this index, the one taken last, is the last leaf; none if indices are missing.
    pub fn tree_behind(&self, leaf_index: i64) -> Option<&Frontier> {
        let tree = self.tree.by_header()?;
        (u64::try_from(leaf_index).ok()?.checked_add(1)? == tree.size()).then_some(tree)
    }

    /// Takes a tag row.
    pub fn tag(&mut self, row: &TagRow<'_>) {
        let index = row.leaf_index.unsigned();
        if self.tags.first().is_some_and(|&(of, _)| Some(of) != index) {
            self.stray_tags();
        }
        let kind = if let Cell::Text(word) = row.kind { TagKind::from_word(word) } else { None };
        let version = row.version.unsigned().and_then(|v| u32::try_from(v).ok()).filter(|&v| v > 0);
        match (index, kind, version, row.hash.array()) {
            // Of a flood of added rows the first few are enough to be found.
            (Some(index), Some(kind), Some(version), Some(hash)) if self.tags.len() <= 2 * TAGS_MAX => {
                self.tags.push((index, Tag { kind, hash: IndexHash { version, hash } }));
            }
            (Some(index), Some(_), Some(_), Some(_)) => self.add(Code::TagAdded, Some(index)),
            _ => self.add(Code::TagForm, index),
        }
    }

    /// The tag rows that wait belong to an index that no entry has.
    fn stray_tags(&mut self) {
        for (index, _) in std::mem::take(&mut self.tags) {
            self.add(Code::TagStray, Some(index));
        }
    }

    /// Takes an entry row. Returns what it says if everything about it holds, so that callers can fold over sound entries.
    pub fn entry<'a>(&mut self, row: &EntryRow<'a>) -> Option<(Header, &'a str)> {
        self.report.reached = self.next;
        if self.part.number > 0 {
            self.entry_of_part(row);
            return None;
        }
        let before = self.report.findings_count;
        let Some(index) = self.place(row.leaf_index) else {
            self.tags.clear();
            return None;
        };
        let (header, leaf) = self.header(row, index);
        let suspect = self.report.findings_count > before;
        self.tree.push(leaf.0, leaf.1);
        // A header that does not have its leaf hash was changed: then the columns say better where the entry stood.
        let by_header = header.as_ref().map(|header| (header.stream, header.seq));
        let by_column = row.stream.array().map(StreamKey).zip(row.seq.unsigned());
        let slot = if leaf.0 == leaf.1 { by_header.or(by_column) } else { by_column.or(by_header) };
        if let Some((stream, seq)) = slot.filter(|(stream, _)| self.part.follows(*stream)) {
            self.stream_order(Slot { stream, seq, index, leaf: leaf.0, suspect }, header.as_ref());
        }
        let body = if self.part.bodies { self.body(row, index, header.as_ref()) } else { Some("") };
        self.report.entries += 1;
        if self.report.findings_count > before { None } else { header.zip(body) }
    }

    /// Follows the streams of a later reading; what is wrong with the row itself was said by the first.
    fn entry_of_part(&mut self, row: &EntryRow<'_>) {
        let mut row_alone = Self::of_part(self.origin.clone(), None, self.part);
        row_alone.next = self.next;
        let Some(index) = row_alone.place(row.leaf_index) else { return };
        (self.next, self.gap) = (row_alone.next, row_alone.gap.or(self.gap));
        row_alone.report.findings_count = 0;
        let (header, leaf) = row_alone.header(row, index);
        let suspect = row_alone.report.findings_count > 0;
        let by_header = header.as_ref().map(|header| (header.stream, header.seq));
        let by_column = row.stream.array().map(StreamKey).zip(row.seq.unsigned());
        let slot = if leaf.0 == leaf.1 { by_header.or(by_column) } else { by_column.or(by_header) };
        if let Some((stream, seq)) = slot.filter(|(stream, _)| self.part.follows(*stream)) {
            self.stream_order(Slot { stream, seq, index, leaf: leaf.0, suspect }, header.as_ref());
        }
    }

    /// Checks the index. None if the row cannot be placed in the log at all.
    fn place(&mut self, leaf_index: i64) -> Option<u64> {
        let Ok(index) = u64::try_from(leaf_index) else {
            self.add(Code::EntryMisplaced, None);
            return None;
        };
        if index < self.next {
            self.add(Code::EntryMisplaced, Some(index));
            return None;
        }
        if index > self.next {
            self.add(Code::EntryMissing, Some(self.next));
            self.gap = Some(self.next);
            self.tree.stop();
        }
        self.next = index + 1;
        Some(index)
    }

    /// Checks the row against its header; returns the header and the leaf hash, by the header and by the column.
    fn header(&mut self, row: &EntryRow<'_>, index: u64) -> (Option<Header>, (LeafHash, LeafHash)) {
        let at = Some(index);
        let stream = row.stream.array().map(StreamKey);
        let (seq, column) = (row.seq.unsigned(), row.leaf.array().map(LeafHash));
        let text = if let Cell::Text(bytes) = row.header { Some(bytes) } else { None };
        for ill_formed in [stream.is_none(), seq.is_none(), column.is_none(), text.is_none()] {
            if ill_formed {
                self.add(Code::Column, at);
            }
        }
        let computed = text.filter(|bytes| bytes.len() <= HEADER_BYTES_MAX).map(leaf_hash);
        // A row with neither hash has been found bad above; its place in the tree is held by zeros.
        let leaf = computed.or(column).unwrap_or(LeafHash([0; 32]));
        if let (Some(computed), Some(column)) = (computed, column)
            && computed != column
        {
            self.add(Code::LeafHash, at);
        }
        let header = text.and_then(|bytes| match Header::parse(bytes) {
            Ok(header) => Some(header),
            Err(_) => {
                self.add(Code::HeaderForm, at);
                None
            }
        });
        if let Some(header) = &header {
            if stream.is_some_and(|stream| stream != header.stream) {
                self.add(Code::StreamColumn, at);
            }
            if seq.is_some_and(|seq| seq != header.seq) {
                self.add(Code::SeqColumn, at);
            }
            if self.origin.as_ref().is_some_and(|origin| *origin != header.origin) {
                self.add(Code::Origin, at);
            }
        }
        (header, (leaf, column.unwrap_or(leaf)))
    }

    /// Checks number, link and time against the entry before in the stream.
    fn stream_order(&mut self, slot: Slot, header: Option<&Header>) {
        let Slot { stream, seq, index, leaf, suspect } = slot;
        let tip = self.tips.get(&stream);
        let count = tip.map_or(0, |tip| tip.count);
        let mut found: [Option<Finding>; 2] = [None, None];
        // Where an entry is sound by itself, what does not fit is between it and the one before, or in that one.
        let finding = |code, lowest: u64| {
            let at_or_after = !suspect && lowest < index;
            Some(Finding { code, leaf_index: Some(if at_or_after { lowest } else { index }), at_or_after })
        };
        if seq > count {
            let lowest = tip.map_or(0, |tip| tip.leaf_index + 1);
            // Indices that are missing in between explain the gap, and have been named.
            let explained = self.gap.is_some_and(|gap| gap >= lowest);
            found[0] = finding(Code::SeqGap, if explained { index } else { lowest });
        } else if seq < count {
            found[0] = finding(Code::SeqRepeated, index);
        } else if let Some(header) = header {
            let prev = tip.map_or_else(|| first_prev(&header.origin, stream), |tip| tip.leaf);
            if header.prev != prev && !tip.is_some_and(|tip| tip.suspect) {
                found[0] = finding(Code::Link, tip.map_or(index, |tip| tip.leaf_index));
            }
        }
        let recorded_at = header.map(|header| header.recorded_at);
        let earlier = |tip: &StreamTip| recorded_at.is_some_and(|at| at < tip.recorded_at) && !tip.suspect;
        if tip.is_some_and(earlier) {
            found[1] = finding(Code::TimeBackwards, index);
        }
        let recorded_at = recorded_at.or(tip.map(|tip| tip.recorded_at)).unwrap_or(UtcMillis::from_unix_ms(0));
        // A row that contradicts itself says nothing reliable about where its stream goes on.
        let count = if suspect { count + 1 } else { seq.max(count) + 1 };
        self.tips.insert(stream, StreamTip { count, leaf_index: index, leaf, recorded_at, suspect });
        found.into_iter().flatten().for_each(|finding| self.report.add(finding));
    }

    /// Checks nonce, body and tags; returns the body if it is sound.
    fn body<'a>(&mut self, row: &EntryRow<'a>, index: u64, header: Option<&Header>) -> Option<&'a str> {
        let (at, stored) = (Some(index), std::mem::take(&mut self.tags));
        let (nonce, body) = (row.nonce.array().map(Nonce), row.body.text().filter(|body| body.len() <= BODY_BYTES_MAX));
        for ill_formed in [nonce.is_none(), body.is_none()] {
            if ill_formed {
                self.add(Code::Column, at);
            }
        }
        let mut tags: Vec<Tag> = Vec::with_capacity(stored.len());
        for (of, tag) in stored {
            if of == index { tags.push(tag) } else { self.add(Code::TagStray, Some(of)) }
        }
        let (header, nonce, body) = (header?, nonce?, body?);
        if body_hash(&nonce, body.as_bytes()) != header.body {
            self.add(Code::BodyHash, at);
            return None;
        }
        let Ok(read) = Body::read(body, &header.types) else {
            self.add(Code::BodyForm, at);
            return None;
        };
        tags.sort_unstable();
        if read.tags.iter().any(|tag| tags.binary_search(tag).is_err()) {
            self.add(Code::TagMissing, at);
        }
        if tags.len() > read.tags.len() || tags.iter().any(|tag| read.tags.binary_search(tag).is_err()) {
            self.add(Code::TagAdded, at);
        }
        Some(body)
    }

    /// Compares everything read with the head and returns the report.
    pub fn finish(mut self) -> Report {
        self.report.streams = self.tips.len() as u64;
        if self.part.number > 0 {
            return self.report;
        }
        self.report.reached = u64::MAX;
        self.stray_tags();
        if let Some(head) = &self.head {
            let (findings, proved_below) = self.tree.compare(head, self.next);
            findings.into_iter().for_each(|finding| self.report.add(finding));
            self.report.proved_below = proved_below;
        }
        self.report.root = self.tree.root();
        self.report
    }
}
