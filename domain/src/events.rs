//! Events: what happened, in the past tense, as CloudEvents 1.0 JSON. The body of a ledger entry is the JSON array of one
//! decision's envelopes, serialised once and hashed as stored.
//!
//! Invariant: an event holds codes, digests, counts, keyed hashes and new UIDs only (`words.rs`), never a value of an object.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::ids::{self, StreamId};

pub mod kinds;
pub mod types;
pub mod words;

pub use kinds::*;
pub use types::{EventData, EventType, TYPES};
pub use words::{
    Code, Detail, Digest, Modality, PackedReceipt, Place, ProcessedKey, RegisteredUid, RunId, StageToken, Tag, TagKind,
    Time,
};

/// `source` of every envelope, and the Source on the bus; rules match on it.
pub const SOURCE: &str = "medimg.pipeline";

/// The most bytes that a body may have, as the ledger has it too; larger ones are refused before they are parsed.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The most events in one body (DESIGN §5: at most 4 types in a header).
pub const EVENTS_MAX: usize = 4;

/// An event: the envelope and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// UUIDv5 of the decision and the event's index in it; UUIDv7 for access events.
    pub id: Uuid,
    /// The stream it is about.
    pub subject: StreamId,
    /// When the decision was made.
    pub time: Time,
    /// The event that opened this run of the work: `object.received` or `replay.requested`; its own id in those.
    pub correlation_id: Uuid,
    /// The event that led to this one; none for one that a person or another system caused.
    pub causation_id: Option<Uuid>,
    /// What it says.
    pub data: EventData,
}

/// What the events of one decision have in common.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The id of the decision; see [`ids::decision_id`].
    pub id: Uuid,
    /// The stream that was decided on.
    pub stream: StreamId,
    /// When.
    pub time: Time,
    /// The event that opened the run; `None` if the first event of this decision does.
    pub correlation_id: Option<Uuid>,
    /// The event that led to the decision.
    pub causation_id: Option<Uuid>,
}

impl Event {
    /// Returns the events of a decision, with their ids.
    pub fn of(decision: &Decision, data: Vec<EventData>) -> Vec<Self> {
        let correlation_id = decision.correlation_id.unwrap_or_else(|| ids::event_id(decision.id, 0));
        data.into_iter()
            .enumerate()
            .map(|(index, data)| Self {
                id: ids::event_id(decision.id, index),
                subject: decision.stream,
                time: decision.time,
                correlation_id,
                causation_id: decision.causation_id,
                data,
            })
            .collect()
    }

    /// Returns the type with its version, `imaging.object.received.v1`.
    pub const fn event_type(&self) -> &'static str {
        self.data.event_type().full
    }
}

/// The envelope as it is written. The order of the fields is the order in the body.
#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    id: Uuid,
    source: &'static str,
    r#type: &'static str,
    subject: Text<'a, StreamId>,
    time: &'a Time,
    datacontenttype: &'static str,
    correlationid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    data: &'a EventData,
}

struct Text<'a, T>(&'a T);

impl<T: std::fmt::Display> Serialize for Text<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written {
            specversion: "1.0",
            id: self.id,
            source: SOURCE,
            r#type: self.event_type(),
            subject: Text(&self.subject),
            time: &self.time,
            datacontenttype: "application/json",
            correlationid: self.correlation_id,
            causationid: self.causation_id,
            data: &self.data,
        }
        .serialize(serializer)
    }
}

/// Returns the body of a ledger entry: the JSON array of the decision's envelopes. These bytes are hashed and stored as
/// they are; nothing may serialise them again.
pub fn body(events: &[Event]) -> Vec<u8> {
    let mut body = Vec::with_capacity(768 * events.len() + 2);
    serde_json::to_writer(&mut body, events).expect("events serialise into memory: string keys, no failing writer");
    body
}

/// Returns the events of a body, those of past versions upcast to the present form.
///
/// # Errors
/// [`ReadError`], whose code says why; its text repeats nothing of the body.
pub fn read(body: &[u8]) -> Result<Vec<Event>, ReadError> {
    envelopes(body)?.into_iter().map(|raw| parse(raw.get(), false).map(|read| read.event)).collect()
}

