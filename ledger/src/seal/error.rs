//! The errors of sealing: one variant for each thing that a caller does differently. No message holds a value of an entry.

/// The cause that only the adapter knows.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a log was not sealed. Whatever it was, no entry is lost, and the next turn goes on.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No answer, or no way to the store now: what was tried may stand or not. Try again later.
    #[error("{tried}: there was no answer")]
    Unavailable {
        /// What was tried.
        tried: &'static str,
        /// The cause as the adapter tells it.
        #[source]
        source: Option<Source>,
    },
    /// The disk is full. Free space, then go on.
    #[error("{tried}: the disk is full")]
    DiskFull {
        /// What was tried.
        tried: &'static str,
        /// The cause as the adapter tells it.
        #[source]
        source: Source,
    },
    /// What is published or staged is not what was written, or is gone. `mend` makes tiles anew from the log.
    #[error("what is published of the log is damaged: {what}")]
    Damaged {
        /// What does not hold; a constant sentence.
        what: &'static str,
    },
    /// The log or its head has fewer entries than a checkpoint that was published. Somebody put an older store back.
    #[error("{what} has {size} entries, and a checkpoint over {published} was published")]
    RolledBack {
        /// Which of the two.
        what: &'static str,
        /// How many it has.
        size: u64,
        /// How many were published.
        published: u64,
    },
    /// The log does not go on from what was published: it has other entries.
    #[error("the log does not go on from its checkpoint over {size} entries")]
    Forked {
        /// The size of the checkpoint.
        size: u64,
    },
    /// The signer gave no signature that verifies. Nothing was published.
    #[error("the signature of a checkpoint does not verify, or could not be made")]
    Signer {
        /// The cause as the adapter tells it.
        #[source]
        source: Option<Source>,
    },
    /// The ledger itself could not be read.
    #[error(transparent)]
    Ledger(#[from] crate::Error),
}

impl SealError {
    /// Returns the stable code for people and machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "seal_unavailable",
            Self::DiskFull { .. } => "disk_full",
            Self::Damaged { .. } => "tiles_damaged",
            Self::RolledBack { .. } => "ledger_rolled_back",
            Self::Forked { .. } => "ledger_forked",
            Self::Signer { .. } => "signer_failed",
            Self::Ledger(error) => error.code(),
        }
    }

    /// Whether time or room cures it; after the others a person has to look.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::DiskFull { .. }
                | Self::Ledger(
                    crate::Error::Unavailable { .. } | crate::Error::DiskFull { .. } | crate::Error::Unknown { .. }
                )
        )
    }
}
