//! How far the log is sealed: its signed checkpoints up to the size that the report is of. A pure function of the kept notes and
//! of the verifier keys that stand beside the log.

use ledger::Checkpoint;
use ledger::note::{Note, VerifierKey};
use serde::Serialize;

/// Most checkpoints that are listed, the newest; the rest is counted.
pub const CHECKPOINTS_MAX: usize = 50;

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointRow {
    /// How many entries it is over.
    pub size: u64,
    /// Root over them, base64; none of a note that is no checkpoint.
    pub root: Option<String>,
    /// Ids of the log's keys whose signatures verify, 8 hex digits each.
    pub keys: Vec<String>,
    /// Signatures of others: witnesses, which are held against their keys by whoever trusts them.
    pub cosignatures: u64,
}

/// How far the log is sealed, as its store says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sealing {
    /// Checkpoints that seal entries in scope.
    pub checkpoints_count: u64,
    /// The newest of them, at most [`CHECKPOINTS_MAX`], newest first.
    pub checkpoints: Vec<CheckpointRow>,
    /// Entries that the newest checkpoint of the log does not cover, of those that the report is of.
    pub unsealed: u64,
    /// The newest checkpoint of the log up to that size, as it was signed.
    pub newest: Option<String>,
    /// Whether the root that it names is that of the entries as they were read for the report; none without one.
    pub newest_is_of_these_entries: Option<bool>,
    /// The log's public keys, oldest first, as its store lists them.
    pub verifier_keys: Vec<String>,
}

impl Sealing {
    /// Says how far the first `size` entries are sealed: `kept` are the newest notes of the scope with their sizes, of `count`;
    /// `newest` is the newest note of the log up to that size, and `read_root` the root over as many entries as were read.
    pub fn of(
        size: u64,
        (count, kept): (u64, &[(u64, String)]),
        newest: Option<(u64, String)>,
        read_root: Option<&str>,
        keys: &[VerifierKey],
    ) -> Self {
        let checkpoints = kept.iter().map(|(size, note)| row(*size, note, keys)).collect();
        let sealed = newest.as_ref().map_or(0, |(sealed, _)| *sealed);
        let said = newest.as_ref().map(|(sealed, note)| row(*sealed, note, keys).root);
        Self {
            checkpoints_count: count,
            checkpoints,
            unsealed: size.saturating_sub(sealed),
            newest: newest.map(|(_, note)| note),
            newest_is_of_these_entries: said.map(|root| root.is_some() && root.as_deref() == read_root),
            verifier_keys: keys.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether the newest checkpoint is signed by a key that the store lists.
    pub fn is_signed(&self) -> bool {
        self.checkpoints.first().is_some_and(|row| !row.keys.is_empty())
    }
}

fn row(size: u64, note: &str, keys: &[VerifierKey]) -> CheckpointRow {
    let Ok(note) = Note::parse(note.as_bytes()) else {
        return CheckpointRow { size, root: None, keys: Vec::new(), cosignatures: 0 };
    };
    let checkpoint = Checkpoint::parse(note.text()).ok().filter(|checkpoint| checkpoint.size == size);
    let verified = note.verify(keys).unwrap_or_default();
    let ours = |name: &str| checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.origin == name);
    CheckpointRow {
        size,
        root: checkpoint.as_ref().map(|checkpoint| checkpoint.root.base64()),
        keys: verified.iter().map(|by| format!("{:08x}", by.key.id())).collect(),
        cosignatures: note.signatures().iter().filter(|line| !ours(&line.name)).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use ledger::note::{KeyKind, NoteKey};
    use ledger::{LeafHash, Origin, merkle_root};

    use super::*;

    const WITNESS: &str = "witness.example/one";

    fn signed(size: u64) -> ((u64, String), VerifierKey) {
        let origin = Origin::new("medimg", "test", [0; 16]).expect("an origin");
        let checkpoint = Checkpoint::new(&origin, size, merkle_root(&[LeafHash([7; 32])]));
        let key = |name: &str, kind, seed| NoteKey::from_seed(name, kind, &[seed; 32]).expect("a key");
        let (ours, witness) = (key(origin.as_str(), KeyKind::Ed25519, 1), key(WITNESS, KeyKind::Cosignature, 2));
        let text = checkpoint.to_string();
        let lines = vec![ours.sign(&text, 0), witness.sign(&text, 9)];
        let note = Note::new(text, lines).expect("a note").to_string();
        ((size, note), ours.verifier().clone())
    }

    #[test]
    fn a_checkpoint_is_told_with_the_keys_that_verify_and_its_cosignatures() {
        let (kept, key) = signed(120);
        let root = merkle_root(&[LeafHash([7; 32])]).base64();
        let list = std::slice::from_ref(&kept);
        let told = Sealing::of(123, (9, list), Some(kept.clone()), Some(&root), std::slice::from_ref(&key));
        assert_eq!(told.newest_is_of_these_entries, Some(true));
        let other = Sealing::of(123, (9, list), Some(kept.clone()), Some("other"), std::slice::from_ref(&key));
        assert_eq!(other.newest_is_of_these_entries, Some(false));
        let row = &told.checkpoints[0];
        assert_eq!((row.size, row.keys.clone(), row.cosignatures), (120, vec![format!("{:08x}", key.id())], 1));
        assert_eq!((told.unsealed, told.checkpoints_count, told.newest.as_deref()), (3, 9, Some(kept.1.as_str())));
        assert!(told.is_signed());
    }

    #[test]
    fn a_checkpoint_that_was_changed_is_signed_by_nobody() {
        let ((size, note), key) = signed(120);
        let forged = note.replace("\n120\n", "\n121\n");
        assert_ne!(forged, note);
        let told = Sealing::of(121, (1, &[(size + 1, forged)]), None, None, &[key]);
        assert!(!told.is_signed() && told.checkpoints[0].keys.is_empty());
    }
}
