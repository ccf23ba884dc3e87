//! What the tables promise: they hang together, the rendered files are theirs, and a state machine that reads the rendered
//! file goes the same ways as the embedded walk.
#![allow(clippy::unwrap_used)] // A test that panics has failed, which is what it is for.

use std::path::Path;

use serde_json::Value;

use super::functions::Wake;
use super::*;
use crate::events::SOURCE;

/// Compares a rendered file with the checked-in one; `MEDIMG_BLESS=1` writes it.
fn is_current(path: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform").join(path);
    if std::env::var_os("MEDIMG_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, rendered).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == rendered, "{} is stale: run `MEDIMG_BLESS=1 cargo test -p domain workflow::`", path.display());
}

#[test]
fn the_rendered_state_machine_is_the_checked_in_one() {
    is_current("upload.asl.json", &asl::render());
}

#[test]
fn the_rendered_rules_are_the_checked_in_ones() {
    is_current("rules.json", &rules::render());
}

#[test]
fn the_rendered_functions_are_the_checked_in_ones() {
    is_current("functions.json", &functions::render());
}

#[test]
fn a_function_has_a_name_of_its_own_and_no_stream_alone_wakes_it() {
    for service in functions::SERVICES {
        assert_eq!(Step::from_name(service.name), None, "{}", service.name);
        assert_eq!(functions::SERVICES.iter().filter(|other| other.name == service.name).count(), 1);
        let by_stream = |wake: &Wake| matches!(wake, Wake::LedgerStream | Wake::HeadStream);
        let by_clock = |wake: &Wake| matches!(wake, Wake::Every { minutes } if *minutes > 0);
        assert!(!service.woken_by.iter().any(by_stream) || service.woken_by.iter().any(by_clock), "{}", service.name);
        assert!(service.woken_by.iter().filter(|wake| by_clock(wake)).count() <= 1, "{}", service.name);
        assert!(service.timeout_s <= functions::LONGEST_S, "{}", service.name);
    }
    assert!(STEPS.iter().all(|row| row.timeout_s <= functions::LONGEST_S));
}

#[test]
fn every_state_names_a_function_of_the_table() {
    let machine: Value = serde_json::from_str(&asl::render()).unwrap();
    let table: Value = serde_json::from_str(&functions::render()).unwrap();
    let mut named: Vec<String> = Vec::new();
    for state in machine["States"].as_object().unwrap().values() {
        let Some(function) = state["Parameters"]["FunctionName"].as_str() else { continue };
        let name = function.strip_prefix("${").unwrap().strip_suffix("_function_arn}").unwrap().replace('_', "-");
        assert!(table["functions"][&name]["woken_by"].as_array().unwrap().contains(&"workflow".into()), "{name}");
        named.push(name);
    }
    assert_eq!(named.len(), STEPS.len() - 1);
}

#[test]
fn rows_stand_at_their_steps_and_every_word_is_used_once() {
    assert_eq!(STEPS.len(), Step::ALL.len());
    for (row, step) in STEPS.iter().zip(Step::ALL) {
        assert_eq!(row.step, step);
        assert_eq!(Step::from_name(row.name), Some(step));
    }
    for words in [STEPS.iter().map(|r| r.name).collect::<Vec<_>>(), STEPS.iter().map(|r| r.command).collect()] {
        let mut sorted = words.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), words.len());
    }
    assert_eq!(
        Step::ALL.map(Step::name).join(" "),
        "intake ingestion validation deidentification delivery quarantine record-failure"
    );
}

#[test]
fn steps_lead_only_forward_and_none_leads_back_to_intake() {
    for row in STEPS {
        for next in [row.next, row.on_rejected, row.on_failed] {
            assert!(matches!(next, Next::End(_)) || matches!(next, Next::Step(step) if step > row.step), "{row:?}");
        }
    }
}

