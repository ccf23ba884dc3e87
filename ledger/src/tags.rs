//! Tags: the keyed hashes by which entries are found. They are copied from the hashed body, so they can be checked and
//! rebuilt; they are never truth of their own.

use std::fmt;

use crate::{IndexHash, StreamKey};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal),+ $(,)?) => {
        /// What a tag's hash is the hash of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TagKind { $($(#[doc = $doc])+ $variant),+ }

        impl TagKind {
            /// Every kind.
            pub const ALL: &'static [TagKind] = &[$(TagKind::$variant),+];

            /// Returns the stable word, as bodies and stores spell it.
            pub const fn as_str(self) -> &'static str {
                match self { $(TagKind::$variant => $text),+ }
            }
        }
    };
}

kinds! {
    /// The original Study Instance UID.
    Study = "study",
    /// The new (output) Study Instance UID.
    NewStudy = "new_study",
    /// The patient.
    Patient = "patient",
    /// The accession number.
    Accession = "accession",
    /// The acting person.
    Actor = "actor",
}

impl TagKind {
    /// Returns the kind that `word` names.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str().as_bytes() == word)
    }
}

/// One tag: `study:k1:<32 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag {
    /// What the hash is the hash of.
    pub kind: TagKind,
    /// The keyed hash and the version of its key.
    pub hash: IndexHash,
}

impl Tag {
    /// Returns the tag that `<kind>:k<version>:<32 hex>` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, hash) = text.split_once(':')?;
        Some(Self { kind: TagKind::from_word(kind.as_bytes())?, hash: IndexHash::parse(hash)? })
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.hash)
    }
}

/// One answer of [`crate::Log::tagged`]: an entry that carries the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// Index of the entry in the log, from 0.
    pub leaf_index: u64,
    /// The stream of the entry.
    pub stream: StreamKey,
}
