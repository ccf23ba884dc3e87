//! The history of one stream: its entries as moments in words, and the facts that stand above them.

use domain::Reason;
use domain::events::{self, Event, EventData, ReadError};
use ledger::{Actor, Entry};

pub(crate) mod words;

/// How the step of an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// The object was refused.
    Refused,
    /// Work on it was given up.
    Failed,
}

/// One entry, as people look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its number in its stream, from 0.
    pub seq: u64,
    /// When it was recorded: `2026-11-23T05:00:00.000Z`.
    pub recorded_at: String,
    /// Who acted: a step's word, or `person` and the first digits of the keyed hash.
    pub step: String,
    /// How it went.
    pub outcome: Outcome,
    /// What happened, in a few words.
    pub told: String,
    /// The first eight hex digits of the entry's hash.
    pub hash8: String,
}

/// How a stream stands after its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its key holds the output.
    Delivered,
    /// It was refused.
    Quarantined(Reason),
    /// Work on it was given up; the code of the failure.
    Failed(String),
    /// An object without an end: the next run goes on with it.
    Open,
    /// No object: what a person or a sweeper did.
    Act,
}

impl Standing {
    /// Returns the standing in a few words.
    pub fn told(&self) -> String {
        match self {
            Self::Delivered => "delivered".to_owned(),
            Self::Quarantined(reason) => format!("quarantined: {reason}"),
            Self::Failed(code) => format!("failed: {code}"),
            Self::Open => "no end yet".to_owned(),
            Self::Act => "recorded".to_owned(),
        }
    }
}

/// The history of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The stream, 32 hex digits.
    pub stream: String,
    /// How it stands.
    pub standing: Standing,
    /// Modality (0008,0060), once it is known to be a defined term.
    pub modality: Option<&'static str>,
    /// SOP Class UID, once known; `private` if DICOM did not register it.
    pub sop_class: Option<String>,
    /// Size in bytes of the object as received.
    pub size_bytes: Option<u64>,
    /// The key of the output, once it is fixed.
    pub key: Option<String>,
    /// The keyed hash of the study, `k1:…`, once it is known.
    pub subject: Option<String>,
    /// Its entries, in order.
    pub moments: Vec<Moment>,
}

/// Returns the history that the entries of one stream tell, from seq 0 on.
///
/// # Errors
/// A body that this program cannot read: damaged, or written by a newer version.
pub fn of_stream(entries: &[Entry]) -> Result<History, ReadError> {
    let mut history = History {
        stream: entries.first().map(|entry| entry.header.stream.to_string()).unwrap_or_default(),
        standing: Standing::Act,
        modality: None,
        sop_class: None,
        size_bytes: None,
        key: None,
        subject: None,
        moments: Vec::with_capacity(entries.len()),
    };
    for entry in entries {
        let events = events::read(entry.body.as_bytes())?;
        for event in &events {
            history.take_in(&event.data);
        }
        history.subject = entry.header.subject.map(|subject| subject.to_string()).or(history.subject);
        history.moments.push(moment(entry, &events));
    }
    Ok(history)
}

impl History {
    fn take_in(&mut self, data: &EventData) {
        match data {
            EventData::ObjectReceived(said) => {
                self.size_bytes = Some(said.size_bytes);
                self.standing = Standing::Open;
            }
            EventData::InstanceIngested(said) => {
                self.modality = said.modality.map(|modality| modality.as_str());
                self.sop_class = Some(said.sop_class.to_string());
            }
            EventData::InstanceDeidentified(said) => self.key = Some(said.key.to_string()),
            EventData::InstanceDelivered(_) => self.standing = Standing::Delivered,
            EventData::InstanceQuarantined(said) => self.standing = Standing::Quarantined(said.reason),
            EventData::ProcessingFailed(said) => self.standing = Standing::Failed(said.code.to_string()),
            EventData::ReplayRequested(_) if self.standing != Standing::Act => self.standing = Standing::Open,
            _ => {}
        }
    }
}

fn moment(entry: &Entry, events: &[Event]) -> Moment {
    let told: Vec<String> = events.iter().map(|event| words::told(&event.data)).collect();
    let outcome = events.iter().fold(Outcome::Done, |outcome, event| match event.data {
        EventData::InstanceQuarantined(_) => Outcome::Refused,
        EventData::ProcessingFailed(_) => Outcome::Failed,
        _ => outcome,
    });
    let step = match &entry.header.actor {
        Actor::System(step) => step.as_str().to_owned(),
        Actor::Person(hash) => format!("person {}", first8(&hash.hash)),
    };
    Moment {
        seq: entry.header.seq,
        recorded_at: entry.header.recorded_at.to_string(),
        step,
        outcome,
        told: told.join("; "),
        hash8: first8(&entry.leaf.0),
    }
}

