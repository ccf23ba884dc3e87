//! Ids, pseudonyms and the three keys they are made with (DESIGN §4, docs/adr/0002).
//!
//! Frozen: a change to any input or cut below is a new kind, never an edit.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Phi;

/// What every HMAC and UUIDv5 input begins with; the kind follows.
const LABEL: &str = "medimg/v1/";

/// Returns the labelled input: `medimg/v1/<kind>`, then each field as u32 big-endian length and bytes.
pub fn labelled(kind: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut input = Vec::with_capacity(LABEL.len() + kind.len() + fields.iter().map(|f| f.len() + 4).sum::<usize>());
    input.extend_from_slice(LABEL.as_bytes());
    input.extend_from_slice(kind.as_bytes());
    for field in fields {
        let length = u32::try_from(field.len()).expect("fields are UIDs, ids and paths, far below 4 GiB");
        input.extend_from_slice(&length.to_be_bytes());
        input.extend_from_slice(field);
    }
    input
}

/// One of the three secret keys: 32 random bytes, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// Wraps key bytes that came from a random source or a key file.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes, for the key file only.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns HMAC-SHA256 over the labelled input, cut to 16 bytes.
    pub fn keyed_hash(&self, kind: &str, fields: &[&[u8]]) -> KeyedHash {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&labelled(kind, fields));
        let full = mac.finalize().into_bytes();
        let mut cut = [0; 16];
        cut.copy_from_slice(&full[..16]);
        KeyedHash(cut)
    }

    /// Returns the key check value: it is stored with the ledger, and a store opened with another key refuses.
    pub fn check_value(&self) -> KeyedHash {
        self.keyed_hash("kcv", &[])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// Sixteen bytes of an HMAC; 32 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyedHash(pub [u8; 16]);

impl KeyedHash {
    /// Returns the hash that 32 lower-case hex digits spell.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a stream of the ledger, and of everything that is said about one object, study or run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub KeyedHash);

impl StreamId {
    /// Returns the stream id that 32 lower-case hex digits spell.
    pub fn parse(text: &str) -> Option<Self> {
        KeyedHash::parse(text).map(Self)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A keyed hash under a version of the index key: `k1:<32 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IndexHash {
    /// Version of the index key, from 1.
    pub version: u32,
    /// The keyed hash.
    pub hash: KeyedHash,
}

impl IndexHash {
    /// Returns the index hash that `k<version>:<32 hex>` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, hash) = text.strip_prefix('k')?.split_once(':')?;
        let parsed = version.parse().ok().filter(|v: &u32| v.to_string() == version && *v > 0)?;
        Some(Self { version: parsed, hash: KeyedHash::parse(hash)? })
    }
}

impl fmt::Display for IndexHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}:{}", self.version, self.hash)
    }
}

/// Where an object lies, as the store that holds it names it. May carry names of patients: `Phi`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// `file` on one machine, the bucket's name on AWS.
    pub bucket: String,
    /// The canonical absolute path as raw bytes, or the object's key.
    pub key: Phi<Vec<u8>>,
    /// The SHA-256 of the content in lower-case hex, or the object's version id.
    pub version: String,
}

/// The three keys of a store (DESIGN §4). On disk `keys/{stream,index.v<n>,mapping}`.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Never rotates: stream ids.
    pub stream: Key,
    /// Every version, oldest first, numbered from 1: studies, patients, accession numbers, actors.
    pub index: Vec<(u32, Key)>,
    /// Never rotates; a new key is a new project: UIDs, patient ids, day offsets.
    pub mapping: Key,
}

impl Keys {
    /// Returns the stream of one version of one object.
    pub fn object_stream(&self, location: &Location) -> StreamId {
        let fields = [location.bucket.as_bytes(), location.key.expose().as_slice(), location.version.as_bytes()];
        StreamId(self.stream.keyed_hash("object", &fields))
    }

    /// Returns the stream of a study's own events (completed, reopened).
    pub fn study_stream(&self, study: IndexHash) -> StreamId {
        StreamId(self.stream.keyed_hash("study", &[study.to_string().as_bytes()]))
    }

    /// Returns the stream of one acting run: a request, a call of the command line, a replay.
    pub fn run_stream(&self, run: &str) -> StreamId {
        StreamId(self.stream.keyed_hash("run", &[run.as_bytes()]))
    }

    fn newest_index(&self, kind: &str, fields: &[&[u8]]) -> IndexHash {
        let (version, key) = self.index.last().expect("a store has at least one index key; opening it checks this");
        IndexHash { version: *version, hash: key.keyed_hash(kind, fields) }
    }

    fn all_index(&self, kind: &str, fields: &[&[u8]]) -> Vec<IndexHash> {
        self.index
            .iter()
            .map(|(version, key)| IndexHash { version: *version, hash: key.keyed_hash(kind, fields) })
            .collect()
    }

    /// Returns `study_k`: the index hash of the original Study Instance UID, under every profile.
    pub fn study_k(&self, study_instance_uid: &Phi<String>) -> IndexHash {
        self.newest_index("study_k", &[study_instance_uid.expose().as_bytes()])
    }

    /// Returns `study_k` under every version of the index key, for queries.
    pub fn study_k_all(&self, study_instance_uid: &Phi<String>) -> Vec<IndexHash> {
        self.all_index("study_k", &[study_instance_uid.expose().as_bytes()])
    }

    /// Returns the index hash of the new (output) Study Instance UID.
    pub fn new_study_k(&self, new_study_instance_uid: &str) -> IndexHash {
        self.newest_index("new_study_k", &[new_study_instance_uid.as_bytes()])
    }

    /// Returns the index hashes of a new Study Instance UID under every version, for queries.
    pub fn new_study_k_all(&self, new_study_instance_uid: &str) -> Vec<IndexHash> {
        self.all_index("new_study_k", &[new_study_instance_uid.as_bytes()])
    }

    /// Returns the index hash of a patient.
    pub fn patient_k(&self, patient: &PatientIdentity) -> IndexHash {
        self.newest_index("patient_k", &patient.fields())
    }

    /// Returns the index hash of an accession number (decoded, padding cut).
    pub fn accession_k(&self, accession_number: &Phi<String>) -> IndexHash {
        self.newest_index("accession_k", &[accession_number.expose().as_bytes()])
    }

    /// Returns the index hash of an acting person, for `u:k<version>:<hash>`.
    pub fn actor_k(&self, actor: &Phi<String>) -> IndexHash {
        self.newest_index("actor_k", &[actor.expose().as_bytes()])
    }

    /// Returns the new UID for `uid` (already without trailing NUL and space): `2.25.` and the number of the UUIDv8 whose
    /// 122 free bits come from the mapping key. UIDs under 1.2.840.10008 are DICOM's own and stay.
    pub fn new_uid(&self, uid: &str) -> String {
        if is_dicom_uid(uid) {
            return uid.to_owned();
        }
        let hash = self.mapping.keyed_hash("uid", &[uid.as_bytes()]);
        format!("2.25.{}", Uuid::new_v8(hash.0).as_u128())
    }

    /// Returns the new Patient ID: 16 characters of base32 (RFC 4648), 80 bits.
    pub fn new_patient_id(&self, patient: &PatientIdentity) -> String {
        base32(&self.mapping.keyed_hash("patient", &patient.fields()).0[..10])
    }
}

/// Whether the UID is registered by DICOM itself (PS3.6 Annex A) and therefore identifies no instance.
pub fn is_dicom_uid(uid: &str) -> bool {
    uid.strip_prefix("1.2.840.10008").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Who the patient is, as far as ids go: Patient ID and Issuer of Patient ID, decoded to UTF-8, padding cut.
/// Without a Patient ID the Study Instance UID stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatientIdentity {
    /// Patient ID (0010,0020), or the Study Instance UID.
    pub patient_id: Phi<String>,
    /// Issuer of Patient ID (0010,0021); may be empty.
    pub issuer: Phi<String>,
}

impl PatientIdentity {
    fn fields(&self) -> [&[u8]; 2] {
        [self.patient_id.expose().as_bytes(), self.issuer.expose().as_bytes()]
    }
}

/// The first characters of a UID's base32, for people: `7K2MQX`. Accepted where unique.
pub fn short_name(new_uid: &str) -> Option<String> {
    let number: u128 = new_uid.strip_prefix("2.25.")?.parse().ok()?;
    Some(base32(&number.to_be_bytes())[..6].to_owned())
}

/// RFC 4648 base32 without padding.
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut count) = (0u32, 0u32);
    for &byte in bytes {
        bits = bits << 8 | u32::from(byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count) & 31) as usize]));
    }
    text
}

/// What makes a decision the same decision: a retry collides on purpose, a replay (another `run`) does not.
#[derive(Clone, Copy, Debug)]
pub struct DecisionInput<'a> {
    /// The stream that is decided on.
    pub stream: StreamId,
    /// The command, `deidentify`.
    pub command: &'a str,
    /// The step that gave it, `deidentification`.
    pub step: &'a str,
    /// Version of the step's code, as the step table states it.
    pub step_version: u32,
    /// Digest of the profile in force, lower-case hex; `-` where none applies.
    pub profile_digest: &'a str,
    /// Digest of the step's input, lower-case hex; `-` where none applies.
    pub input_digest: &'a str,
    /// `first`, or the id of the replay.
    pub run: &'a str,
}

/// Returns the id of a decision: UUIDv5 in the namespace UUIDv5(NAMESPACE_URL, `medimg/v1`).
pub fn decision_id(input: &DecisionInput<'_>) -> Uuid {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"medimg/v1");
    let (stream, version) = (input.stream.to_string(), input.step_version.to_string());
    let fields: [&[u8]; 7] = [
        stream.as_bytes(),
        input.command.as_bytes(),
        input.step.as_bytes(),
        version.as_bytes(),
        input.profile_digest.as_bytes(),
        input.input_digest.as_bytes(),
        input.run.as_bytes(),
    ];
    Uuid::new_v5(&namespace, &labelled("decision", &fields))
}

/// Returns the id of event `index` (from 0) of a decision.
pub fn event_id(decision: Uuid, index: usize) -> Uuid {
    Uuid::new_v5(&decision, &labelled("event", &[index.to_string().as_bytes()]))
}
