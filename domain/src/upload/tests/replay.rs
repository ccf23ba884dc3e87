//! Replays: given an ended upload, when it is asked for again, then work begins at a step, or it stays and says why.

use super::*;

const RUN: &str = "01900000-0000-7000-8000-000000000001";

fn asked(from_step: Option<Step>) -> ReplayAsked {
    ReplayAsked {
        which: Which::All,
        from_step,
        run: RunId::parse(RUN).unwrap(),
        profile_digest: BASIC,
        profile_given: false,
        tags: Vec::new(),
    }
}

fn request(cause: ReplayCause, from_step: Step) -> ReplayRequested {
    ReplayRequested { cause, reason_given: true, ..repaired(from_step, RUN) }
}

fn operator_asked(from_step: Step) -> ReplayRequested {
    request(ReplayCause::OperatorAsked, from_step)
}

fn history(name: &str) -> Vec<EventData> {
    histories().into_iter().find(|(found, ..)| *found == name).unwrap().1
}

impl Given {
    /// Asks for a replay; whatever it would do, `decide` must admit.
    fn when_asked(self, asked: &ReplayAsked) -> Verdict {
        let verdict = self.upload.replay(asked);
        if let Verdict::Redo(command) = &verdict {
            decide(&self.upload, command).expect("a replay asks only for what is admitted");
        }
        verdict
    }
}

#[track_caller]
fn assert_redone(verdict: Verdict, cause: ReplayCause, from_step: Step) {
    assert_eq!(verdict, Verdict::Redo(Box::new(Command::RequestReplay(request(cause, from_step)))));
}

#[track_caller]
fn assert_kept(verdict: Verdict, kept: Kept) {
    assert_eq!(verdict, Verdict::Keep(kept));
}

#[test]
fn without_a_step_a_failure_begins_where_it_failed_and_what_is_delivered_or_refused_for_its_bytes_stays() {
    for (name, events, due) in histories() {
        let verdict = given(events).when_asked(&asked(None));
        match name {
            "failed at ingestion" => assert_redone(verdict, ReplayCause::FailureRepaired, Step::Ingestion),
            "failed at delivery" => assert_redone(verdict, ReplayCause::FailureRepaired, Step::Delivery),
            "delivered" => assert_kept(verdict, Kept::AlreadyDone),
            "quarantined by ingestion" => assert_kept(verdict, Kept::Quarantined(Reason::Truncated)),
            "quarantined by validation" => assert_kept(verdict, Kept::Quarantined(Reason::MissingRequired)),
            "quarantined by de-identification" => assert_kept(verdict, Kept::Quarantined(Reason::PixelsNotJudged)),
            // The object that it conflicted with may be gone.
            "quarantined by delivery" => assert_redone(verdict, ReplayCause::OperatorAsked, Step::Delivery),
            _ => {
                assert!(due.is_some(), "{name} has ended and is not told of here");
                assert_kept(verdict, Kept::AlreadyPending);
            }
        }
    }
}

#[test]
fn from_a_step_every_end_begins_there_unless_it_never_came_that_far() {
    for step in [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery] {
        for (_, events, due) in histories() {
            let upload = given(events.clone()).upload;
            let verdict = given(events).when_asked(&asked(Some(step)));
            let (cause, reached) = match upload.ended() {
                None => {
                    assert!(due.is_some());
                    assert_kept(verdict, Kept::AlreadyPending);
                    continue;
                }
                Some(Ended::Delivered) => (ReplayCause::OperatorAsked, Step::Delivery),
                Some(Ended::Failed(failed)) => (ReplayCause::FailureRepaired, failed.step),
                Some(Ended::Quarantined(why)) if why.reason == Reason::PixelsNotJudged => {
                    assert_kept(verdict, Kept::Quarantined(Reason::PixelsNotJudged));
                    continue;
                }
                Some(Ended::Quarantined(why)) => (ReplayCause::OperatorAsked, why.step),
            };
            match step > reached {
                true => assert_kept(verdict, Kept::StepNotReached { reached }),
                false => assert_redone(verdict, cause, step),
            }
        }
    }
}

#[test]
fn only_the_failures_that_are_meant_are_taken_up() {
    for (name, events, due) in histories() {
        for which in [Which::Failed, Which::FailedAt(Step::Delivery)] {
            let verdict = given(events.clone()).when_asked(&ReplayAsked { which, ..asked(None) });
            let meant = name == "failed at delivery" || name == "failed at ingestion" && which == Which::Failed;
            match (due, meant) {
                (Some(_), _) => assert_kept(verdict, Kept::AlreadyPending),
                (None, true) => assert!(matches!(verdict, Verdict::Redo(_)), "{name} {which:?}: {verdict:?}"),
                (None, false) => assert_kept(verdict, Kept::NotMeant),
            }
        }
    }
}

#[test]
fn a_delivered_object_is_deidentified_again_and_ends_delivered_with_what_stood_there() {
    let mut events = history("delivered");
    events.push(operator_asked(Step::Deidentification).into());
    let upload = given(events.clone()).upload;
    assert_eq!((upload.next_step(), upload.output()), (Some(Step::Deidentification), None));
    assert_eq!(upload.delivered(), Some(&(delivered().key, OUTPUT)), "what any run delivered is remembered");
    assert_eq!(upload.made_under(), Some(BASIC));
    let there = InstanceDelivered { already_present: true, ..delivered() };
    events.push(deidentified().into());
    given(events.clone()).when(Command::Deliver(there.clone())).then([there.clone().into()]);
    events.push(there.into());
    assert_eq!(given(events.clone()).upload.ended(), Some(Ended::Delivered));
    given(events.clone()).when(Command::RequestReplay(operator_asked(Step::Deidentification))).then_ended();
    assert_kept(given(events).when_asked(&asked(Some(Step::Deidentification))), Kept::DoneInThisRun);
}

