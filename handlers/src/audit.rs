//! Audit: is what the log says an order of steps that this pipeline can have walked? A fold over the log, on top of the
//! ledger's own verification. Reads only.
//!
//! Memory: the uploads that have no end at the present entry. An upload that goes on after an end (a replay) is folded anew
//! from its first entry in a second reading, which holds those uploads only.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use domain::events::{self, Event, EventData, ReadError};
use domain::ids::{KeyedHash, StreamId};
use domain::upload::Upload;
use ledger::{Header, StreamKey, verify, verify_store};

use crate::commit::ledger_error;
use crate::error::Result;
use crate::store::no_ledger;

/// The first entry that cannot stand where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misstep {
    /// Index of the entry in the log, from 0.
    pub leaf_index: u64,
    /// Its stream, 32 hex digits.
    pub stream: String,
    /// Its number in the stream, from 0.
    pub seq: u64,
    /// What does not fit; a constant sentence.
    pub why: &'static str,
}

/// What a verification of a store found.
#[derive(Debug)]
pub struct Audit {
    /// What the ledger says of itself.
    pub ledger: verify::Report,
    /// The first entry out of order. Judged only if the ledger is sound: of a damaged log the order says nothing.
    pub misstep: Option<Misstep>,
}

impl Audit {
    /// Whether nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.ledger.is_sound() && self.misstep.is_none()
    }
}

/// Verifies the ledger of the store at `root`, then the order of its steps. Writes nothing and needs no key.
///
/// # Errors
/// When the verification did not take place: no store, no access, no ledger, another schema version.
pub fn audit(root: &Path) -> Result<Audit> {
    audit_with(root, &mut |_, _, _| {})
}

/// What [`audit_with`] shows of each sound entry: its index, its header, and its events, or why they cannot be read.
pub type Visit<'a> = dyn FnMut(u64, &Header, std::result::Result<&[Event], &ReadError>) + 'a;

/// As [`audit`], and shows each sound entry to `visit` as it is read: bodies are parsed once. A lower index than before means
/// that the reading began anew.
///
/// # Errors
/// As [`audit`].
pub fn audit_with(root: &Path, visit: &mut Visit<'_>) -> Result<Audit> {
    let failed = |error| match error {
        ledger::Error::Missing => no_ledger(root),
        error => ledger_error("verify the ledger", error),
    };
    let path = root.join("ledger.sqlite");
    let mut first = Fold::new(None);
    let ledger = verify_store(&path, &mut |index, header, body| {
        let events = events::read(body.as_bytes());
        visit(index, header, events.as_deref());
        first.entry(index, header, events.as_deref().ok());
    });
    let ledger = ledger.map_err(failed)?;
    if !ledger.is_sound() {
        return Ok(Audit { ledger, misstep: None });
    }
    let mut missteps = vec![first.misstep];
    if !first.again.is_empty() {
        let mut second = Fold::new(Some(first.again));
        verify_store(&path, &mut |index, header, body| second.read(index, header, body)).map_err(failed)?;
        missteps.push(second.misstep);
    }
    let misstep = missteps.into_iter().flatten().min_by_key(|misstep| misstep.leaf_index);
    Ok(Audit { ledger, misstep })
}

/// What a stream is, by its first entry.
#[derive(Clone, Debug)]
enum Kind {
    /// Of an object.
    Upload(Box<Upload>),
    /// What a person or a sweeper did.
    Act,
}

/// One reading of the log.
#[derive(Debug)]
struct Fold {
    /// The streams to fold from beginning to end; without it all, each as long as it has no end.
    only: Option<BTreeSet<StreamKey>>,
    open: HashMap<StreamKey, Kind>,
    /// Streams that went on after they had been let go of.
    again: BTreeSet<StreamKey>,
    misstep: Option<Misstep>,
    /// Index that the next entry has at least; a lower one means that the reading began anew.
    next: u64,
}

impl Fold {
    fn new(only: Option<BTreeSet<StreamKey>>) -> Self {
        Self { only, open: HashMap::new(), again: BTreeSet::new(), misstep: None, next: 0 }
    }

    /// Takes in an entry of which only few are looked at, so that the others need not be parsed.
    fn read(&mut self, leaf_index: u64, header: &Header, body: &str) {
        let wanted = self.only.as_ref().is_none_or(|only| only.contains(&header.stream));
        let events = if wanted { events::read(body.as_bytes()).ok() } else { None };
        self.entry(leaf_index, header, events.as_deref());
    }

    /// Takes in an entry; `None` stands for events that this program does not know.
    fn entry(&mut self, leaf_index: u64, header: &Header, events: Option<&[Event]>) {
        if leaf_index < self.next {
            *self = Self::new(self.only.take());
        }
        self.next = leaf_index + 1;
        if self.misstep.is_some() || self.only.as_ref().is_some_and(|only| !only.contains(&header.stream)) {
            return;
        }
        if let Err(why) = self.take_in(header, events) {
            let (stream, seq) = (header.stream.to_string(), header.seq);
            self.misstep = Some(Misstep { leaf_index, stream, seq, why });
        }
    }

