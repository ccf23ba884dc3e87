//! What the cosignatures under a checkpoint show (c2sp.org/tlog-cosignature): enough witnesses saw this tree, and none that we
//! trust was shown another one before. The time now is an argument.

use crate::note::{KeyKind, Note, NoteError, Verified, VerifierKey};

/// A cosignature may be this much younger than our clock; one from further ahead is not counted. NTP keeps machines within a
/// second, a machine without it within minutes.
pub const AHEAD_S_MAX: u64 = 300;

/// Why a checkpoint is not witnessed as was asked. Names keys by their ids only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// What was asked cannot be met or says nothing: a quorum of 0, or above the number of different keys.
    #[error("a quorum of {quorum} of {keys} different witness keys was asked for, and it must be 1 to {keys}")]
    Quorum {
        /// How many were asked for.
        quorum: usize,
        /// How many different keys were given.
        keys: usize,
    },
    /// A key that was given is no key of cosignatures (type 4).
    #[error("key {id:08x} is no key of a witness (type 4)")]
    Kind {
        /// The key's id.
        id: u32,
    },
    /// A cosignature of a witness that is trusted does not verify: the checkpoint or the line was changed.
    #[error("the cosignature of key {id:08x} does not verify")]
    Signature {
        /// The key's id.
        id: u32,
    },
    /// Fewer witnesses than asked.
    #[error("{found} of the {quorum} cosignatures that are asked for are there, and {ahead} more are from the future")]
    TooFew {
        /// Cosignatures that count.
        found: usize,
        /// How many were asked for.
        quorum: usize,
        /// Cosignatures that verify and name a time more than [`AHEAD_S_MAX`] ahead.
        ahead: usize,
    },
}

