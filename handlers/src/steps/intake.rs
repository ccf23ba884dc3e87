//! Intake: pins an object's version and digest before a byte of it is parsed.

use domain::events::{Digest, Intake, ObjectReceived};
use domain::upload::Command;

use crate::commit::{Committed, commit};
use crate::error::Result;
use crate::pipeline::{Pipeline, Work};

/// What was seen of an object when it came in.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Which way it came.
    pub intake: Intake,
    /// Whether the store keeps a copy.
    pub raw_copied: bool,
}

/// Records `object.received`. The row in `sources` is durable already, so whoever finds the entry finds the object.
pub async fn receive(pipeline: &Pipeline, work: &mut Work, seen: Seen) -> Result<Committed> {
    let Seen { sha256, size_bytes, intake, raw_copied } = seen;
    commit(pipeline, work, &Command::Receive(ObjectReceived { sha256, size_bytes, intake, raw_copied })).await
}
