//! One object's way from a folder of inputs to `processed/`, or to quarantine, and what the ledger then says of it.

use std::fs;

use pipeline_tests::medimg::{Place, files_below, holds, not_run, shared};
use pipeline_tests::objects::Object;
use serde_json::Value;

const STEPS: [&str; 5] =
    ["object.received", "instance.ingested", "instance.validated", "instance.deidentified", "instance.delivered"];

/// Returns the only item of a run over one input.
fn only_item(place: &Place, flags: &[&str]) -> Value {
    let items = place.process(flags).items();
    assert_eq!(items.len(), 1, "one input, one verdict: {items:?}");
    items[0].clone()
}

#[test]
fn a_ct_slice_is_delivered_in_five_entries() {
    let place = Place::new();
    place.input("ct.dcm", &Object::ct(1, 1).file());
    let run = place.process(&[]).ended(0);
    let item = &run.items()[0];
    assert_eq!((&item["outcome"], &item["reason"]), (&Value::from("delivered"), &Value::Null));
    let entries = place.stream(&item["stream"]);
    let types: Vec<_> = entries.iter().flat_map(|entry| entry.types()).collect();
    assert_eq!(types, STEPS);
    place.assert_whole();
}

#[test]
fn a_delivered_object_holds_its_pixels_and_none_of_its_identifiers() {
    let place = Place::new();
    let object = Object::ct(1, 1);
    place.input("ct.dcm", &object.file());
    let item = only_item(&place, &[]);
    let delivered = &place.processed()[item["key"].as_str().expect("a delivered item has a key")];
    let pixels = object.pixels();
    assert!(delivered.windows(pixels.len()).any(|window| window == pixels), "the pixels are not those of the input");
    assert!(delivered[..128].iter().all(|byte| *byte == 0) && &delivered[128..132] == b"DICM");
    for identifier in object.identifiers() {
        assert!(!holds(delivered, &identifier), "{identifier} is in the delivered object");
    }
}

#[test]
fn the_key_is_made_of_new_study_series_and_instance() {
    let place = Place::new();
    place.input("ct.dcm", &Object::ct(1, 1).file());
    let item = only_item(&place, &[]);
    let key = item["key"].as_str().expect("a delivered item has a key");
    let parts: Vec<_> = key.split('/').collect();
    assert_eq!(parts.len(), 3, "{key}");
    assert!(parts[2].ends_with(".dcm") && !key.contains("1.2.826."), "{key}");
    assert_eq!(place.processed().keys().collect::<Vec<_>>(), [key]);
}

#[test]
fn a_refused_object_stays_where_it_is_and_says_why() {
    let whole = Object::ct(1, 1).file();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("cut.dcm", whole[..whole.len() - 700].to_vec(), "truncated"),
        ("notes.txt", b"ward round at ten, bring the films".to_vec(), "not_dicom"),
        ("empty", Vec::new(), "not_dicom"),
        ("us.dcm", Object::ultrasound(2, 2).file(), "pixels_not_judged"),
    ];
    for (name, content, reason) in cases {
        let place = Place::new();
        let path = place.input(name, &content);
        let run = place.process(&[]).ended(1);
        let item = &run.items()[0];
        assert_eq!((&item["outcome"], &item["reason"]), (&Value::from("quarantined"), &Value::from(reason)), "{name}");
        assert_eq!(fs::read(path).expect("it is still there"), content);
        let last = place.stream(&item["stream"]).pop().expect("a refusal is recorded");
        assert_eq!(last.types(), ["instance.quarantined"]);
        assert!(place.processed().is_empty());
        place.assert_whole();
    }
}

#[test]
fn pixels_that_an_operator_accepts_are_delivered() {
    let place = Place::new();
    place.input("us.dcm", &Object::ultrasound(1, 1).file());
    assert_eq!(only_item(&place, &[])["reason"], "pixels_not_judged");
    let accepted = place.process(&["--accept-pixels"]).ended(0).items();
    assert_eq!((accepted.len(), &accepted[0]["outcome"]), (1, &Value::from("delivered")));
    place.assert_whole();
}

#[test]
fn what_has_ended_only_repeats_its_verdict() {
    let place = Place::new();
    place.ct_slices(3);
    place.input("cut.dcm", &Object::ct(9, 9).file()[..500]);
    let first = place.process(&[]).ended(1).by_number();
    let (entries, files) = (object_entries(&place), place.processed());
    let second = place.process(&[]).ended(1).by_number();
    for (number, item) in &first {
        let again = &second[number];
        assert_eq!(
            (&again["outcome"], &again["reason"], &again["key"]),
            (&item["outcome"], &item["reason"], &item["key"])
        );
        assert_eq!((&item["repeated"], &again["repeated"]), (&Value::from(false), &Value::from(true)));
    }
    assert_eq!((object_entries(&place), place.processed()), (entries, files));
}

/// Counts the entries about objects; what was asked of the store is recorded too and not counted here.
fn object_entries(place: &Place) -> usize {
    place
        .entries()
        .iter()
        .filter(|entry| entry.types().iter().any(|t| t.starts_with("object.r") || t.starts_with("instance.")))
        .count()
}

