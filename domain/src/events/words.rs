//! The only types an event's data may be made of: codes, digests, new UIDs, keyed hashes, places. None of them can hold a
//! value of a patient's object (DESIGN §4: no PHI anywhere but raw objects and `sources`).
//!
//! Each type checks its form when it is made and again when it is read; the bounds stand in `docs/glossary.md` and in the
//! JSON Schemas.

use std::borrow::Cow;
use std::fmt;

use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{IndexHash, KeyedHash, StreamId, is_dicom_uid};

/// Serialises through `Display`, reads through `parse`, and never repeats a refused value in the error.
macro_rules! as_text {
    ($type:ty, $expected:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(concat!("not ", $expected)))
            }
        }
    };
}

/// Text whose form was checked, with its accessors.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns `text` in this type if it has the form.
            pub fn parse(text: &str) -> Option<Self> {
                Self::well_formed(text).then(|| Self(Cow::Owned(text.to_owned())))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        as_text!($name, $expected);
    };
}

/// A SHA-256; 64 lower-case hex digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Returns the digest that 64 lower-case hex digits spell.
    pub fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.is_ascii().then(|| text.split_at_checked(32)).flatten()?;
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&KeyedHash::parse(high)?.0);
        bytes[16..].copy_from_slice(&KeyedHash::parse(low)?.0);
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("hex digits are ASCII"))
    }
}

as_text!(Digest, "64 lower-case hex digits");
as_text!(StreamId, "32 lower-case hex digits");

checked_text! {
    /// A word of a closed list of ours: `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}` without six digits in a row, such as `ct-image`,
    /// `no_meta`, `States.Timeout`.
    /// Made from constants of the code, or parsed where the surroundings name a failure; never from an object's values.
    Code, "a code"
}

impl Code {
    /// Wraps a constant of the code; a constant that has not the form fails the build where it is made `const`.
    pub const fn fixed(code: &'static str) -> Self {
        assert!(Self::well_formed(code), "a code is 1 to 64 of A-Za-z0-9_.-, no six digits in a row");
        Self(Cow::Borrowed(code))
    }

    const fn well_formed(text: &str) -> bool {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_alphanumeric() {
            return false;
        }
        let (mut at, mut digits) = (0, 0);
        while at < bytes.len() {
            digits = if bytes[at].is_ascii_digit() { digits + 1 } else { 0 };
            if digits == 6 || !bytes[at].is_ascii_alphanumeric() && !matches!(bytes[at], b'_' | b'.' | b'-') {
                return false;
            }
            at += 1;
        }
        true
    }
}

checked_text! {
    /// The constant sentence of a [`crate::Rejection`]: printable ASCII, at most 200 characters, without `^` (which parts
    /// names) and without six digits in a row (which may be a date or a number of a person).
    Detail, "a constant sentence"
}

impl Detail {
    /// Returns the sentence, or a fixed one in its place if it has not the form.
    pub fn of(sentence: &str) -> Self {
        Self::parse(sentence).unwrap_or(Self(Cow::Borrowed("refused; the sentence that says why is ill-formed")))
    }

    fn well_formed(text: &str) -> bool {
        let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'^');
        let long_number = text.as_bytes().windows(6).any(|run| run.iter().all(u8::is_ascii_digit));
        (1..=200).contains(&text.len()) && plain && !long_number
    }
}

checked_text! {
    /// Where in an object: a byte offset `@1234`, a tag path `(0040,A730)[0].(0040,A160)`, or one for all items alike,
    /// `0040A730.*.0040A160`; at most 1,600 characters.
    Place, "a byte offset or a tag path"
}

