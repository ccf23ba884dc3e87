//! What a verification says: codes that stay, the entries they are about, and the first bad index.

use std::fmt;

use crate::RootHash;

/// Most findings that a report lists; the rest is counted.
pub const FINDINGS_MAX: usize = 100;

macro_rules! codes {
    ($($variant:ident = $code:literal: $meaning:literal),+ $(,)?) => {
        /// What does not hold. The codes are stable; the list grows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $meaning] $variant),+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// Returns the stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Code::$variant => $code),+ }
            }

            /// Returns one sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning),+ }
            }
        }
    };
}

codes! {
    EntryMissing = "entry_missing": "No entry has this index, although the log goes on or its head counts it.",
    EntryMisplaced = "entry_misplaced": "An entry has an index that is below 0 or was there before.",
    EntryBeyondHead = "entry_beyond_head": "The entry lies beyond the end that the head names.",
    Column = "column": "A column of the entry has another type, length or encoding than any append wrote.",
    HeaderForm = "header_form": "The header is not twelve well-formed lines.",
    LeafHash = "leaf_hash": "The stored leaf hash is not that of the header.",
    StreamColumn = "stream_column": "The stored stream is not the one that the header names.",
    SeqColumn = "seq_column": "The stored number is not the one that the header names.",
    Origin = "origin": "The entry belongs to another log.",
    SeqGap = "seq_gap": "Entries of the stream are missing between this one and the one before.",
    SeqRepeated = "seq_repeated": "The stream has an entry of this number already.",
    Link = "link": "The entry does not link to the one before it in its stream; either of the two is not as it was written.",
    TimeBackwards = "time_backwards": "The entry claims an earlier time than the one before it in its stream.",
    BodyHash = "body_hash": "The body or its nonce is not what the header's hash covers.",
    BodyForm = "body_form": "The body is no array of events whose types are those of the header.",
    TagForm = "tag_form": "A tag row has another type, length or word than any append wrote.",
    TagMissing = "tag_missing": "A tag that the body carries is not stored.",
    TagAdded = "tag_added": "A tag is stored that the body does not carry.",
    TagStray = "tag_stray": "A tag is stored for an index without an entry.",
    HeadForm = "head_form": "The head is missing, or its columns have another type or length, or contradict each other.",
    HeadSize = "head_size": "The head names another size than the log has, although its hashes fit every entry.",
    HeadRoot = "head_root": "The head's root is not that of the entries, although its frontier is.",
    HeadFrontier = "head_frontier": "The head's frontier is not that of the entries, although its root is.",
    TreeDiffers = "tree_differs": "The entries fit each other and do not hash to the head: at or after this index one was changed, moved or replaced.",
    OriginUnknown = "origin_unknown": "The store does not name its origin.",
    Schema = "schema": "The store's tables are not the ones that were made.",
    CheckpointForm = "checkpoint_form": "What stands in the place of a checkpoint is no signed note of a checkpoint.",
    CheckpointOrigin = "checkpoint_origin": "The checkpoint is of another log.",
    CheckpointSignature = "checkpoint_signature": "The checkpoint is not signed by a key that is trusted, or its signature does not verify.",
    CheckpointQuorum = "checkpoint_quorum": "Fewer of the witnesses than asked for have signed the checkpoint.",
    CheckpointRoot = "checkpoint_root": "The log does not hash to what the checkpoint says of that size: entries below it were changed.",
    CheckpointBeyond = "checkpoint_beyond": "The checkpoint counts more entries than the log has: the log was cut, or an older state put back.",
    CheckpointOlder = "checkpoint_older": "The published checkpoint is older than several that the store keeps: an older one was put back.",
    CheckpointMissing = "checkpoint_missing": "Checkpoints were published, and the newest is not there.",
    SealRow = "seal_row": "The row that says how much is sealed is missing, ill-formed, or contradicts the log or a checkpoint.",
    TileDiffers = "tile_differs": "A published tile does not hold the hashes of the entries.",
    TileMissing = "tile_missing": "A tile or an entry bundle of the published log is not there.",
    TileExtra = "tile_extra": "A file lies among the tiles that is none of the log's.",
    BundleMissing = "bundle_missing": "An entry bundle is not there, so that the published log ends before its checkpoint does.",
    BundleDiffers = "bundle_differs": "A published entry bundle does not hold the headers of the entries.",
    StorePages = "store_pages": "The store's file is damaged: a row, an index or a page cannot be read as it was written.",
}

