//! Given these events, when this command, then these events or this refusal: every command in every state.
#![allow(clippy::unwrap_used)] // A test that panics has failed, which is what it is for.

use super::*;
use crate::Rejection;
use crate::events::{
    self, Counts, Decision, Intake, Modality, PackedReceipt, RegisteredUid, ReviewDecided, ReviewVerdict, Time,
};
use crate::ids::KeyedHash;

const BASIC: Digest = Digest([1; 32]);
const PIXELS_ACCEPTED: Digest = Digest([2; 32]);
const SOURCE: Digest = Digest([3; 32]);
const OUTPUT: Digest = Digest([4; 32]);
const STREAM: StreamId = StreamId(KeyedHash([5; 16]));

/// The history of a stream, and a command on it.
struct Given {
    upload: Upload,
}

/// Folds the events as a reader of the ledger would: each decision written as a body and read back.
fn given(data: impl IntoIterator<Item = EventData>) -> Given {
    let mut upload = Upload::default();
    for (seq, data) in data.into_iter().enumerate() {
        upload.apply(&stored(seq, data)).expect("a test is given events that can stand");
    }
    Given { upload }
}

fn stored(seq: usize, data: EventData) -> Event {
    let decision = Decision {
        id: Uuid::from_u128(seq as u128),
        stream: STREAM,
        time: Time::from_unix_ms(seq as i64),
        correlation_id: None,
        causation_id: None,
    };
    let body = events::body(&Event::of(&decision, vec![data]));
    events::read(&body).expect("a body that was just written reads").remove(0)
}

impl Given {
    fn when(self, command: Command) -> When {
        When { answer: decide(&self.upload, &command), upload: self.upload }
    }
}

struct When {
    upload: Upload,
    answer: Result<Vec<EventData>, Refusal>,
}

impl When {
    fn then(self, expected: impl IntoIterator<Item = EventData>) {
        assert_eq!(self.answer, Ok(expected.into_iter().collect()));
    }

    fn then_refused(self, expected: Refusal) {
        assert_eq!(self.answer, Err(expected));
    }

    fn then_already_done(self) {
        let state = self.upload.state().clone();
        assert_eq!(self.answer, Err(Refusal::AlreadyDone(state)));
    }

    fn then_ended(self) {
        let how = self.upload.ended().expect("the upload has ended");
        assert_eq!(self.answer, Err(Refusal::Ended(how)));
    }

    fn then_contradicts(self) {
        assert!(matches!(self.answer, Err(Refusal::Contradicts(_))), "{:?}", self.answer);
    }
}

fn study() -> Tag {
    Tag { kind: TagKind::Study, hash: IndexHash { version: 1, hash: KeyedHash([6; 16]) } }
}

fn received() -> ObjectReceived {
    ObjectReceived { sha256: SOURCE, size_bytes: 1_000, intake: Intake::Process, raw_copied: false }
}

fn ingested() -> InstanceIngested {
    InstanceIngested {
        transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
        sop_class: RegisteredUid::sop_class("1.2.840.10008.5.1.4.1.1.2"),
        modality: Modality::parse("CT"),
        elements: 40,
        notes: vec![Code::fixed("trailing_bytes")],
        tags: vec![study()],
    }
}

fn validated() -> InstanceValidated {
    InstanceValidated { iod: Code::fixed("ct-image"), warnings: Vec::new(), warnings_total: 0, tags: Vec::new() }
}

fn deidentified_under(profile_digest: Digest) -> InstanceDeidentified {
    InstanceDeidentified {
        profile: Code::fixed("basic"),
        profile_digest,
        edition: Code::fixed("2026c"),
        key: ProcessedKey::of("2.25.1", "2.25.2", "2.25.3").unwrap(),
        sha256: OUTPUT,
        size_bytes: 900,
        transfer_syntax: RegisteredUid::transfer_syntax("1.2.840.10008.1.2.1"),
        stage: StageToken::parse("0123.part").unwrap(),
        receipt: PackedReceipt::parse("00100010 Z r301").unwrap(),
        counts: Counts::of(&[('Z', 1)]).unwrap(),
        tags: Vec::new(),
    }
}

fn deidentified() -> InstanceDeidentified {
    deidentified_under(BASIC)
}

fn delivered() -> InstanceDelivered {
    InstanceDelivered { key: deidentified().key, sha256: OUTPUT, size_bytes: 900, already_present: false }
}