#[test]
fn waits_are_whole_seconds_grow_and_stay_below_their_limit() {
    for row in STEPS {
        let retry = row.retry;
        assert!(retry.interval_ms % 1_000 == 0 && retry.interval_ms_max % 1_000 == 0 && retry.interval_ms > 0);
        assert!(retry.retries_max > 0 && retry.retries_max <= 10 && retry.backoff >= 1);
        let delays: Vec<u64> = (1..=retry.retries_max).map(|n| retry.delay_ms(n)).collect();
        assert_eq!(delays[0], retry.interval_ms);
        assert!(delays.is_sorted() && delays.iter().all(|d| *d <= retry.interval_ms_max), "{delays:?}");
        assert_eq!(retry.delay_ms(u32::MAX), retry.interval_ms_max);
    }
}

#[test]
fn a_transient_failure_is_retried_to_the_limit_and_then_recorded() {
    let mut now = Try::first(Step::Delivery);
    let mut waits = Vec::new();
    while let Move::Again { next, delay_ms } = walk(now, Err(FailureKind::Transient)) {
        waits.push(delay_ms);
        now = next;
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000]);
    assert_eq!(walk(now, Err(FailureKind::Transient)), Move::Go(Step::RecordFailure));
}

#[test]
fn a_rejection_is_quarantined_at_once_and_what_is_broken_is_recorded_at_once() {
    for step in [Step::Ingestion, Step::Validation, Step::Deidentification, Step::Delivery] {
        assert_eq!(walk(Try::first(step), Err(FailureKind::Rejected)), Move::Go(Step::Quarantine));
        assert_eq!(walk(Try::first(step), Err(FailureKind::Broken)), Move::Go(Step::RecordFailure));
    }
    assert_eq!(walk(Try::first(Step::Quarantine), Ok(())), Move::End(End::Quarantined));
    assert_eq!(walk(Try::first(Step::Quarantine), Err(FailureKind::Rejected)), Move::Go(Step::RecordFailure));
    assert_eq!(walk(Try::first(Step::RecordFailure), Err(FailureKind::Rejected)), Move::End(End::NotRecorded));
}

#[test]
fn errors_of_the_service_that_pass_are_transient_and_unknown_ones_are_broken() {
    assert_eq!(FailureKind::of_error_name("Sandbox.Timedout"), FailureKind::Transient);
    assert_eq!(FailureKind::of_error_name("Lambda.Unknown"), FailureKind::Broken);
    assert_eq!(FailureKind::of_error_name("transient"), FailureKind::Broken);
    for kind in FailureKind::ALL {
        assert_eq!(FailureKind::of_error_name(kind.error_name()), kind);
    }
}

/// What the interpreter of the rendered file sees of a try: success, or an error by name.
type Told = Result<(), &'static str>;

/// As much of Amazon States Language as the rendered file uses, written against the language's specification and knowing
/// nothing of the tables: Task with Retry and Catch, Succeed, Fail.
struct Machine {
    states: Value,
    state: String,
    /// Retries so far, by the position of the retrier in the state entered; reset on every transition.
    retries: Vec<u64>,
    log: Vec<String>,
}

impl Machine {
    fn start(rendered: &str) -> Self {
        let document: Value = serde_json::from_str(rendered).unwrap();
        let state = document["StartAt"].as_str().unwrap().to_owned();
        let mut machine =
            Self { states: document["States"].clone(), state: String::new(), retries: Vec::new(), log: Vec::new() };
        machine.enter(&state);
        machine
    }

    fn enter(&mut self, state: &str) {
        let found = &self.states[state];
        assert!(found.is_object(), "{state} is no state");
        self.retries = vec![0; found["Retry"].as_array().map_or(0, Vec::len)];
        state.clone_into(&mut self.state);
        self.log.push(state.to_owned());
    }

    fn is_at_an_end(&self) -> bool {
        self.states[&self.state]["Type"] != "Task"
    }

