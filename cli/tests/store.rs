//! `medimg` on a store, as an operator and a script meet it: the demo's files from raw to history, and what may go wrong.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use support::Place;

/// What the demo's twelve good and three refused files come to, in every run.
fn is_as_planned(summary: &serde_json::Value) -> bool {
    summary["delivered"] == 12 && summary["quarantined"] == 3 && summary["failed"] == 0 && summary["pending"] == 0
}

#[test]
fn every_file_of_the_demo_ends_as_planned_and_a_second_run_repeats_it() {
    let place = Place::with_demo();
    let expected = place.expected();
    for (repeated, workers) in [(false, "2"), (true, "1")] {
        let run = place.run(&["process", "--json", "-j", workers]).path("in").done();
        assert_eq!(run.code, 1, "three are quarantined: {}", run.stderr);
        let (last, reports) = run.lines.split_last().expect("a summary");
        assert!(is_as_planned(&last["summary"]), "{last}");
        let mut reports = reports.to_vec();
        reports.sort_by_key(|report| report["item"].as_u64());
        assert_eq!(reports.len(), expected.len());
        for (report, (outcome, reason)) in reports.iter().zip(&expected) {
            assert_eq!(
                (&report["outcome"], &report["reason"], &report["repeated"]),
                (outcome, reason, &repeated.into())
            );
            assert_eq!(report["key"].is_string(), *outcome == "delivered", "{report}");
            let key = report["key"].as_str().map(|key| place.store().join("processed").join(key));
            assert!(key.is_none_or(|key| key.is_file()), "what is delivered is there");
        }
    }
}

#[test]
fn a_study_is_found_by_its_new_uid_its_short_name_and_its_original_uid() {
    let place = Place::with_demo();
    let processed = place.run(&["process", "--json"]).path("in/mr").done();
    let key = processed.lines[0]["key"].as_str().expect("delivered").to_owned();
    let new = key.split('/').next().expect("a study").to_owned();
    let told = place.run(&["process"]).path("in/mr").done().stdout;
    let short =
        told.lines().find(|line| line.ends_with(&new)).expect("the study's line").split(' ').next().expect("a name");
    let original = place.original_study("in/mr");
    let mut answers = Vec::new();
    for name in [&new, short, &short.to_lowercase(), &original] {
        let run = place.run(&["history", "--json", name]).done();
        assert_eq!(run.code, 0, "{}", run.stderr);
        let (last, entries) = run.lines.split_last().expect("the size");
        assert!(last["as_of_size"].as_u64().expect("a number") >= 15);
        assert!(!run.stdout.contains(&original), "an original UID is in no entry");
        answers.push(entries.to_vec());
    }
    assert_eq!(answers[0].len(), 15, "three objects of five entries each");
    for (asked, answer) in answers.iter().enumerate() {
        assert_eq!(answer[..15], answers[0], "whatever the study is called, the answer is the same");
        assert_eq!(answer.len(), 15 + asked, "that somebody asked about the study is part of its history");
    }
    for entry in &answers[0] {
        let events = entry["events"].as_array().expect("the stored events");
        let types: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
        assert_eq!(entry["types"], serde_json::Value::from(types));
        assert!(entry["actor"].as_str().expect("an actor").starts_with("system:"));
    }
}

#[test]
fn the_history_of_a_study_holds_the_objects_that_were_refused() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in").done();
    let original = place.original_study("in/us");
    let run = place.run(&["history", "--json", &original]).done();
    let types: Vec<_> = run.lines.iter().filter_map(|line| line["types"][0].as_str()).collect();
    assert_eq!(types.last(), Some(&"imaging.instance.quarantined.v1"), "{types:?}");
    // The SR and the truncated slice belong to the CT study; the slice was refused before its study was read.
    let told = place.run(&["process"]).path("in/ct").done().stdout;
    let short = told.lines().nth(1).and_then(|line| line.split(' ').next()).expect("the study");
    let accepted = place.run(&["history", "--json", short]).done();
    let streams: std::collections::BTreeSet<_> =
        accepted.lines.iter().filter_map(|line| line["stream"].as_str()).collect();
    assert_eq!(streams.len(), 9);
}

#[test]
fn that_somebody_asked_is_recorded_without_the_name() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let unknown = place.run(&["history", "1.2.3.4"]).done();
    assert_eq!((unknown.code, unknown.error()), (1, "study_unknown".to_owned()));
    let all = place.run(&["history", "--all", "--json"]).done();
    let acts: Vec<_> = all.lines.iter().filter(|line| line["types"][0] == "imaging.history.queried.v1").collect();
    assert_eq!(acts.len(), 1, "the question that found nothing; reading all is recorded behind what it shows");
    assert!(acts[0]["actor"].as_str().expect("an actor").starts_with("u:k1:"));
    assert_eq!(acts[0]["events"][0]["data"]["matched"], 0);
    let again = place.run(&["history", "--all", "--json"]).done();
    assert_eq!(again.lines.len(), all.lines.len() + 1);
}

