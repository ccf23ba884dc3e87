//! `medimg prove`, as an operator and a script meet it. What the reader of a bundle meets is for `tests/oracles/prove_run.py`.

#[allow(dead_code)] // Each file of tests uses its part of it.
mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use support::{Done, Place};

fn processed() -> Place {
    let place = Place::with_demo();
    assert_eq!(place.run(&["process"]).path("in").done().code, 1, "three are quarantined");
    place
}

fn prove(place: &Place, what: &str, more: &[&str]) -> Done {
    place.run(&[&["prove", what, "--json", "-o", "bundle.zip"], more].concat()).done()
}

fn members(place: &Place, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(File::open(place.path(name)).expect("a file")).expect("a zip");
    let mut members = BTreeMap::new();
    for at in 0..zip.len() {
        let (mut member, mut bytes) = (zip.by_index(at).expect("a member"), Vec::new());
        member.read_to_end(&mut bytes).expect("read");
        members.insert(member.name().expect("a name").into_owned(), bytes);
    }
    members
}

fn recorded(place: &Place) -> Vec<Value> {
    let all = place.run(&["history", "--type", "report.exported", "--json"]).done();
    all.lines.into_iter().filter(|line| line["seq"].is_u64()).map(|line| line["events"][0]["data"].clone()).collect()
}

#[test]
fn a_study_by_any_of_its_names_is_the_same_proof() {
    let place = processed();
    let original = place.original_study("in/mr");
    let first = prove(&place, &original, &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!((&first.lines[0]["entries"], &first.lines[0]["streams"]), (&15.into(), &3.into()));
    let (size, sha256) = (first.lines[0]["size"].to_string(), &first.lines[0]["sha256"]);
    let entries = String::from_utf8(members(&place, "bundle.zip")["entries.ndjson"].clone()).expect("text");
    let key = entries.split("2.25.").nth(1).expect("an output has a key");
    let new = format!("2.25.{}", key.split('/').next().expect("a study"));
    for name in [new, original] {
        let again = prove(&place, &name, &["--as-of", &size]);
        assert_eq!((again.code, &again.lines[0]["sha256"]), (0, sha256), "{}", again.stderr);
    }
}

#[test]
fn an_entry_is_named_as_history_prints_it() {
    let place = processed();
    let all = place.run(&["history", "--all", "--json"]).done();
    let line = &all.lines[20];
    let (leaf, stream) = (line["leaf_index"].to_string(), line["stream"].as_str().expect("a stream"));
    let entry = format!("{stream}/{}", line["seq"]);
    let first = prove(&place, &leaf, &[]);
    assert_eq!((first.code, &first.lines[0]["kind"]), (0, &"entry".into()), "{}", first.stderr);
    let size = first.lines[0]["size"].to_string();
    let again = prove(&place, &entry, &["--as-of", &size]);
    assert_eq!(again.lines[0]["sha256"], first.lines[0]["sha256"]);
    assert_eq!(prove(&place, stream, &["--force"]).lines[0]["kind"], "stream");
    for (refused, code) in [("100000", 1), (&format!("{stream}/9"), 1), ("1.2.3.4", 1), (&format!("{stream}/x"), 2)] {
        assert_eq!(prove(&place, refused, &["--force"]).code, code, "{refused}");
    }
}

#[test]
fn a_bundle_is_seen_only_once_it_is_recorded() {
    let place = processed();
    let study = place.original_study("in/mr");
    let made = prove(&place, &study, &[]).lines[0].clone();
    let bundle = fs::metadata(place.path("bundle.zip")).expect("it is there");
    assert_eq!(
        (bundle.len(), bundle.permissions().mode() & 0o777),
        (made["size_bytes"].as_u64().expect("bytes"), 0o600)
    );
    let said = recorded(&place);
    assert_eq!((said.len(), &said[0]["format"], &said[0]["scope"]), (1, &"proof".into(), &"study".into()));
    for (field, as_made) in [("sha256", "sha256"), ("size_bytes", "size_bytes"), ("as_of_size", "size")] {
        assert_eq!(said[0][field], made[as_made], "{field}");
    }
    let before = fs::read(place.path("bundle.zip")).expect("read");
    let refused = prove(&place, &study, &[]);
    assert_eq!((refused.code, refused.error().as_str()), (2, "proof_exists"), "another size is another bundle");
    assert_eq!((fs::read(place.path("bundle.zip")).expect("read"), recorded(&place).len()), (before, 1));
    assert_eq!((prove(&place, &study, &["--force"]).code, recorded(&place).len()), (0, 2));
    let left = fs::read_dir(place.path("")).expect("a folder").filter_map(Result::ok);
    assert!(!left.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains(".part-")));
}

#[test]
fn no_member_of_a_bundle_holds_what_identifies_a_patient() {
    let place = processed();
    let identifiers = place.identifiers();
    assert!(identifiers.len() > 5, "the demo has identifiers");
    let study = place.original_study("in/mr");
    for (what, more) in [(study.as_str(), &[][..]), (&study, &["--without-log"]), ("3", &[])] {
        let done = prove(&place, what, &[&["--force"], more].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        for (name, bytes) in members(&place, "bundle.zip") {
            let text = format!("{name}\n{}", String::from_utf8_lossy(&bytes));
            for identifier in &identifiers {
                assert!(!text.contains(identifier.as_str()), "{name} of {what} holds an identifier of the demo");
            }
            assert!(!text.contains(place.path("").to_string_lossy().as_ref()), "{name} holds a path");
        }
    }
}

#[test]
fn an_entry_that_was_changed_in_the_ledger_is_not_proved() {
    let place = processed();
    place.sql("UPDATE entries SET body = replace(body, '\"process\"', '\"watch\"') WHERE gseq = 0");
    let refused = prove(&place, "0", &[]);
    assert_eq!((refused.code, refused.error().as_str()), (3, "ledger_damaged"), "{}", refused.stderr);
    assert!(!place.path("bundle.zip").exists());
    assert_eq!(prove(&place, "1", &[]).code, 0, "others are");
}
