//! Whom a verification believes: keys and checkpoints from outside the store, or else what the store says of itself.

use std::path::Path;

use ledger::note::{KeyKind, Note, VerifierKey};
use ledger::verify::Code;
use ledger::witness::{QuorumError, witnessed};
use ledger::{Checkpoint, Origin};

use crate::error::Result;
use crate::sealer::verifier_keys;
use crate::surroundings::{Surroundings as _, System};

/// More checkpoints than this are given by no person.
pub const GIVEN_MAX: usize = 1_000;

/// What a verifier brings along.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Checkpoints that were kept elsewhere, as signed notes.
    pub checkpoints: Vec<Vec<u8>>,
    /// Keys of the log. Without one the store's own list is believed, which proves nothing against whoever owns the store.
    pub keys: Vec<VerifierKey>,
    /// Keys of witnesses.
    pub witnesses: Vec<VerifierKey>,
    /// How many of the witnesses must have signed the checkpoint that counts.
    pub quorum: usize,
    /// Whether bodies and tags, and with them the order of the steps, are left out.
    pub headers_only: bool,
}

/// A checkpoint whose signature verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// How many of the witnesses that are trusted have signed it.
    pub witnesses: usize,
}

/// The keys that are believed for one log.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    origin: Origin,
    /// Keys that sign the checkpoints that count.
    keys: Vec<VerifierKey>,
    /// Those, and those that the store lists: a key that was changed since has signed older checkpoints.
    ever: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    quorum: usize,
    /// The time of the verification, in seconds since 1970.
    now_s: u64,
}

impl Trust {
    /// Whom to believe for the log with this origin; `listed` are the keys that the store names.
    pub(super) fn of(origin: &Origin, outside: &Outside, listed: &[VerifierKey]) -> Self {
        // One key may sign the logs before and behind a recovery: it then has the name of each.
        let named = |key: &VerifierKey| VerifierKey::new(origin.as_str(), KeyKind::Ed25519, &key.public()).ok();
        let base = |name: &str| name.split('#').next().unwrap_or_default().to_owned();
        let is_ours = |key: &&VerifierKey| key.kind() == KeyKind::Ed25519 && base(key.name()) == base(origin.as_str());
        let ours =
            |keys: &[VerifierKey]| -> Vec<VerifierKey> { keys.iter().filter(is_ours).filter_map(named).collect() };
        let (given, listed) = (ours(&outside.keys), ours(listed));
        let ever = given.iter().chain(&listed).cloned().collect();
        let keys = if outside.keys.is_empty() { listed } else { given };
        let kind = |key: &&VerifierKey| key.kind() == KeyKind::Cosignature;
        let witnesses = outside.witnesses.iter().filter(kind).cloned().collect();
        let now_s = System.now_ms() / 1_000;
        Self { origin: origin.clone(), keys, ever, witnesses, quorum: outside.quorum, now_s }
    }

    /// Reads a checkpoint that counts: of this log, signed by a key that is trusted, and by enough witnesses.
    pub(super) fn read(&self, bytes: &[u8]) -> std::result::Result<Signed, Code> {
        let signed = self.read_published(bytes)?;
        if signed.witnesses < self.quorum { Err(Code::CheckpointQuorum) } else { Ok(signed) }
    }

    /// Reads a checkpoint as [`Trust::read`] does, however few witnesses have signed it: they are asked after it was published.
    pub(super) fn read_published(&self, bytes: &[u8]) -> std::result::Result<Signed, Code> {
        let (note, checkpoint) = self.form(bytes)?;
        note.verify(&self.keys).map_err(|_| Code::CheckpointSignature)?;
        let witnesses = match witnessed(&note, &self.witnesses, 1, self.now_s) {
            Ok(counted) => counted.len(),
            Err(QuorumError::Signature { .. }) => return Err(Code::CheckpointSignature),
            // None of them has signed, or none is trusted.
            Err(_) => 0,
        };
        Ok(Signed { checkpoint, witnesses })
    }

    /// Reads a checkpoint that the store keeps: of this log, of the size under which it is kept, signed by a key that is trusted
    /// or that the store says to have had.
    pub(super) fn read_kept(&self, size: u64, bytes: &[u8]) -> std::result::Result<Checkpoint, Code> {
        let (note, checkpoint) = self.form(bytes)?;
        note.verify(&self.ever).map_err(|_| Code::CheckpointSignature)?;
        if checkpoint.size == size { Ok(checkpoint) } else { Err(Code::CheckpointForm) }
    }

    fn form(&self, bytes: &[u8]) -> std::result::Result<(Note, Checkpoint), Code> {
        let note = Note::parse(bytes).map_err(|_| Code::CheckpointForm)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Code::CheckpointForm)?;
        if checkpoint.origin == self.origin.as_str() { Ok((note, checkpoint)) } else { Err(Code::CheckpointOrigin) }
    }
}

/// Returns the origin that a note names, believed or not.
pub(super) fn origin_of(bytes: &[u8]) -> Option<Origin> {
    let note = Note::parse(bytes).ok()?;
    Origin::parse(&Checkpoint::parse(note.text()).ok()?.origin)
}

/// The keys that a store lists; none that can be read is as none.
pub(super) fn listed(root: &Path) -> Result<Vec<VerifierKey>> {
    verifier_keys(root)
}
