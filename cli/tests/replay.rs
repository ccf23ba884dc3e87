//! `medimg replay` as an operator meets it: a failure, its repair and the replay; and what a replay never does.

#[allow(dead_code, reason = "each file of tests uses some of it")]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use support::{Done, Place};

const REASON: &str = "asked for by Dr Nightingale";

/// Every file below a folder with its time and bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                let modified = fs::metadata(&path).and_then(|meta| meta.modified()).expect("a time");
                found.insert(path.clone(), (modified, fs::read(&path).expect("bytes")));
            }
        }
    }
    found
}

fn replay(place: &Place, words: &[&str]) -> Done {
    place.run(&[&["replay", "--json", "--reason", REASON], words].concat()).done()
}

/// The last line: counts of a replay or of a plan.
fn counts(done: &Done) -> Value {
    let last = done.lines.last().unwrap_or_else(|| panic!("nothing was told: {}", done.stderr));
    if last["replay"].is_object() { last["replay"].clone() } else { last["plan"].clone() }
}

fn left(done: &Done) -> Vec<String> {
    let mut left: Vec<_> = done.lines.iter().filter_map(|line| line["left"].as_str().map(str::to_owned)).collect();
    left.sort_unstable();
    left
}

/// The event of this type that was recorded last.
fn last_event(place: &Place, event_type: &str) -> Value {
    let all = place.run(&["history", "--all", "--json"]).done();
    let entry = all.lines.iter().rfind(|line| line["types"][0] == event_type).expect("it was recorded").clone();
    entry["events"][0]["data"].clone()
}

/// A place in which one object failed: it was received, and its file was gone when the work began.
fn with_a_failure() -> Place {
    let place = Place::with_demo();
    let off = [("MEDIMG_RULES_DISABLED", "object-received")];
    assert_eq!(place.run(&["process"]).path("in/mr").env(off).done().code, 75);
    fs::rename(place.path("in/mr"), place.path("elsewhere")).expect("moved");
    let failed = place.run(&["process", "--json"]).path("in/us").env([("MEDIMG_RETRY_DELAY_MS_MAX", "0")]).done();
    assert_eq!(failed.lines.last().expect("a summary")["summary"]["failed"], 3, "{}", failed.stderr);
    place
}

