//! The port `Views`: what people ask of the history, arranged for asking. Filled from the log alone by a leaf-index
//! consumer, rebuildable at any time, never truth: whoever answers from it checks each row against the ledger.
//!
//! On one machine it is a SQLite file; on AWS it will be a DynamoDB table.

use async_trait::async_trait;
use domain::ids::IndexHash;
use domain::study::Count;
use ledger::{StreamKey, TagKind};

use crate::consumer::Sink;
use crate::error::Result;

/// What a stream is about, by its first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamKind {
    /// One version of one object.
    Object,
    /// A study as a whole.
    Study,
    /// What a person or the system did.
    Act,
}

/// How a stream stands after its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// An object that was delivered.
    Delivered,
    /// An object that was refused.
    Quarantined,
    /// An object whose work was given up.
    Failed,
    /// An object without an end, or a study that was reopened.
    Open,
    /// An act, which has no end.
    Recorded,
    /// A study that is complete.
    Completed,
}

impl Standing {
    /// Every standing, in the order of their words.
    pub const ALL: [Self; 6] =
        [Self::Delivered, Self::Quarantined, Self::Failed, Self::Open, Self::Recorded, Self::Completed];

    /// Returns the word, as `--outcome` and `--json` spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Open => "open",
            Self::Recorded => "recorded",
            Self::Completed => "completed",
        }
    }

    /// Returns the standing that a word names; what was quarantined was refused.
    pub fn of_word(word: &str) -> Option<Self> {
        if word == "refused" {
            return Some(Self::Quarantined);
        }
        Self::ALL.into_iter().find(|standing| standing.word() == word)
    }
}

/// What the views say about one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// The stream.
    pub stream: StreamKey,
    /// What it is about.
    pub kind: StreamKind,
    /// How it stands.
    pub standing: Standing,
    /// The reason class or the code of the failure, if it has one.
    pub why: Option<String>,
    /// The study, the subject of its entries, once known.
    pub study: Option<IndexHash>,
    /// How many entries it has.
    pub entries: u64,
    /// Leaf index of its first entry.
    pub first_leaf: u64,
    /// Leaf index of its last entry.
    pub last_leaf: u64,
    /// When the first was recorded, in milliseconds since 1970.
    pub first_ms: u64,
    /// When the last was recorded.
    pub last_ms: u64,
    /// Event types of its last entry, comma-separated.
    pub last_types: String,
}

/// What the views say about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Its leaf index.
    pub leaf: u64,
    /// Its stream.
    pub stream: StreamKey,
    /// Its number in the stream.
    pub seq: u64,
    /// Its event types, comma-separated.
    pub types: String,
    /// Who acted, as the header spells it.
    pub actor: String,
    /// When it was recorded.
    pub at_ms: u64,
}

/// What the views say about one study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StudyRow {
    /// The study, under one version of the index key.
    pub study: IndexHash,
    /// Its objects, by how their streams stand.
    pub count: Count,
    /// When the last entry about one of its objects was recorded.
    pub last_ms: u64,
    /// The counts with which it stands completed, if it does.
    pub completed: Option<Count>,
}

/// Which entries are asked for. Conditions are joined by "and", the values of one condition by "or"; an empty list is no
/// condition. The first five choose streams, the others entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Streams about one of these studies.
    pub studies: Vec<IndexHash>,
    /// Streams about one of these patients.
    pub patients: Vec<IndexHash>,
    /// Streams about one of these accession numbers.
    pub accessions: Vec<IndexHash>,
    /// This stream.
    pub stream: Option<StreamKey>,
    /// Streams that stand so, and for this reason.
    pub standing: Option<Standing>,
    /// Streams with this reason class or code of failure.
    pub why: Option<String>,
    /// Entries by one of these actors, as headers spell them.
    pub actors: Vec<String>,
    /// Entries that hold an event of one of these types, with version.
    pub types: Vec<&'static str>,
    /// Entries recorded at this time or later.
    pub from_ms: Option<u64>,
    /// Entries recorded before this time.
    pub to_ms: Option<u64>,
}

impl Selection {
    /// Whether whole streams are asked for: nothing is said of single entries.
    pub const fn is_of_streams(&self) -> bool {
        self.actors.is_empty() && self.types.is_empty() && self.from_ms.is_none() && self.to_ms.is_none()
    }

    /// Whether everything is asked for.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// How many streams and entries a selection holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Streams, counted if whole streams were asked for.
    pub streams: u64,
    /// Entries.
    pub entries: u64,
}

/// Where a page of an answer begins and ends: leaf indices above `after`, below `below`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Leaf index of the last one that was shown.
    pub after: Option<u64>,
    /// The size of the log that the answer is of.
    pub below: u64,
}

/// Rows made from the log.
///
/// Every implementation promises, beside what a [`Sink`] does: the rows are a function of the entries taken in, and of
/// nothing else, so that views built anew are equal; and they hold keyed hashes, codes, times and numbers only.
#[async_trait]
pub trait Views: Sink {
    /// Returns streams that the selection holds, by rising index of their first leaf, which lies in the span.
    async fn streams(&self, selection: &Selection, span: Span, limit: usize) -> Result<Vec<StreamRow>>;

    /// Returns the entries that the selection holds, by rising leaf index, which lies in the span.
    async fn entries(&self, selection: &Selection, span: Span, limit: usize) -> Result<Vec<EntryRow>>;

    /// Returns how many there are in the span.
    async fn count(&self, selection: &Selection, span: Span) -> Result<Counted>;

    /// Returns the leaf indices of a stream's entries, in order, at most [`ledger::STREAM_ENTRIES_MAX`].
    async fn leaves(&self, stream: StreamKey) -> Result<Vec<u64>>;

    /// Returns what the views say about one stream.
    async fn stream(&self, stream: StreamKey) -> Result<Option<StreamRow>>;

    /// Whether a stream carries a tag.
    async fn has_tag(&self, stream: StreamKey, kind: TagKind, hash: IndexHash) -> Result<bool>;

    /// Returns the studies whose new Study Instance UID has one of these hashes, in their order.
    async fn studies_of_new(&self, new_studies: &[IndexHash]) -> Result<Vec<IndexHash>>;

    /// Returns studies for the sweeper to look at, in their order, after `after`: open ones without an open stream whose
    /// last entry was recorded at `idle_since_ms` or before, and completed ones whose counts are no longer those.
    async fn studies_due(&self, idle_since_ms: u64, after: Option<IndexHash>, limit: usize) -> Result<Vec<StudyRow>>;
}
