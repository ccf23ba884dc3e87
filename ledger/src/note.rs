//! Signed notes (c2sp.org/signed-note) with Ed25519 keys, and the cosignatures of witnesses (c2sp.org/tlog-cosignature).
//! Pure: the time of a cosignature is an argument.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Largest note in bytes; a checkpoint with thirty cosignatures has about 6 KB.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signature lines of a note. The specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 64;
/// Longest name of a key in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 255;
/// Before each signature line: em dash and space.
const DASH: &str = "\u{2014} ";

/// Why bytes are no note, or why a note is not believed. Says what, never what stands there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`], or with more lines than [`SIGNATURES_MAX`].
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes or has more than {SIGNATURES_MAX} signatures")]
    TooLong,
    /// Not text, an empty line and signature lines.
    #[error("the note is not a text, an empty line and signature lines: {0}")]
    Form(&'static str),
    /// None of its signatures is of a key that is trusted.
    #[error("no signature of the note is of a key that is trusted")]
    NoKnownKey,
    /// A signature of a key that is trusted does not verify: the text or the signature was changed.
    #[error("the signature of key {id:08x} does not verify")]
    Signature {
        /// The key's id.
        id: u32,
    },
}

/// Why text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `<name>+<8 hex digits>+<base64>`.
    #[error("a verifier key is <name>+<8 hex digits>+<base64>")]
    Form,
    /// The name is empty, too long, or holds a space, a plus or a control character.
    #[error("the key's name is empty, too long, or holds a space, a plus or a control character")]
    Name,
    /// The key's type is neither 1 (Ed25519) nor 4 (cosignature).
    #[error("the key is neither an Ed25519 key (type 1) nor one of cosignatures (type 4)")]
    Kind,
    /// The 32 bytes are no point of the curve, or one that signs anything.
    #[error("the key is no public key of Ed25519")]
    Point,
    /// The id is not the hash of name and key.
    #[error("the key's id is not that of its name and bytes")]
    Id,
}