impl Place {
    fn well_formed(text: &str) -> bool {
        if text.len() > 1_600 {
            return false;
        }
        if let Some(offset) = text.strip_prefix('@') {
            return is_number(offset, 20);
        }
        if !text.starts_with('(') {
            return text.split(".*.").all(|tag| tag.len() == 8 && tag.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        text.split('.').all(|part| {
            let Some((tag, rest)) = part.strip_prefix('(').and_then(|p| p.split_once(')')) else { return false };
            let tag_ok = tag.len() == 9
                && tag.bytes().enumerate().all(|(at, b)| if at == 4 { b == b',' } else { b.is_ascii_hexdigit() });
            let item = rest.strip_prefix('[').and_then(|r| r.strip_suffix(']'));
            tag_ok && (rest.is_empty() || item.is_some_and(|n| is_number(n, 10)))
        })
    }
}

fn is_number(text: &str, digits_max: usize) -> bool {
    !text.is_empty() && text.len() <= digits_max && text.bytes().all(|b| b.is_ascii_digit())
}

checked_text! {
    /// A UID that DICOM registers (PS3.6 Annex A), or the word `private` in place of any other: UIDs of makers and of
    /// instances may be looked up.
    RegisteredUid, "a UID registered by DICOM, or `private`"
}

impl RegisteredUid {
    /// What stands for any UID that DICOM did not register.
    pub const PRIVATE: Self = Self(Cow::Borrowed("private"));

    /// Returns the SOP Class UID if the standard's table lists it, else `private`.
    pub fn sop_class(uid: &str) -> Self {
        StandardSopClassDictionary.by_uid(uid).map_or(Self::PRIVATE, |entry| Self(Cow::Borrowed(entry.uid)))
    }

    /// Returns the Transfer Syntax UID if it lies in DICOM's arc for them, else `private`.
    pub fn transfer_syntax(uid: &str) -> Self {
        let in_arc = uid.strip_prefix("1.2.840.10008.1.2").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        Self::parse(uid).filter(|_| in_arc).unwrap_or(Self::PRIVATE)
    }

    /// `private`, or at most 12 components of at most 5 digits: no room for a date or a number of a person in one of them.
    fn well_formed(text: &str) -> bool {
        let mut parts = text.split('.');
        text == "private"
            || is_dicom_uid(text) && text.len() <= 64 && parts.clone().count() <= 12 && parts.all(|p| is_number(p, 5))
    }
}

/// The defined terms of Modality (0008,0060): PS3.3 C.7.3.1.1.1, the retired ones included. Sorted.
pub(super) const MODALITIES: &[&str] = &[
    "AR",
    "AS",
    "ASMT",
    "AU",
    "BDUS",
    "BI",
    "BMD",
    "CD",
    "CF",
    "CFM",
    "CP",
    "CR",
    "CS",
    "CT",
    "CTPROTOCOL",
    "DD",
    "DF",
    "DG",
    "DM",
    "DMS",
    "DOC",
    "DR",
    "DS",
    "DX",
    "EC",
    "ECG",
    "EEG",
    "EMG",
    "EOG",
    "EPS",
    "ES",
    "FA",
    "FID",
    "FS",
    "GM",
    "HC",
    "HD",
    "IO",
    "IOL",
    "IVOCT",
    "IVUS",
    "KER",
    "KO",
    "LEN",
    "LP",
    "LS",
    "M3D",
    "MA",
    "MG",
    "MR",
    "MS",
    "NM",
    "OAM",
    "OCT",
    "OP",
    "OPM",
    "OPR",
    "OPT",
    "OPTBSV",
    "OPTENF",
    "OPV",
    "OSS",
    "OT",
    "PA",
    "PHOTO",
    "PLAN",
    "POS",
    "PR",
    "PT",
    "PX",
    "REG",
    "RESP",
    "RF",
    "RG",
    "RTDOSE",
    "RTIMAGE",
    "RTINTENT",
    "RTPLAN",
    "RTRAD",
    "RTRECORD",
    "RTSEGANN",
    "RTSTRUCT",
    "RWV",
    "SC",
    "SEG",
    "SM",
    "SMR",
    "SR",
    "SRF",
    "ST",
    "STAIN",
    "TEXTUREMAP",
    "TG",
    "US",
    "VA",
    "VF",
    "VL",
    "XA",
    "XAPROTOCOL",
    "XC",
];

/// A defined term of Modality (0008,0060). Any other text in that attribute might be anything, and is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Modality(&'static str);

impl Modality {
    /// Returns the defined term that `text` is (padding already cut).
    pub fn parse(text: &str) -> Option<Self> {
        MODALITIES.binary_search(&text).ok().map(|at| Self(MODALITIES[at]))
    }

    /// Returns the term.
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

as_text!(Modality, "a defined term of Modality");

checked_text! {
    /// The key of a delivered object: `<new study>/<new series>/<new sop>.dcm`, each a UID made by us (`2.25.`) or one
    /// that DICOM registered.
    ProcessedKey, "a key made of three new UIDs"
}

impl ProcessedKey {
    /// Returns the key of three new UIDs, if they are such.
    pub fn of(new_study_instance_uid: &str, new_series_instance_uid: &str, new_sop_instance_uid: &str) -> Option<Self> {
        Self::parse(&format!("{new_study_instance_uid}/{new_series_instance_uid}/{new_sop_instance_uid}.dcm"))
    }

    /// Returns the new Study Instance UID.
    pub fn new_study_instance_uid(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// Returns the new SOP Instance UID.
    pub fn new_sop_instance_uid(&self) -> &str {
        self.0.rsplit('/').next().and_then(|name| name.strip_suffix(".dcm")).unwrap_or_default()
    }

    fn well_formed(text: &str) -> bool {
        let Some(stem) = text.strip_suffix(".dcm") else { return false };
        stem.split('/').count() == 3
            && stem.split('/').all(|uid| {
                uid.strip_prefix("2.25.").is_some_and(|number| is_number(number, 39))
                    || uid != "private" && RegisteredUid::well_formed(uid)
            })
    }
}

checked_text! {
    /// What `Objects::stage` returned: opaque here, at most 1,024 characters of `[A-Za-z0-9._~-]`. No slash, colon or `^`:
    /// neither a path nor a name as DICOM writes it fits. An adapter that needs other bytes writes them in base64url.
    StageToken, "a stage token"
}

impl StageToken {
    fn well_formed(text: &str) -> bool {
        !text.is_empty()
            && text.len() <= 1_024
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
    }
}

checked_text! {
    /// The packed receipt of a de-identification: comma-separated `path action rule [*count]`, at most 512 KiB; see
    /// [`crate::dicom::plan::Receipt`]. Only such entries fit, so it can hold no value.
    PackedReceipt, "a packed receipt"
}

impl PackedReceipt {
    fn well_formed(text: &str) -> bool {
        text.len() <= 1 << 19 && (text.is_empty() || text.split(',').all(receipt_entry))
    }
}

/// `path` of hex digits, `x`, `*` and dots; one letter, or `*` for several actions; a rule's name (`r12`, `overlay`,
/// `COM`); perhaps `*` and how often.
fn receipt_entry(entry: &str) -> bool {
    let mut words = entry.split(' ');
    let (Some(path), Some(action), Some(rule)) = (words.next(), words.next(), words.next()) else { return false };
    let times_ok = words.next().is_none_or(|times| times.strip_prefix('*').is_some_and(|n| is_number(n, 10)));
    let path_ok = !path.is_empty()
        && path.len() <= 1_600
        && path.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'x' | b'*' | b'.'));
    let rule_ok = rule.len() <= 16
        && rule.starts_with(|c: char| c.is_ascii_alphabetic())
        && rule.bytes().all(|b| b.is_ascii_alphanumeric());
    path_ok
        && action.len() == 1
        && action.bytes().all(|b| b.is_ascii_alphabetic() || b == b'*')
        && rule_ok
        && times_ok
        && words.next().is_none()
}

checked_text! {
    /// Which run of the work on a stream: `first`, or the id of a replay (`[a-z0-9-]{1,64}`).
    RunId, "a run id"
}

impl RunId {
    /// The run that an upload starts.
    pub const FIRST: Self = Self(Cow::Borrowed("first"));

    /// Returns the run that judges pixels anew under the profile of this digest: `pixels-` and the first 32 digits of
    /// the digest. The same command given twice is therefore the same run, and adds nothing.
    pub fn pixels(profile_digest: Digest) -> Self {
        Self(Cow::Owned(format!("pixels-{}", &profile_digest.to_string()[..32])))
    }

    /// Returns the run of a replay: its id, a fresh UUIDv7, in lower-case hex with hyphens.
    pub fn replay(id: uuid::Uuid) -> Self {
        Self(Cow::Owned(id.hyphenated().to_string()))
    }

    fn well_formed(text: &str) -> bool {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

/// What a [`Tag`] leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKind {
    /// A study by its original Study Instance UID.
    Study,
    /// A study by its new (output) Study Instance UID.
    NewStudy,
    /// A patient.
    Patient,
    /// An accession number.
    Accession,
    /// A person who acts.
    Actor,
}

impl TagKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Study, Self::NewStudy, Self::Patient, Self::Accession, Self::Actor];

    /// Returns the word in the tag.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Study => "study",
            Self::NewStudy => "new_study",
            Self::Patient => "patient",
            Self::Accession => "accession",
            Self::Actor => "actor",
        }
    }
}