/// Returns the envelopes of a body as they are stored, for the bus.
///
/// # Errors
/// [`ReadError::Size`] and [`ReadError::Json`].
pub fn envelopes(body: &[u8]) -> Result<Vec<&RawValue>, ReadError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(ReadError::Size);
    }
    let raw: Vec<&RawValue> = serde_json::from_slice(body).map_err(|e| ReadError::json(&e))?;
    if raw.is_empty() || raw.len() > EVENTS_MAX { Err(ReadError::Size) } else { Ok(raw) }
}

/// An event on the bus: the stored envelope and where it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The event.
    pub event: Event,
    /// Leaf hash of its entry, base64; absent from an event that was put by hand.
    pub leaf_hash: Option<String>,
    /// Leaf index of its entry.
    pub leaf_index: Option<u64>,
}

/// Returns the Detail of a bus event: the stored envelope, byte for byte, with `leafhash` and `leafindex` added at its end.
/// `leaf_hash` is base64.
pub fn detail(envelope: &RawValue, leaf_hash: &str, leaf_index: u64) -> String {
    debug_assert!(
        leaf_hash.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)),
        "base64 needs no escaping"
    );
    let open = envelope.get().trim_end().strip_suffix('}').unwrap_or_else(|| envelope.get());
    format!("{open},\"leafhash\":\"{leaf_hash}\",\"leafindex\":{leaf_index}}}")
}

/// Reads the Detail of a bus event, or a stored envelope put by hand.
///
/// # Errors
/// As [`read`].
pub fn read_detail(detail: &[u8]) -> Result<Delivered, ReadError> {
    if detail.len() > BODY_BYTES_MAX {
        return Err(ReadError::Size);
    }
    let text = std::str::from_utf8(detail).map_err(|_| ReadError::Json { line: 0, column: 0 })?;
    parse(text, true)
}

/// The envelope as it is read: every attribute known, none else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    id: Uuid,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    time: Time,
    #[serde(borrow)]
    datacontenttype: Cow<'a, str>,
    correlationid: Uuid,
    causationid: Option<Uuid>,
    #[serde(borrow)]
    data: &'a RawValue,
    leafhash: Option<String>,
    leafindex: Option<u64>,
}

fn parse(text: &str, on_bus: bool) -> Result<Delivered, ReadError> {
    let read: Read<'_> = serde_json::from_str(text).map_err(|e| ReadError::json(&e))?;
    if read.specversion != "1.0" || read.source != SOURCE || read.datacontenttype != "application/json" {
        return Err(ReadError::Envelope);
    }
    if !on_bus && (read.leafhash.is_some() || read.leafindex.is_some()) {
        return Err(ReadError::Envelope);
    }
    let event = Event {
        id: read.id,
        subject: StreamId::parse(&read.subject).ok_or(ReadError::Envelope)?,
        time: read.time,
        correlation_id: read.correlationid,
        causation_id: read.causationid,
        data: types::read_data(&read.r#type, read.data)?,
    };
    Ok(Delivered { event, leaf_hash: read.leafhash, leaf_index: read.leafindex })
}

/// Why a body could not be read. Repeats nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Too large, no events, or too many.
    #[error("body is larger than 1 MiB, or holds no event, or more than four")]
    Size,
    /// Not JSON, or not the fields that an event of that type has.
    #[error("not an event at line {line}, column {column}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The envelope is not one of ours.
    #[error("envelope is not that of an event of this pipeline")]
    Envelope,
    /// A type that this program does not know.
    #[error("event type is unknown")]
    UnknownType,
    /// A known type in a version newer than this program: upgrade it.
    #[error("event type {name} has version {version}, newer than this program knows")]
    NewerVersion {
        /// The type without its version.
        name: &'static str,
        /// The version found.
        version: u32,
    },
    /// A type that is reserved for a later release.
    #[error("event type {name} is reserved and not written by any release yet")]
    Reserved {
        /// The type without its version.
        name: &'static str,
    },
}

impl ReadError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Size => "event_size",
            Self::Json { .. } => "event_json",
            Self::Envelope => "event_envelope",
            Self::UnknownType => "event_type_unknown",
            Self::NewerVersion { .. } => "event_version_newer",
            Self::Reserved { .. } => "event_type_reserved",
        }
    }

    fn json(error: &serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests;
