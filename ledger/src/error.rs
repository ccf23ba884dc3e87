//! The errors of the ledger: one variant for each thing that a caller does differently. No message holds a value.

use crate::{BodyError, StreamKey};

/// The cause that only the adapter knows.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The slot is taken by another decision. Nothing was written. Load and decide again, a bounded number of times.
    #[error("entry {seq} of stream {stream} is taken by another decision")]
    Conflict {
        /// The stream that was appended to.
        stream: StreamKey,
        /// The slot, from 0.
        seq: u64,
    },
    /// No answer: the entry may stand or not. Load the stream and look; appending the same decision again is safe.
    #[error("the ledger did not confirm the append; the entry may stand")]
    Unknown {
        /// What went wrong, where that is known.
        #[source]
        cause: Option<Source>,
    },
    /// The decision can be no entry. Ours to correct: no retry helps.
    #[error("the decision can be no entry of the ledger")]
    Invalid(#[source] InvalidDecision),
    /// The disk or the store's size limit is reached. Nothing was written. Free space, then go on.
    #[error("the ledger's disk is full")]
    DiskFull {
        /// The cause as the store tells it.
        #[source]
        source: Source,
    },
    /// Another process held the store for longer than we wait, or the store is closing. Nothing was written. Try again later.
    #[error("the ledger is busy or out of reach")]
    Unavailable {
        /// The cause as the store tells it.
        #[source]
        source: Option<Source>,
    },
    /// There is no ledger at the path. Create one, or correct the path.
    #[error("there is no ledger at the path")]
    Missing,
    /// There is a ledger at the path already; it was left as it is. Open it as existing.
    #[error("there is a ledger at the path already")]
    Exists,
    /// The file or its folder cannot be written, or not even read. Correct the permissions or the mount.
    #[error("the ledger or its folder cannot be opened with the access that is needed")]
    NoAccess {
        /// The cause as the store tells it.
        #[source]
        source: Option<Source>,
    },
    /// The file is no ledger: not a database, or another program's. Correct the path; if it was a ledger, restore a backup.
    #[error("the file is no ledger")]
    NotALedger {
        /// The cause as the store tells it.
        #[source]
        source: Option<Source>,
    },
    /// The store was written by another version of this program. Use that version.
    #[error("the ledger has schema version {found}, this program knows {known}")]
    SchemaVersion {
        /// As the store states it.
        found: i64,
        /// The one that this program reads and writes.
        known: i64,
    },
    /// The store holds what no append wrote. Stop and call a person; `verify` names the first bad index.
    #[error("the ledger is damaged: {what}")]
    Damaged {
        /// What does not hold; a constant sentence.
        what: &'static str,
        /// Index of the entry in the log, where it is known.
        leaf_index: Option<u64>,
        /// The cause as the store tells it.
        #[source]
        source: Option<Source>,
    },
}

impl Error {
    /// Whether the disk is full, also where that left an append unconfirmed: a run stops then instead of trying again.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Unknown { cause: Some(cause) } => cause.downcast_ref().is_some_and(Self::is_disk_full),
            _ => false,
        }
    }

    /// Returns the stable code for people and machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "ledger_conflict",
            Self::Unknown { .. } => "ledger_unknown",
            Self::Invalid(_) => "ledger_invalid",
            Self::DiskFull { .. } => "ledger_disk_full",
            Self::Unavailable { .. } => "ledger_unavailable",
            Self::Missing => "ledger_missing",
            Self::Exists => "ledger_exists",
            Self::NoAccess { .. } => "ledger_no_access",
            Self::NotALedger { .. } => "ledger_not_a_ledger",
            Self::SchemaVersion { .. } => "ledger_schema_version",
            Self::Damaged { .. } => "ledger_damaged",
        }
    }
}

/// Why a decision can be no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecision {
    /// The body is not what the header says of it.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Origin and types are too long together.
    #[error("the header would be longer than {} bytes", crate::HEADER_BYTES_MAX)]
    HeaderTooLong,
    /// The stream holds as many entries as one may.
    #[error("the stream holds {} entries, the most that one may", crate::STREAM_ENTRIES_MAX)]
    StreamFull,
}