#[test]
fn what_failed_is_delivered_after_the_repair() {
    let place = with_a_failure();
    let still = replay(&place, &["--failed"]);
    assert_eq!((still.code, left(&still)), (1, vec!["source_gone".to_owned(); 3]), "named, not guessed");
    assert_eq!((&counts(&still)["streams"], &counts(&still)["completed"]), (&0.into(), &true.into()));
    let foretold = replay(&place, &["--failed", "--dry-run"]);
    assert_eq!((foretold.code, left(&foretold).len(), &counts(&foretold)["steps"]), (1, 3, &0.into()));
    fs::rename(place.path("elsewhere"), place.path("in/mr")).expect("put back");
    let told = place.run(&["replay", "--failed", "--dry-run", "--reason", REASON]).done();
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert!(told.stdout.starts_with("would redo 12 steps of 3 objects, would deliver 3\n"), "{}", told.stdout);
    let done = replay(&place, &["--failed"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let told = counts(&done);
    assert_eq!((&told["steps"], &told["delivered"], &told["already_done"]), (&12.into(), &3.into(), &0.into()));
    let ended = last_event(&place, "imaging.replay.completed.v1");
    for field in ["run", "streams", "steps", "delivered", "already_done", "quarantined", "failed"] {
        assert_eq!(ended[field], told[field], "{field}");
    }
    assert_eq!(place.run(&["verify"]).done().code, 0, "the order of its steps is one that may stand");
    assert_eq!(files(&place.store().join("processed")).len(), 3);
    let again = replay(&place, &["--failed"]);
    assert_eq!((again.code, &counts(&again)["streams"]), (0, &0.into()));
}

#[test]
fn delivered_objects_that_are_done_again_stay_as_they_are_to_the_byte_and_the_time() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in").done();
    let processed = place.store().join("processed");
    let before = files(&processed);
    let study = place.original_study("in/mr");
    for step in ["ingestion", "deidentification", "delivery"] {
        let foretold = counts(&replay(&place, &["--study", &study, "--step", step, "--dry-run"]));
        let done = replay(&place, &["--study", &study, "--step", step]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let told = counts(&done);
        assert_eq!((&told["delivered"], &told["already_done"], &told["streams"]), (&3.into(), &3.into(), &3.into()));
        assert_eq!((&foretold["steps"], &foretold["already_done"]), (&told["steps"], &told["already_done"]));
        assert!(files(&processed) == before, "{step}: a file was touched");
    }
    // Nothing is named to be done, so nothing is.
    let none = replay(&place, &["--from", "1d"]);
    assert_eq!((none.code, &counts(&none)["streams"]), (1, &0.into()), "three are still quarantined");
    assert_eq!(left(&none).iter().filter(|code| *code == "already_done").count(), 12);
    assert!(files(&processed) == before);
    assert_eq!(place.run(&["verify"]).done().code, 0);
}

#[test]
fn with_its_rule_off_a_replay_waits_and_the_same_command_goes_on_with_it() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let words = ["--from", "1d", "--study", &place.original_study("in/mr"), "--step", "deidentification"];
    let line = [&["replay", "--json", "--reason", REASON], &words[..]].concat();
    let waits = place.run(&line).env([("MEDIMG_RULES_DISABLED", "replay-requested")]).done();
    assert_eq!((waits.code, waits.error().as_str()), (75, "rules_off"));
    assert_eq!((&counts(&waits)["pending"], &counts(&waits)["completed"]), (&3.into(), &false.into()));
    let done = replay(&place, &words);
    let told = counts(&done);
    assert_eq!((done.code, &told["continued"], &told["run"]), (0, &true.into(), &counts(&waits)["run"]));
    assert_eq!((&told["already_done"], &told["steps"], &told["completed"]), (&3.into(), &6.into(), &true.into()));
    assert_eq!(place.run(&["verify"]).done().code, 0);
}

#[test]
fn under_another_profile_than_the_recorded_one_nothing_is_redone_unless_it_is_named() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/mr").done();
    let study = place.original_study("in/mr");
    let line = ["replay", "--json", "--reason", REASON, "--study", &study, "--step", "delivery"];
    let other = [("MEDIMG_ACCEPT_PIXELS", "true")];
    let refused = place.run(&line).env(other).done();
    assert_eq!((refused.code, left(&refused)), (1, vec!["profile_differs".to_owned(); 3]));
    let item = refused.lines.iter().find(|line| line["left"].is_string()).expect("an item");
    assert_ne!(item["recorded"], item["current"]);
    assert!(item["recorded"].as_str().is_some_and(|digest| digest.len() == 64));
    let told = place.run(&[&line[..1], &line[2..]].concat()).env(other).done();
    assert!(told.stdout.contains(item["recorded"].as_str().expect("a digest")), "{}", told.stdout);
    assert!(told.stdout.contains(item["current"].as_str().expect("a digest")), "{}", told.stdout);
    let before = files(&place.store().join("processed"));
    let foretold = place.run(&[&line[..], &["--profile", "basic", "--dry-run"]].concat()).env(other).done();
    assert_eq!((&counts(&foretold)["may_conflict"], &counts(&foretold)["deliver"]), (&3.into(), &0.into()));
    let named = place.run(&[&line[..], &["--profile", "basic"]].concat()).env(other).done();
    assert_eq!(counts(&named)["streams"], 3, "{}", named.stderr);
    assert!(files(&place.store().join("processed")) == before, "a key keeps its bytes");
}

#[test]
fn accepted_pixels_are_taken_up_by_a_replay_that_says_so() {
    let place = Place::with_demo();
    place.run(&["process"]).path("in/us").done();
    let study = place.original_study("in/us");
    let kept = replay(&place, &["--study", &study, "--step", "deidentification"]);
    assert_eq!((kept.code, left(&kept)), (1, vec!["still_quarantined".to_owned()]));
    let done = replay(&place, &["--study", &study, "--accept-pixels"]);
    assert_eq!((done.code, &counts(&done)["delivered"]), (0, &1.into()), "{}", done.stderr);
}