    fn matches(errors: &Value, name: &str) -> bool {
        errors
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e == name || e == "States.ALL" || e == "States.TaskFailed" && name != "States.Timeout")
    }

    fn step(&mut self, told: Told) {
        let state = self.states[&self.state].clone();
        let Err(name) = told else { return self.enter(state["Next"].as_str().unwrap()) };
        let retriers = state["Retry"].as_array().cloned().unwrap_or_default();
        if let Some(at) = retriers.iter().position(|r| Self::matches(&r["ErrorEquals"], name)) {
            let retrier = &retriers[at];
            if self.retries[at] < retrier["MaxAttempts"].as_u64().unwrap() {
                let wait = retrier["IntervalSeconds"].as_f64().unwrap()
                    * retrier["BackoffRate"].as_f64().unwrap().powf(self.retries[at] as f64);
                let wait = wait.min(retrier["MaxDelaySeconds"].as_f64().unwrap());
                self.retries[at] += 1;
                self.log.push(format!("wait {} ms", (wait * 1_000.0) as u64));
                return;
            }
        }
        let catcher =
            state["Catch"].as_array().unwrap().iter().find(|c| Self::matches(&c["ErrorEquals"], name)).cloned();
        match catcher {
            Some(catcher) => self.enter(catcher["Next"].as_str().unwrap()),
            None => panic!("{name} in {} is not caught", self.state),
        }
    }
}

/// The embedded walk over the same outcomes, told in the same words.
fn walk_table(run: &[(Outcome, Told)]) -> Vec<String> {
    let mut now = Try::first(FIRST);
    let mut log = vec![now.step.row().state.unwrap().to_owned()];
    for (outcome, _) in run {
        match walk(now, *outcome) {
            Move::Go(step) => {
                now = Try::first(step);
                log.push(step.row().state.unwrap().to_owned());
            }
            Move::Again { next, delay_ms } => {
                now = next;
                log.push(format!("wait {delay_ms} ms"));
            }
            Move::End(end) => {
                log.push(end.state().to_owned());
                break;
            }
        }
    }
    log
}

fn walk_rendered(rendered: &str, run: &[(Outcome, Told)]) -> Vec<String> {
    let mut machine = Machine::start(rendered);
    for (_, told) in run {
        machine.step(*told);
        if machine.is_at_an_end() {
            break;
        }
    }
    machine.log
}

fn outcomes() -> Vec<(Outcome, Told)> {
    let mut outcomes: Vec<(Outcome, Told)> = vec![(Ok(()), Ok(()))];
    for name in ["Rejected", "Transient", "Broken", "States.Timeout", "Lambda.Unknown"] {
        outcomes.push((Err(FailureKind::of_error_name(name)), Err(name)));
    }
    outcomes
}

#[test]
fn the_rendered_machine_and_the_table_go_the_same_way_for_every_run_of_up_to_six_outcomes() {
    let (rendered, outcomes) = (asl::render(), outcomes());
    let mut runs: Vec<Vec<(Outcome, Told)>> = vec![Vec::new()];
    let mut walked = 0;
    for _ in 0..6 {
        let longer: Vec<_> =
            runs.iter().flat_map(|run| outcomes.iter().map(|o| [run.as_slice(), &[*o]].concat())).collect();
        for run in &longer {
            assert_eq!(walk_rendered(&rendered, run), walk_table(run), "{run:?}");
            walked += 1;
        }
        // A run that has reached an end is not made longer: nothing more can happen in it.
        runs = longer
            .into_iter()
            .filter(|run| !End::ALL.iter().any(|e| walk_table(run).last().unwrap() == e.state()))
            .collect();
    }
    assert!(walked > 10_000, "only {walked} runs");
}

#[test]
fn the_rendered_machine_and_the_table_exhaust_retries_alike() {
    let rendered = asl::render();
    let (transient, done) = (("Transient", FailureKind::Transient), (Ok(()), Ok(())));
    for before in 0..4 {
        let mut run: Vec<(Outcome, Told)> = vec![done; before];
        run.extend([(Err(transient.1), Err(transient.0)); 40]);
        let log = walk_table(&run);
        assert_eq!(walk_rendered(&rendered, &run), log);
        assert_eq!(log.last().unwrap(), "NotRecorded");
    }
}