#[test]
fn other_bytes_under_the_same_key_end_as_a_conflict() {
    let mut events = history("delivered");
    events.push(operator_asked(Step::Deidentification).into());
    events.push(deidentified_under(PIXELS_ACCEPTED).into());
    let conflict = quarantined(Step::Delivery, Reason::DupConflict);
    given(events).when(Command::Quarantine(conflict.clone())).then([conflict.into()]);
}

#[test]
fn a_request_made_twice_adds_nothing_and_one_of_another_run_waits_for_the_end() {
    let mut events = history("delivered");
    events.push(operator_asked(Step::Delivery).into());
    given(events.clone()).when(Command::RequestReplay(operator_asked(Step::Delivery))).then_already_done();
    let other = ReplayRequested { run: RunId::parse("other").unwrap(), ..operator_asked(Step::Delivery) };
    let refused = Refusal::OutOfOrder { expected: Step::Delivery };
    given(events.clone()).when(Command::RequestReplay(other)).then_refused(refused);
    assert_kept(given(events).when_asked(&asked(None)), Kept::AlreadyPending);
}

#[test]
fn each_end_has_its_own_cause() {
    let wrong = [
        ("delivered", request(ReplayCause::FailureRepaired, Step::Delivery)),
        ("failed at delivery", operator_asked(Step::Delivery)),
        ("quarantined by ingestion", request(ReplayCause::FailureRepaired, Step::Ingestion)),
        ("quarantined by de-identification", operator_asked(Step::Deidentification)),
    ];
    for (name, said) in wrong {
        given(history(name)).when(Command::RequestReplay(said)).then_ended();
    }
    for step in [Step::Intake, Step::Quarantine, Step::RecordFailure] {
        given(history("delivered")).when(Command::RequestReplay(operator_asked(step))).then_contradicts();
    }
    given(history("quarantined by ingestion"))
        .when(Command::RequestReplay(operator_asked(Step::Validation)))
        .then_contradicts();
}

#[test]
fn under_another_profile_than_the_recorded_one_nothing_is_redone_unless_the_request_names_it() {
    let (recorded, current) = (BASIC, PIXELS_ACCEPTED);
    let silent = ReplayAsked { profile_digest: current, ..asked(Some(Step::Delivery)) };
    for name in ["delivered", "failed at delivery"] {
        assert_kept(given(history(name)).when_asked(&silent), Kept::ProfileDiffers { recorded, current });
    }
    // Nothing was made under any profile before de-identification.
    let from_start = ReplayAsked { from_step: None, ..silent.clone() };
    let verdict = given(history("failed at ingestion")).when_asked(&from_start);
    assert_redone(verdict, ReplayCause::FailureRepaired, Step::Ingestion);
    // Named: the output is made anew under it, wherever the request begins.
    let named = ReplayAsked { profile_given: true, ..silent };
    let Verdict::Redo(command) = given(history("delivered")).when_asked(&named) else { panic!("it is redone") };
    let expected = operator_asked(Step::Deidentification);
    assert_eq!(*command, Command::RequestReplay(ReplayRequested { profile_digest: Some(current), ..expected }));
    // A run may forget the output; what it was made under stays known.
    let mut events = history("delivered");
    events.extend([
        EventData::from(ReplayRequested { run: RunId::parse("one").unwrap(), ..operator_asked(Step::Ingestion) }),
        failed(Step::Ingestion).into(),
    ]);
    let silent = ReplayAsked { profile_given: false, from_step: None, ..named };
    assert_kept(given(events).when_asked(&silent), Kept::ProfileDiffers { recorded, current });
}

#[test]
fn pixels_are_taken_on_by_a_request_that_says_so_in_the_run_named_after_the_profile() {
    let pixels = || given(pixels_quarantined());
    let other = ReplayAsked { profile_digest: PIXELS_ACCEPTED, ..asked(None) };
    let differs = Kept::ProfileDiffers { recorded: BASIC, current: PIXELS_ACCEPTED };
    assert_kept(pixels().when_asked(&other), differs);
    let verdict = pixels().when_asked(&ReplayAsked { profile_given: true, ..other });
    let expected = Command::accept_pixels(PIXELS_ACCEPTED, true, Vec::new());
    assert_eq!(verdict, Verdict::Redo(Box::new(expected)));
}

#[test]
fn a_replay_makes_decisions_of_its_own_and_its_retry_the_same_ones() {
    let at = |run: &str| {
        let mut events = history("delivered");
        let said = ReplayRequested { run: RunId::parse(run).unwrap(), ..operator_asked(Step::Deidentification) };
        events.push(said.into());
        given(events).upload.decision_id(STREAM, &Command::Deidentify(deidentified()))
    };
    let first = given(history("validated")).upload.decision_id(STREAM, &Command::Deidentify(deidentified()));
    assert_eq!(at("one"), at("one"));
    assert!(at("one") != at("two") && at("one") != first);
}
