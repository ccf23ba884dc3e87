//! What people do is recorded too: one stream for each acting run, with the operating-system user as actor (DESIGN §5).

use domain::Phi;
use domain::events::{Event, EventData, Tag, TagKind, Time};
use domain::ids::{IndexHash, Keys};
use ledger::{Actor, Ledger, StreamKey, Tip, UtcMillis};
use uuid::Uuid;

use crate::commit::{ledger_decision, ledger_error};
use crate::error::{Error, Result};
use crate::surroundings::Surroundings;

/// A person who acts, known to the ledger by a keyed hash only.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    hash: IndexHash,
}

impl Person {
    /// Takes the name under which the operating system knows the person.
    pub fn of_user(name: &Phi<String>, keys: &Keys) -> Self {
        Self { hash: keys.actor_k(name) }
    }

    /// Returns the person as the actor of a header, `u:k<version>:<32 hex>`.
    pub fn actor(&self) -> Actor {
        Actor::Person(ledger::IndexHash { version: self.hash.version, hash: self.hash.hash.0 })
    }

    /// Returns the tag under which what the person did is found.
    pub fn tag(&self) -> Tag {
        Tag { kind: TagKind::Actor, hash: self.hash }
    }
}

/// Records what a person did, as the first entry of a stream of its own. `about` is the study it concerns, if it is one.
///
/// # Errors
/// What the ledger says; an act that cannot be recorded is not answered.
pub async fn record(
    ledger: &dyn Ledger,
    keys: &Keys,
    surroundings: &dyn Surroundings,
    person: Person,
    about: Option<IndexHash>,
    did: EventData,
) -> Result<()> {
    record_under(new_id(surroundings), ledger, keys, surroundings, person, about, did).await
}

/// Returns an id for an act, under which a note may be kept before the act is recorded.
pub fn new_id(surroundings: &dyn Surroundings) -> Uuid {
    uuid_v7(surroundings.now_ms(), surroundings)
}

/// As [`record`], under an id that [`new_id`] returned.
///
/// # Errors
/// As [`record`].
pub async fn record_under(
    decision_id: Uuid,
    ledger: &dyn Ledger,
    keys: &Keys,
    surroundings: &dyn Surroundings,
    person: Person,
    about: Option<IndexHash>,
    did: EventData,
) -> Result<()> {
    let now_ms = surroundings.now_ms();
    let stream = keys.run_stream(&decision_id.to_string());
    let event = Event {
        id: uuid_v7(now_ms, surroundings),
        subject: stream,
        time: Time::from_unix_ms(i64::try_from(now_ms).unwrap_or(i64::MAX)),
        correlation_id: decision_id,
        causation_id: None,
        data: did,
    };
    let decision = ledger_decision(decision_id, &[event], about, person.actor())?;
    let (tip, at) = (Tip::empty(StreamKey(stream.0.0)), UtcMillis::from_unix_ms(now_ms));
    // A lost answer: the same decision again finds its own entry, or the free slot.
    for _ in 0..3 {
        match ledger.append(&tip, &decision, at, ledger::Nonce(surroundings.nonce())).await {
            Ok(_) => return Ok(()),
            Err(error @ ledger::Error::Unknown { .. }) if !error.is_disk_full() => {}
            Err(error) => return Err(ledger_error("record what was done", error)),
        }
    }
    Err(Error::lost("ledger_unknown", "record what was done", "the ledger did not answer three times"))
}

/// Returns a UUIDv7 (RFC 9562) of this time.
fn uuid_v7(now_ms: u64, surroundings: &dyn Surroundings) -> Uuid {
    let mut random = [0; 10];
    surroundings.random(&mut random);
    uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid()
}