#[test]
fn the_same_bytes_at_another_path_are_another_stream_and_delivered_once() {
    let place = Place::new();
    let content = Object::ct(1, 1).file();
    place.input("a.dcm", &content);
    place.input("b.dcm", &content);
    let items = place.process(&[]).ended(0).by_number();
    assert_ne!(items[&1]["stream"], items[&2]["stream"]);
    assert_eq!(items[&1]["key"], items[&2]["key"]);
    assert_eq!(
        (&items[&1]["already_present"], &items[&2]["already_present"]),
        (&Value::from(false), &Value::from(true))
    );
    assert_eq!(place.processed().len(), 1);
    place.assert_whole();
}

#[test]
fn of_objects_that_contradict_each_other_the_first_received_is_delivered() {
    for workers in ["1", "8"] {
        let place = Place::new();
        for (name, shade) in [("a.dcm", 0), ("b.dcm", 1), ("c.dcm", 2)] {
            place.input(name, &Object { shade, ..Object::ct(1, 1) }.file());
        }
        let items = place.process(&["-j", workers]).ended(1).by_number();
        let verdicts: Vec<_> =
            items.values().map(|item| item["outcome"].as_str().expect("an outcome").to_owned()).collect();
        assert_eq!(verdicts, ["delivered", "quarantined", "quarantined"], "with {workers} workers");
        assert_eq!(
            (&items[&2]["reason"], &items[&3]["reason"]),
            (&Value::from("dup_conflict"), &Value::from("dup_conflict"))
        );
        let pixels = Object::ct(1, 1).pixels();
        let delivered = place.processed().into_values().next().expect("one is delivered");
        assert!(delivered.windows(pixels.len()).any(|window| window == pixels));
        place.assert_whole();
    }
}

#[test]
fn what_a_script_reads_names_no_path_and_no_patient() {
    let place = Place::new();
    let object = Object { patient_name: "Ravenscroft^Leonora".to_owned(), ..Object::ct(1, 1) };
    place.input("Ravenscroft^Leonora/MRN-7700001.dcm", &object.file());
    place.input("Ravenscroft^Leonora/cut MRN-7700001.dcm", &object.file()[..700]);
    for flags in [&["--json"][..], &[][..]] {
        let mut command = place.command("process", flags);
        command.arg(place.inputs()).env("RUST_LOG", "trace");
        let run = place.run_command(command).ended(1);
        for identifier in ["ravenscroft", "leonora", "mrn-77"] {
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(!holds(said.as_bytes(), identifier), "{identifier} is printed: {said}");
        }
    }
    for (name, content) in files_below(&place.store()) {
        if !name.starts_with("sources.sqlite") {
            assert!(!holds(&content, "ravenscroft") && !holds(&content, "leonora"), "a patient's name is in {name}");
        }
    }
}

#[test]
fn a_raw_copy_is_kept_byte_for_byte_when_asked_for() {
    let place = Place::new();
    let content = Object::ct(1, 1).file();
    place.input("ct.dcm", &content);
    place.process(&["--copy-raw"]).ended(0);
    let raw = files_below(&place.store().join("raw"));
    assert_eq!(raw.into_values().collect::<Vec<_>>(), [content]);
}

#[test]
fn whoever_asks_for_a_history_is_recorded() {
    let place = Place::new();
    place.ct_slices(2);
    place.process(&[]).ended(0);
    let before = place.entries().len();
    let told = place.run("history", &["--all"]).ended(0);
    assert!(!told.stdout.is_empty());
    let entries = place.entries();
    let asked: Vec<_> = entries.iter().filter(|entry| entry.types() == ["history.queried"]).collect();
    assert!(entries.len() > before && !asked.is_empty());
    assert!(asked[0].actor().starts_with("u:k1:"), "{}", asked[0].actor());
    place.assert_whole();
}

#[test]
fn the_history_of_a_study_tells_every_step_of_every_object() {
    let place = Place::new();
    place.ct_slices(4);
    let items = place.process(&[]).ended(0).items();
    let study = items[0]["key"].as_str().expect("a key").split('/').next().expect("a study").to_owned();
    let told = place.run("history", &[&study, "--json"]).ended(0).stdout;
    for item in &items {
        let stream = item["stream"].as_str().expect("a stream");
        assert!(told.contains(stream), "the history is silent about {stream}");
    }
    for step in STEPS {
        assert!(told.matches(step).count() >= 4, "{step} is not told of each object: {told}");
    }
}

#[test]
fn the_demo_ends_as_planned_and_its_ledger_verifies() {
    let place = Place::new();
    let told = place.run("demo", &[] as &[&str]).ended(0);
    assert!(told.stdout.contains("delivered") && told.stdout.contains("quarantined"), "{}", told.stdout);
    place.assert_whole();
    assert!(place.processed().len() > 3);
}

#[test]
fn the_sample_of_invented_patients_ends_whole() {
    let Some(shared) = shared() else {
        return not_run("the_sample_of_invented_patients_ends_whole", "../shared is not there");
    };
    let place = Place::new();
    for entry in fs::read_dir(shared.join("data/deid-sample/in")).expect("the sample") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        place.input(&name, &fs::read(&path).expect("readable"));
    }
    let items = place.process(&["--accept-pixels"]).by_number();
    assert_eq!(items.len(), 12);
    assert!(
        items.values().all(|item| matches!(item["outcome"].as_str(), Some("delivered" | "quarantined"))),
        "{items:?}"
    );
    place.assert_whole();
}