fn quarantined(step: Step, reason: Reason) -> InstanceQuarantined {
    let rejection = Rejection::new(reason, "a condition did not hold").at_offset(17);
    let profile = (step == Step::Deidentification).then_some(BASIC);
    let Command::Quarantine(said) = Command::quarantine(step, &rejection, profile, vec![study()]) else {
        unreachable!()
    };
    said
}

fn failed(step: Step) -> ProcessingFailed {
    ProcessingFailed { step, kind: FailureKind::Transient, code: Code::fixed("States.Timeout"), attempts: 6 }
}

fn accepted(profile_digest: Digest) -> ReplayRequested {
    let Command::RequestReplay(said) = Command::accept_pixels(profile_digest, true, Vec::new()) else { unreachable!() };
    said
}

fn repaired(from_step: Step, run: &str) -> ReplayRequested {
    ReplayRequested {
        scope: ReplayScope::Object,
        cause: ReplayCause::FailureRepaired,
        from_step,
        run: RunId::parse(run).unwrap(),
        profile_digest: None,
        reason_given: false,
        streams: None,
        note_digest: None,
        tags: Vec::new(),
    }
}

/// Every way a stream can stand, with the step that is due.
fn histories() -> Vec<(&'static str, Vec<EventData>, Option<Step>)> {
    let done: [EventData; 5] =
        [received().into(), ingested().into(), validated().into(), deidentified().into(), delivered().into()];
    let and = |n: usize, last: EventData| [&done[..n], &[last]].concat();
    let pixels = || quarantined(Step::Deidentification, Reason::PixelsNotJudged).into();
    vec![
        ("new", vec![], Some(Step::Intake)),
        ("received", done[..1].to_vec(), Some(Step::Ingestion)),
        ("ingested", done[..2].to_vec(), Some(Step::Validation)),
        ("validated", done[..3].to_vec(), Some(Step::Deidentification)),
        ("deidentified", done[..4].to_vec(), Some(Step::Delivery)),
        ("delivered", done.to_vec(), None),
        ("quarantined by ingestion", and(1, quarantined(Step::Ingestion, Reason::Truncated).into()), None),
        ("quarantined by validation", and(2, quarantined(Step::Validation, Reason::MissingRequired).into()), None),
        ("quarantined by de-identification", and(3, pixels()), None),
        ("quarantined by delivery", and(4, quarantined(Step::Delivery, Reason::DupConflict).into()), None),
        ("failed at ingestion", and(1, failed(Step::Ingestion).into()), None),
        ("failed at delivery", and(4, failed(Step::Delivery).into()), None),
        (
            "reopened for its pixels",
            [and(3, pixels()), vec![accepted(PIXELS_ACCEPTED).into()]].concat(),
            Some(Step::Deidentification),
        ),
        (
            "reopened after a failure at delivery",
            [and(4, failed(Step::Delivery).into()), vec![repaired(Step::Delivery, "repair-1").into()]].concat(),
            Some(Step::Delivery),
        ),
    ]
}

fn work_commands() -> [Command; 5] {
    [
        Command::Receive(received()),
        Command::Ingest(ingested()),
        Command::Validate(validated()),
        Command::Deidentify(deidentified()),
        Command::Deliver(delivered()),
    ]
}

#[test]
fn each_step_of_the_work_is_taken_when_due_and_refused_otherwise_in_every_state() {
    for (name, history, due) in histories() {
        let upload = given(history.clone()).upload;
        assert_eq!(upload.next_step(), due, "{name}");
        for command in work_commands() {
            let step = command.step().unwrap();
            let answer = decide(&upload, &command);
            let expected = match due {
                Some(due) if due == step => Ok(1),
                Some(due) if due > step => Err(Refusal::AlreadyDone(upload.state().clone())),
                Some(due) => Err(Refusal::OutOfOrder { expected: due }),
                None if *upload.state() == State::Delivered && step == Step::Delivery => {
                    Err(Refusal::AlreadyDone(State::Delivered))
                }
                None => Err(Refusal::Ended(upload.ended().unwrap())),
            };
            assert_eq!(answer.map(|events| events.len()), expected, "{} on {name}", command.name());
        }
    }
}