/// What a key signs; the byte of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Type 1: the note's text.
    Ed25519,
    /// Type 4: the note's text and the time, by a witness.
    Cosignature,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key and its name: `<name>+<id>+<base64 of type and key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    kind: KeyKind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Makes the key of a name.
    pub fn new(name: &str, kind: KeyKind, public: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Point);
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, kind, public), kind, key })
    }

    /// Returns the key that the text spells.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        // Base64 may hold a plus, a name never does.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let id = parse_id(id).ok_or(KeyError::Form)?;
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (kind, public) = match bytes.split_first() {
            Some((1, public)) => (KeyKind::Ed25519, public),
            Some((4, public)) => (KeyKind::Cosignature, public),
            _ => return Err(KeyError::Kind),
        };
        let public = public.try_into().map_err(|_| KeyError::Form)?;
        let key = Self::new(name, kind, public)?;
        if key.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// Returns the name; that of a log is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id: the first four bytes of SHA-256 over name, type and key.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Returns what the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Returns the 32 bytes of the public key (RFC 8032).
    pub fn public(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Whether the line says that it is of this key.
    pub fn is_named_by(&self, line: &SignatureLine) -> bool {
        self.id == line.id && self.name == line.name
    }

    /// Verifies one line over a text; for a cosignature the time that it names, in seconds since 1970.
    fn verify(&self, text: &str, line: &SignatureLine) -> Option<Option<u64>> {
        let (message, signature, at) = match self.kind {
            KeyKind::Ed25519 => (text.as_bytes().to_vec(), line.bytes.as_slice(), None),
            KeyKind::Cosignature => {
                let (time, signature) = line.bytes.split_first_chunk::<8>()?;
                let at = u64::from_be_bytes(*time);
                i64::try_from(at).ok()?;
                (cosigned(text, at), signature, Some(at))
            }
        };
        let signature = Signature::from_slice(signature).ok()?;
        self.key.verify_strict(&message, &signature).ok().map(|()| at)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

/// A private key with its name. The seed is erased when it is dropped, and nothing prints it.
pub struct NoteKey {
    key: SigningKey,
    verifier: VerifierKey,
}

impl NoteKey {
    /// Makes the key of a seed (RFC 8032 §5.1.5).
    pub fn from_seed(name: &str, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, kind, &key.verifying_key().to_bytes())?;
        Ok(Self { key, verifier })
    }

    /// Returns the public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a note's text (with its last LF). A key of cosignatures names the time `at_s`, in seconds since 1970; a key of
    /// type 1 has no use for it.
    pub fn sign(&self, text: &str, at_s: u64) -> SignatureLine {
        let bytes = match self.verifier.kind {
            KeyKind::Ed25519 => self.key.sign(text.as_bytes()).to_vec(),
            KeyKind::Cosignature => {
                let mut bytes = at_s.to_be_bytes().to_vec();
                bytes.extend_from_slice(&self.key.sign(&cosigned(text, at_s)).to_bytes());
                bytes
            }
        };
        SignatureLine { name: self.verifier.name.clone(), id: self.verifier.id, bytes }
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteKey({})", self.verifier)
    }
}

/// One line under a note: whose signature, and its bytes. Nothing is believed of it until it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub id: u32,
    /// What follows the id: 64 bytes of a signature of type 1; eight bytes of time and 64 of a cosignature.
    pub bytes: Vec<u8>,
}

impl SignatureLine {
    /// Returns the line that the text spells, without its LF.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form("a signature line is an em dash, a key's name and base64");
        let (name, base64) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(form.clone())?;
        let bytes = STANDARD.decode(base64).map_err(|_| form.clone())?;
        let (id, rest) = bytes.split_first_chunk::<4>().ok_or(form.clone())?;
        if !is_key_name(name) || rest.is_empty() {
            return Err(form);
        }
        Ok(Self { name: name.to_owned(), id: u32::from_be_bytes(*id), bytes: rest.to_vec() })
    }
}

/// The line without its LF.
impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text and the signatures under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// A signature that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// When it was made, in seconds since 1970, if it is a cosignature.
    pub at_s: Option<u64>,
}

impl Note {
    /// Makes a note. The text ends with LF and holds no control characters but LF.
    pub fn new(text: String, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        let note = Self { text, signatures };
        if Self::parse(note.to_string().as_bytes()).as_ref() == Ok(&note) {
            Ok(note)
        } else {
            Err(NoteError::Form("a text that ends with LF and one signature or more"))
        }
    }

    /// Returns the note that the bytes are. Rendering it gives these bytes again.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Form("it is no UTF-8"))?;
        if whole.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Form("it holds a control character"));
        }
        // The last empty line parts text and signatures.
        let at = whole.rfind("\n\n").ok_or(NoteError::Form("it has no empty line"))?;
        let (text, lines) = (&whole[..=at], &whole[at + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form("its last line does not end"))?;
        if lines.split('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::TooLong);
        }
        let signatures = lines.split('\n').map(SignatureLine::parse).collect::<Result<Vec<_>, _>>()?;
        let note = Self { text: text.to_owned(), signatures };
        // Base64 is decoded strictly; this holds the promise of one spelling even so.
        if note.to_string().as_bytes() == bytes { Ok(note) } else { Err(NoteError::Form("it is spelt in another way")) }
    }

    /// Returns the text with its last LF. Not to be believed before [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the lines under the text.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a line, unless one of the same key is there.
    pub fn add(&mut self, line: SignatureLine) {
        let is_there = self.signatures.iter().any(|other| (other.id, &other.name) == (line.id, &line.name));
        if !is_there && self.signatures.len() < SIGNATURES_MAX {
            self.signatures.push(line);
        }
    }

    /// Verifies every line of a key in `trusted`; lines of other keys say nothing, nor does a second line of one key. In the
    /// order of the lines; at least one.
    ///
    /// # Errors
    /// [`NoteError::Signature`] if one of them does not verify, [`NoteError::NoKnownKey`] if there is none.
    pub fn verify<'k>(&self, trusted: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, NoteError> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for line in &self.signatures {
            let Some(key) = trusted.iter().find(|key| key.is_named_by(line)) else { continue };
            if verified.iter().any(|seen| seen.key == key) {
                continue;
            }
            let at_s = key.verify(&self.text, line).ok_or(NoteError::Signature { id: key.id })?;
            verified.push(Verified { key, at_s });
        }
        if verified.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// What a witness signs (c2sp.org/tlog-cosignature, Ed25519 signed message).
fn cosigned(text: &str, at_s: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {at_s}\n{text}").into_bytes()
}

fn key_id(name: &str, kind: KeyKind, public: &[u8; 32]) -> u32 {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', kind.byte()]).chain_update(public).finalize();
    hash.iter().take(4).fold(0, |id, &byte| id << 8 | u32::from(byte))
}

fn parse_id(text: &str) -> Option<u32> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digits { u32::from_str_radix(text, 16).ok() } else { None }
}

fn is_key_name(name: &str) -> bool {
    (1..=KEY_NAME_BYTES_MAX).contains(&name.len())
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's package golang.org/x/mod/sumdb/note.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key(name: &str, kind: KeyKind, seed: u8) -> NoteKey {
        NoteKey::from_seed(name, kind, &[seed; 32]).expect("key")
    }

    #[test]
    fn the_example_of_the_reference_verifies_and_no_altered_byte_of_it_does() {
        let trusted = [VerifierKey::parse(KEY).expect("key")];
        assert_eq!(trusted[0].to_string(), KEY);
        let note = Note::parse(NOTE.as_bytes()).expect("note");
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(note.verify(&trusted).map(|all| all.len()), Ok(1));
        for at in 0..NOTE.len() {
            for bit in 0..8 {
                let mut bytes = NOTE.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let verified = Note::parse(&bytes).and_then(|note| note.verify(&trusted).map(drop));
                assert!(verified.is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn an_altered_key_is_no_key() {
        for at in 0..KEY.len() {
            let mut bytes = KEY.as_bytes().to_vec();
            bytes[at] ^= 1;
            let parsed = String::from_utf8(bytes).ok().map(|text| VerifierKey::parse(&text));
            assert!(parsed.is_none_or(|parsed| parsed.is_err()), "byte {at}");
        }
        for text in ["", "a", "a+00000000", "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"] {
            assert!(VerifierKey::parse(text).is_err());
        }
    }

    #[test]
    fn signatures_of_unknown_keys_say_nothing_and_a_wrong_one_of_a_known_key_refuses_the_note() {
        let (ours, theirs) = (key("log/dev", KeyKind::Ed25519, 1), key("other", KeyKind::Ed25519, 2));
        let text = "log/dev\n0\nroot\n";
        let note = Note::new(text.into(), vec![theirs.sign(text, 0), ours.sign(text, 0)]).expect("note");
        let trusted = [ours.verifier().clone()];
        let verified = note.verify(&trusted).expect("ours verifies");
        assert_eq!(verified, [Verified { key: &trusted[0], at_s: None }]);
        let strangers = [key("log/dev", KeyKind::Ed25519, 3).verifier().clone()];
        assert_eq!(note.verify(&strangers), Err(NoteError::NoKnownKey));
        let wrong = ours.sign("another text\n", 0);
        let note = Note::new(text.into(), vec![theirs.sign(text, 0), wrong]).expect("note");
        let both = [theirs.verifier().clone(), ours.verifier().clone()];
        assert_eq!(note.verify(&both), Err(NoteError::Signature { id: ours.verifier().id() }));
    }

    #[test]
    fn a_cosignature_names_its_time_and_covers_it() {
        let witness = key("witness.example/w1", KeyKind::Cosignature, 7);
        let text = "log/dev\n1\nroot\n";
        let line = witness.sign(text, 1_679_315_147);
        assert_eq!(line.bytes.len(), 72);
        let note = Note::new(text.into(), vec![line.clone()]).expect("note");
        let trusted = [witness.verifier().clone()];
        assert_eq!(note.verify(&trusted).expect("verifies")[0].at_s, Some(1_679_315_147));
        for at in 0..line.bytes.len() {
            let mut altered = line.clone();
            altered.bytes[at] ^= 1;
            let note = Note::new(text.into(), vec![altered]).expect("note");
            assert!(note.verify(&trusted).is_err(), "byte {at}");
        }
        // The same bytes as a signature of type 1 are another key.
        assert_ne!(key("witness.example/w1", KeyKind::Ed25519, 7).verifier().id(), witness.verifier().id());
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = NOTE.rsplit_once("\n\n").expect("note").1;
        for text in [
            String::new(),
            "a\n\n".into(),
            format!("a\n{line}"),
            format!("a\n\n{}", line.trim_end()),
            format!("a\r\n\n{line}"),
            format!("a\n\n{line}\n"),
            "a\n\n- x AAAAAAAA\n".to_owned(),
            format!("a\n\n{line} "),
            format!("a\n\n{}", line.repeat(SIGNATURES_MAX + 1)),
            "x".repeat(NOTE_BYTES_MAX + 1),
        ] {
            assert!(Note::parse(text.as_bytes()).is_err(), "{text:.80}");
        }
        assert!(Note::parse(b"\xff\n\n").is_err());
        assert!(Note::new("no end".into(), vec![SignatureLine::parse(line.trim_end()).expect("line")]).is_err());
    }

    #[test]
    fn a_private_key_is_not_printed() {
        let text = format!("{:?}", key("log/dev", KeyKind::Ed25519, 0x41));
        assert!(text.starts_with("NoteKey(log/dev+") && !text.contains("QUFB"), "{text}");
    }
}
