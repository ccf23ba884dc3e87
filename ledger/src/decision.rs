//! A decision and the entry that it becomes: the one place where a header is made.

use uuid::Uuid;

use crate::entry::Last;
use crate::{
    Actor, Body, Entry, Error, EventTypes, HEADER_BYTES_MAX, Header, IndexHash, InvalidDecision, Nonce, Origin,
    Receipt, STREAM_ENTRIES_MAX, Tag, Tip, UtcMillis, body_hash, first_prev, leaf_hash,
};

/// What a caller wants recorded: one decision, its events and who took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The same decision has the same id; it is recorded once.
    pub decision_id: Uuid,
    /// The types of the events in the body, in order.
    pub types: EventTypes,
    /// The study, once it is known.
    pub subject: Option<IndexHash>,
    /// Who decided.
    pub actor: Actor,
    /// JSON array of the CloudEvents, at most [`crate::BODY_BYTES_MAX`] bytes; stored and hashed as it is. Each event may
    /// carry `data.tags`, an array of `<kind>:k<version>:<32 hex>`.
    pub body: String,
}

/// An entry ready to be stored, with the tags copied from its body. Stores differ only in where they put it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The entry.
    pub entry: Entry,
    /// Sorted, each once.
    pub tags: Vec<Tag>,
}

impl Prepared {
    /// Makes the entry that follows `tip`: links it, sets its time to max(`at`, that of the tip), hashes it.
    pub fn new(origin: &Origin, tip: &Tip, decision: &Decision, at: UtcMillis, nonce: Nonce) -> Result<Self, Error> {
        if tip.count >= STREAM_ENTRIES_MAX {
            return Err(Error::Invalid(InvalidDecision::StreamFull));
        }
        let body = Body::read(&decision.body, &decision.types).map_err(|error| Error::Invalid(error.into()))?;
        let header = Header {
            origin: origin.clone(),
            stream: tip.stream,
            seq: tip.count,
            prev: tip.last.map_or_else(|| first_prev(origin, tip.stream), |last| last.leaf),
            types: decision.types.clone(),
            decision_id: decision.decision_id,
            subject: decision.subject,
            actor: decision.actor.clone(),
            recorded_at: tip.last.map_or(at, |last| at.max(last.recorded_at)),
            body: body_hash(&nonce, decision.body.as_bytes()),
        };
        let header_bytes = header.render();
        if header_bytes.len() > HEADER_BYTES_MAX {
            return Err(Error::Invalid(InvalidDecision::HeaderTooLong));
        }
        let leaf = leaf_hash(&header_bytes);
        let entry = Entry { header, header_bytes, nonce, body: decision.body.clone(), leaf };
        Ok(Self { entry, tags: body.tags })
    }

    /// Returns the tip of the stream once the entry stands.
    pub fn tip(&self) -> Tip {
        let header = &self.entry.header;
        let last = Last { leaf: self.entry.leaf, recorded_at: header.recorded_at };
        Tip { stream: header.stream, count: header.seq + 1, last: Some(last) }
    }

    /// Returns the receipt that the caller gets once the entry is durable.
    pub fn into_receipt(self) -> Receipt {
        Receipt { header: self.entry.header, leaf: self.entry.leaf }
    }
}