/// Returns the cosignatures that count, in the order of their lines, if they are `quorum` or more. Each verifies over the note's
/// text and its own time, is of one of `witnesses`, and names a time no later than `now_s` (seconds since 1970) and
/// [`AHEAD_S_MAX`]. A public key counts once, whatever names it has. Whose log it is the caller asks with [`Note::verify`].
///
/// # Errors
/// Each variant of [`QuorumError`].
pub fn witnessed<'k>(
    note: &Note,
    witnesses: &'k [VerifierKey],
    quorum: usize,
    now_s: u64,
) -> Result<Vec<Verified<'k>>, QuorumError> {
    if let Some(key) = witnesses.iter().find(|key| key.kind() != KeyKind::Cosignature) {
        return Err(QuorumError::Kind { id: key.id() });
    }
    let mut publics: Vec<_> = witnesses.iter().map(VerifierKey::public).collect();
    publics.sort_unstable();
    publics.dedup();
    if quorum == 0 || quorum > publics.len() {
        return Err(QuorumError::Quorum { quorum, keys: publics.len() });
    }
    let verified = match note.verify(witnesses) {
        Ok(verified) => verified,
        Err(NoteError::Signature { id }) => return Err(QuorumError::Signature { id }),
        // A note that was parsed fails for want of a known key only.
        Err(_) => Vec::new(),
    };
    let (mut counted, mut ahead): (Vec<Verified<'k>>, usize) = (Vec::new(), 0);
    for cosignature in verified {
        if counted.iter().any(|seen| seen.key.public() == cosignature.key.public()) {
            continue;
        }
        match cosignature.at_s {
            Some(at_s) if at_s <= now_s.saturating_add(AHEAD_S_MAX) => counted.push(cosignature),
            _ => ahead += 1,
        }
    }
    if counted.len() < quorum {
        return Err(QuorumError::TooFew { found: counted.len(), quorum, ahead });
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::NoteKey;

    const NOW: u64 = 1_795_000_000;
    const TEXT: &str =
        "medimg/test/00112233445566778899aabbccddeeff\n2\nR0ROaccE5u9hFPJmwyeIIP2FZ/iLHVj+sKDw86MnBpU=\n";

    fn key(name: &str, seed: u8, kind: KeyKind) -> NoteKey {
        NoteKey::from_seed(name, kind, &[seed; 32]).expect("a key")
    }

    fn witnesses() -> [NoteKey; 3] {
        [1, 2, 3].map(|seed| key(&format!("witness.example/w{seed}"), seed, KeyKind::Cosignature))
    }

    fn note(cosigned: &[(&NoteKey, u64)]) -> Note {
        let log = key("medimg/test/00112233445566778899aabbccddeeff", 9, KeyKind::Ed25519);
        let lines = std::iter::once(log.sign(TEXT, 0)).chain(cosigned.iter().map(|(key, at)| key.sign(TEXT, *at)));
        Note::new(TEXT.to_owned(), lines.collect()).expect("a note")
    }

    #[test]
    fn two_of_three_are_two_of_three_and_one_is_not() {
        let [a, b, c] = witnesses();
        let keys = [&a, &b, &c].map(|key| key.verifier().clone());
        let two = note(&[(&c, NOW), (&a, NOW - 7)]);
        let counted = witnessed(&two, &keys, 2, NOW).expect("two of three");
        let counted: Vec<_> = counted.iter().map(|seen| (seen.key.name(), seen.at_s)).collect();
        assert_eq!(counted, [("witness.example/w3", Some(NOW)), ("witness.example/w1", Some(NOW - 7))]);
        let too_few = |found, quorum| Err(QuorumError::TooFew { found, quorum, ahead: 0 });
        assert_eq!(witnessed(&two, &keys, 3, NOW), too_few(2, 3));
        assert_eq!(witnessed(&note(&[(&b, NOW)]), &keys, 2, NOW), too_few(1, 2));
        assert_eq!(witnessed(&note(&[]), &keys, 1, NOW), too_few(0, 1), "the log's own signature is none of a witness");
        assert_eq!(witnessed(&two, &keys[1..2], 1, NOW), too_few(0, 1), "nor is one of a witness that is not trusted");
    }

    #[test]
    fn a_cosignature_from_the_future_is_not_counted() {
        let [a, b, _] = witnesses();
        let keys = [a.verifier().clone(), b.verifier().clone()];
        let of = |at| witnessed(&note(&[(&a, at), (&b, NOW)]), &keys, 2, NOW).map(|counted| counted.len());
        assert_eq!(of(NOW + AHEAD_S_MAX), Ok(2));
        assert_eq!(of(NOW + AHEAD_S_MAX + 1), Err(QuorumError::TooFew { found: 1, quorum: 2, ahead: 1 }));
    }

    #[test]
    fn an_altered_cosignature_refuses_the_note() {
        let [a, b, _] = witnesses();
        let keys = [a.verifier().clone(), b.verifier().clone()];
        let good = note(&[(&a, NOW), (&b, NOW)]);
        for at in 0..72 {
            let mut lines = good.signatures().to_vec();
            lines[1].bytes[at] ^= 1;
            let altered = Note::new(TEXT.to_owned(), lines).expect("a note");
            let id = a.verifier().id();
            assert_eq!(witnessed(&altered, &keys, 1, NOW), Err(QuorumError::Signature { id }), "byte {at}");
        }
        let other = Note::new(TEXT.replace("\n2\n", "\n3\n"), good.signatures().to_vec()).expect("a note");
        assert!(matches!(witnessed(&other, &keys, 1, NOW), Err(QuorumError::Signature { .. })));
    }

    #[test]
    fn one_public_key_under_two_names_is_one_witness() {
        let (a, again) = (key("a.example", 1, KeyKind::Cosignature), key("b.example", 1, KeyKind::Cosignature));
        let keys = [a.verifier().clone(), again.verifier().clone()];
        let twice = note(&[(&a, NOW), (&again, NOW)]);
        assert_eq!(witnessed(&twice, &keys, 1, NOW).map(|counted| counted.len()), Ok(1));
        assert_eq!(witnessed(&twice, &keys, 2, NOW), Err(QuorumError::Quorum { quorum: 2, keys: 1 }));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        let [a, ..] = witnesses();
        let good = note(&[(&a, NOW)]);
        let keys = [a.verifier().clone()];
        assert_eq!(witnessed(&good, &keys, 0, NOW), Err(QuorumError::Quorum { quorum: 0, keys: 1 }));
        assert_eq!(witnessed(&good, &[], 1, NOW), Err(QuorumError::Quorum { quorum: 1, keys: 0 }));
        let log = key("medimg/test/00112233445566778899aabbccddeeff", 9, KeyKind::Ed25519);
        let keys = [log.verifier().clone()];
        assert_eq!(witnessed(&good, &keys, 1, NOW), Err(QuorumError::Kind { id: log.verifier().id() }));
    }

    #[test]
    fn the_lines_of_the_specifications_have_the_form_of_cosignatures() {
        // C2SP tlog-cosignature and tlog-witness; their public keys are not given, so their signatures prove nothing here.
        let cosignature = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1n\
            PZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";
        let line = crate::note::SignatureLine::parse(cosignature).expect("a line of the specification");
        assert_eq!((line.name.as_str(), line.id, line.bytes.len()), ("witness.example.com/w1", 0x8d66_cf3f, 72));
        assert_eq!(line.bytes[..8], 1_679_315_147_u64.to_be_bytes(), "the time of the example");
        assert_eq!(line.to_string(), cosignature);
    }
}