/// One thing that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// Index of the entry; none where no entry is meant (the head, the file).
    pub leaf_index: Option<u64>,
    /// Whether the cause may lie after that index; it does not lie before.
    pub at_or_after: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.leaf_index, self.at_or_after) {
            (Some(index), false) => write!(f, "{} at {index}", self.code.code()),
            (Some(index), true) => write!(f, "{} at or after {index}", self.code.code()),
            (None, _) => f.write_str(self.code.code()),
        }
    }
}

/// The lowest index at which something is seen to be wrong. What is proved right is [`Report::proved_below`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBad {
    /// At this entry.
    At(u64),
    /// At this entry or a later one: the rows fit each other here, and not what was built on them.
    AtOrAfter(u64),
    /// In no entry: the head row, a stray tag, or the file around the rows.
    NoEntry,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many entries were read.
    pub entries: u64,
    /// How many streams they form.
    pub streams: u64,
    /// Root of the entries as read; none where indices are missing.
    pub root: Option<RootHash>,
    /// Every entry below this index hashes to what the head says, so headers, order and links are as they were appended.
    /// Where the log was cut, this may be far below the first missing index: the head proves whole subtrees only.
    pub proved_below: u64,
    /// The first findings, at most [`FINDINGS_MAX`], in the order found.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_count: u64,
    /// The lowest index at which something is wrong; none if nothing was found.
    pub first_bad: Option<FirstBad>,
    /// How far the log was read when each of the findings was made, and now: the order of what several readings find.
    pub(super) found_at: Vec<u64>,
    pub(super) reached: u64,
}

impl Report {
    /// Whether everything holds.
    pub const fn is_sound(&self) -> bool {
        self.findings_count == 0
    }

    pub(super) const fn new() -> Self {
        Self {
            entries: 0,
            streams: 0,
            root: None,
            proved_below: 0,
            findings: Vec::new(),
            findings_count: 0,
            first_bad: None,
            found_at: Vec::new(),
            reached: 0,
        }
    }

    /// Adds what was found by other means in the same log.
    pub fn add(&mut self, finding: Finding) {
        self.note(finding);
    }

    /// Makes exact what was said to lie at an index or after it: everything before `index` is as it was published.
    pub fn pin(&mut self, index: u64) {
        if let Some(FirstBad::AtOrAfter(from)) = self.first_bad
            && from <= index
        {
            self.first_bad = Some(FirstBad::At(index));
        }
        self.proved_below = self.proved_below.max(index);
    }

    /// Adds what a further reading of the same log found in the streams that it followed.
    pub fn join(&mut self, further: Self) {
        let streams = self.streams + further.streams;
        let mut all: Vec<(u64, Finding)> = self.found_at.drain(..).zip(self.findings.drain(..)).collect();
        all.extend(further.found_at.into_iter().zip(further.findings));
        // Stable: what one reading found at one place stays in its order.
        all.sort_by_key(|(at, _)| *at);
        let count = self.findings_count + further.findings_count;
        for (at, finding) in all {
            self.reached = at;
            self.note(finding);
        }
        (self.findings_count, self.streams) = (count, streams);
        if let Some(bad) = further.first_bad {
            self.place(bad);
        }
    }

    fn note(&mut self, finding: Finding) {
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
            self.found_at.push(self.reached);
        }
        self.place(match (finding.leaf_index, finding.at_or_after) {
            (Some(index), false) => FirstBad::At(index),
            (Some(index), true) => FirstBad::AtOrAfter(index),
            (None, _) => FirstBad::NoEntry,
        });
    }

    /// The earliest place counts, and of two claims about one place the sharper one.
    fn place(&mut self, bad: FirstBad) {
        let order = |bad: FirstBad| match bad {
            FirstBad::At(index) => (index, 0),
            FirstBad::AtOrAfter(index) => (index, 1),
            FirstBad::NoEntry => (u64::MAX, 2),
        };
        if self.first_bad.is_none_or(|known| order(bad) < order(known)) {
            self.first_bad = Some(bad);
        }
    }
}
