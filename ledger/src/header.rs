//! The header: the hashed unit of the ledger (DESIGN §5, docs/adr/0001). Twelve lines, strict: what parses renders to the
//! same bytes, so there is one spelling of every header and nothing in it that the fields do not say.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use uuid::Uuid;

use crate::hash::{parse_hex, write_hex};
use crate::{BodyHash, LeafHash, UtcMillis};

/// Largest header in bytes.
pub const HEADER_BYTES_MAX: usize = 512;
/// First line of every header.
const VERSION: &str = "imgledger/v1";
/// How many lines a header has.
const LINES: usize = 12;

/// Why bytes are no header. Says which line, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More than 512 bytes.
    #[error("the header is longer than {HEADER_BYTES_MAX} bytes")]
    TooLong,
    /// A byte outside `[A-Za-z0-9._:/,+=#-]` and LF.
    #[error("the header holds a byte outside its character set")]
    Charset,
    /// Not twelve lines, each ended by LF.
    #[error("the header does not have {LINES} lines")]
    Lines,
    /// A line does not have the form of its field.
    #[error("the header's line {0:?} is ill-formed")]
    Field(&'static str),
}

/// The hashed facts of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which log the entry belongs to.
    pub origin: Origin,
    /// Which stream of the log.
    pub stream: StreamKey,
    /// Number of the entry within its stream, from 0.
    pub seq: u64,
    /// Leaf hash of the stream's entry `seq - 1`; for seq 0 what [`crate::first_prev`] returns.
    pub prev: LeafHash,
    /// Types of the decision's events, in order.
    pub types: EventTypes,
    /// The decision that the entry records; the same decision is never recorded twice in a stream.
    pub decision_id: Uuid,
    /// The study, once it is known.
    pub subject: Option<IndexHash>,
    /// Who decided.
    pub actor: Actor,
    /// When; never before the entry `seq - 1`.
    pub recorded_at: UtcMillis,
    /// Hash of nonce and body.
    pub body: BodyHash,
}

impl Header {
    /// Returns the bytes that are stored and hashed. Longer than [`HEADER_BYTES_MAX`] only if origin and types are
    /// unreasonably long together; an append refuses that.
    pub fn render(&self) -> Vec<u8> {
        let mut text = String::with_capacity(HEADER_BYTES_MAX);
        let Self { origin, stream, seq, prev, types, decision_id, subject, actor, recorded_at, body } = self;
        let (prev, body) = (prev.base64(), body.base64());
        let _ = write!(text, "{VERSION}\n{origin}\n{stream}\n{seq}\n{prev}\n{types}\n{decision_id}\n");
        let _ = match subject {
            Some(study) => write!(text, "{study}"),
            None => text.write_str("-"),
        };
        let _ = write!(text, "\n{actor}\n{recorded_at}\nsha256:{body}\n-\n");
        text.into_bytes()
    }

    /// Returns the header that the bytes are. `render` of the result gives exactly these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        Self::parse_beside(bytes, None)
    }

    /// As [`Header::parse`]; where the origin is the given one, it is not read anew.
    pub(crate) fn parse_beside(bytes: &[u8], origin: Option<&Origin>) -> Result<Self, HeaderError> {
        if bytes.len() > HEADER_BYTES_MAX {
            return Err(HeaderError::TooLong);
        }
        let parsed = std::str::from_utf8(bytes).map_err(|_| HeaderError::Charset).and_then(|text| {
            let lines = split_lines(text).ok_or(HeaderError::Lines)?;
            Self::from_lines(&lines, origin)
        });
        // Every field has one spelling by itself, so nothing outside the character set gets here; that is for the message.
        match parsed {
            Err(_) if !bytes.iter().all(|&b| b == b'\n' || in_charset(b)) => Err(HeaderError::Charset),
            Ok(header) => {
                debug_assert!(header.render() == bytes, "a field has a second spelling");
                Ok(header)
            }
            refused => refused,
        }
    }

    fn from_lines(lines: &[&str; LINES], known: Option<&Origin>) -> Result<Self, HeaderError> {
        let [version, origin, stream, seq, prev, types, decision, subject, actor, at, body, key] = *lines;
        let field = |name: &'static str| HeaderError::Field(name);
        let known = known.filter(|known| known.as_str() == origin).cloned();
        if version != VERSION {
            return Err(field("version"));
        }
        if key != "-" {
            return Err(field("key_id"));
        }
        let body = body.strip_prefix("sha256:").and_then(|b| BodyHash::from_base64(b.as_bytes()));
        Ok(Self {
            origin: known.or_else(|| Origin::parse(origin)).ok_or(field("origin"))?,
            stream: StreamKey::parse(stream).ok_or(field("stream_id"))?,
            seq: parse_decimal(seq).ok_or(field("seq"))?,
            prev: LeafHash::from_base64(prev.as_bytes()).ok_or(field("prev"))?,
            types: EventTypes::parse(types).ok_or(field("types"))?,
            decision_id: parse_uuid(decision).ok_or(field("decision_id"))?,
            subject: if subject == "-" { None } else { Some(IndexHash::parse(subject).ok_or(field("subject"))?) },
            actor: Actor::parse(actor).ok_or(field("actor"))?,
            recorded_at: UtcMillis::parse(at).ok_or(field("recorded_at"))?,
            body: body.ok_or(field("body"))?,
        })
    }
}

