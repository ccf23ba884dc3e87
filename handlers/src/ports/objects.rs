//! `Objects`: where raw objects are read and processed objects become visible (docs/adr/0004-trait-objects.md).

use std::fmt;

use async_trait::async_trait;
use domain::ids::{Location, StreamId};

use crate::error::Result;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a staged object; at most 1 KB of text, means something to the implementation only, and survives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageToken(pub String);

/// The name under which an object becomes visible: `<new study>/<new series>/<new sop>.dcm`, made of new UIDs alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputKey(String);

impl OutputKey {
    /// Makes the key of an object from its new UIDs.
    pub fn of_uids(study: &str, series: &str, sop: &str) -> Self {
        Self(format!("{study}/{series}/{sop}.dcm"))
    }

    /// Returns the key that `text` spells: three parts of digits and dots, the last with `.dcm`. What an event names is
    /// checked here before it is used as a path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (study, series, sop) = (parts.next()?, parts.next()?, parts.next()?.strip_suffix(".dcm")?);
        let is_uid = |part: &str| {
            (1..=64).contains(&part.len())
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        };
        (parts.next().is_none() && [study, series, sop].into_iter().all(is_uid)).then(|| Self(text.to_owned()))
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// This staged object is visible now: by this call, or by an earlier one whose answer was lost.
    Now,
    /// Another object with the same bytes was there before.
    AlreadyThere,
    /// Another object with other bytes was there before; nothing was changed.
    Conflict,
}

/// What the system says of a file: which one it is, how long, and when it changed. Two equal ones are the same file with the
/// same bytes, as far as a file system tells without reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSeen {
    /// Length in bytes.
    pub size_bytes: u64,
    /// Number of the file in its file system.
    pub inode: u64,
    /// When its bytes changed last, in nanoseconds since 1970, as whoever wrote it says.
    pub modified_ns: i64,
    /// When anything about it changed last, in nanoseconds since 1970, as the system says.
    pub changed_ns: i64,
}

/// A raw object that is open for reading, pinned as far as the store can pin.
#[async_trait]
pub trait Source: Send {
    /// Returns the length in bytes at the time of opening.
    fn size_bytes(&self) -> u64;

    /// Fills `block` from `offset`.
    ///
    /// # Errors
    /// `source_changed` when the object ends earlier; `source_io` and the like otherwise.
    async fn read_at(&mut self, offset: u64, block: &mut [u8]) -> Result<()>;

    /// Refuses with `source_changed` if the object is no longer what was opened, as far as the store can tell without
    /// reading it. Callers that need certainty hash what they read.
    async fn check_unchanged(&mut self) -> Result<()>;

    /// Returns what was seen of the file when it was opened; none where objects are no files.
    fn file(&self) -> Option<FileSeen> {
        None
    }
}

/// An object that is being staged: invisible, and gone without a trace if it is dropped before `finish`.
#[async_trait]
pub trait Staging: Send {
    /// Appends a block.
    async fn write(&mut self, block: &[u8]) -> Result<()>;

    /// Makes the staged object durable and returns its token. The bytes survive a crash from here on; should the name be
    /// lost with the folder's entry, `publish` says `Missing` and the caller stages the same bytes again.
    async fn finish(self: Box<Self>) -> Result<StageToken>;
}

/// Where objects lie.
///
/// Every implementation promises: a staged object is invisible under any output key; `publish` makes it visible whole or
/// not at all (also where the token of a lost stage is given out again), and never replaces what is there; once it has
/// answered `Now` the object survives a crash; each call may be repeated after a lost answer and then gives the same answer.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Opens a raw object.
    async fn open(&self, location: &Location) -> Result<Box<dyn Source>>;

    /// Begins to stage the output of `stream`.
    async fn stage(&self, stream: StreamId) -> Result<Box<dyn Staging>>;

    /// Makes the staged object visible under `key` if nothing is there. `digest` is that of the staged bytes.
    /// Returns `None` if the staged object is gone and `key` does not hold that digest either: stage again.
    async fn publish(&self, token: &StageToken, key: &OutputKey, digest: Digest) -> Result<Option<Published>>;

    /// Forgets a staged object. One that is gone already is no error.
    async fn discard(&self, token: &StageToken) -> Result<()>;

    /// Returns the digest of the visible object, `None` if there is none. Reads it whole.
    async fn digest(&self, key: &OutputKey) -> Result<Option<Digest>>;
}
