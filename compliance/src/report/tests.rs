//! What the fold promises: given entries, when folded, then these counts.

use domain::Reason;
use domain::events::{
    self, Code, Decision, Detail, Digest, Event, EventData, InstanceQuarantined, Intake, ObjectReceived,
    ProcessingFailed, ReplayCause, ReplayRequested, ReplayScope, RunId, Time,
};
use domain::ids::{KeyedHash, StreamId};
use domain::workflow::{FailureKind, Step};
use ledger::{
    Actor, EventTypes, Header, LeafHash, Nonce, Origin, StreamKey, UtcMillis, body_hash, leaf_hash, merkle_root,
};
use uuid::Uuid;

use super::*;

fn received() -> EventData {
    ObjectReceived { sha256: Digest([3; 32]), size_bytes: 5, intake: Intake::Process, raw_copied: false }.into()
}

fn quarantined() -> EventData {
    InstanceQuarantined {
        reason: Reason::Pixel,
        step: Step::Validation,
        detail: Detail::of("pixel data are shorter than the image"),
        at: None,
        profile_digest: None,
        tags: Vec::new(),
    }
    .into()
}

fn failed() -> EventData {
    ProcessingFailed {
        step: Step::Delivery,
        kind: FailureKind::Transient,
        code: Code::fixed("source_gone"),
        attempts: 3,
    }
    .into()
}

fn taken_up_again() -> EventData {
    ReplayRequested {
        scope: ReplayScope::Object,
        cause: ReplayCause::FailureRepaired,
        from_step: Step::Delivery,
        run: RunId::FIRST,
        profile_digest: None,
        reason_given: true,
        note_digest: None,
        streams: None,
        tags: Vec::new(),
    }
    .into()
}

/// An entry of stream `stream` at second `second`.
fn entry(stream: u8, second: u64, data: EventData) -> (Header, String) {
    let decision = Decision {
        id: Uuid::from_u128(u128::from(second)),
        stream: StreamId(KeyedHash([stream; 16])),
        time: Time::from_unix_ms(0),
        correlation_id: None,
        causation_id: None,
    };
    let events = Event::of(&decision, vec![data]);
    let body = String::from_utf8(events::body(&events)).expect("JSON is UTF-8");
    let header = Header {
        origin: Origin::new("medimg", "test", [0; 16]).expect("an origin"),
        stream: StreamKey([stream; 16]),
        seq: 0,
        prev: LeafHash([0; 32]),
        types: EventTypes::new(&[events[0].event_type()]).expect("one type"),
        decision_id: decision.id,
        subject: None,
        actor: Actor::system("intake").expect("a step"),
        recorded_at: UtcMillis::from_unix_ms(1_000 * second),
        body: body_hash(&Nonce([1; 16]), body.as_bytes()),
    };
    (header, body)
}

fn log() -> Vec<(Header, String)> {
    vec![
        entry(1, 0, received()),
        entry(2, 1, received()),
        entry(1, 2, quarantined()),
        entry(2, 3, failed()),
        entry(2, 4, taken_up_again()),
    ]
}

fn sound() -> Integrity {
    Integrity { sound: true, verified: 5, proved_below: 5, ..Integrity::default() }
}

fn folded(scope: Scope, as_of: Option<u64>, indices: impl IntoIterator<Item = u64>) -> Report {
    let (log, mut fold) = (log(), Fold::new(scope, as_of));
    for index in indices {
        let (header, body) = &log[usize::try_from(index).expect("small")];
        fold.push(index, header, &events::read(body.as_bytes()).expect("it reads"));
    }
    fold.finish(sound(), Sealing::default())
}

#[test]
fn an_object_stands_as_its_last_entry_says_and_a_replay_opens_it_again() {
    let whole = folded(Scope::All, None, 0..5);
    assert_eq!((whole.funnel.received, whole.funnel.quarantined, whole.funnel.failed, whole.funnel.open), (2, 1, 0, 1));
    assert_eq!((whole.failures.total, whole.replays.requested, whole.replays.with_reason), (1, 1, 1));
    let before = folded(Scope::All, Some(4), 0..5);
    assert_eq!((before.funnel.failed, before.funnel.open, before.seal.size, before.entries), (1, 0, 4, 4));
}

#[test]
fn the_seal_is_the_merkle_root_over_as_many_leaves_as_asked_for() {
    let leaves: Vec<LeafHash> = log().iter().map(|(header, _)| leaf_hash(&header.render())).collect();
    for size in 1..=5u64 {
        let root = merkle_root(&leaves[..usize::try_from(size).expect("small")]).base64();
        assert_eq!(folded(Scope::All, Some(size), 0..5).seal.root, Some(root), "{size}");
    }
}

#[test]
fn a_span_takes_its_first_moment_and_not_its_last() {
    let span = folded(Scope::Span { from_ms: 1_000, to_ms: 3_000 }, None, 0..5);
    assert_eq!((span.entries, span.funnel.received, span.funnel.carried_over, span.funnel.open), (2, 1, 1, 1));
    assert_eq!(span.seal.size, 5, "the seal is of the whole log");
    assert_eq!(span.sample.entries.iter().map(|one| one.leaf_index).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_missing_entry_leaves_no_root_and_a_red_block() {
    let torn = folded(Scope::All, None, [0, 1, 3, 4]);
    assert_eq!((torn.seal.root, torn.sample.entries.len()), (None, 0));
    assert!(torn.chain.iter().any(|block| block.bad));
}

#[test]
fn a_reading_that_begins_anew_counts_nothing_twice() {
    assert_eq!(folded(Scope::All, None, [0, 1, 2, 0, 1, 2, 3, 4]), folded(Scope::All, None, 0..5));
    assert_eq!(folded(Scope::All, Some(3), [0, 1, 2, 3, 0, 1, 2, 3]), folded(Scope::All, Some(3), 0..5));
}

#[test]
fn an_entry_whose_events_cannot_be_read_counts_as_an_entry_only() {
    let (header, _) = entry(1, 0, received());
    let mut fold = Fold::new(Scope::All, None);
    fold.push(0, &header, &[]);
    let report = fold.finish(sound(), Sealing::default());
    assert_eq!((report.entries, report.events.len(), report.chain[0].entries), (1, 0, 1));
}

#[test]
fn the_page_escapes_what_it_shows_and_is_the_same_twice() {
    let mut report = folded(Scope::All, None, 0..5);
    report.quarantine.rows[0].detail = "<script>alert('x')</script> & \"so\"".into();
    let page = html::render(&report);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;so&quot;"));
    assert_eq!(page, html::render(&report.clone()));
}

#[test]
fn every_row_of_the_control_matrix_has_a_verdict_and_its_limit() {
    let report = folded(Scope::All, None, 0..5);
    assert!(report.controls.len() >= 12);
    let verdict = |section: &str| report.controls.iter().find(|row| row.section == section).map(|row| row.verdict);
    assert_eq!(verdict("164.312(c)(1)"), Some(controls::Verdict::Pass));
    assert_eq!(verdict("164.528"), Some(controls::Verdict::Manual));
    let unsound = Fold::new(Scope::All, None).finish(Integrity::default(), Sealing::default());
    let integrity = unsound.controls.iter().find(|row| row.section == "164.312(c)(1)");
    assert_eq!(integrity.map(|row| row.verdict), Some(controls::Verdict::Partial));
}