/// The name of a log: `name/env/<random 128-bit store id in hex>`, and `#n` from the n-th recovery on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Returns the origin of a new store; `name` and `env` are 1 to 32 of `[A-Za-z0-9._-]`.
    pub fn new(name: &str, env: &str, store_id: [u8; 16]) -> Option<Self> {
        Self::parse(&format!("{name}/{env}/{}", StreamKey(store_id)))
    }

    /// Returns the origin that `text` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, recovery) = text.split_once('#').map_or((text, None), |(base, n)| (base, Some(n)));
        let mut parts = base.split('/');
        let (name, env, id) = (parts.next()?, parts.next()?, parts.next()?);
        let word = |w: &str| {
            (1..=32).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let sound = parts.next().is_none() && word(name) && word(env) && parse_hex::<16>(id.as_bytes()).is_some();
        let numbered =
            recovery.is_none_or(|n| parse_decimal(n).is_some_and(|n| (1..=u64::from(u32::MAX)).contains(&n)));
        (sound && numbered).then(|| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a stream: 16 bytes, 32 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(pub [u8; 16]);

impl StreamKey {
    /// Returns the stream key that 32 lower-case hex digits spell.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text.as_bytes()).map(Self)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// A keyed hash under a version of the index key: `k1:<32 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IndexHash {
    /// Version of the index key, from 1.
    pub version: u32,
    /// The keyed hash.
    pub hash: [u8; 16],
}

impl IndexHash {
    /// Returns the index hash that `k<version>:<32 hex>` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, hash) = text.strip_prefix('k')?.split_once(':')?;
        let version = parse_decimal(version).and_then(|v| u32::try_from(v).ok()).filter(|&v| v > 0)?;
        Some(Self { version, hash: parse_hex(hash.as_bytes())? })
    }
}

impl fmt::Display for IndexHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}:", self.version)?;
        write_hex(&self.hash, f)
    }
}

/// Who decided: a step of the system, or a person by keyed hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// `system:<step>`.
    System(SystemStep),
    /// `u:k<version>:<32 hex>`.
    Person(IndexHash),
}

/// The name of a step: 1 to 32 of `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemStep(Cow<'static, str>);

impl SystemStep {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Actor {
    /// Returns the actor that stands for a step; `None` if it is not 1 to 32 of `[a-z0-9-]`.
    pub fn system(step: &'static str) -> Option<Self> {
        is_step(step).then_some(Self::System(SystemStep(Cow::Borrowed(step))))
    }

    /// Returns the actor that `text` spells.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(step) = text.strip_prefix("system:") {
            return is_step(step).then(|| Self::System(SystemStep(Cow::Owned(step.to_owned()))));
        }
        IndexHash::parse(text.strip_prefix("u:")?).map(Self::Person)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(step) => write!(f, "system:{}", step.0),
            Self::Person(hash) => write!(f, "u:{hash}"),
        }
    }
}

/// The event types of one decision, one to four, in order: `imaging.object.received.v1`, comma-separated as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTypes(Box<str>);

impl EventTypes {
    /// Most types of one decision.
    pub const COUNT_MAX: usize = 4;

    /// Returns the list of the given types; `None` if there are none, more than four, or one is no type.
    pub fn new(types: &[&str]) -> Option<Self> {
        if types.iter().any(|t| t.contains(',')) {
            return None;
        }
        Self::parse(&types.join(","))
    }

    /// Returns the list that `text` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = text.split(',').count() <= Self::COUNT_MAX && text.split(',').all(is_event_type);
        sound.then(|| Self(text.into()))
    }

    /// Returns the types in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(',')
    }

    /// Returns the comma-separated text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<word>.<word>[.<word>...].v<n>`: at least two words of `[a-z0-9_-]` and a version from 1, at most 64 bytes.
fn is_event_type(text: &str) -> bool {
    let Some((words, version)) = text.rsplit_once('.') else { return false };
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
    let numbered = version.strip_prefix('v').and_then(parse_decimal).is_some_and(|v| v > 0);
    text.len() <= 64 && numbered && words.contains('.') && words.split('.').all(word)
}

/// The lines of a header, each ended by LF, and nothing behind the last.
fn split_lines(text: &str) -> Option<[&str; LINES]> {
    let (mut lines, mut rest) = ([""; LINES], text);
    for line in &mut lines {
        let end = memchr::memchr(b'\n', rest.as_bytes())?;
        (*line, rest) = (&rest[..end], &rest[end + 1..]);
    }
    rest.is_empty().then_some(lines)
}

/// A UUID in its one spelling here: lower case, with hyphens.
fn parse_uuid(text: &str) -> Option<Uuid> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut digits = [0; 32];
    let mut at = 0;
    for (from, to) in [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)] {
        digits[at..at + to - from].copy_from_slice(&text[from..to]);
        at += to - from;
    }
    let hyphens = [8, 13, 18, 23].iter().all(|&at| text[at] == b'-');
    if hyphens { parse_hex(&digits).map(Uuid::from_bytes) } else { None }
}

fn is_step(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn in_charset(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:/,+=#-".contains(&byte)
}

/// A number in decimal without sign and leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}
