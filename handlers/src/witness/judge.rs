//! The decision of a witness (C2SP tlog-witness), pure: what is held of a log, what is shown, whose keys are trusted; out goes
//! whether it is cosigned, or the status with which it is refused.

use std::collections::BTreeMap;

use ledger::note::{KeyKind, Note, VerifierKey};
use ledger::proof::verify_consistency;
use ledger::{Checkpoint, RootHash};

use super::request::{AddCheckpoint, SIZE_MAX};

/// Most keys of logs that a witness trusts.
pub const LOG_KEYS_MAX: usize = 1_024;

/// The logs that a witness knows: the keys of each origin. A key's name is the origin.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    keys: BTreeMap<String, Vec<VerifierKey>>,
}

impl Logs {
    /// Adds a key; a log has several while it changes its key. `false` and nothing added for a key that signs no checkpoints
    /// (type 4), and when [`LOG_KEYS_MAX`] are there.
    pub fn add(&mut self, key: VerifierKey) -> bool {
        if key.kind() != KeyKind::Ed25519 || self.keys.values().map(Vec::len).sum::<usize>() >= LOG_KEYS_MAX {
            return false;
        }
        let keys = self.keys.entry(key.name().to_owned()).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
        true
    }

    /// Returns the origins.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Returns the keys that are trusted to sign checkpoints of the origin.
    pub fn keys_of(&self, origin: &str) -> Option<&[VerifierKey]> {
        self.keys.get(origin).map(Vec::as_slice)
    }
}

/// A request whose checkpoint is signed by a log that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The note, with no lines but those of the log's trusted keys; all of them verify.
    pub note: Note,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The size that the client believes to be held.
    pub old_size: u64,
    /// The proof from there.
    pub proof: Vec<[u8; 32]>,
}

/// The latest checkpoint of a log that was cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: RootHash,
}

/// Why a request is refused before anything held is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no request, or its note no checkpoint: 400.
    Malformed,
    /// The log is none that is known: 404.
    UnknownLog,
    /// No signature of a trusted key, or one that does not verify: 403.
    NotSigned,
    /// The old size is above that of the checkpoint: 400.
    OldSize,
}

/// What becomes of a request of a known log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is consistent with what is held: keep it, then cosign.
    Cosign,
    /// Another size is held: 409, with that size.
    Conflict,
    /// A tree of the size that is held has another root, both signed by the log. The two notes prove it: 409.
    Forked,
    /// The proof does not lead from what is held to what is shown: 422. Perhaps a fork, perhaps only a bad proof.
    Unproved,
}

/// Reads a request and finds out whether a known log signed it.
///
/// # Errors
/// Each [`Refusal`].
pub fn examine(body: &[u8], logs: &Logs) -> Result<Shown, Refusal> {
    let request = AddCheckpoint::parse(body).map_err(|_| Refusal::Malformed)?;
    let note = Note::parse(request.note).map_err(|_| Refusal::Malformed)?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Refusal::Malformed)?;
    if checkpoint.size > SIZE_MAX {
        return Err(Refusal::Malformed);
    }
    let keys = logs.keys_of(&checkpoint.origin).ok_or(Refusal::UnknownLog)?;
    let verified = note.verify(keys).map_err(|_| Refusal::NotSigned)?;
    if request.old_size > checkpoint.size {
        return Err(Refusal::OldSize);
    }
    // What strangers wrote under the note is neither kept nor shown to others. One line of a key is verified: the first.
    let mut lines = Vec::new();
    for seen in verified {
        lines.extend(note.signatures().iter().find(|line| seen.key.is_named_by(line)).cloned());
    }
    let note = Note::new(note.text().to_owned(), lines).map_err(|_| Refusal::Malformed)?;
    Ok(Shown { note, checkpoint, old_size: request.old_size, proof: request.proof })
}

/// Decides. `held` is what was cosigned last of this log; none is the tree without leaves.
pub fn judge(held: Option<&Held>, shown: &Shown) -> Verdict {
    let held = held.copied().unwrap_or(Held { size: 0, root: ledger::merkle_root(&[]) });
    let (size, root) = (shown.checkpoint.size, &shown.checkpoint.root);
    if size == held.size && *root != held.root {
        return Verdict::Forked;
    }
    if shown.old_size != held.size {
        return Verdict::Conflict;
    }
    if verify_consistency(held.size, &held.root, size, root, &shown.proof) {
        Verdict::Cosign
    } else {
        Verdict::Unproved
    }
}