#[test]
fn a_dry_run_leaves_every_byte_of_the_store_takes_no_lock_and_is_not_recorded() {
    let place = with_a_failure();
    fs::rename(place.path("elsewhere"), place.path("in/mr")).expect("put back");
    let bytes = |place: &Place| -> BTreeMap<PathBuf, Vec<u8>> {
        files(&place.store()).into_iter().map(|(path, (_, bytes))| (path, bytes)).collect()
    };
    let lock = fs::File::open(place.store().join("lock")).expect("the lock");
    lock.lock().expect("taken");
    let before = bytes(&place);
    for words in [&["--dry-run"][..], &["--dry-run", "--deep"]] {
        for which in [&["--failed"][..], &["--from", "1d", "--step", "ingestion"]] {
            let told = replay(&place, &[which, words].concat());
            let counts = counts(&told);
            assert_eq!(counts["streams"], 3, "{}", told.stderr);
            let after = bytes(&place);
            assert!(after.keys().eq(before.keys()), "{:?}", after.keys());
            assert!(after == before, "{words:?} wrote something");
        }
    }
    let locked = replay(&place, &["--failed"]);
    assert_eq!((locked.code, locked.error().as_str()), (75, "store_locked"));
    lock.unlock().expect("given back");
    let (deep, done) = (replay(&place, &["--failed", "--dry-run", "--deep"]), replay(&place, &["--failed"]));
    for field in ["streams", "steps", "delivered", "already_done", "quarantined", "failed"] {
        assert_eq!(counts(&deep)[field], counts(&done)[field], "{field}");
    }
}

#[test]
fn where_the_files_are_gone_the_copies_of_the_store_are_read() {
    let place = Place::with_demo();
    place.run(&["process", "--copy-raw"]).path("in/mr").done();
    let study = place.original_study("in/mr");
    fs::remove_dir_all(place.path("in/mr")).expect("removed");
    let words = ["--study", &study, "--step", "deidentification"];
    assert_eq!(counts(&replay(&place, &[&words[..], &["--dry-run"]].concat()))["already_done"], 3);
    let done = replay(&place, &words);
    assert_eq!((done.code, &counts(&done)["already_done"]), (0, &3.into()), "{}", done.stdout);
    fs::remove_dir_all(place.store().join("raw")).expect("removed");
    assert_eq!(left(&replay(&place, &words)), ["source_gone"; 3]);
}

#[test]
fn a_replay_without_a_selection_or_a_reason_is_refused_before_anything_is_read() {
    let place = Place::with_demo();
    for line in [
        &["replay", "--reason", "why"][..],
        &["replay", "--failed"],
        &["replay", "--failed", "--reason", " "],
        &["replay", "--failed", "--reason", "why", "--deep"],
        &["replay", "--failed", "--reason", "why", "--step", "intake"],
        &["replay", "--from", "1h", "--to", "2h", "--reason", "why"],
        &["replay", "--from", "yesterday", "--reason", "why"],
    ] {
        place.run(&["process"]).path("in/mr").done();
        let refused = place.run(line).done();
        assert_eq!((refused.code, refused.error().as_str()), (2, "usage"), "{line:?}");
    }
    let unknown = replay(&place, &["--study", "1.2.3.4"]);
    assert_eq!((unknown.code, unknown.error().as_str()), (1, "study_unknown"));
}

#[test]
fn neither_the_reason_nor_a_patient_is_told_in_a_pipe_or_kept_in_the_ledger() {
    let place = with_a_failure();
    let mut told = String::new();
    for words in [&["--failed", "--dry-run"][..], &["--failed"], &["--from", "1d", "--step", "delivery"]] {
        for json in [&["--json"][..], &[]] {
            let done = place.run(&[&["replay", "--reason", REASON], words, json].concat()).done();
            told.push_str(&done.stdout);
            told.push_str(&done.stderr);
        }
    }
    assert!(told.contains("source_gone"));
    let mut kept = told.into_bytes();
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        kept.extend(fs::read(place.store().join(name)).unwrap_or_default());
    }
    fs::rename(place.path("elsewhere"), place.path("in/mr")).expect("put back");
    for identifier in place.identifiers().iter().map(String::as_str).chain(["Nightingale"]) {
        let found = kept.windows(identifier.len()).any(|window| window == identifier.as_bytes());
        assert!(!found, "{identifier} was told or kept");
    }
    let sources = fs::read(place.store().join("sources.sqlite")).expect("read");
    assert!(sources.windows(11).any(|window| window == b"Nightingale"), "the reason is kept beside the sources");
}