#[test]
fn verify_finds_a_changed_byte_and_names_where() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in").done();
    let sound = place.run(&["verify", "--json"]).done();
    assert_eq!((sound.code, &sound.lines[0]["sound"]), (0, &true.into()));
    let told = place.run(&["verify"]).done();
    assert!(told.stdout.contains("the ledger is sound: 68 entries"), "{}", told.stdout);
    // The last word of the 20th body, changed as a hand with access to the file would.
    place.sql("UPDATE entries SET body = replace(body, '\"time\"', '\"tine\"') WHERE gseq = 20");
    let found = place.run(&["verify", "--json"]).done();
    assert_eq!((found.code, found.error().as_str()), (3, "ledger_unsound"));
    assert_eq!((&found.lines[0]["sound"], &found.lines[0]["first_bad"]), (&false.into(), &20.into()));
    assert_eq!(found.lines[0]["findings"][0]["code"], "body_hash");
}

#[test]
fn verify_finds_a_log_that_was_cut() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    place.sql("DELETE FROM tags WHERE gseq = 14; DELETE FROM entries WHERE gseq = 14");
    let found = place.run(&["verify", "--json"]).done();
    assert_eq!((found.code, &found.lines[0]["first_bad"]), (3, &14.into()));
}

#[test]
fn an_export_is_the_head_and_every_entry_and_never_replaces_a_file() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let piped = place.run(&["export"]).done();
    let lines: Vec<serde_json::Value> =
        piped.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["size"], lines.len()), (&15.into(), 16));
    assert!((1..16).all(|at| lines[at]["leafindex"] == at - 1 && lines[at]["header"].is_string()));
    let file = place.path("ledger.ndjson");
    let named = place.run(&["export", "-o"]).path("ledger.ndjson").done();
    assert_eq!((named.code, fs::read_to_string(&file).expect("written")), (0, piped.stdout));
    assert_eq!(place.run(&["export", "-o"]).path("ledger.ndjson").done().code, 2);
    assert_eq!(
        fs::read_dir(place.path("")).expect("listed").count(),
        3,
        "in, store, ledger.ndjson and nothing half written"
    );
}

#[test]
fn keys_of_another_store_or_open_to_others_are_refused() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let key = place.store().join("keys/mapping");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changed");
    let wide = place.run(&["process"]).path("in/mr").done();
    assert_eq!((wide.code, wide.error().as_str()), (2, "key_permissions"));
    assert!(wide.stderr.contains("next: chmod 600"), "{}", wide.stderr);
    assert_eq!(place.run(&["doctor"]).done().code, 1);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("changed");
    assert_eq!(place.run(&["doctor"]).done().code, 0);
    fs::write(&key, [7; 32]).expect("another key");
    for verb in [&["process", "in"][..], &["history", "--all"]] {
        let other = place.run(verb).done();
        assert_eq!((other.code, other.error().as_str()), (3, "key_other"), "{verb:?}");
    }
    fs::remove_file(&key).expect("removed");
    let missing = place.run(&["process"]).path("in/mr").done();
    assert_eq!((missing.code, missing.error().as_str()), (3, "key_missing"));
    assert!(!key.exists(), "a store that lost a key gets no new one");
}

#[test]
fn a_second_worker_waits_and_a_question_does_not() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let lock = fs::File::open(place.store().join("lock")).expect("the lock");
    lock.lock().expect("taken");
    let second = place.run(&["process", "--json"]).path("in").done();
    assert_eq!((second.code, second.error().as_str(), second.stdout.as_str()), (75, "store_locked", ""));
    assert_eq!(place.run(&["history", "--all"]).done().code, 0);
    lock.unlock().expect("given back");
    assert_eq!(place.run(&["process"]).path("in/mr").done().code, 0);
}

#[test]
fn a_path_that_cannot_be_read_is_counted_apart_and_the_others_go_on() {
    let place = Place::with_demo();
    let run = place.run(&["process", "--json"]).path("in/mr").path("DOE^JANE.dcm").done();
    assert_eq!(run.code, 1);
    let (last, reports) = run.lines.split_last().expect("a summary");
    assert_eq!((&last["summary"]["delivered"], &last["summary"]["unreadable"]), (&3.into(), &1.into()));
    let unreadable: Vec<_> = reports.iter().filter(|report| report["outcome"] == "unreadable").collect();
    assert_eq!((unreadable.len(), &unreadable[0]["code"]), (1, &"source_gone".into()));
    assert!(unreadable[0]["stream"].is_null(), "what was not read has no stream");
    assert!(!run.stdout.contains("DOE") && !run.stderr.contains("DOE"));
}