#[test]
fn a_rejection_is_recorded_only_for_the_step_that_is_due_in_every_state() {
    for (name, history, due) in histories() {
        let upload = given(history.clone()).upload;
        for step in [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery] {
            let said = quarantined(step, Reason::Policy);
            let answer = decide(&upload, &Command::Quarantine(said.clone()));
            let expected = match due {
                Some(due) if due == step => Ok(vec![said.into()]),
                Some(due) if due > step => Err(Refusal::AlreadyDone(upload.state().clone())),
                Some(due) => Err(Refusal::OutOfOrder { expected: due }),
                None => Err(Refusal::Ended(upload.ended().unwrap())),
            };
            assert_eq!(answer, expected, "{step} on {name}");
        }
    }
}

#[test]
fn a_failure_is_recorded_only_for_the_step_that_is_due_in_every_state() {
    for (name, history, due) in histories() {
        let upload = given(history.clone()).upload;
        for step in [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery] {
            let answer = decide(&upload, &Command::RecordFailure(failed(step)));
            let expected = match (due, upload.state()) {
                (Some(due), _) if due == step => Ok(vec![failed(step).into()]),
                (Some(due), _) if due > step => Err(Refusal::AlreadyDone(upload.state().clone())),
                (Some(due), _) => Err(Refusal::OutOfOrder { expected: due }),
                (None, State::Failed(stands)) if stands.step == step => {
                    Err(Refusal::AlreadyDone(upload.state().clone()))
                }
                (None, _) => Err(Refusal::Ended(upload.ended().unwrap())),
            };
            assert_eq!(answer, expected, "{step} on {name}");
        }
    }
}

#[test]
fn only_pixels_not_judged_is_reopened_by_accepting_pixels_in_every_state() {
    for (name, history, due) in histories() {
        let upload = given(history.clone()).upload;
        let answer = decide(&upload, &Command::RequestReplay(accepted(PIXELS_ACCEPTED)));
        let expected = match (name, due) {
            ("quarantined by de-identification", _) => Ok(vec![accepted(PIXELS_ACCEPTED).into()]),
            ("reopened for its pixels", _) => Err(Refusal::AlreadyDone(State::Validated)),
            (_, Some(expected)) => Err(Refusal::OutOfOrder { expected }),
            (_, None) => Err(Refusal::Ended(upload.ended().unwrap())),
        };
        assert_eq!(answer, expected, "{name}");
        assert_eq!(
            upload.pixels_may_be_accepted(PIXELS_ACCEPTED),
            name == "quarantined by de-identification",
            "{name}"
        );
    }
}