fn first8(hash: &[u8]) -> String {
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use domain::events::{
        Code, Decision, Detail, Digest, InstanceIngested, InstanceQuarantined, Intake, Modality, ObjectReceived, Place,
        RegisteredUid, Time,
    };
    use domain::ids::{KeyedHash, StreamId};
    use domain::workflow::Step;
    use ledger::{EventTypes, Header, Nonce, Origin, StreamKey, UtcMillis, body_hash, first_prev, leaf_hash};
    use uuid::Uuid;

    use super::*;

    fn entry(seq: u64, step: &'static str, data: EventData) -> Entry {
        let decision = Decision {
            id: Uuid::from_u128(u128::from(seq)),
            stream: StreamId(KeyedHash([7; 16])),
            time: Time::from_unix_ms(1_000),
            correlation_id: None,
            causation_id: None,
        };
        let events = Event::of(&decision, vec![data]);
        let body = String::from_utf8(events::body(&events)).expect("JSON is UTF-8");
        let (nonce, stream) = (Nonce([1; 16]), StreamKey([7; 16]));
        let origin = Origin::new("medimg", "test", [0; 16]).expect("an origin");
        let header = Header {
            prev: first_prev(&origin, stream),
            origin,
            stream,
            seq,
            types: EventTypes::new(&[events[0].event_type()]).expect("one type"),
            decision_id: decision.id,
            subject: None,
            actor: Actor::system(step).expect("a step"),
            recorded_at: UtcMillis::from_unix_ms(1_000 * seq),
            body: body_hash(&nonce, body.as_bytes()),
        };
        let header_bytes = header.render();
        let leaf = leaf_hash(&header_bytes);
        Entry::from_stored(header_bytes, nonce, body, leaf).expect("a sound entry")
    }

    fn received() -> Entry {
        let said =
            ObjectReceived { sha256: Digest([3; 32]), size_bytes: 526_336, intake: Intake::Process, raw_copied: false };
        entry(0, "intake", said.into())
    }

    fn ingested() -> Entry {
        let said = InstanceIngested {
            transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
            sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
            modality: Modality::parse("CT"),
            elements: 245,
            notes: vec![Code::fixed("order")],
            tags: Vec::new(),
        };
        entry(1, "ingestion", said.into())
    }

    fn quarantined() -> Entry {
        let said = InstanceQuarantined {
            reason: Reason::Pixel,
            step: Step::Validation,
            detail: Detail::of("pixel data are shorter than the image"),
            at: Place::parse("(7FE0,0010)"),
            profile_digest: None,
            tags: Vec::new(),
        };
        entry(2, "quarantine", said.into())
    }

    #[test]
    fn each_entry_is_a_moment_in_words() {
        let history = of_stream(&[received(), ingested(), quarantined()]).expect("it reads");
        let told: Vec<_> = history.moments.iter().map(|m| (m.seq, m.step.as_str(), m.told.as_str())).collect();
        assert_eq!(
            told,
            [
                (0, "intake", "received: 526,336 bytes, named on the command line"),
                (1, "ingestion", "ingested: CT, 245 elements; noted: order"),
                (2, "quarantine", "quarantined: pixel, pixel data are shorter than the image at (7FE0,0010)"),
            ]
        );
        assert_eq!(history.moments[2].outcome, Outcome::Refused);
        assert_eq!(history.moments[2].recorded_at, "1970-01-01T00:00:02.000Z");
    }

    #[test]
    fn the_facts_are_those_of_the_last_word() {
        let history = of_stream(&[received(), ingested(), quarantined()]).expect("it reads");
        assert_eq!(history.standing, Standing::Quarantined(Reason::Pixel));
        assert_eq!((history.modality, history.size_bytes), (Some("CT"), Some(526_336)));
        assert_eq!(of_stream(&[received(), ingested()]).expect("it reads").standing, Standing::Open);
    }

    #[test]
    fn a_body_of_a_newer_program_is_told_not_guessed() {
        let mut entry = received();
        entry.body = entry.body.replace("received.v1", "received.v2");
        assert_eq!(of_stream(&[entry]).expect_err("refused").code(), "event_version_newer");
    }
}