    fn take_in(&mut self, header: &Header, events: Option<&[Event]>) -> std::result::Result<(), &'static str> {
        let events = events.ok_or("its body holds no events that this program knows")?;
        let stream = StreamId(KeyedHash(header.stream.0));
        if events.iter().any(|event| event.subject != stream) {
            return Err("an event names another stream than its entry");
        }
        let mut kind = match self.open.remove(&header.stream) {
            Some(kind) => kind,
            None if header.seq == 0 => first(events),
            None => {
                self.again.insert(header.stream);
                return Ok(());
            }
        };
        match &mut kind {
            Kind::Act if events.iter().any(is_of_upload) => {
                return Err("a step of an object stands in a stream that received none");
            }
            Kind::Act => {}
            Kind::Upload(upload) => step(upload, events, header)?,
        }
        let ended = matches!(&kind, Kind::Upload(upload) if upload.ended().is_some());
        if self.only.is_some() || matches!(&kind, Kind::Upload(_)) && !ended {
            self.open.insert(header.stream, kind);
        }
        Ok(())
    }
}

fn first(events: &[Event]) -> Kind {
    match events.first().map(|event| &event.data) {
        Some(EventData::ObjectReceived(_)) => Kind::Upload(Box::default()),
        _ => Kind::Act,
    }
}

/// Whether the event can stand in the stream of an object only.
fn is_of_upload(event: &Event) -> bool {
    matches!(
        event.data,
        EventData::ObjectReceived(_)
            | EventData::InstanceIngested(_)
            | EventData::InstanceValidated(_)
            | EventData::InstanceQuarantined(_)
            | EventData::InstanceDeidentified(_)
            | EventData::InstanceDelivered(_)
            | EventData::ProcessingFailed(_)
    )
}

fn step(upload: &mut Upload, events: &[Event], header: &Header) -> std::result::Result<(), &'static str> {
    for event in events {
        upload.apply(event).map_err(|misplaced| misplaced.why)?;
    }
    let named = header.subject.map(|subject| (subject.version, subject.hash));
    let known = upload.study().map(|study| (study.version, study.hash.0));
    if named == known { Ok(()) } else { Err("the entry names another study than its events") }
}

#[cfg(test)]
mod tests {
    use domain::events::{Decision, Digest, InstanceQuarantined, Intake, ObjectReceived, Time};
    use domain::workflow::Step;
    use domain::{Reason, Rejection};
    use ledger::{Actor, Ledger, Nonce, Open, Origin, SqliteLedger, Tip, UtcMillis};
    use uuid::Uuid;

    use super::*;
    use crate::commit::ledger_decision;

    fn received() -> EventData {
        ObjectReceived { sha256: Digest([1; 32]), size_bytes: 1, intake: Intake::Process, raw_copied: false }.into()
    }

    fn quarantined() -> EventData {
        let rejection = Rejection::new(Reason::NotDicom, "it is none");
        InstanceQuarantined {
            reason: rejection.reason,
            step: Step::Ingestion,
            detail: domain::events::Detail::of(&rejection.detail),
            at: None,
            profile_digest: None,
            tags: Vec::new(),
        }
        .into()
    }

    /// Writes a log in which each stream says these events, one an entry, and audits it. The ledger itself is sound.
    async fn audit_of(entries: &[(u8, EventData)]) -> Audit {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let origin = Origin::new("medimg", "test", [0; 16]).expect("an origin");
        let ledger = SqliteLedger::open(folder.path().join("ledger.sqlite"), Open::CreateWith(origin)).expect("open");
        let mut tips: HashMap<u8, Tip> = HashMap::new();
        for (number, (stream, data)) in (1u128..).zip(entries) {
            let id = Uuid::from_u128(number);
            let said = Decision {
                id,
                stream: StreamId(KeyedHash([*stream; 16])),
                time: Time::from_unix_ms(0),
                correlation_id: None,
                causation_id: None,
            };
            let actor = Actor::system("intake").expect("a step");
            let decision = ledger_decision(id, &Event::of(&said, vec![data.clone()]), None, actor).expect("a decision");
            let tip = tips.entry(*stream).or_insert(Tip::empty(StreamKey([*stream; 16])));
            let done = ledger.append(tip, &decision, UtcMillis::from_unix_ms(0), Nonce([0; 16])).await.expect("append");
            *tip = done.receipt().tip();
        }
        drop(ledger);
        audit(folder.path()).expect("it takes place")
    }

    #[tokio::test]
    async fn a_log_in_the_order_of_the_steps_is_sound() {
        let audit = audit_of(&[(1, received()), (2, received()), (1, quarantined())]).await;
        assert!(audit.is_sound(), "{audit:?}");
        assert_eq!(audit.ledger.entries, 3);
    }

    #[tokio::test]
    async fn the_first_entry_that_cannot_stand_where_it_does_is_named() {
        let audit = audit_of(&[(1, received()), (2, received()), (2, received()), (1, received())]).await;
        assert!(audit.ledger.is_sound() && !audit.is_sound());
        assert_eq!(audit.misstep.expect("found").leaf_index, 2);
    }

    #[tokio::test]
    async fn a_step_without_an_object_and_a_step_after_the_end_are_found() {
        let lone = audit_of(&[(1, received()), (2, quarantined())]).await;
        assert_eq!(lone.misstep.expect("found").leaf_index, 1);
        let late = audit_of(&[(1, received()), (1, quarantined()), (3, received()), (1, quarantined())]).await;
        assert_eq!(late.misstep.expect("found").leaf_index, 3, "the stream is read again from its first entry");
    }
}
