//! A ledger of plausible entries for the tests of what follows the log.

use domain::Reason;
use domain::events::{
    Decision as EventDecision, Detail, Digest, Event, EventData, HistoryQueried, HistoryQuery, InstanceIngested,
    InstanceQuarantined, Intake, ObjectReceived, RegisteredUid, Tag, TagKind, Time,
};
use domain::ids::{IndexHash, KeyedHash, StreamId};
use domain::workflow::Step;
use ledger::{Actor, Ledger as _, MemoryLedger, Nonce, StreamKey, UtcMillis};
use uuid::Uuid;

use crate::commit::ledger_decision;

/// Waits for a future without timers.
pub(crate) fn block_on<T>(asked: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(asked)
}

/// The keyed hash of a number.
pub(crate) fn hash(number: u8) -> IndexHash {
    IndexHash { version: 1, hash: KeyedHash([number; 16]) }
}

/// Appends an event to a stream.
pub(crate) fn say(
    ledger: &MemoryLedger,
    stream: u8,
    about: Option<IndexHash>,
    actor: &str,
    at_ms: u64,
    said: EventData,
) {
    block_on(async {
        let stream = StreamId(KeyedHash([stream; 16]));
        let loaded = ledger.load(StreamKey(stream.0.0)).await.expect("loads");
        let id = Uuid::from_u128(u128::from(stream.0.0[0]) << 32 | loaded.entries.len() as u128);
        let time = Time::from_unix_ms(at_ms as i64);
        let events =
            Event::of(&EventDecision { id, stream, time, correlation_id: None, causation_id: None }, vec![said]);
        let actor = Actor::parse(actor).expect("an actor");
        let decision = ledger_decision(id, &events, about, actor).expect("a decision");
        ledger
            .append(&loaded.tip(), &decision, UtcMillis::from_unix_ms(at_ms), Nonce([1; 16]))
            .await
            .expect("appended");
    });
}

/// Receives and ingests an object of a study and a patient.
pub(crate) fn ingest(ledger: &MemoryLedger, object: u8, study: u8, patient: u8, at_ms: u64) {
    let received =
        ObjectReceived { sha256: Digest([object; 32]), size_bytes: 9, intake: Intake::Process, raw_copied: false };
    say(ledger, object, None, "system:intake", at_ms, received.into());
    let tags = vec![
        Tag { kind: TagKind::Study, hash: hash(study) },
        Tag { kind: TagKind::Patient, hash: hash(patient) },
        Tag { kind: TagKind::NewStudy, hash: hash(study + 100) },
    ];
    let ingested = InstanceIngested {
        transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
        sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
        modality: None,
        elements: 9,
        notes: Vec::new(),
        tags,
    };
    say(ledger, object, Some(hash(study)), "system:ingestion", at_ms + 1, ingested.into());
}

/// Refuses an object.
pub(crate) fn refuse(ledger: &MemoryLedger, object: u8, study: u8, reason: Reason, at_ms: u64) {
    let (step, detail) = (Step::Validation, Detail::of("as a test wants it"));
    let said = InstanceQuarantined { reason, step, detail, at: None, profile_digest: None, tags: Vec::new() };
    say(ledger, object, Some(hash(study)), "system:quarantine", at_ms, said.into());
}

/// Somebody asks about a study.
pub(crate) fn ask(ledger: &MemoryLedger, stream: u8, study: u8, at_ms: u64) {
    let tags = vec![Tag { kind: TagKind::Study, hash: hash(study) }];
    let said = HistoryQueried { query: HistoryQuery::Study, matched: 1, as_of_size: 1, tags };
    let actor = format!("u:{}", hash(200));
    say(ledger, stream, Some(hash(study)), &actor, at_ms, said.into());
}
