//! Ids, pseudonyms and the three keys they are made with (DESIGN §4, docs/adr/0002).
//!
//! Frozen: a change to any input or cut below is a new kind, never an edit.

use std::fmt;
use std::sync::OnceLock;

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
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
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

    /// Returns the index hashes of a patient under every version, for queries.
    pub fn patient_k_all(&self, patient: &PatientIdentity) -> Vec<IndexHash> {
        self.all_index("patient_k", &patient.fields())
    }

    /// Returns the index hash of an accession number (decoded, padding cut).
    pub fn accession_k(&self, accession_number: &Phi<String>) -> IndexHash {
        self.newest_index("accession_k", &[accession_number.expose().as_bytes()])
    }

    /// Returns the index hashes of an accession number under every version, for queries.
    pub fn accession_k_all(&self, accession_number: &Phi<String>) -> Vec<IndexHash> {
        self.all_index("accession_k", &[accession_number.expose().as_bytes()])
    }

    /// Returns the index hash of an acting person, for `u:k<version>:<hash>`.
    pub fn actor_k(&self, actor: &Phi<String>) -> IndexHash {
        self.newest_index("actor_k", &[actor.expose().as_bytes()])
    }

    /// Returns the index hashes of an acting person under every version, for queries.
    pub fn actor_k_all(&self, actor: &Phi<String>) -> Vec<IndexHash> {
        self.all_index("actor_k", &[actor.expose().as_bytes()])
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

/// Whether the UID lies in the arc in which DICOM registers its own (PS3.6 Annex A) and therefore identifies no instance.
/// No registered UID has a component of more than 5 digits: one that has borrows the root, and may hold a date or a number.
pub fn is_dicom_uid(uid: &str) -> bool {
    let rest = uid.strip_prefix("1.2.840.10008").filter(|rest| rest.is_empty() || rest.starts_with('.'));
    rest.is_some_and(|rest| rest.split('.').all(|component| component.len() <= 5))
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
    static NAMESPACE: OnceLock<Uuid> = OnceLock::new();
    let namespace = NAMESPACE.get_or_init(|| Uuid::new_v5(&Uuid::NAMESPACE_URL, b"medimg/v1"));
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
    Uuid::new_v5(namespace, &labelled("decision", &fields))
}

/// Returns the id of event `index` (from 0) of a decision.
pub fn event_id(decision: Uuid, index: usize) -> Uuid {
    Uuid::new_v5(&decision, &labelled("event", &[index.to_string().as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUDY: &str = "1.2.826.0.1.3680043.8.498.1";
    /// SHA-256 of no bytes.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn key(first: u8) -> Key {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(first..).for_each(|(byte, value)| *byte = value);
        Key::new(bytes)
    }

    fn keys() -> Keys {
        Keys { stream: key(0x00), index: vec![(1, key(0x20))], mapping: key(0x40) }
    }

    fn patient(issuer: &str) -> PatientIdentity {
        PatientIdentity { patient_id: Phi::new("MÜLLER-17".to_owned()), issuer: Phi::new(issuer.to_owned()) }
    }

    /// The vectors of ADR 0002, made by this program. They were computed independently by `docs/adr/0002-vectors.py`.
    fn vectors() -> Vec<(&'static str, String)> {
        let keys = keys();
        let location = Location {
            bucket: "file".to_owned(),
            key: Phi::new(b"/in/\xff/a b.dcm".to_vec()),
            version: EMPTY.to_owned(),
        };
        let study = Phi::new(STUDY.to_owned());
        let (stream, new_study) = (keys.object_stream(&location), keys.new_uid(STUDY));
        let number: u128 = new_study.strip_prefix("2.25.").expect("a new UID").parse().expect("a number");
        let profile_digest = "ab".repeat(32);
        let first = DecisionInput {
            stream,
            command: "deidentify",
            step: "deidentification",
            step_version: 1,
            profile_digest: &profile_digest,
            input_digest: EMPTY,
            run: "first",
        };
        let decision = decision_id(&first);
        let replay = format!("pixels-{}", "ab".repeat(16));
        vec![
            ("object stream", stream.to_string()),
            ("study stream", keys.study_stream(keys.study_k(&study)).to_string()),
            ("run stream", keys.run_stream("replay-1").to_string()),
            ("study_k", keys.study_k(&study).to_string()),
            ("new_study_k", keys.new_study_k(&new_study).to_string()),
            ("patient_k", keys.patient_k(&patient("GENERAL")).to_string()),
            ("patient_k without issuer", keys.patient_k(&patient("")).to_string()),
            ("accession_k", keys.accession_k(&Phi::new("A 2026/17".to_owned())).to_string()),
            ("actor_k", keys.actor_k(&Phi::new("radiology.admin".to_owned())).to_string()),
            ("uid as UUIDv8", Uuid::from_u128(number).to_string()),
            ("uid", new_study.clone()),
            ("uid of DICOM itself", keys.new_uid("1.2.840.10008.5.1.4.1.1.2")),
            ("short name", short_name(&new_study).expect("a new UID has one")),
            ("patient", keys.new_patient_id(&patient("GENERAL"))),
            ("kcv of the stream key", keys.stream.check_value().to_string()),
            ("kcv of the index key", keys.index[0].1.check_value().to_string()),
            ("kcv of the mapping key", keys.mapping.check_value().to_string()),
            ("decision namespace", Uuid::new_v5(&Uuid::NAMESPACE_URL, b"medimg/v1").to_string()),
            ("decision", decision.to_string()),
            ("decision of a replay", decision_id(&DecisionInput { run: &replay, ..first }).to_string()),
            ("event 0", event_id(decision, 0).to_string()),
            ("event 1", event_id(decision, 1).to_string()),
        ]
    }

    #[test]
    fn every_kind_of_id_has_its_golden_value() {
        let golden = [
            ("object stream", "7aeacfd5aa98858176744a84aec6acab"),
            ("study stream", "e6a2c4f852e76791ac2b5f5d65b0b7e4"),
            ("run stream", "db9cdcf880f23bfb03d16516aeab4ae6"),
            ("study_k", "k1:1bc818bdb5c363d0aabe4135bc8e9939"),
            ("new_study_k", "k1:8545898e4bcefdec8fdc4bb629b3cabd"),
            ("patient_k", "k1:7eab344c78907837c290e90f7beb6f4b"),
            ("patient_k without issuer", "k1:28e79f03781ed9ac58258699730e7e38"),
            ("accession_k", "k1:938a8ace75cac33fed9c1ac5a0561ee1"),
            ("actor_k", "k1:07e0c5aaccac93d91fdee9fb7a1353fa"),
            ("uid as UUIDv8", "46bb9ced-82cf-85e3-9045-b6a435f3ded3"),
            ("uid", "2.25.94020102090946740605019972173823205075"),
            ("uid of DICOM itself", "1.2.840.10008.5.1.4.1.1.2"),
            ("short name", "I25ZZ3"),
            ("patient", "ZEEFVY3OO7XBQ65V"),
            ("kcv of the stream key", "828eece98cd9e0670647fc4d9b60beb4"),
            ("kcv of the index key", "f6911efb27bb7f2b33438a9b6ea183cc"),
            ("kcv of the mapping key", "98b231c6611d73a38b6d1c2315f019a9"),
            ("decision namespace", "49200aea-1537-5b98-95ba-d622ea323789"),
            ("decision", "717a63b0-fd97-56e4-ac07-ba26ddf35018"),
            ("decision of a replay", "726940f3-d5dd-51a9-85d8-9ecd6b5aeb7b"),
            ("event 0", "c1ddc439-6a71-5c54-a735-8385c106f67a"),
            ("event 1", "d479d818-7344-5b83-aaec-ef92035a948e"),
        ];
        let made = vectors();
        assert_eq!(made.len(), golden.len());
        for ((name, value), (golden_name, golden_value)) in made.iter().zip(golden) {
            assert_eq!((*name, value.as_str()), (golden_name, golden_value));
        }
    }

    #[test]
    fn the_golden_values_stand_in_the_adr() {
        let adr = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/adr/0002-ids-and-keys.md");
        let adr = std::fs::read_to_string(adr).expect("the ADR lies in docs/adr");
        for (name, value) in vectors() {
            assert!(adr.contains(&format!("| {name} | `{value}` |")), "{name}");
        }
    }

    #[test]
    fn no_two_lists_of_fields_share_an_input() {
        assert_ne!(labelled("run", &[b"ab", b"c"]), labelled("run", &[b"a", b"bc"]));
        assert_ne!(labelled("run", &[b""]), labelled("run", &[]));
        assert_ne!(labelled("study", &[b"x"]), labelled("study_k", &[b"x"]));
    }

    #[test]
    fn a_query_hashes_under_every_version_of_the_index_key_and_an_entry_under_the_newest() {
        let rotated = Keys { index: vec![(1, key(0x20)), (2, key(0x60))], ..keys() };
        let study = Phi::new(STUDY.to_owned());
        assert_eq!(rotated.study_k_all(&study), [keys().study_k(&study), rotated.study_k(&study)]);
        assert_eq!(rotated.study_k(&study).version, 2);
    }

    #[test]
    fn ids_read_back_and_refuse_every_other_spelling() {
        let hash = keys().study_k(&Phi::new(STUDY.to_owned()));
        let text = hash.to_string();
        assert_eq!(IndexHash::parse(&text), Some(hash));
        for wrong in [
            text.to_uppercase(),
            text.replace("k1", "k01"),
            text.replace("k1", "k0"),
            format!("{text}0"),
            text[1..].to_owned(),
        ] {
            assert_eq!(IndexHash::parse(&wrong), None, "{wrong}");
        }
        assert_eq!(StreamId::parse("0123456789abcdef0123456789abcde"), None);
        assert_eq!(StreamId::parse("0123456789abcdef0123456789abcdeé"), None);
    }

    #[test]
    fn a_key_never_shows_itself() {
        assert_eq!(format!("{:?}", keys()), "Keys { stream: [key], index: [(1, [key])], mapping: [key] }");
    }
}