#[test]
fn the_input_of_an_execution_is_the_stream_id_alone() {
    let machine: Value = serde_json::from_str(&asl::render()).unwrap();
    for (name, state) in machine["States"].as_object().unwrap() {
        let Some(payload) = state["Parameters"]["Payload"].as_object() else { continue };
        for (field, path) in payload.iter().filter(|(_, path)| !path.as_str().unwrap().starts_with("$$.")) {
            assert!(
                path == "$.stream_id"
                    || path == "$.failure"
                        && !matches!(name.as_str(), "Ingest" | "Validate" | "Deidentify" | "Deliver"),
                "{name}: {field} {path}"
            );
        }
        assert_eq!(state["ResultPath"], Value::Null, "{name}: a function's answer must not travel on");
    }
    let rules: Value = serde_json::from_str(&rules::render()).unwrap();
    for rule in rules["rules"].as_array().unwrap().iter().filter(|rule| rule["target"]["kind"] == "workflow") {
        assert_eq!(rule["target"]["input_template"], "{\"stream_id\":<stream_id>}");
    }
}

/// Whether an EventBridge pattern of exact words matches an event, by the service's own rule: every field named must hold
/// one of the words listed.
fn pattern_matches(pattern: &Value, event: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, inner)| pattern_matches(inner, &event[name])),
        Value::Array(words) => words.contains(event),
        _ => panic!("a pattern is objects and lists"),
    }
}

#[test]
fn the_rendered_patterns_and_the_table_choose_the_same_events() {
    let rendered: Value = serde_json::from_str(&rules::render()).unwrap();
    let mut chosen = vec![0; RULES.len()];
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap() {
        let example: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let mut variants = vec![example.clone()];
        for (field, word) in [("scope", "study"), ("scope", "selection"), ("verdict", "refused")] {
            let has_word = example["type"] == "imaging.replay.requested.v1" || field == "verdict";
            if has_word && example["data"].get(field).is_some() {
                let mut variant = example.clone();
                variant["data"][field] = word.into();
                variants.push(variant);
            }
        }
        for variant in variants {
            let event = crate::events::read_detail(variant.to_string().as_bytes()).unwrap().event;
            let on_bus = serde_json::json!({ "source": SOURCE, "detail-type": event.event_type(), "detail": variant });
            for (at, rule) in RULES.iter().enumerate() {
                let by_pattern = pattern_matches(&rendered["rules"][at]["event_pattern"], &on_bus);
                assert_eq!(by_pattern, rule.matches(&event.data), "{} and {variant}", rule.name);
                chosen[at] += usize::from(by_pattern);
            }
        }
    }
    assert_eq!(chosen, vec![1; RULES.len()], "each rule chooses one of the examples");
}

#[test]
fn every_rule_is_about_a_type_in_use_and_has_a_name_of_its_own() {
    for rule in RULES {
        let row = crate::events::TYPES.iter().find(|row| row.full == rule.event_type).unwrap();
        assert!(!row.reserved, "{}", rule.name);
        assert_eq!(RULES.iter().filter(|other| other.name == rule.name).count(), 1);
        assert_eq!(Rule::named(rule.name), Some(rule));
        assert!(rule.enabled);
    }
    let types: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.event_type.strip_prefix("imaging.").unwrap().strip_suffix(".v1").unwrap())
        .collect();
    assert_eq!(
        types.join(" "),
        "object.received replay.requested review.decided study.completed instance.quarantined processing.failed"
    );
}

#[test]
fn no_way_through_the_machine_takes_longer_than_a_day() {
    assert!(worst_case_s() < 86_400, "{} s", worst_case_s());
}