#[test]
fn only_a_failure_is_reopened_after_a_repair_in_every_state() {
    for (name, history, due) in histories() {
        let upload = given(history.clone()).upload;
        let said = repaired(Step::Ingestion, "repair-2");
        let answer = decide(&upload, &Command::RequestReplay(said.clone()));
        let expected = match due {
            Some(expected) => Err(Refusal::OutOfOrder { expected }),
            None if name.starts_with("failed") => Ok(vec![said.into()]),
            None => Err(Refusal::Ended(upload.ended().unwrap())),
        };
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn five_entries_take_an_object_from_received_to_delivered() {
    let mut upload = Upload::default();
    for (seq, command) in work_commands().into_iter().enumerate() {
        assert_eq!(upload.next_step(), command.step());
        let events = decide(&upload, &command).unwrap();
        assert_eq!(events.len(), 1, "one entry per step");
        upload.apply(&stored(seq, events[0].clone())).unwrap();
    }
    assert_eq!(upload.ended(), Some(Ended::Delivered));
    assert_eq!(upload.study(), Some(study().hash));
    assert_eq!(upload.source().unwrap().sha256, SOURCE);
    assert_eq!(upload.output().unwrap().sha256, OUTPUT);
}

#[test]
fn other_bytes_cannot_be_received_into_a_stream() {
    let other = ObjectReceived { sha256: OUTPUT, ..received() };
    given([received().into()]).when(Command::Receive(other)).then_contradicts();
    let shorter = ObjectReceived { size_bytes: 999, ..received() };
    given([received().into()]).when(Command::Receive(shorter)).then_contradicts();
    // By which way it came the second time does not matter.
    let copied = ObjectReceived { raw_copied: true, intake: Intake::Watch, ..received() };
    given([received().into()]).when(Command::Receive(copied)).then_already_done();
}

#[test]
fn only_what_was_deidentified_can_be_delivered() {
    let before = || given([received().into(), ingested().into(), validated().into(), deidentified().into()]);
    before().when(Command::Deliver(delivered())).then([delivered().into()]);
    before().when(Command::Deliver(InstanceDelivered { sha256: SOURCE, ..delivered() })).then_contradicts();
    before().when(Command::Deliver(InstanceDelivered { size_bytes: 1, ..delivered() })).then_contradicts();
    let elsewhere = ProcessedKey::of("2.25.1", "2.25.2", "2.25.4").unwrap();
    before().when(Command::Deliver(InstanceDelivered { key: elsewhere, ..delivered() })).then_contradicts();
    let there = InstanceDelivered { already_present: true, ..delivered() };
    before().when(Command::Deliver(there.clone())).then([there.into()]);
}

#[test]
fn a_delivered_object_is_not_delivered_as_something_else() {
    let all = [received().into(), ingested().into(), validated().into(), deidentified().into(), delivered().into()];
    given(all.clone()).when(Command::Deliver(delivered())).then_already_done();
    given(all).when(Command::Deliver(InstanceDelivered { sha256: SOURCE, ..delivered() })).then_ended();
}

#[test]
fn a_second_quarantine_for_the_same_reason_is_already_done_and_for_another_has_ended() {
    let history = || given([received().into(), quarantined(Step::Ingestion, Reason::Truncated).into()]);
    history().when(Command::Quarantine(quarantined(Step::Ingestion, Reason::Truncated))).then_already_done();
    history().when(Command::Quarantine(quarantined(Step::Ingestion, Reason::Vr))).then_ended();
}

#[test]
fn nothing_can_be_quarantined_or_failed_before_it_is_received() {
    given([])
        .when(Command::Quarantine(quarantined(Step::Ingestion, Reason::Vr)))
        .then_refused(Refusal::OutOfOrder { expected: Step::Intake });
    given([]).when(Command::Quarantine(quarantined(Step::Intake, Reason::Vr))).then_contradicts();
    given([])
        .when(Command::RecordFailure(failed(Step::Ingestion)))
        .then_refused(Refusal::OutOfOrder { expected: Step::Intake });
    given([]).when(Command::RecordFailure(failed(Step::Intake))).then_contradicts();
}

#[test]
fn a_rejection_is_no_failure() {
    let rejected = ProcessingFailed { kind: FailureKind::Rejected, ..failed(Step::Ingestion) };
    given([received().into()]).when(Command::RecordFailure(rejected)).then_contradicts();
}

#[test]
fn pixels_are_judged_by_deidentification_under_a_profile() {
    let history = || given([received().into(), ingested().into(), validated().into()]);
    let said = quarantined(Step::Deidentification, Reason::PixelsNotJudged);
    history().when(Command::Quarantine(said.clone())).then([said.clone().into()]);
    history().when(Command::Quarantine(InstanceQuarantined { profile_digest: None, ..said })).then_contradicts();
    let early = quarantined(Step::Ingestion, Reason::PixelsNotJudged);
    given([received().into()]).when(Command::Quarantine(early)).then_contradicts();
}

fn pixels_quarantined() -> [EventData; 4] {
    let said = quarantined(Step::Deidentification, Reason::PixelsNotJudged);
    [received().into(), ingested().into(), validated().into(), said.into()]
}

#[test]
fn pixels_are_not_accepted_under_the_profile_that_refused_them() {
    given(pixels_quarantined()).when(Command::RequestReplay(accepted(BASIC))).then_ended();
}

#[test]
fn a_run_that_accepts_pixels_begins_at_deidentification_and_is_named_after_its_profile() {
    let good = accepted(PIXELS_ACCEPTED);
    let other_run = ReplayRequested { run: RunId::parse("mine").unwrap(), ..good.clone() };
    given(pixels_quarantined()).when(Command::RequestReplay(other_run)).then_contradicts();
    let other_step = ReplayRequested { from_step: Step::Ingestion, ..good.clone() };
    given(pixels_quarantined()).when(Command::RequestReplay(other_step)).then_contradicts();
    let no_profile = ReplayRequested { profile_digest: None, ..good.clone() };
    given(pixels_quarantined()).when(Command::RequestReplay(no_profile)).then_contradicts();
    let study_wide = ReplayRequested { scope: ReplayScope::Study, ..good };
    given(pixels_quarantined()).when(Command::RequestReplay(study_wide)).then_contradicts();
}

#[test]
fn accepted_pixels_lead_to_delivery_and_the_same_command_again_adds_nothing() {
    let mut history = pixels_quarantined().to_vec();
    history.push(accepted(PIXELS_ACCEPTED).into());
    given(history.clone()).when(Command::RequestReplay(accepted(PIXELS_ACCEPTED))).then_already_done();
    history.extend([deidentified_under(PIXELS_ACCEPTED).into(), delivered().into()]);
    given(history.clone()).when(Command::RequestReplay(accepted(PIXELS_ACCEPTED))).then_ended();
    let upload = given(history).upload;
    assert_eq!(upload.ended(), Some(Ended::Delivered));
    assert_eq!(upload.run(), &RunId::pixels(PIXELS_ACCEPTED));
    assert_eq!(upload.output().unwrap().profile_digest, PIXELS_ACCEPTED);
}

#[test]
fn a_run_works_on_an_upload_only_once() {
    let mut history = pixels_quarantined().to_vec();
    let residual = quarantined(Step::Deidentification, Reason::ResidualIdentifier);
    history.extend([accepted(PIXELS_ACCEPTED).into(), residual.into()]);
    given(history).when(Command::RequestReplay(accepted(PIXELS_ACCEPTED))).then_ended();
    let again = repaired(Step::Delivery, "repair-1");
    let failed_twice = [
        received().into(),
        ingested().into(),
        validated().into(),
        deidentified().into(),
        failed(Step::Delivery).into(),
        again.clone().into(),
        failed(Step::Delivery).into(),
    ];
    given(failed_twice.clone()).when(Command::RequestReplay(again)).then_ended();
    let another = repaired(Step::Delivery, "repair-2");
    given(failed_twice).when(Command::RequestReplay(another.clone())).then([another.into()]);
}

#[test]
fn a_replay_after_a_failure_begins_at_the_step_that_failed_or_before_it() {
    let history = || given([received().into(), ingested().into(), failed(Step::Validation).into()]);
    for (from_step, may) in [
        (Step::Intake, false),
        (Step::Ingestion, true),
        (Step::Validation, true),
        (Step::Deidentification, false),
        (Step::RecordFailure, false),
    ] {
        let said = repaired(from_step, "repair-1");
        let when = history().when(Command::RequestReplay(said.clone()));
        if may { when.then([said.into()]) } else { when.then_contradicts() }
    }
}

#[test]
fn a_replay_from_deidentification_forgets_the_output_and_one_from_delivery_keeps_it() {
    let history = |from| {
        given([
            received().into(),
            ingested().into(),
            validated().into(),
            deidentified().into(),
            failed(Step::Delivery).into(),
            repaired(from, "repair-1").into(),
        ])
    };
    assert!(history(Step::Delivery).upload.output().is_some());
    for from in [Step::Ingestion, Step::Validation, Step::Deidentification] {
        let upload = history(from).upload;
        assert_eq!((upload.output(), upload.next_step()), (None, Some(from)));
    }
}

#[test]
fn lists_beyond_their_bounds_are_refused() {
    let many_tags = InstanceIngested { tags: vec![study(); 17], ..ingested() };
    given([received().into()]).when(Command::Ingest(many_tags)).then_contradicts();
    let many_notes = InstanceIngested { notes: vec![Code::fixed("order"); 17], ..ingested() };
    given([received().into()]).when(Command::Ingest(many_notes)).then_contradicts();
    let warning = events::Warning { code: Code::fixed("type2_missing"), path: Place::parse("(0020,0052)") };
    let history = || given([received().into(), ingested().into()]);
    let many = InstanceValidated { warnings: vec![warning.clone(); 33], warnings_total: 40, ..validated() };
    history().when(Command::Validate(many)).then_contradicts();
    let more_than_all = InstanceValidated { warnings: vec![warning.clone(); 2], warnings_total: 1, ..validated() };
    history().when(Command::Validate(more_than_all)).then_contradicts();
    let first_of_many = InstanceValidated { warnings: vec![warning; 32], warnings_total: 40, ..validated() };
    history().when(Command::Validate(first_of_many.clone())).then([first_of_many.into()]);
}

#[test]
fn the_fold_refuses_an_event_that_cannot_stand_where_it_does_and_stays_as_it_was() {
    let every: Vec<EventData> = vec![
        received().into(),
        ingested().into(),
        validated().into(),
        deidentified().into(),
        delivered().into(),
        quarantined(Step::Validation, Reason::Policy).into(),
        failed(Step::Delivery).into(),
        accepted(PIXELS_ACCEPTED).into(),
    ];
    for (name, history, _) in histories() {
        for data in &every {
            let mut upload = given(history.clone()).upload;
            let before = upload.clone();
            let may = decide(&upload, &command_of(data).unwrap()).is_ok();
            let applied = upload.apply(&stored(99, data.clone()));
            assert_eq!(applied.is_ok(), may, "{} on {name}", data.event_type().full);
            assert_eq!(upload == before, !may, "{} on {name}", data.event_type().full);
        }
    }
}

#[test]
fn a_review_moves_nothing_and_an_event_of_something_else_has_no_place_in_an_upload() {
    let reviewed = ReviewDecided { verdict: ReviewVerdict::Accepted, about: Reason::PixelsNotJudged, tags: Vec::new() };
    let mut history = pixels_quarantined().to_vec();
    let before = given(history.clone()).upload.state().clone();
    history.push(reviewed.into());
    let mut upload = given(history).upload;
    assert_eq!(*upload.state(), before);
    let heartbeat = events::LedgerHeartbeat { size: 1, root: SOURCE };
    assert!(upload.apply(&stored(9, heartbeat.into())).is_err());
}

#[test]
fn a_retry_makes_the_same_decision_and_a_replay_another() {
    let at = |history: Vec<EventData>| given(history).upload;
    let fresh = at(vec![received().into(), ingested().into(), validated().into()]);
    let command = Command::Deidentify(deidentified());
    assert_eq!(fresh.decision_id(STREAM, &command), fresh.clone().decision_id(STREAM, &command));
    let mut history = pixels_quarantined().to_vec();
    history.push(accepted(PIXELS_ACCEPTED).into());
    let replayed = at(history);
    assert_ne!(fresh.decision_id(STREAM, &command), replayed.decision_id(STREAM, &command), "another run");
    let other_profile = Command::Deidentify(deidentified_under(PIXELS_ACCEPTED));
    assert_ne!(fresh.decision_id(STREAM, &command), fresh.decision_id(STREAM, &other_profile), "another profile");
    let mut seen = std::collections::BTreeSet::new();
    for command in work_commands() {
        assert!(seen.insert(fresh.decision_id(STREAM, &command)), "{}", command.name());
    }
    let other_stream = StreamId(KeyedHash([8; 16]));
    assert_ne!(fresh.decision_id(STREAM, &command), fresh.decision_id(other_stream, &command));
}

#[test]
fn a_decision_is_ready_to_be_appended_and_its_entry_is_about_the_study_as_soon_as_that_is_known() {
    let time = Time::from_unix_ms(7);
    let fresh = Upload::default();
    let decided = fresh.decide(STREAM, &Command::Receive(received()), time).unwrap();
    assert_eq!((decided.study, decided.id), (None, fresh.decision_id(STREAM, &Command::Receive(received()))));
    let upload = Upload::of(&decided.events).unwrap();
    let decided = upload.decide(STREAM, &Command::Ingest(ingested()), time).unwrap();
    assert_eq!(decided.study, Some(study().hash));
    assert_eq!(events::read(&events::body(&decided.events)), Ok(decided.events.clone()));
    assert_eq!(decided.events[0].time, time);
    let upload = given([received().into(), ingested().into()]).upload;
    assert_eq!(upload.decide(STREAM, &Command::Validate(validated()), time).unwrap().study, Some(study().hash));
    assert!(upload.decide(STREAM, &Command::Deliver(delivered()), time).is_err());
}

#[test]
fn events_name_the_one_that_opened_their_run_and_the_one_before_them() {
    let upload = given([received().into(), ingested().into()]).upload;
    let (first, last) = (stored(0, received().into()).id, stored(1, ingested().into()).id);
    assert_eq!(upload.correlation(&Command::Validate(validated())), (Some(first), Some(last)));
    assert_eq!(Upload::default().correlation(&Command::Receive(received())), (None, None));
    let mut history = pixels_quarantined().to_vec();
    let ended = given(history.clone()).upload;
    assert_eq!(
        ended.correlation(&Command::accept_pixels(PIXELS_ACCEPTED, true, Vec::new())).0,
        None,
        "a replay opens a run"
    );
    history.push(accepted(PIXELS_ACCEPTED).into());
    let opened = stored(4, accepted(PIXELS_ACCEPTED).into()).id;
    let reopened = given(history).upload;
    assert_eq!(reopened.correlation(&Command::Deidentify(deidentified())), (Some(opened), Some(opened)));
}

mod replay;