/// A keyed hash by which an entry can be found again: `study:k1:<32 hex>`. The ledger copies `data.tags` of every event
/// from the hashed body, by exactly this shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// What it leads to.
    pub kind: TagKind,
    /// The keyed hash, under a version of the index key.
    pub hash: IndexHash,
}

impl Tag {
    /// Returns the tag that `<kind>:k<version>:<32 hex>` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, hash) = text.split_once(':')?;
        let kind = TagKind::ALL.into_iter().find(|kind| kind.word() == word)?;
        Some(Self { kind, hash: IndexHash::parse(hash)? })
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.hash)
    }
}

as_text!(Tag, "a tag `<kind>:k<n>:<32 hex>`");

/// A point in time as events and headers write it: RFC 3339, UTC, milliseconds: `2026-11-23T05:00:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time([u8; 24]);

impl Time {
    /// Returns the time `unix_ms` milliseconds after 1970-01-01T00:00:00Z; times outside the years 1970 to 9999 become
    /// the nearest of them.
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        let ms = unix_ms.clamp(0, 253_402_300_799_999).unsigned_abs();
        let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60, ms_of_day / 1_000 % 60);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], hour);
        put(&mut text[14..16], minute);
        put(&mut text[17..19], second);
        put(&mut text[20..23], ms_of_day % 1_000);
        Self(text)
    }

    /// Returns the time that `text` spells in exactly this form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = text.as_bytes().try_into().ok()?;
        let number = |from: usize, to: usize| text.get(from..to).filter(|t| is_number(t, 4))?.parse::<u64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second, ms) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
        let days = days_before(year, month, day)?;
        let unix_ms = days * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1_000 + ms;
        // Rendering again refuses all that is not exactly this form: hour 24, 30 February, other punctuation.
        Some(Self::from_unix_ms(i64::try_from(unix_ms).ok()?)).filter(|time| time.0 == bytes)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII digits and punctuation")
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

as_text!(Time, "an RFC 3339 time in UTC with milliseconds");

fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01; counted in eras of 400 years that begin on 1 March.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + (month <= 2) as u64, month, day)
}

/// The inverse of [`civil`] for the years 1970 to 9999; days past the end of a month run over into the next.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let from_march = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (from_march.0 / 400, from_march.0 % 400);
    let day_of_year = (153 * from_march.1 + 2) / 5 + day - 1;
    (era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year).checked_sub(719_468)
}