#[test]
fn nothing_that_identifies_a_patient_of_the_demo_is_told_in_a_pipe_or_kept_in_the_ledger() {
    let place = Place::with_demo();
    let mut told = String::new();
    for line in [
        &["process", "in"][..],
        &["process", "in", "--json"],
        &["demo"],
        &["history", "--all"],
        &["history", "--all", "--json"],
        &["verify"],
        &["export"],
        &["doctor"],
        &["doctor", "--json"],
    ] {
        let run = place.run(line).done();
        told.push_str(&run.stdout);
        told.push_str(&run.stderr);
    }
    assert!(told.len() > 50_000, "the verbs told something");
    let mut kept: Vec<u8> = told.into_bytes();
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        kept.extend(fs::read(place.store().join(name)).unwrap_or_default());
    }
    let identifiers = place.identifiers();
    assert!(identifiers.len() > 15, "the demo's files name people: {identifiers:?}");
    for identifier in &identifiers {
        let found = kept.windows(identifier.len()).any(|window| window == identifier.as_bytes());
        assert!(!found, "{identifier} was told or kept");
    }
}

#[test]
fn with_its_rule_off_nothing_runs_until_the_event_is_put_by_hand_and_twice_changes_nothing() {
    let place = Place::with_demo();
    let off = [("MEDIMG_RULES_DISABLED", "object-received")];
    let waits = place.run(&["process", "--json"]).path("in").env(off).done();
    assert_eq!((waits.code, waits.error().as_str()), (75, "rules_off"));
    assert_eq!(waits.lines.last().expect("a summary")["summary"]["pending"], 15);
    let events = place.run(&["history", "--all", "--json"]).done().stdout;
    fs::write(place.path("events.ndjson"), events).expect("written");
    for (repeated, code) in [(false, 1), (true, 1)] {
        let put = place.run(&["bus", "put", "--json"]).path("events.ndjson").env(off).done();
        assert_eq!(put.code, code, "{}", put.stderr);
        let (last, reports) = put.lines.split_last().expect("a summary");
        assert!(is_as_planned(&last["summary"]), "{last}");
        assert!(reports.iter().all(|report| report["repeated"] == repeated));
    }
    let sound = place.run(&["verify", "--json"]).done();
    assert_eq!((sound.code, &sound.lines[0]["entries"]), (0, &69.into()), "68 of the objects and one question");
}

#[test]
fn accepted_pixels_take_up_only_what_waited_for_a_judgement() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in").done();
    let run = place.run(&["process", "--json", "--accept-pixels"]).path("in").done();
    let last = &run.lines.last().expect("a summary")["summary"];
    assert_eq!((run.code, &last["delivered"], &last["quarantined"]), (1, &13.into(), &2.into()));
    assert_eq!(run.lines.iter().filter(|report| report["repeated"] == false).count(), 1);
    assert_eq!(place.run(&["verify"]).done().code, 0, "a replay is an order of steps that may stand");
}

#[test]
fn the_demo_runs_twice_and_uses_no_store_of_others() {
    let place = Place::with_demo();
    let first = place.run(&["demo"]).done();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.lines().count() < 60 && first.stdout.contains("✓ every file ended as planned"));
    assert!(first.stdout.contains("✓ the ledger is sound"));
    let second = place.run(&["demo"]).done();
    assert!(second.code == 0 && second.stdout.contains("nothing was done again"), "{}", second.stdout);
    let json = place.run(&["demo", "--json"]).done();
    assert_eq!(json.lines.last().expect("a line")["demo"]["as_planned"], true);
    fs::write(place.path("in/other.dcm"), b"somebody's own file").expect("written");
    place.run(&["process"]).path("in/other.dcm").done();
    let refused = place.run(&["demo"]).done();
    assert_eq!((refused.code, refused.error().as_str()), (2, "demo_store"));
    let folder = place.run(&["demo", "--store"]).path("in").done();
    assert_eq!((folder.code, folder.error().as_str()), (2, "demo_store"));
    assert!(!place.path("in/keys").exists(), "a folder that is no store was left as it was");
}

#[test]
fn a_question_to_a_store_that_is_not_there_makes_none() {
    let place = Place::with_demo();
    for line in [&["history", "--all"][..], &["verify"], &["export"]] {
        let run = place.run(line).done();
        assert_eq!(run.code, 2, "{line:?}: {}", run.stderr);
        assert!(run.stderr.contains("medimg process"), "it says what to do: {}", run.stderr);
    }
    assert!(!place.store().exists());
    assert_eq!(place.run(&["doctor"]).done().code, 0, "nothing is wrong with a machine without a store");
}
